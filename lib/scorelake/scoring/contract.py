"""What a model asks of the features that it is given."""

from __future__ import annotations

from collections.abc import Mapping

from scorelake.errors import ContractBroken

_NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double", "boolean")


def require_types(types: Mapping[str, str], inputs: Mapping[str, str]) -> None:
    """ContractBroken lists every input that is missing, or a text where the model wants a number and the reverse.

    `types` are Spark's by column; `inputs` are `number` or `category` by feature. Other columns and their order do
    not matter: features are taken by name.
    """
    problems = []
    for name, kind in inputs.items():
        found = types.get(name)
        if found is None:
            problems.append(f"{name} is missing")
        elif kind == "category" and found != "string":
            problems.append(f"{name} is {found}, expected string")
        elif kind == "number" and found not in _NUMBERS and not found.startswith("decimal("):
            problems.append(f"{name} is {found}, expected a number or a boolean")
    if problems:
        raise ContractBroken(f"the features are not what the model takes: {'; '.join(problems)}")
