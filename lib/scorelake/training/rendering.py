"""What the pages about a model share: figures as text, a plot as inline SVG, templates that escape."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from scorelake.metrics import Estimate

if TYPE_CHECKING:
    from jinja2 import Template


def number(value: float | None, *, sign: str = "") -> str:
    return "cannot be told" if value is None else f"{value:{sign}.4f}"


def shown(estimate: Estimate, *, sign: str = "") -> str:
    """The value, and its interval where there is one; with `sign` "+" gains say which way they go."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return number(estimate.value, sign=sign)
    return f"{number(estimate.value, sign=sign)} ({estimate.low:{sign}.4f} to {estimate.high:{sign}.4f})"


@cache
def template(source: str) -> Template:
    """A page that may call `plot(lines)`: (curve, attributes of its line) pairs in one picture; axes of the first."""
    from jinja2 import Environment

    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(_PLOT + source)


_PLOT = """\
{% macro plot(lines) %}
{% set axes = lines[0][0] %}
<figure><figcaption>{{ axes.title }}</figcaption>
<svg viewBox="-12 -4 118 120" role="img" aria-label="{{ axes.title }}">
<path d="M0 0V100H100" fill="none" stroke="currentColor" stroke-width=".6"/>
{% for curve, attributes in lines %}
<polyline {{ attributes|safe }} points="
{%- for x, y in curve.points %}{{ '%.2f,%.2f ' % (100 * x, 100 - 100 * y) }}{% endfor -%}
"/>
{% endfor %}
<text x="50" y="110" text-anchor="middle">{{ axes.x_label }}</text>
<text x="-5" y="50" text-anchor="middle" transform="rotate(-90 -5 50)">{{ axes.y_label }}</text>
<text x="-1" y="106" text-anchor="end">0</text><text x="100" y="106" text-anchor="end">1</text>
<text x="-2" y="4" text-anchor="end">1</text>
</svg></figure>
{% endmacro %}
"""
