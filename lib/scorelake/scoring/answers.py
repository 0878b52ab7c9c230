"""The columns in which scored rows leave the workers, before they become a night's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scorelake.rows import arrow_types
from scorelake.tables import quoted

if TYPE_CHECKING:
    import pyarrow as pa

    from scorelake.scoring.asking import Answer
    from scorelake.scoring.members import Member


@dataclass(frozen=True)
class Report:
    """What a task has to say at its end: of a member of the pass, or an observer's part of a night."""

    about: str
    night: object
    content: bytes


@dataclass(frozen=True)
class Layout:
    """Keys, then `member INT` (position in the pass), `score DOUBLE`, for classes `prediction STRING` and each
    `score_<class> DOUBLE`, `score_calibrated DOUBLE`, `reason_<n> STRING` and `reason_<n>_contribution DOUBLE`,
    `is_covered BOOLEAN` (on rows of the champion: whether member 1 answered too). Rows with `about STRING` are reports,
    with `report BINARY`."""

    keys: tuple[str, ...]
    ddl: str
    types: Mapping[str, pa.DataType]

    @classmethod
    def of(cls, keys: Mapping[str, str], members: Sequence[Member]) -> Layout:
        """Wide enough for all members; what a member does not answer is null in its rows. `keys`: types by name."""
        found = {**keys, "member": "int", "score": "double"}
        classes = dict.fromkeys(name for member in members for name in member.classes)
        if classes:
            found["prediction"] = "string"
            found |= {f"score_{escaped(name)}": "double" for name in classes}
        if any(member.calibrator is not None for member in members):
            found["score_calibrated"] = "double"
        for n in range(1, max(member.reasons for member in members) + 1):
            found |= {f"reason_{n}": "string", f"reason_{n}_contribution": "double"}
        found |= {"is_covered": "boolean", "about": "string", "report": "binary"}
        ddl = ", ".join(f"{quoted(name)} {kind}" for name, kind in found.items())
        return cls(tuple(keys), ddl, arrow_types(found))

    def batch(
        self, rows: pa.RecordBatch, number: int, member: Member, answer: Answer, *, answered: Sequence[Answer | None]
    ) -> pa.RecordBatch:
        """The rows of one member; `answered` is member 1's answer, if there is one."""
        import numpy as np
        import pyarrow as pa

        found: dict[str, Any] = {name: rows.column(name) for name in self.keys}
        found["member"] = pa.array(np.full(len(rows), number, dtype=np.int32))
        found["score"] = pa.array(answer.score, from_pandas=True)
        if answer.probabilities is not None:
            best = pa.array(answer.probabilities.argmax(axis=1))
            found["prediction"] = pa.array(list(member.classes), pa.string()).take(best)
            for position, name in enumerate(member.classes):
                found[f"score_{escaped(name)}"] = pa.array(answer.probabilities[:, position], from_pandas=True)
        if member.calibrator is not None:
            found["score_calibrated"] = pa.array(member.calibrator(answer.score), from_pandas=True)
        if answer.reasons is not None and answer.contributions is not None:
            names = pa.array(member.package.features, pa.string())
            for n in range(answer.reasons.shape[1]):
                found[f"reason_{n + 1}"] = names.take(pa.array(answer.reasons[:, n]))
                found[f"reason_{n + 1}_contribution"] = pa.array(answer.contributions[:, n])
        if number == 0 and answered and answered[0] is not None:
            found["is_covered"] = pa.array(~np.isnan(answered[0].score))
        return self._complete(found, len(rows))

    def reports(self, reports: Sequence[Report], night: str | None) -> pa.RecordBatch:
        import pyarrow as pa

        found: dict[str, Any] = {
            "about": pa.array([report.about for report in reports], pa.string()),
            "report": pa.array([report.content for report in reports], pa.binary()),
        }
        if night is not None:
            found[night] = pa.array([report.night for report in reports], pa.date32())
        return self._complete(found, len(reports))

    def _complete(self, found: Mapping[str, Any], rows: int) -> pa.RecordBatch:
        """All columns in their order and types; what was not given is null."""
        import pyarrow as pa

        columns = []
        for name, kind in self.types.items():
            column = found.get(name)
            if column is None:
                column = pa.nulls(rows, kind)
            elif column.type != kind:
                column = column.cast(kind)
            columns.append(column)
        return pa.RecordBatch.from_arrays(columns, names=list(self.types))


def escaped(name: str) -> str:
    """A class name as part of a column name: letters, digits and _ stay, any other becomes _<hex code point>_."""
    return "".join(c if c.isalnum() or c == "_" else f"_{ord(c):x}_" for c in name)
