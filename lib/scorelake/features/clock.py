"""Instants as microseconds since 1970 in UTC, whatever the zone of session and process."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DateType, TimestampNTZType, TimestampType

from scorelake.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_DAY = 86_400_000_000


def aware(instant: datetime) -> datetime:
    """A naive instant is UTC."""
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def micros(of: datetime | timedelta) -> int:
    """An aware instant, or a length of time, in whole microseconds."""
    return (of - _EPOCH if isinstance(of, datetime) else of) // _MICRO


def reach(length: timedelta) -> int:
    """A length of time in microseconds, at most 2**61 (73,000 years), so that no instant less it leaves 64 bits."""
    return min(micros(length), 1 << 61)


def micros_column(frame: DataFrame, name: str, what: str) -> Column:
    """A TIMESTAMP, TIMESTAMP_NTZ or DATE column in microseconds, the latter two read as UTC.

    Raises UsageError for another type, and for a zone-less one in a session that is not on UTC.
    """
    data_type = frame.schema[name].dataType
    column = F.col(quoted(name))
    if isinstance(data_type, TimestampType):
        return F.unix_micros(column)
    _require_utc(frame, name, data_type, what)
    if isinstance(data_type, DateType):
        return F.unix_date(column).cast("bigint") * F.lit(_DAY)
    return F.unix_micros(column.cast("timestamp"))


def _require_utc(frame: DataFrame, name: str, data_type: DataType, what: str) -> None:
    if not isinstance(data_type, DateType | TimestampNTZType):
        raise UsageError(f"{what}: column {name} is {data_type.simpleString()}, expected a timestamp")
    zone = frame.sparkSession.conf.get("spark.sql.session.timeZone")
    if zone not in ("UTC", "Etc/UTC"):
        raise UsageError(
            f"{what}: column {name} is a {data_type.simpleString()} and the session's zone {zone}; a column without "
            "a zone means UTC here: set spark.sql.session.timeZone=UTC"
        )


def quoted(name: str) -> str:
    """A column name that may hold dots, as Spark takes it literally."""
    return "`" + name.replace("`", "``") + "`"
