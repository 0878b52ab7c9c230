"""The model card: what a version is for, what it learnt from, how good it is, and where it should not be trusted.

Holds aggregates only: no row and no value of a feature.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from scorelake.dates import render_duration
from scorelake.models import RATES, EntitySplit, Folds, Model, StratifiedSplit, TrailingSplit
from scorelake.training import curves
from scorelake.training.curves import Curve
from scorelake.training.fitted import Fitted
from scorelake.training.rendering import number, shown, template

_MOST_IMPORTANT = 20


@dataclass(frozen=True)
class Section:
    """A heading, sentences, and a table whose first row is its head."""

    title: str
    sentences: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Card:
    title: str
    sections: tuple[Section, ...]
    curves: tuple[Curve, ...]


def card(spec: Model, fitted: Fitted, *, facts: Mapping[str, str]) -> Card:
    """The card of one trained model. `facts` are lines that only the caller knows: run date, training set, hashes."""
    drawn = curves.binary(fitted.scored["test"]) if spec.task == "binary" else ()
    if drawn and fitted.deciding.calibrator is not None:
        test = fitted.scored["test"]
        calibrated = replace(test, score=fitted.deciding.calibrator(test.score))
        drawn = (*drawn, replace(curves.calibration(calibrated), title="Calibration, calibrated"))
    return Card(f"Model card: {spec.name}", tuple(_sections(spec, fitted, facts)), drawn)


def _sections(spec: Model, fitted: Fitted, facts: Mapping[str, str]) -> Iterator[Section]:
    use = f"A {spec.task} model of {spec.label}, answering from feature service {spec.feature_service}."
    yield Section("Intended use", (spec.description, use))
    yield Section("Origin", table=(("fact", "value"), *_origin(spec, fitted), *facts.items()))
    yield Section("Data", (_split(spec),), table=(("part", "rows", "mean label"), *_parts(spec, fitted)))
    note = "In brackets: the interval of a bootstrap over entities, at the confidence of the model file."
    yield Section("Metrics", (note,), table=_metrics(fitted))
    if fitted.folds and spec.folds is not None:
        yield _folds(spec.folds, fitted)
    yield from _deciding(fitted)
    if fitted.subgroups:
        yield _subgroups(spec, fitted)
    yield Section("Baselines on test", table=_baselines(fitted))
    if fitted.importance:
        meaning = f"By how much {spec.headline} on validation gets worse when the feature is shuffled."
        ranked = [(name, f"{value:.4f}") for name, value in fitted.importance.items()][:_MOST_IMPORTANT]
        yield Section("Importance", (meaning,), table=(("feature", "loss"), *ranked))
    yield Section("Limits", tuple(_limits(spec, fitted)))


def _origin(spec: Model, fitted: Fitted) -> list[tuple[str, str]]:
    params = ", ".join(f"{name}={value}" for name, value in fitted.params.items()) or "defaults"
    details = [(name.replace("_", " "), str(value)) for name, value in fitted.learnt.details.items()]
    judge = "on validation" if spec.folds is None else "by their mean over the folds"
    searched = [("searched", f"{len(fitted.trials)} sets of parameters, judged {judge}")] if fitted.trials else []
    return [("algorithm", spec.algorithm.name), ("parameters", params), *searched, ("seed", str(spec.seed)), *details]


def _split(spec: Model) -> str:
    if isinstance(spec.split, EntitySplit):
        return f"Every entity ({', '.join(spec.split.keys)}) belongs to one part."
    if isinstance(spec.split, StratifiedSplit):
        return (
            f"Every entity ({', '.join(spec.split.keys)}) belongs to one part; each part has the same shares of labels."
        )
    if isinstance(spec.split, TrailingSplit):
        test, validation = render_duration(spec.split.test), render_duration(spec.split.validation)
        by_time = f"Split by time: test is the {test} up to the newest label, validation the {validation} before."
    else:
        begins = f"validation from run date {spec.split.validation_from}, test from {spec.split.test_from}"
        by_time = f"Split by time: {begins}."
    unseen = spec.split.unseen
    return by_time + (
        f" {unseen.share:.0%} of the entities ({', '.join(unseen.keys)}) are in test alone." if unseen else ""
    )


def _parts(spec: Model, fitted: Fitted) -> Iterator[tuple[str, ...]]:
    for name, of_part in fitted.metrics.items():
        rows = next(iter(of_part.values())).rows
        scored = fitted.scored.get(name)
        mean = "" if scored is None or spec.task == "multiclass" else f"{scored.label.mean():.4f}"
        yield name, f"{rows:,}", mean


def _metrics(fitted: Fitted) -> tuple[tuple[str, ...], ...]:
    parts = list(fitted.metrics)
    names = list(fitted.metrics[parts[0]])
    return (("metric", *parts), *((name, *(shown(fitted.metrics[part][name]) for part in parts)) for name in names))


def _folds(folds: Folds, fitted: Fitted) -> Section:
    others = "the rows before it" if folds.kind == "rolling" else "the others"
    gap = f", with {render_duration(folds.gap)} between rows that teach and that judge" if folds.gap is not None else ""
    sentence = f"Train cut into {folds.count} {folds.kind} folds, each judged by a model of {others}{gap}."
    rows = [(name, number(of.mean), number(of.deviation), *map(number, of.values)) for name, of in fitted.folds.items()]
    head = ("metric", "mean", "standard deviation", *(f"fold {n}" for n in range(1, folds.count + 1)))
    return Section("Folds", (sentence,), (head, *rows))


def _baselines(fitted: Fitted) -> tuple[tuple[str, ...], ...]:
    names = list(fitted.metrics["test"])
    head = ("metric", "this model", *fitted.baselines)
    return (
        head,
        *(
            (
                name,
                number(fitted.metrics["test"][name].value),
                *(number(parts["test"][name]) for parts in fitted.baselines.values()),
            )
            for name in names
        ),
    )


def _subgroups(spec: Model, fitted: Fitted) -> Section:
    """Sizes always, and figures also where they are too few: marked, since they may mean nothing."""
    names = [name for name in (spec.headline, *RATES) if name in fitted.subgroups[0].estimates]
    least = spec.subgroups.min_rows if spec.subgroups is not None else 0
    rows = [
        (
            group.column,
            group.value,
            f"{group.rows:,}" + (" INSUFFICIENT" if group.rows < least else ""),
            *(shown(group.estimates[name]) for name in names),
        )
        for group in fitted.subgroups
    ]
    note = "Groups of few rows have wide intervals; a difference between groups within them may be chance."
    return Section("Subgroups on test", (note,), (("column", "value", "rows", *names), *rows))


def _deciding(fitted: Fitted) -> Iterator[Section]:
    """What calibration and cut, both fixed on validation, are worth on test."""
    deciding = fitted.deciding
    if deciding.calibrator is not None:
        names = ("calibration_error", "brier", "log_loss", "bias")
        rows = [(name, shown(fitted.metrics["test"][name]), shown(deciding.calibrated[name])) for name in names]
        meaning = f"An {deciding.calibrator.kind} curve" if deciding.calibrator.kind == "isotonic" else "A sigmoid"
        sentence = f"{meaning}, fitted on validation, stands beside the score; judged on test."
        yield Section("Calibration", (sentence,), (("metric", "score", "calibrated"), *rows))
    if deciding.cut is not None:
        cut = deciding.cut
        sentence = f"A score of at least {cut.value:.6g} decides 1: {cut.rule}, {cut.chosen:.2%} of validation."
        told = [(name.replace("_", " "), number(value)) for name, value in deciding.decisions.items()]
        yield Section("Decision", (sentence,), (("on test", "value"), *told))


def _limits(spec: Model, fitted: Fitted) -> Iterator[str]:
    yield from fitted.warnings
    yield f"Trained on entities of one population; answers for others are guesses ({spec.label})."
    yield "Correlated features share their importance; none of it is a cause."


# ------------------------------------------------------------------ renderings


def markdown(found: Card) -> str:
    parts = [f"# {found.title}"]
    for section in found.sections:
        parts += [f"## {section.title}", *section.sentences]
        if section.table:
            parts.append(_table(section.table))
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Sequence[str]]) -> str:
    head, *body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def html(found: Card) -> str:
    """One file that opens without a network: tables, and the curves as inline SVG."""
    return template(_HTML).render(card=found)


_HTML = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ card.title }}</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
  th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #8884; }
  .curves { display: flex; flex-wrap: wrap; gap: 1.5rem; }
  svg { width: 17rem; } svg text { font-size: 6px; fill: currentColor; }
</style>
<h1>{{ card.title }}</h1>
{% for section in card.sections %}
<h2>{{ section.title }}</h2>
{% for sentence in section.sentences %}
<p>{{ sentence }}</p>
{% endfor %}
{% if section.table %}
<table>
<tr>{% for cell in section.table[0] %}<th>{{ cell }}</th>{% endfor %}</tr>
{% for row in section.table[1:] %}
<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</table>
{% endif %}
{% endfor %}
{% if card.curves %}
<h2>Curves on test</h2>
<div class="curves">
{% for curve in card.curves %}
{{ plot([(curve, 'fill="none" stroke="#2a78d6" stroke-width="1.5"')]) }}
{% endfor %}
</div>
{% endif %}
</html>
"""
