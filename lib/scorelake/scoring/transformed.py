"""Spark MLlib models in a pass: they answer the whole frame before it reaches the workers.

There each of them is a model whose answers are columns already, so that roles, rejects, reports and observers are
those of any other model. What they cannot have: a time budget of their own, and a failure that costs only them, since
Spark runs them in one plan with all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from scorelake import mllib
from scorelake.rows import FrameRows
from scorelake.scoring.package import Package, answers_frames, loaded
from scorelake.tables import quoted

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from scorelake.rows import Rows
    from scorelake.scoring.members import Member


def answered(rows: Rows, members: Sequence[Member]) -> tuple[Rows, list[Member]]:
    """`rows` with a column an answer of each MLlib member, and the members that read them; without one, as it was."""
    frame, found = rows.frame, list(members)
    for number, member in enumerate(members):
        ask = loaded(member.package).of_frame if answers_frames(member.package) else None
        if ask is None:
            continue
        columns = tuple(f"__answer_{number}_{position}" for position in range(max(1, len(member.classes))))
        frame = _spread(ask(frame), columns)
        package = Package(f"{member.package.digest} answered as {number}", columns, b"")
        found[number] = replace(member, package=package, reasons=0)
    return (rows if frame is rows.frame else FrameRows(frame, rows.tasks)), found


def _spread(frame: DataFrame, columns: Sequence[str]) -> DataFrame:
    """One column a class; without classes the last answer, which of a binary classifier is the positive class."""
    from pyspark.sql import functions as F

    answers = F.col(mllib.ANSWERS)
    values = [F.element_at(answers, -1)] if len(columns) == 1 else [answers[n] for n in range(len(columns))]
    named = [value.alias(name) for value, name in zip(values, columns, strict=True)]
    others = [F.col(quoted(name)) for name in frame.columns if name != mllib.ANSWERS]
    return frame.select(*others, *named)
