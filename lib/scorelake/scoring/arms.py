"""Which model serves an entity: a hash decides, so that an entity keeps its arm and a growing share only adds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scorelake.tables import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column

CHAMPION, CHALLENGER, SHADOW, RESTATED = "champion", "challenger", "shadow", "restated"
DRAWS = 10_000


def draw(experiment: str, keys: Sequence[str]) -> Column:
    """0 to 9,999: the first 8 bytes, big-endian, of the sha256 of `len:text` for the experiment and each key, modulo.

    len is the number of UTF-8 bytes, text is Spark's cast to STRING. null for a null in the keys.
    """
    from pyspark.sql import functions as F

    texts = [F.lit(experiment), *(F.col(quoted(key)).cast("string") for key in keys)]
    parts = [part for text in texts for part in (F.octet_length(text).cast("string"), F.lit(":"), text)]
    first_bytes = F.substring(F.sha2(F.concat(*parts), 256), 1, 16)
    return (F.conv(first_bytes, 16, 10).cast("decimal(20,0)") % DRAWS).cast("int")


def arm(experiment: str, percent: float, keys: Sequence[str]) -> Column:
    """`challenger` for `percent` of the entities, `champion` for the others and for a null in the keys."""
    from pyspark.sql import functions as F

    is_challenged = draw(experiment, keys) < DRAWS / 100 * percent
    return F.when(is_challenged, CHALLENGER).otherwise(CHAMPION)
