"""A night told as OpenLineage events: what each step read and wrote, at which Delta versions, column by column.

Events are a service for other systems (Marquez, DataHub, a catalog); what the platform itself knows stands in the
commits. So an address that does not answer costs a warning and its timeout, once, and never the night.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scorelake import runs
from scorelake.dates import ONE_DAY, as_of
from scorelake.settings import resolve_secret
from scorelake.tables import Bronze
from scorelake.tables.sources import FileSource

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import Dataset, InputDataset, OutputDataset

    from scorelake.dates import RunDates
    from scorelake.definitions import Definitions
    from scorelake.feature_store.definitions import FeatureRepo
    from scorelake.nightly.graph import Node
    from scorelake.runs import Outcome
    from scorelake.settings import LineageSettings, Settings
    from scorelake.stores.lake import Lake

log = logging.getLogger("scorelake.nightly")

PRODUCER = "https://pypi.org/project/scorelake"
_TIMEOUT = 5.0
_RETRIES = {"total": 1, "backoff_factor": 0.2}


@dataclass
class Lineage:
    """Tells of the steps of one run; made by `lineage`. Each step is an OpenLineage run below that of the night."""

    client: OpenLineageClient
    namespace: str
    job: str
    lake: Lake
    definitions: Definitions
    repo: FeatureRepo
    landing: str
    _is_silent: bool = False

    def started(self, node: Node, dates: RunDates) -> str:
        """The id of the step's run, for `ended`."""
        step = str(uuid.uuid4())
        self._tell("START", step, node, dates)
        return step

    def ended(self, step: str, node: Node, dates: RunDates, outcome: Outcome) -> None:
        from openlineage.client.facet_v2 import error_message_run

        problems = (*outcome.failed, *outcome.refused, *outcome.missing)
        if problems:
            facet = error_message_run.ErrorMessageRunFacet(message="; ".join(problems), programmingLanguage="python")
            self._tell("FAIL", step, node, dates, facets={"errorMessage": facet})
        else:
            self._tell("COMPLETE", step, node, dates, written=outcome.written)

    def _tell(
        self,
        kind: str,
        step: str,
        node: Node,
        dates: RunDates,
        *,
        facets: Mapping[str, Any] | None = None,
        written: Mapping[str, int] | None = None,
    ) -> None:
        if self._is_silent:
            return
        try:
            self.client.emit(self._event(kind, step, node, dates, facets or {}, written))
        except Exception as error:  # transports raise whatever their libraries do
            self._is_silent = True
            log.warning("no more lineage events in this run: the transport failed (%s)", type(error).__name__)

    def _event(
        self,
        kind: str,
        step: str,
        node: Node,
        dates: RunDates,
        facets: Mapping[str, Any],
        written: Mapping[str, int] | None,
    ) -> Any:
        from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
        from openlineage.client.facet_v2 import nominal_time_run, parent_run

        begin, end = as_of(dates.first) - ONE_DAY, as_of(dates.last)
        night = parent_run.ParentRunFacet(
            run=parent_run.Run(run_uuid(runs.run_id())), job=parent_run.Job(self.namespace, self.job)
        )
        nominal = nominal_time_run.NominalTimeRunFacet(f"{begin.isoformat()}Z", f"{end.isoformat()}Z")
        return RunEvent(
            eventType=RunState[kind],
            eventTime=f"{runs.wall_clock().isoformat()}Z",
            run=Run(step, {"parent": night, "nominalTime": nominal, **facets}),
            job=Job(self.namespace, f"{node.step}.{node.subject}"),
            producer=PRODUCER,
            inputs=list(self._inputs(node, dates, is_done=written is not None)),
            outputs=[] if written is None else [self._output(node, name, written) for name in written or (node.table,)],
        )

    # -------------------------------------------------------------- datasets

    def _inputs(self, node: Node, dates: RunDates, *, is_done: bool) -> Iterable[InputDataset]:
        from openlineage.client.event_v2 import InputDataset

        contract = self.definitions.tables.get(node.table)
        if isinstance(contract, Bronze):
            yield InputDataset(*self._landed(contract, node.table))
        _, mark = self.lake.marks(node.table, node.mark).get(dates.last, (0, None)) if is_done else (0, None)
        versions = mark.inputs if mark is not None else {}
        for name in sorted({*node.inputs, *versions}):
            found = self._dataset(name, versions.get(name))
            yield InputDataset(found.namespace, found.name, facets=found.facets)

    def _landed(self, contract: Bronze, table: str) -> tuple[str, str]:
        source = contract.source
        if isinstance(source, FileSource):
            return _address(source.path if "://" in source.path else f"{self.landing.rstrip('/')}/{source.path}")
        return source.url.removeprefix("jdbc:").partition("?")[0], source.table or f"query of {table}"

    def _output(self, node: Node, name: str, written: Mapping[str, int]) -> OutputDataset:
        from openlineage.client.event_v2 import OutputDataset
        from openlineage.client.facet_v2 import output_statistics_output_dataset, schema_dataset

        found = self._dataset(name, self.lake.version(name))
        fields = [
            schema_dataset.SchemaDatasetFacetFields(one.name, one.dataType.simpleString())
            for one in self.lake.read(name).schema.fields
        ]
        facets = {**(found.facets or {}), "schema": schema_dataset.SchemaDatasetFacet(fields)}
        if name == node.table and (origins := self._column_lineage(node)) is not None:
            facets["columnLineage"] = origins
        rows = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=written.get(name, 0))
        return OutputDataset(found.namespace, found.name, facets=facets, outputFacets={"outputStatistics": rows})

    def _column_lineage(self, node: Node) -> Any:
        from openlineage.client.facet_v2 import column_lineage_dataset as facet

        from scorelake.nightly import columns  # sqlglot's optimizer: for those who ask for lineage

        found = {
            column: facet.Fields(
                [facet.InputField(*self._address_of(table), field) for table, field in sorted(origins)]
            )
            for column, origins in columns.columns_of(node, self.definitions, self.repo).items()
            if origins
        }
        return facet.ColumnLineageDatasetFacet(found) if found else None

    def _dataset(self, name: str, version: int | None) -> Dataset:
        from openlineage.client.event_v2 import Dataset
        from openlineage.client.facet_v2 import dataset_version_dataset, symlinks_dataset

        called = [symlinks_dataset.Identifier(self.namespace, name, "TABLE")]
        facets: dict[str, Any] = {"symlinks": symlinks_dataset.SymlinksDatasetFacet(called)}
        if version is not None:
            facets["version"] = dataset_version_dataset.DatasetVersionDatasetFacet(str(version))
        return Dataset(*self._address_of(name), facets=facets)

    def _address_of(self, name: str) -> tuple[str, str]:
        """Namespace and name by OpenLineage's rules: of a path its file system, of a catalog's table its full name."""
        home = self.lake.home(name)
        catalog = home.settings.catalog
        return (self.namespace, f"{catalog}.{name}") if catalog else _address(home.location(name))


def lineage(settings: Settings, job: str, lake: Lake, definitions: Definitions, repo: FeatureRepo) -> Lineage | None:
    """None where settings name neither a file nor an address. ConfigError for a secret that cannot be read."""
    asked = settings.lineage
    if not asked.file and not asked.http:
        return None
    from openlineage.client import OpenLineageClient

    client = OpenLineageClient(config={"transport": _transport(asked)})
    return Lineage(client, asked.namespace, job, lake, definitions, repo, settings.landing.root)


def _transport(asked: LineageSettings) -> dict[str, Any]:
    if asked.file:
        Path(asked.file).parent.mkdir(parents=True, exist_ok=True)
        return {"type": "file", "log_file_path": asked.file, "append": True}
    auth = {"auth": {"type": "api_key", "apiKey": resolve_secret(asked.api_key)}} if asked.api_key else {}
    return {"type": "http", "url": asked.http, "timeout": _TIMEOUT, "retry": _RETRIES, **auth}


def run_uuid(run_id: str) -> str:
    """The run's id as OpenLineage wants it; a scheduler's own text always gives the same one."""
    try:
        return str(uuid.UUID(run_id))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{PRODUCER}/runs/{run_id}"))


def _address(place: str) -> tuple[str, str]:
    parts = urlsplit(place)
    if parts.scheme in ("", "file"):
        return "file", parts.path or place
    return f"{parts.scheme}://{parts.netloc}", parts.path.lstrip("/")
