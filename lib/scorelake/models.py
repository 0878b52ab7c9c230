"""The specification of a model: `conf/models/<name>.yaml`."""

from __future__ import annotations

from scorelake.strict_yaml import Definition


class Model(Definition):
    """What is learnt, from which features and labels, how it is judged, scored and watched."""

    name: str
    description: str
    feature_service: str
    label: str
