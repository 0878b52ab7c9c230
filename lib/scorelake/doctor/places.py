"""Whether the places that an environment names can be used: its disk, its lake by way of Spark, its registries."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from scorelake.doctor.check import Machine, Seen

DISK_WANTED_GB = 5
"""A year of the example with tables, models and reports, twice over."""


def write_rights(machine: Machine) -> Seen:
    """A file can be made where the environment writes; a folder still to be made counts by its parent."""
    folder = _nearest_folder(machine)
    if folder is None:
        return Seen(True, "the lake is not on this machine")
    with tempfile.TemporaryFile(dir=folder):
        return Seen(True, str(folder))


def disk(machine: Machine) -> Seen:
    folder = _nearest_folder(machine) or machine.checkout
    free_gb = shutil.disk_usage(folder).free / 1e9
    return Seen(free_gb >= DISK_WANTED_GB, f"{free_gb:.0f} GB free at {folder}")


def spark(_: Machine) -> Seen:
    """A session starts, with the JVM on UTC too: sources that make java.util.Date use the JVM's own zone."""
    from scorelake import session

    spark = session.start("doctor")
    row = spark.sql("SELECT reflect('java.time.ZoneId', 'systemDefault')").head()
    zone = str(row[0]) if row else "unknown"
    return Seen(zone in ("UTC", "Etc/UTC"), f"{spark.version}, JVM zone {zone}")


def delta(machine: Machine) -> Seen:
    """A Delta table is written, replaced in part and read back where the environment writes."""
    from scorelake import session

    spark = session.start("doctor")
    with tempfile.TemporaryDirectory(prefix="doctor-", dir=_nearest_folder(machine)) as folder:
        table = f"{folder}/table"
        spark.range(3).write.format("delta").save(table)
        spark.range(2, 3).write.format("delta").mode("overwrite").option("replaceWhere", "id = 2").save(table)
        rows = spark.read.format("delta").load(table).count()
    return Seen(rows == 3, f"read {rows} of 3 rows written")


def model_registry(machine: Machine) -> Seen:
    """MLflow answers. A database file still to be made is left alone: opening it would fill it with tables."""
    mlflow = machine.settings.mlflow
    uri = mlflow.registry_uri or mlflow.tracking_uri
    file = _file(uri)
    if file is not None and not file.exists():
        return _not_yet(file)
    from mlflow import MlflowClient

    MlflowClient(mlflow.tracking_uri, uri).search_registered_models(max_results=1)
    return Seen(True, _without_password(uri))


def feature_registry(machine: Machine) -> Seen:
    """Feast's registry can be opened: a file by reading it, a database by connecting."""
    place = machine.settings.feast.registry
    file = _file(place)
    if file is not None and not file.exists():
        return _not_yet(file)
    if file is not None:
        file.read_bytes()
    elif "sql" in urlsplit(place).scheme:
        from sqlalchemy import create_engine

        create_engine(place).connect().close()
    return Seen(True, _without_password(place))


def _not_yet(file: Path) -> Seen:
    return Seen(True, f"{file}: not there yet, the first run makes it")


def _nearest_folder(machine: Machine) -> Path | None:
    """The nearest folder that exists on the way to where the environment writes; None when that is elsewhere."""
    place = _file(machine.settings.local.home or machine.settings.lake.root)
    if place is None:
        return None
    return next((folder for folder in (place, *place.parents) if folder.is_dir()), None)


def _file(uri: str) -> Path | None:
    """The path of a plain path, a file URI or a SQLite URL; None for what is not a file here."""
    parts = urlsplit(uri)
    if parts.scheme.startswith("sqlite"):
        return Path(parts.path.removeprefix("/"))  # sqlite:///relative, sqlite:////absolute
    return Path(parts.path) if uri and parts.scheme in ("", "file") else None


def _without_password(uri: str) -> str:
    host = urlsplit(uri).netloc
    return uri.replace(host, host.rpartition("@")[2]) if "@" in host else uri
