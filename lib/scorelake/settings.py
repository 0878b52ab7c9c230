"""Settings of one environment: `base.yaml`, then `<env>.yaml`, then `--set a.b=c`.

Relative paths are relative to the conf folder. In an environment with `local.home` everything that is written
lies below that one folder unless a setting says otherwise. Secrets are references, resolved late, never logged.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, model_validator

from scorelake.dates import Duration
from scorelake.errors import ConfigError, Finding, UsageError
from scorelake.strict_yaml import Definition, Document, load, parse

_INTERPOLATION = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class LocalSettings(Definition):
    home: str | None = Field(default=None, description="Folder of everything that a laptop's environment writes.")


class LakeSettings(Definition):
    root: str = Field(default="", description="URI; a table lies at <root>/<layer>/<table>.")
    catalog: str | None = Field(default=None, description="Unity Catalog or metastore; three-part names.")
    read_from: str | None = Field(
        default=None, description="An environment whose tables are read as long as this lake has none of that name."
    )
    read_root: str = Field(default="", description="Where that other lake lies; follows from read_from.")
    read_catalog: str | None = Field(default=None, description="Its catalog, instead; follows from read_from.")

    @property
    def other(self) -> LakeSettings | None:
        """The lake that is read where this one has no table; nothing is ever written to it."""
        if self.read_root or self.read_catalog:
            return LakeSettings(root=self.read_root, catalog=self.read_catalog)
        return None

    @model_validator(mode="after")
    def _one_address(self) -> LakeSettings:
        if self.root and self.catalog:
            raise ValueError("expected either root or catalog")
        if self.read_root and self.read_catalog:
            raise ValueError("expected either read_root or read_catalog")
        if (self.root and self.root == self.read_root) or (self.catalog and self.catalog == self.read_catalog):
            raise ValueError("this lake reads from itself: read_from must name an environment with another lake")
        return self


class LandingSettings(Definition):
    root: str = Field(default="", description="URI below which sources land their drops.")


class MlflowSettings(Definition):
    tracking_uri: str = ""
    registry_uri: str | None = None
    registry_schema: str = Field(
        default="", description="What stands before the names of models: <catalog>.<schema> in Unity Catalog."
    )
    experiment_folder: str = Field(
        default="", description="What stands before the names of experiments: a workspace folder on Databricks."
    )
    artifact_root: str | None = None
    allow_pickle: bool = Field(default=False, description="Load models that need pickle; it can run any code.")


class FeastSettings(Definition):
    registry: str = Field(default="", description="Path or SQLAlchemy URL of Feast's registry.")
    online_store: str = Field(default="", description="Path of the SQLite file, or HOST:PORT of Redis.")


class NotifySettings(Definition):
    """Whom to tell of alerts and of how a night ended.

    A JSON object goes to `webhook` (POST) and to the standard input of `command`.
    """

    webhook: str = Field(default="", description="Secret reference of an http(s) address, e.g. env:ALERTS_URL.")
    command: tuple[str, ...] = Field(default=(), description="Program and arguments; no shell in between.")
    when: Literal["opened", "firing"] = Field(
        default="opened", description="opened: nights on which an alert opens or changes; firing: as long as it lasts."
    )


class LineageSettings(Definition):
    """Where OpenLineage events of a night go: a file to which they are added as JSON lines, or an HTTP service."""

    file: str = ""
    http: str = Field(default="", description="Address of the service; events are posted to its api/v1/lineage.")
    api_key: str = Field(default="", description="Secret reference of the service's key, e.g. env:LINEAGE_KEY.")
    namespace: str = Field(default="scorelake", min_length=1, description="Of the jobs, such as team.production.")

    @model_validator(mode="after")
    def _one_way(self) -> LineageSettings:
        if self.file and self.http:
            raise ValueError("expected either file or http")
        if self.http and not self.http.startswith(("https://", "http://")):
            raise ValueError("http: expected an http or https address")
        if self.api_key and not self.http:
            raise ValueError("api_key: only an HTTP service has one")
        return self


class ReportSettings(Definition):
    definition_link: str = Field(
        default="", description="Where a column's definition is read, e.g. https://git.example.com/search?q={feature}."
    )


class DeploySettings(Definition):
    """Where `./spark-submit.sh JOB --env ENV` runs the jobs of this environment."""

    platform: Literal["here", "cluster", "dataproc", "databricks"] = Field(
        default="here", description="This machine; a Spark cluster of your own; Dataproc batches; a Databricks bundle."
    )
    master: str = Field(default="", description="With `cluster`: its master, such as spark://host:7077.")
    target: str = Field(default="dev", description="With `databricks`: target of the bundle.")


class Limits(Definition):
    local_matrix_bytes: int = Field(default=4 * 2**30, gt=0)
    training_workers: int | None = Field(
        default=None,
        ge=1,
        description="XGBoost workers of algorithm.engine: spark, by default one a free task slot; needed on Connect.",
    )
    range_chunk_days: int = Field(default=366, gt=0, description="Dates that one commit of a range writes at most.")


class NightSettings(Definition):
    """How run_nightly goes about its steps."""

    parallel: int = Field(default=2, ge=1, description="Steps that run side by side in the one Spark application.")
    retries: int = Field(default=2, ge=0, description="Further attempts after a failure that may heal by itself.")
    backoff: Duration = Field(default=timedelta(seconds=30), description="Pause before the first; it doubles.")
    step_timeout: Duration = Field(default=timedelta(hours=6), description="A step that runs longer is cancelled.")
    when_late: Literal["skip", "wait", "fail"] = Field(
        default="skip",
        description="A due drop is missing: go on without its branch, wait for it, or stop the night.",
    )
    wait_until: Duration = Field(
        default=timedelta(hours=6), description="With `wait`: how long after the end of the run date to look for it."
    )
    look_every: Duration = Field(default=timedelta(minutes=5), description="With `wait`: how often to look.")


class Settings(Definition):
    """Everything a job is told about its environment. `env` and `conf_dir` come from the command line."""

    env: str
    conf_dir: Path
    feature_repo: Path = Path("../feature_repo")
    deploy: DeploySettings = DeploySettings()
    local: LocalSettings = LocalSettings()
    lake: LakeSettings = LakeSettings()
    landing: LandingSettings = LandingSettings()
    mlflow: MlflowSettings = MlflowSettings()
    feast: FeastSettings = FeastSettings()
    reports: str = ""
    checkpoints: str | None = Field(
        default=None, description="Folder of the driver where a training that is killed leaves how far it was."
    )
    logs: Literal["text", "json"] = Field(default="text", description="Log lines for people, or JSON for a service.")
    report: ReportSettings = ReportSettings()
    notify: NotifySettings = NotifySettings()
    lineage: LineageSettings = LineageSettings()
    limits: Limits = Limits()
    night: NightSettings = NightSettings()
    allow_missing: tuple[str, ...] = Field(
        default=(), description="Bronze tables whose missing expected drop is a warning instead of exit 3."
    )

    @model_validator(mode="after")
    def _every_place_is_known(self) -> Settings:
        places = {
            "lake.root or lake.catalog": self.lake.root or self.lake.catalog,
            "landing.root": self.landing.root,
            "mlflow.tracking_uri": self.mlflow.tracking_uri,
            "feast.registry": self.feast.registry,
            "reports": self.reports,
        }
        missing = [name for name, value in places.items() if not value]
        if missing:
            raise ValueError(f"not set, and there is no local.home to derive them from: {', '.join(missing)}")
        if self.deploy.platform == "cluster" and not self.deploy.master:
            raise ValueError("deploy.platform is cluster, so deploy.master must name its master")
        return self

    def exported(self) -> dict[str, str]:
        """Environment variables that `feature_store.yaml` refers to, so that plain `feast` commands work."""
        return {
            "SCORELAKE_ENV": self.env,
            "SCORELAKE_CONF_DIR": str(self.conf_dir),
            "SCORELAKE_FEATURE_REPO": str(self.feature_repo),
            "SCORELAKE_FEAST_REGISTRY": self.feast.registry,
            "SCORELAKE_ONLINE_STORE": self.feast.online_store,
            "SCORELAKE_LAKE_ROOT": self.lake.root,
            "SCORELAKE_LAKE_CATALOG": self.lake.catalog or "",
            "SCORELAKE_LAKE_READ_ROOT": self.lake.read_root,
            "SCORELAKE_LAKE_READ_CATALOG": self.lake.read_catalog or "",
        }


def load_settings(
    conf_dir: Path, env: str, overrides: Iterable[str] = (), feature_repo: Path | None = None
) -> Settings:
    """Settings of `env`; `overrides` are 'a.b=c' with c read as YAML. ConfigError or UsageError when they are wrong."""
    conf_dir = conf_dir.resolve()
    if not (conf_dir / "base.yaml").is_file():
        raise UsageError(f"{conf_dir} is no conf folder: base.yaml expected; --conf-dir names another")
    if not (conf_dir / f"{env}.yaml").is_file():
        known = sorted(p.stem for p in conf_dir.glob("*.yaml") if p.stem != "base")
        raise UsageError(f"--env {env}: {conf_dir / (env + '.yaml')} not found; environments there: {', '.join(known)}")
    base, specific = load(conf_dir / "base.yaml"), load(conf_dir / f"{env}.yaml")
    data = _merged(base.data, specific.data)
    for override in overrides:
        data = _merged(data, _override(override))
    if feature_repo is not None:
        data["feature_repo"] = str(feature_repo.resolve())
    document = Document(specific.path, _interpolated(data, specific), {**base.lines, **specific.lines})
    document = _with_other_lake(_with_places(document, conf_dir), conf_dir)
    return parse(Settings, document, env=env, conf_dir=conf_dir)


def variables(conf_dir: Path, env: str) -> dict[str, str]:
    """The environment variables that the settings files name and this process has: they go along with a job."""
    texts = [(conf_dir / f"{name}.yaml").read_text(encoding="utf-8") for name in ("base", env)]
    names = sorted({match[1] for text in texts for match in _INTERPOLATION.finditer(text)})
    return {name: os.environ[name] for name in names if name in os.environ}


def _merged(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    """`high` over `low`, mapping by mapping."""
    merged = dict(low)
    for key, value in high.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _override(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise UsageError(f"--set {text}: expected KEY=VALUE, such as lake.root=/data/lake")
    try:
        nested: Any = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {text}: the value is not YAML") from error
    for part in reversed(key.split(".")):
        nested = {part: nested}
    return dict(nested)


def _interpolated(value: Any, document: Document, at: tuple[str | int, ...] = ()) -> Any:
    """`${env:NAME}` and `${env:NAME:-default}` replaced in every string."""
    if isinstance(value, Mapping):
        return {key: _interpolated(item, document, (*at, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_interpolated(item, document, (*at, n)) for n, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def lookup(match: re.Match[str]) -> str:
        found = os.environ.get(match[1], match[2])
        if found is None:
            message = f"{'.'.join(map(str, at))}: environment variable {match[1]} is not set and has no default"
            raise ConfigError([document.finding(at, message)])
        return found

    return _INTERPOLATION.sub(lookup, value)


def _with_places(document: Document, conf_dir: Path) -> Document:
    """Paths made absolute, and places that follow from `local.home` filled in where the files are silent."""
    data = dict(document.data)
    home = (data.get("local") or {}).get("home")
    if isinstance(home, str):
        home = _absolute(home, conf_dir)
        derived = {
            "local": {"home": home},
            "lake": {} if (data.get("lake") or {}).get("catalog") else {"root": f"{home}/lake"},
            "landing": {"root": f"{home}/landing"},
            "mlflow": {"tracking_uri": f"sqlite:///{home}/mlflow.db", "artifact_root": f"{home}/mlflow"},
            "feast": {"registry": f"{home}/feast/registry.db", "online_store": f"{home}/feast/online.db"},
            "reports": f"{home}/reports",
            "checkpoints": f"{home}/checkpoints",
        }
        data = _merged(derived, {**data, "local": {**data["local"], "home": home}})
    paths = (("lake", "root"), ("lake", "read_root"), ("landing", "root"), ("feast", "registry"), ("lineage", "file"))
    for section, key in paths:
        value = (data.get(section) or {}).get(key)
        if isinstance(value, str) and value:
            data[section] = {**data[section], key: _absolute(value, conf_dir)}
    for key in ("reports", "checkpoints", "feature_repo"):
        if isinstance(data.get(key), str):
            data[key] = _absolute(data[key], conf_dir)
    data.setdefault("feature_repo", _absolute("../feature_repo", conf_dir))
    return Document(document.path, data, document.lines)


def _with_other_lake(document: Document, conf_dir: Path) -> Document:
    """The address of the lake of `lake.read_from`; of that environment nothing else needs to be set here."""
    lake = document.data.get("lake") or {}
    name = lake.get("read_from")
    if not isinstance(name, str):
        return document
    path = conf_dir / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in conf_dir.glob("*.yaml") if p.stem != "base"))
        message = f"environment {name} has no file {path.name}; environments here: {known}"
        raise ConfigError([document.finding(("lake", "read_from"), message)])
    specific = load(path)
    data = _merged(load(conf_dir / "base.yaml").data, specific.data)
    parts = {key: data[key] for key in ("local", "lake") if key in data}
    other = _with_places(Document(specific.path, _interpolated(parts, specific), specific.lines), conf_dir).data
    address = {f"read_{key}": value for key in ("root", "catalog") if (value := (other.get("lake") or {}).get(key))}
    if not address:
        message = f"environment {name} has neither lake.root nor lake.catalog"
        raise ConfigError([document.finding(("lake", "read_from"), message)])
    return Document(document.path, {**document.data, "lake": {**lake, **address}}, document.lines)


def _absolute(place: str, conf_dir: Path) -> str:
    """`place` if it is a URI or absolute, else below the conf folder."""
    return place if "://" in place else os.path.normpath(conf_dir / os.path.expanduser(place))


def resolve_secret(reference: str) -> str:
    """The value behind `env:NAME`, `file:PATH`, `databricks:scope/key` or `gcp-secret:...`; plain text is refused."""
    kind, colon, name = reference.partition(":")
    if colon and kind == "env":
        value = os.environ.get(name)
        if value is None:
            raise ConfigError(f"secret {reference}: environment variable {name} is not set")
        return value
    if colon and kind == "file":
        try:
            return Path(name).read_text(encoding="utf-8").rstrip("\n")
        except OSError as error:
            raise ConfigError(f"secret {reference}: {error.strerror}") from error
    if colon and kind in ("databricks", "gcp-secret"):
        raise ConfigError(f"secret {kind}:...: only available on that platform, which this environment is not")
    raise ConfigError("a secret must be a reference: env:NAME, file:PATH, databricks:scope/key or gcp-secret:NAME")


__all__ = ["Finding", "Settings", "load_settings", "resolve_secret", "variables"]
