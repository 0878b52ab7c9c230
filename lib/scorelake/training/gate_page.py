"""The gate as a page: the verdict first, then every gate, then challenger and champion side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scorelake import metrics
from scorelake.decisions import Decision
from scorelake.metrics import Estimate
from scorelake.models import METRICS, RATES, Model
from scorelake.training import curves
from scorelake.training.curves import Curve
from scorelake.training.fitted import Scored
from scorelake.training.gate import Contender, Contest, by_subgroup
from scorelake.training.rendering import shown, template
from scorelake.training.subgroups import Subgroup

_ROUNDS = 200


@dataclass(frozen=True)
class _Figure:
    """A metric of both, and by how much the challenger is better (positive whatever the metric)."""

    name: str
    challenger: str
    champion: str
    gain: str


@dataclass(frozen=True)
class _Drawn:
    """A curve of both, in one picture."""

    challenger: Curve
    champion: Curve | None

    @property
    def lines(self) -> list[tuple[Curve, str]]:
        both = ((self.challenger, 'class="one"'), (self.champion, 'class="two"'))
        return [(curve, attributes) for curve, attributes in both if curve is not None]


def html(spec: Model, contest: Contest, decisions: Sequence[Decision]) -> str:
    """One file that opens without a network; aggregates only. `decisions` are those of `gate.judge`, verdict last."""
    *gates, verdict = decisions
    return template(_HTML).render(
        model=spec.name,
        description=spec.description,
        challenger=contest.challenger.version,
        champion=contest.champion.version if contest.champion is not None else None,
        rows=len(contest.label),
        confidence=f"{spec.metrics.confidence:.0%}",
        verdict=verdict,
        gates=gates,
        figures=_figures(spec, contest),
        groups=_groups(spec, contest),
        names=_group_names(spec),
        drawn=_drawn(spec, contest),
    )


def _figures(spec: Model, contest: Contest) -> list[_Figure]:
    label, champion = contest.label, contest.champion
    own = _estimates(spec, contest, contest.challenger)
    other = _estimates(spec, contest, champion) if champion is not None else {}
    gains = (
        metrics.gains(spec.task, label, contest.challenger.score, champion.score, **_how(spec, contest))
        if champion is not None
        else {}
    )
    nothing = Estimate(None, None, None, 0)
    return [
        _Figure(
            name,
            shown(own[name]),
            shown(other.get(name, nothing)) if other else "",
            shown(gains.get(name, nothing), sign="+") if gains else "",
        )
        for name in METRICS[spec.task]
    ]


def _estimates(spec: Model, contest: Contest, contender: Contender) -> dict[str, Estimate]:
    return metrics.intervals(spec.task, contest.label, contender.score, **_how(spec, contest))


def _how(spec: Model, contest: Contest) -> dict[str, Any]:
    rounds = min(spec.metrics.bootstrap, _ROUNDS)
    return {"seed": spec.seed, "rounds": rounds, "confidence": spec.metrics.confidence, "groups": contest.entity}


def _group_names(spec: Model) -> list[str]:
    return [spec.headline, *(RATES if spec.task == "binary" else ())]


def _groups(spec: Model, contest: Contest) -> list[tuple[Subgroup, list[str]]]:
    if not contest.groups:
        return []
    found = by_subgroup(spec, contest)
    return [(group, [shown(group.estimates[name]) for name in _group_names(spec)]) for group in found]


def _drawn(spec: Model, contest: Contest) -> list[_Drawn]:
    if spec.task != "binary":
        return []
    entity = contest.label.astype(int)
    sides = [
        curves.binary(Scored(contest.label, contender.score, entity))
        for contender in (contest.challenger, contest.champion)
        if contender is not None
    ]
    return [_Drawn(curve, sides[1][position] if len(sides) > 1 else None) for position, curve in enumerate(sides[0])]


_HTML = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ model }} version {{ challenger }}: {{ verdict.verdict }}</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; --good: #1a7f37; --bad: #cf222e;
          --doubt: #9a6700; --one: #2a78d6; --two: #b35900; }
  @media (prefers-color-scheme: dark) { :root { --good: #4ac26b; --bad: #ff7b72; --doubt: #d4a72c;
          --one: #6cb0ff; --two: #f0a050; } }
  body { max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
  .verdict { border-left: .4rem solid var(--doubt); padding: .5rem 1rem; background: #8881; }
  .promote { border-color: var(--good); } .refuse { border-color: var(--bad); }
  .scroll { overflow-x: auto; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
  th, td { text-align: left; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid #8884; vertical-align: top; }
  td.number { white-space: nowrap; }
  .pass { color: var(--good); } .fail { color: var(--bad); font-weight: 600; } .insufficient { color: var(--doubt); }
  .curves { display: flex; flex-wrap: wrap; gap: 1.5rem; margin-top: 1.5rem; } figure { margin: 0; }
  svg { width: 18rem; } svg text { font-size: 6px; fill: currentColor; }
  .one { color: var(--one); } .two { color: var(--two); }
  polyline { fill: none; stroke: currentColor; stroke-width: 1.3; }
  polyline.two { stroke-dasharray: 4 2; }
</style>
<h1>{{ model }}: version {{ challenger }}
{%- if champion %} against champion {{ champion }}{% else %}, nobody is champion yet{% endif %}</h1>
<p>{{ description }}</p>
<p class="verdict {{ verdict.verdict.split(' ')[0] }}"><strong>{{ verdict.verdict }}</strong>: {{ verdict.reason }}<br>
Run date {{ verdict.run_date }}; both judged on the same {{ '{:,}'.format(rows) }} matured rows of the test part.</p>
<h2>Gates</h2>
<div class="scroll"><table>
<tr><th>gate</th><th>said</th><th>because</th></tr>
{% for gate in gates %}
<tr><td>{{ gate.metric }}</td><td class="{{ gate.verdict }}">{{ gate.verdict }}</td><td>{{ gate.reason }}</td></tr>
{% endfor %}
</table></div>
<h2>Side by side</h2>
<p>In brackets the {{ confidence }} interval of a bootstrap over entities; gains are of the challenger on the same
resamples, above 0 is better whatever the metric.</p>
<div class="scroll"><table>
<tr><th>metric</th><th><span class="one">version {{ challenger }}</span></th>
{% if champion %}<th><span class="two">champion {{ champion }}</span></th><th>gain</th>{% endif %}</tr>
{% for figure in figures %}
<tr><td>{{ figure.name }}</td><td class="number">{{ figure.challenger }}</td>
{% if champion %}<td class="number">{{ figure.champion }}</td><td class="number">{{ figure.gain }}</td>{% endif %}</tr>
{% endfor %}
</table></div>
{% if drawn %}
<div class="curves">
{% for pair in drawn %}
{{ plot(pair.lines) }}
{% endfor %}
</div>
{% endif %}
{% if groups %}
<h2>Subgroups of version {{ challenger }}</h2>
<div class="scroll"><table>
<tr><th>group</th><th>rows</th>{% for name in names %}<th>{{ name.replace('_', ' ') }}</th>{% endfor %}</tr>
{% for group, figures in groups %}
<tr><td>{{ group.name }}</td><td>{{ '{:,}'.format(group.rows) }}</td>
{% for figure in figures %}<td class="number">{{ figure }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
{% endif %}
</html>
"""
