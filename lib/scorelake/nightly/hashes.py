"""Definition hashes of tables and populations: over what they mean, not how they are written."""

from __future__ import annotations

from typing import Any

from scorelake import sql
from scorelake.definitions import Definitions
from scorelake.digests import definition_hash, python_meaning
from scorelake.transform import python

_NOT_MEANING = {"description", "retention", "personal", "cluster_by"}


def table(definitions: Definitions, name: str) -> str:
    """Hash of a table's contract and of the SQL or Python that fills it; comments and prose leave no trace."""
    return definition_hash(table_meaning(definitions, name))


def table_meaning(definitions: Definitions, name: str) -> dict[str, object]:
    """What the hash of a table is made over."""
    contract = definitions.tables[name]
    parts: dict[str, object] = {
        "contract": contract.model_dump(mode="json", exclude=_NOT_MEANING, exclude_defaults=True),
        "columns": [[column.name, column.type] for column in contract.columns],
    }
    parts["contract"].pop("columns")  # type: ignore[attr-defined]
    if name in definitions.sql:
        parts["sql"] = sql.meaning(definitions.sql[name])
    transform = getattr(contract, "transform", None)
    if transform is not None:
        parts["python"] = python_meaning(python.source_of(definitions.conf_dir, transform).read_text("utf-8"))
    label = definitions.labels[name].label if name in definitions.labels else None
    if label is not None:
        parts["population"] = population(definitions, label.population)
    return parts


def population(definitions: Definitions, name: str) -> str:
    return definition_hash({"sql": sql.meaning(definitions.populations[name])})


def split(definitions: Definitions, model: str) -> str:
    """Hash of how a model's rows are split."""
    spec = definitions.models[model]
    return definition_hash({"split": _without_unused(spec.split.model_dump(mode="json")), "seed": spec.seed})


def model(definitions: Definitions, name: str) -> str:
    """Hash of everything in a model file that shapes the model itself; how it is judged and watched is left out."""
    judged_after = {
        "description",
        "metrics",
        "subgroups",
        "promotion",
        "scoring",
        "drift",
        "performance",
        "retrain",
        "explain",
        "prove_rows",
    }
    spec = definitions.models[name]
    document = spec.model_dump(mode="json", exclude=judged_after)
    if spec.scoring.cut_by is not None:  # what it chooses is kept with the version
        document["cut_by"] = spec.scoring.cut_by.model_dump(mode="json")
    return definition_hash({"model": _without_unused(document)})


_LATER: dict[str, object] = {
    "compare": [],
    "minutes": None,
    "patience": None,
    "unseen": None,
    "imbalance": None,
    "folds": None,
    "calibration": None,
    "neighbours": 5,
    "target_folds": 5,
    "hash_columns": 64,
}
"""Keys that model files did not have at first, and what they are where a file does not use them."""


def _without_unused(document: Any) -> Any:
    """The document as before those keys, so that no file's hash changes because they can be used."""
    if isinstance(document, list):
        return [_without_unused(each) for each in document]
    if not isinstance(document, dict):
        return document
    return {
        key: _without_unused(value) for key, value in document.items() if not (key in _LATER and value == _LATER[key])
    }


def drift(definitions: Definitions, name: str) -> str:
    """Hash of how a model is watched."""
    return definition_hash({"drift": definitions.models[name].drift.model_dump(mode="json")})


def performance(definitions: Definitions, name: str) -> str:
    """Hash of how a model's matured scores are judged."""
    judged_by = {"performance", "metrics", "task", "seed"}
    return definition_hash({"performance": definitions.models[name].model_dump(mode="json", include=judged_by)})


def combined(*hashes: str) -> str:
    """One hash of several, in order."""
    return definition_hash({"hashes": list(hashes)})
