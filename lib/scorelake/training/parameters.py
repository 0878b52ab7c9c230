"""Parameters of an algorithm, refused where its library would ignore them or fail late."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from scorelake.errors import ConfigError
from scorelake.models import Model


def require_known(spec: Model, known: Sequence[str], *, of: str) -> None:
    """ConfigError names a parameter of `spec` that is not among `known`, and the nearest one that is."""
    for name in spec.algorithm.params:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ConfigError(f"model {spec.name}: algorithm.params: {of} has no {name}{hint}")
