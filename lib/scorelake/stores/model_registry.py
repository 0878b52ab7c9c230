"""Model versions in MLflow: registered with their record, pinned by digest before use, promoted by alias.

The tracking store is given by URI, never taken from the process, so that two registries can live side by side.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from scorelake.errors import MissingInput, ModelRefused, ScorelakeError
from scorelake.stores import model_files
from scorelake.stores.model_files import Bundle
from scorelake.stores.model_versions import Pinned, Record, Version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CHALLENGER = "champion", "challenger"
_DIGEST, _FORMER, _ROLLED_BACK = "scorelake.digest", "scorelake.former_champion", "scorelake.rolled_back"


@dataclass(frozen=True)
class ModelRegistry:
    """MLflow's tracking store and registry at `tracking_uri`; made by `connect`."""

    client: MlflowClient = field(repr=False)
    tracking_uri: str
    artifact_root: str | None
    allow_pickle: bool
    registry_schema: str = ""
    experiment_folder: str = ""

    def register(self, name: str, bundle: Bundle, record: Record) -> str:
        """The new version's number, alias `challenger`. A failure leaves a FAILED run and no version."""
        experiment = self._experiment(name)
        run_id = self.client.create_run(experiment, run_name=name, tags=dict(record.tags)).info.run_id
        try:
            self._log(run_id, record)
            for number, trial in enumerate(record.trials, start=1):
                self._log_trial(experiment, run_id, f"trial {number}", trial)
            with tempfile.TemporaryDirectory(prefix="scorelake-model-") as scratch:
                folder = Path(scratch) / "model"
                digest = model_files.write(bundle, folder)
                version = self._upload(name, folder, run_id, {**record.tags, _DIGEST: digest}, record.description)
        except BaseException:
            self.client.set_terminated(run_id, "FAILED")
            raise
        self.client.set_terminated(run_id, "FINISHED")
        self.client.set_registered_model_alias(self._registered_name(name), CHALLENGER, version)
        return version

    def resolve(self, name: str, alias: str, folder: Path) -> Pinned:
        """The version behind `alias`, copied below `folder` and checked.

        MissingInput when there is none; ModelRefused when its files are gone, changed or unsafe to load.
        """
        version = self.version_of(name, alias)
        if version is None:
            hint = "promote_model" if alias == CHAMPION else "train_model"
            raise MissingInput(f"model {name} has no {alias} yet; run {hint} first")
        return self.pin(name, version, folder)

    def pin(self, name: str, version: str, folder: Path) -> Pinned:
        """As `resolve`, for a version by number."""
        with _named(name, version):
            found = self._version(name, version)
            expected = found.tags.get(_DIGEST)
            if expected is None:
                raise ModelRefused("it has no digest: it was not registered by Scorelake")
            local = self._download(found, folder / name / version)
            digest = model_files.digest(local)
            if digest != expected:
                raise ModelRefused("its files were changed after it was registered; promote another version")
            unsafe = None if self.allow_pickle else model_files.why_unsafe(local)
            if unsafe is not None:
                raise ModelRefused(f"{unsafe} (mlflow.allow_pickle: true accepts that)")
            facts = model_files.read(local)
            return Pinned(
                name, version, digest, local, str(found.run_id), facts.columns, facts.task, facts.classes, found.tags
            )

    def require(self, name: str, version: str) -> None:
        """MissingInput when there is no such version."""
        self._version(name, version)

    def version_of(self, name: str, alias: str) -> str | None:
        """The version number behind `alias`; None when there is no such model or alias."""
        from mlflow.exceptions import MlflowException

        try:
            return str(self.client.get_model_version_by_alias(self._registered_name(name), alias).version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def find(self, name: str, tags: Mapping[str, str]) -> str | None:
        """The newest version that carries all of `tags`; None when there is none."""
        versions = self._versions(name)
        found = [int(v.version) for v in versions if tags.items() <= v.tags.items()]
        return str(max(found)) if found else None

    def count(self, name: str, tags: Mapping[str, str]) -> int:
        """How many versions carry all of `tags`."""
        versions = self._versions(name)
        return sum(tags.items() <= version.tags.items() for version in versions)

    def newest_tag(self, name: str, tag: str) -> str | None:
        """The tag of the newest version; None without any version, or when it has no such tag."""
        versions = self._versions(name)
        newest = max(versions, key=lambda version: int(version.version), default=None)
        return newest.tags.get(tag) if newest is not None else None

    def metrics(self, name: str, version: str) -> dict[str, float]:
        """What was measured when the version was trained, as '<part>.<metric>'."""
        run = self.client.get_run(str(self._version(name, version).run_id))
        return dict(run.data.metrics)

    def attach(self, name: str, version: str, path: str, content: bytes) -> None:
        """Keep `content` beside the run that made the version, as artifact `path`; the version's files stay as they
        are."""
        run_id = str(self._version(name, version).run_id)
        folder, _, file = path.rpartition("/")
        with tempfile.TemporaryDirectory(prefix="scorelake-artifact-") as scratch:
            (Path(scratch) / file).write_bytes(content)
            self.client.log_artifact(run_id, str(Path(scratch) / file), folder or None)

    def promote(self, name: str, version: str, *, former: str | None = None) -> str | None:
        """Point `champion` at `version`; the number of the version that had the alias.

        `former` is the champion to return to, by default that version. Promoting the champion again changes nothing.
        """
        self._version(name, version)
        leaving = self.version_of(name, CHAMPION)
        if leaving != version:
            returning = former or leaving or ""
            self.client.set_model_version_tag(self._registered_name(name), version, _FORMER, returning)
            self.client.set_registered_model_alias(self._registered_name(name), CHAMPION, version)
        return leaving

    def former(self, name: str) -> tuple[str, str]:
        """Numbers of the champion and of the one before it. MissingInput when there is none to return to."""
        leaving = self.version_of(name, CHAMPION)
        returning = self._version(name, leaving).tags.get(_FORMER) if leaving is not None else None
        if leaving is None or not returning:
            raise MissingInput(f"model {name} has no former champion to return to; promote another version")
        self._version(name, returning)
        return leaving, returning

    def rollback(self, name: str, reason: str) -> tuple[str, str]:
        """Make the former champion champion again; the numbers of the version that leaves and of the one that returns.

        The one that leaves is no challenger any more, so that no gate of before can promote it again. MissingInput
        when there is no champion or it was the first.
        """
        leaving, returning = self.former(name)
        self.client.set_model_version_tag(self._registered_name(name), leaving, _ROLLED_BACK, reason)
        if self.version_of(name, CHALLENGER) == leaving:
            self.client.delete_registered_model_alias(self._registered_name(name), CHALLENGER)
        self.client.set_registered_model_alias(self._registered_name(name), CHAMPION, returning)
        return leaving, returning

    def history(self, name: str) -> list[Version]:
        """Every version, newest first."""
        aliases: dict[str, list[str]] = {}
        for alias, version in self._registered(name).items():
            aliases.setdefault(str(version), []).append(alias)
        found = self._versions(name)
        versions = [
            Version(
                str(v.version),
                tuple(sorted(aliases.get(str(v.version), ()))),
                str(v.run_id),
                v.tags.get(_DIGEST, ""),
                v.tags.get(_FORMER) or None,
            )
            for v in found
        ]
        return sorted(versions, key=lambda v: -int(v.version))

    def live(self, name: str) -> dict[str, Mapping[str, str]]:
        """The versions in use, with their tags: those that have an alias, and the champion to return to."""
        used = [version for version in self.history(name) if version.aliases]
        numbers = {number for version in used for number in (version.version, version.former) if number}
        return {number: dict(self._version(name, number).tags) for number in sorted(numbers)}

    # -------------------------------------------------------------- below: one MLflow call each

    def _registered_name(self, name: str) -> str:
        """The model's name in the registry; Unity Catalog asks for three parts."""
        return f"{self.registry_schema}.{name}" if self.registry_schema else name

    def _registered(self, name: str) -> dict[str, str]:
        from mlflow.exceptions import MlflowException

        try:
            return dict(self.client.get_registered_model(self._registered_name(name)).aliases)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise

    def _versions(self, name: str) -> list[ModelVersion]:
        return list(self.client.search_model_versions(f"name = '{self._registered_name(name)}'", max_results=10_000))

    def _version(self, name: str, version: str) -> ModelVersion:
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_model_version(self._registered_name(name), version)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise MissingInput(f"model {name} has no version {version}") from error
            raise

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        folder = f"{self.experiment_folder.rstrip('/')}/" if self.experiment_folder else ""
        experiment = f"{folder}{name}"
        found = self.client.get_experiment_by_name(experiment)
        if found is not None:
            return str(found.experiment_id)
        place = None if self.artifact_root is None else f"{self.artifact_root.rstrip('/')}/{name}"
        try:
            return str(self.client.create_experiment(experiment, artifact_location=place))
        except MlflowException as error:
            again = self.client.get_experiment_by_name(experiment)  # another process was first
            if again is None:
                raise ScorelakeError(f"cannot create the MLflow experiment {experiment}: {error}") from error
            return str(again.experiment_id)

    def _log(self, run_id: str, record: Record) -> None:
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        metrics = [Metric(key, value, now, 0) for key, value in record.metrics.items()]
        self.client.log_batch(run_id, metrics, [Param(key, value) for key, value in record.params.items()])

    def _log_trial(self, experiment: str, parent: str, name: str, trial: Record) -> None:
        tags = {**trial.tags, "mlflow.parentRunId": parent}
        run_id = self.client.create_run(experiment, run_name=name, tags=tags).info.run_id
        self._log(run_id, trial)
        self.client.set_terminated(run_id, "FINISHED")

    def _upload(self, name: str, folder: Path, run_id: str, tags: Mapping[str, str], description: str) -> str:
        from mlflow.exceptions import MlflowException

        experiment = self.client.get_run(run_id).info.experiment_id
        logged = self.client.create_logged_model(experiment, name=name, source_run_id=run_id, tags=dict(tags))
        self.client.log_model_artifacts(logged.model_id, str(folder))
        self.client.finalize_logged_model(logged.model_id, "READY")
        try:
            self.client.create_registered_model(self._registered_name(name))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        version = self.client.create_model_version(
            self._registered_name(name),
            logged.artifact_location,
            run_id,
            tags=dict(tags),
            description=description,
            model_id=logged.model_id,
        )
        return str(version.version)

    def _download(self, version: ModelVersion, folder: Path) -> Path:
        from mlflow.artifacts import download_artifacts

        folder.mkdir(parents=True, exist_ok=True)
        source = self.client.get_model_version_download_uri(version.name, version.version)
        scratch = tempfile.mkdtemp(dir=folder)  # never a folder that holds files of an earlier download
        try:
            local = Path(download_artifacts(artifact_uri=source, dst_path=scratch, tracking_uri=self.tracking_uri))
        except Exception as error:
            raise ModelRefused(f"its files cannot be fetched ({type(error).__name__}): are they gone?") from error
        model_files.remove_traces(local)
        return local


@contextmanager
def _named(name: str, version: str) -> Iterator[None]:
    """Put the version's name before a refusal from below."""
    try:
        yield
    except ModelRefused as error:
        raise ModelRefused(f"model {name} version {version}: {error}") from error


def connect(
    tracking_uri: str,
    *,
    registry_uri: str | None = None,
    artifact_root: str | None = None,
    allow_pickle: bool = False,
    registry_schema: str = "",
    experiment_folder: str = "",
) -> ModelRegistry:
    """The registry at `tracking_uri`; a fresh SQLite file gets its tables. ScorelakeError when it does not answer.

    `registry_schema` and `experiment_folder` stand before the names of models and of experiments.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow import MlflowClient

    try:
        with _first_contact(tracking_uri):
            client = MlflowClient(tracking_uri, registry_uri)
            client.search_experiments(max_results=1)
            client.search_registered_models(max_results=1)
    except Exception as error:
        raise ScorelakeError(
            f"MLflow at {_shown(tracking_uri)} does not answer ({type(error).__name__}): is it running, and "
            "mlflow.tracking_uri its address?"
        ) from error
    return ModelRegistry(client, tracking_uri, artifact_root, allow_pickle, registry_schema, experiment_folder)


@contextmanager
def _first_contact(tracking_uri: str) -> Iterator[None]:
    """One process at a time: two that create the tables of a fresh SQLite file at once crash."""
    if not tracking_uri.startswith("sqlite:///"):
        yield
        return
    path = Path(tracking_uri.removeprefix("sqlite:///"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _shown(uri: str) -> str:
    """`uri` without a password in it."""
    head, at, tail = uri.rpartition("@")
    return f"{head.split('://')[0]}://...@{tail}" if at else uri


__all__ = ["CHALLENGER", "CHAMPION", "ModelRegistry", "Pinned", "Record", "Version", "connect"]
