"""Models applied to feature rows in one pass: keys in, keys and scores out, a row for each model.

The first model is the champion: if it fails, the pass fails. Every other one is given up, for good in this task, as
soon as it fails or has used its time; what became of it stands in its last row (`report`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from scorelake import worker
from scorelake.errors import ContractBroken
from scorelake.scoring import transformed
from scorelake.scoring.answers import Layout, Report
from scorelake.scoring.asking import Asked
from scorelake.scoring.members import Member, Observed, Observer

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from scorelake.packing import Batch
    from scorelake.rows import Rows


def score(
    rows: Rows,
    members: Sequence[Member],
    *,
    keys: Sequence[str],
    night: str | None = None,
    observers: Mapping[str, Observed] | None = None,
) -> DataFrame:
    """One row for each row of `rows` and each member, in the columns of `answers.Layout`, and the reports.

    With classes, `score` is the probability of the predicted class, ties to the first; without, what the model
    answers (a binary model: the probability of class 1). null where the model answers no finite number, or where one
    of its numeric features is infinite. Only the columns that models, keys and observers name are read. `night` is
    the key by which observers are kept apart. ContractBroken names a missing or repeated column.
    """
    watched = dict(observers or {})
    rows, members = transformed.answered(rows, members)
    wanted = list(
        dict.fromkeys(
            [
                *keys,
                *(name for member in members for name in member.package.features),
                *(name for observed in watched.values() for name in observed.columns),
            ]
        )
    )
    missing = [name for name in wanted if name not in rows.types]
    if missing:
        raise ContractBroken(f"no column {', '.join(missing)}; the features have {', '.join(rows.types)}")
    layout = Layout.of({key: rows.types[key] for key in keys}, members)
    task = _task(list(members), layout, watched, night)
    return rows.map(task, wanted, layout.ddl)


def _task(
    members: list[Member], layout: Layout, watched: dict[str, Observed], night: str | None
) -> Callable[[Iterable[Batch]], Iterator[pa.RecordBatch]]:
    seen_by = list(dict.fromkeys(name for observed in watched.values() for name in observed.columns))
    if night is not None:
        seen_by = list(dict.fromkeys([*seen_by, night]))

    def run(batches: Iterable[Batch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa
        from pyspark import TaskContext

        asked = [Asked(number, member) for number, member in enumerate(members)]
        seen: dict[tuple[str, object], Observer] = {}
        for batch in batches:
            answers = [each.answers(batch) for each in asked]
            keys = batch.columns(layout.keys)
            for number, answer in enumerate(answers):
                if answer is not None:
                    yield layout.batch(keys, number, members[number], answer, answered=answers[1:2])
            if watched and answers[0] is not None:
                scored = batch.columns(seen_by).append_column("score", pa.array(answers[0].score, from_pandas=True))
                for day, part in _by_night(scored, night):
                    for name, observed in watched.items():
                        if (name, day) not in seen:
                            seen[name, day] = observed.make()
                        seen[name, day].add(part)
        context = TaskContext.get()
        partition = context.partitionId() if context is not None else 0
        reports = [Report(f"member {each.number}", None, each.said()) for each in asked]
        reports += [Report(name, day, observer.part(partition)) for (name, day), observer in seen.items()]
        yield layout.reports(reports, night)
        worker.rest()

    return run


def _by_night(batch: pa.RecordBatch, night: str | None) -> Iterator[tuple[object, pa.RecordBatch]]:
    """The batch by values of its night; files hold one, frames of a range any number."""
    import pyarrow.compute as pc

    days = [None] if night is None else batch.column(night).unique().to_pylist()
    for day in days:
        yield day, batch if len(days) == 1 else batch.filter(pc.equal(batch.column(night), day))
