"""Calibrators: the library's own curve, kept as numbers, the same answer for a row wherever it stands."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from scorelake import metrics
from scorelake.calibration import Calibrator, fit

DRAW = np.random.default_rng(3)
TRUTH = DRAW.random(3000)
LABEL = (DRAW.random(3000) < TRUTH).astype(np.float64)
TOO_SURE = TRUTH**3 / (TRUTH**3 + (1 - TRUTH) ** 3)


def error(score: np.ndarray) -> float:
    found = metrics.evaluate("binary", LABEL, score)["calibration_error"]
    assert found is not None
    return found


@pytest.mark.parametrize("kind", ["isotonic", "sigmoid"])
def test_too_sure_scores_become_honest_and_keep_their_order(kind: str) -> None:
    calibrator = fit(kind, LABEL[::2], TOO_SURE[::2])
    assert error(TOO_SURE) > 0.1
    assert error(calibrator(TOO_SURE)) < 0.04
    assert (np.diff(calibrator(np.sort(TOO_SURE))) >= 0).all()


def test_isotonic_is_scikit_learns_curve_and_flat_beyond_both_ends() -> None:
    library = IsotonicRegression(out_of_bounds="clip", y_min=0, y_max=1).fit(TOO_SURE, LABEL)
    grid = np.linspace(-1, 2, 5000)
    np.testing.assert_allclose(fit("isotonic", LABEL, TOO_SURE)(grid), library.predict(grid), rtol=0, atol=1e-12)


def test_sigmoid_undoes_a_known_slope() -> None:
    calibrator = fit("sigmoid", LABEL, TOO_SURE)
    assert calibrator.x[0] == pytest.approx(1 / 3, abs=0.03)
    assert calibrator.y[0] == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("kind", ["isotonic", "sigmoid"])
def test_what_is_stored_answers_bit_for_bit_alone_or_among_others(kind: str) -> None:
    calibrator = fit(kind, LABEL, TOO_SURE)
    again = Calibrator.from_json(calibrator.to_json())
    assert again == calibrator
    scores = np.r_[TOO_SURE[:50], np.nan, 0, 1]
    answers = calibrator(scores)
    assert np.isnan(answers[50])
    np.testing.assert_array_equal(answers, np.array([again(np.array([score]))[0] for score in scores]))


def test_scores_that_order_the_wrong_way_round_give_the_rate() -> None:
    np.testing.assert_allclose(fit("sigmoid", LABEL, 1 - TOO_SURE)(TOO_SURE), LABEL.mean(), atol=0.02)


def test_perfect_separation_stays_finite_and_one_class_is_refused() -> None:
    label = np.r_[np.zeros(50), np.ones(50)]
    answers = fit("sigmoid", label, np.r_[np.zeros(50), np.ones(50)])(np.array([0.0, 1.0]))
    np.testing.assert_allclose(answers, [1 / 52, 51 / 52], atol=1e-3)
    with pytest.raises(ValueError, match="one class only"):
        fit("isotonic", np.zeros(5), np.arange(5) / 5)
