"""Training on arrays: every task and algorithm, repeatable, judged beside baselines; rows that cannot teach."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from scorelake.errors import ConfigError, ScorelakeError, UnfitTrainingSet
from scorelake.models import ALGORITHMS, METRICS, Task
from scorelake.training import train
from scorelake.training.dataset import Dataset
from tests.training.made_up import dataset, model

PREPARED = {"numeric": {"impute": "median", "scale": "standard"}, "categorical": {"encode": "one_hot", "min_rows": 5}}
EVERY = [(name, task) for name, tasks in ALGORITHMS.items() for task in tasks if "pyspark" not in name]
SMALL: dict[str, dict[str, Any]] = {
    "RandomForest": {"n_estimators": 10, "max_depth": 4},
    "ExtraTrees": {"n_estimators": 20, "max_depth": 5},
    "HistGradientBoosting": {"max_iter": 10, "max_leaf_nodes": 4},
    "DecisionTree": {"max_depth": 4},
    "Lasso": {"alpha": 0.05},
    "ElasticNet": {"alpha": 0.05},
}


def small(name: str) -> dict[str, Any]:
    kind = name.rpartition(".")[2].removesuffix("Classifier").removesuffix("Regressor")
    return {"name": name, **({"params": SMALL[kind]} if kind in SMALL else {})}


def with_labels(data: Dataset, part: str, label: np.ndarray) -> Dataset:
    return replace(data, parts={**data.parts, part: replace(data.parts[part], label=label)})


def with_column(data: Dataset, part: str, position: int, values: Any) -> Dataset:
    matrix = data.parts[part].matrix.copy(order="F")
    matrix[:, position] = values
    return replace(data, parts={**data.parts, part: replace(data.parts[part], matrix=matrix)})


@pytest.mark.parametrize(("name", "task"), EVERY)
def test_every_algorithm_trains_its_tasks_with_strings_and_nulls(name: str, task: Task) -> None:
    fitted = train.fit(model(task, small(name), preprocessing=PREPARED), dataset(task, text=True))
    assert fitted.feature_names == ["signal", "noise", "gaps", "region"]
    for part in ("train", "validation", "test"):
        assert set(fitted.metrics[part]) == set(METRICS[task])
    shape = (400, 3) if task == "multiclass" else (400,)
    assert fitted.scored["test"].score.shape == shape
    if "dummy" not in name:
        metric, floor = ("r2", 0.5) if task == "regression" else ("auc", 0.7)
        found = fitted.metrics["test"][metric]
        assert found.low is not None
        assert floor < found.low < (found.value or 0)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("preprocessing", [None, PREPARED])
def test_same_rows_and_seed_give_bit_identical_scores(task: Task, preprocessing: Any) -> None:
    params = {"name": "xgboost", "params": {"subsample": 0.7, "colsample_bytree": 0.7}}
    spec = model(task, params, preprocessing=preprocessing)
    first, second = train.fit(spec, dataset(task)), train.fit(spec, dataset(task))
    assert first.scored["test"].score.tobytes() == second.scored["test"].score.tobytes()
    assert first.metrics == second.metrics
    assert first.importance == second.importance
    other = train.fit(spec.model_copy(update={"seed": 8}), dataset(task))
    assert first.scored["test"].score.tobytes() != other.scored["test"].score.tobytes()


def test_entities_that_train_does_not_know_are_judged_apart() -> None:
    split = {"kind": "temporal", "validation_from": "2026-01-01", "test_from": "2026-02-01"}
    data = dataset()
    entity = np.where(np.arange(400) < 100, 10_000, data.test.entity)
    data = replace(data, parts={**data.parts, "test": replace(data.test, entity=entity)})
    found = train.fit(model(split=split | {"unseen": {"keys": ["customer_id"]}}), data).metrics
    assert {name: part["auc"].rows for name, part in found.items() if name.startswith("test")} == {
        "test": 400,
        "test_seen": 300,
        "test_unseen": 100,
    }
    assert "test_seen" not in train.fit(model(split=split), data).metrics


def test_a_stratified_split_needs_classes() -> None:
    split = {"kind": "stratified", "keys": ["customer_id"]}
    assert model(split=split).split.kind == "stratified"
    with pytest.raises(ValidationError, match="stratified needs classes"):
        model("regression", split=split)


def test_booster_is_cut_to_its_best_round() -> None:
    spec = model("binary", {"name": "xgboost", "rounds": 200, "params": {"max_depth": 6, "learning_rate": 0.5}})
    fitted = train.fit(spec, dataset())
    used = fitted.learnt.details["rounds_used"]
    assert used == fitted.learnt.model.num_boosted_rounds()
    assert 1 <= int(used) < 100


def test_native_and_pipelined_xgboost_agree() -> None:
    spec = model("binary")
    native = train.fit(spec, dataset())
    piped = train.fit(model("binary", preprocessing={"numeric": {"impute": "constant", "fill": -9}}), dataset())
    assert native.learnt.flavour == "xgboost"
    assert piped.learnt.flavour == "sklearn"
    assert native.metrics["test"]["auc"].value == pytest.approx(piped.metrics["test"]["auc"].value, abs=0.01)


def test_numbers_alone_need_no_pipeline_whatever_is_declared_for_strings() -> None:
    spec = model(preprocessing={"categorical": {"encode": "one_hot"}})
    assert train.fit(spec, dataset()).learnt.flavour == "xgboost"
    assert train.fit(spec, dataset(text=True)).learnt.flavour == "sklearn"
    assert train.matrix_type(spec) == "float32"


def test_baselines_are_a_constant_and_the_feature_that_tells_most() -> None:
    fitted = train.fit(model(), dataset())
    assert list(fitted.baselines) == ["constant", "one feature: signal"]
    assert fitted.baselines["constant"]["test"]["auc"] == pytest.approx(0.5)
    single = fitted.baselines["one feature: signal"]["test"]["auc"]
    assert single is not None
    assert single > 0.8


def test_importance_ranks_the_feature_that_decides_first() -> None:
    importance = train.fit(model(), dataset()).importance
    assert next(iter(importance)) == "signal"
    assert importance["signal"] > 0.2
    assert abs(importance["noise"]) < 0.05


def test_replayed_rows_are_made_up_and_the_model_repeats_their_scores() -> None:
    data = dataset(text=True)
    fitted = train.fit(model(preprocessing=PREPARED), data)
    assert len(fitted.replay.rows) == 100
    assert not np.isin(fitted.replay.rows.matrix[:, 0], data.train.matrix[:, 0]).any()
    assert {"(never seen)", None} < set(fitted.replay.rows.categories["region"])
    assert (fitted.learnt.predict(fitted.replay.rows) == fitted.replay.scores).all()


@pytest.mark.parametrize("impute", ["median", "knn", "iterative"])
def test_preparation_is_fitted_on_train_only(impute: str) -> None:
    preparation = {"numeric": {"impute": impute, "flag_missing": True, "scale": "standard"}}
    spec = model("regression", "sklearn.linear_model.Ridge", preprocessing=preparation)
    plain = dataset("regression")
    shifted = with_column(with_column(plain, "validation", 0, 1e6), "test", 0, 1e6)
    first, second = train.fit(spec, plain), train.fit(spec, shifted)
    assert (first.learnt.predict(plain.test) == second.learnt.predict(plain.test)).all()


@pytest.mark.parametrize(("quantile", "far"), [(0.99, 1e9), (0.01, -1e9)])
def test_winsorised_values_beyond_the_bounds_of_train_count_as_the_bounds(quantile: float, far: float) -> None:
    steps = {"numeric": {"winsorise": "1%", "impute": "mean"}}
    data = dataset("regression")
    fitted = train.fit(model("regression", "sklearn.linear_model.Ridge", preprocessing=steps), data)
    bound = np.nanquantile(data.train.matrix[:, 0], quantile)
    at_bound, beyond = with_column(data, "test", 0, bound).test, with_column(data, "test", 0, far).test
    np.testing.assert_allclose(fitted.learnt.predict(at_bound), fitted.learnt.predict(beyond), rtol=1e-12)


def test_missing_flags_stay_zero_and_one_beside_scaled_numbers() -> None:
    steps = {"numeric": {"impute": "mean", "scale": "standard", "flag_missing": True}}
    fitted = train.fit(model(algorithm="sklearn.linear_model.LogisticRegression", preprocessing=steps), dataset())
    prepared = fitted.learnt.model[:-1].transform(dataset().train.frame())
    assert prepared.shape[1] == 4
    assert set(np.unique(prepared[:, 3])) == {0.0, 1.0}


def test_neighbours_are_told_by_distances_in_scaled_numbers() -> None:
    """A feature in other units, which decides nothing, must not choose the neighbours."""
    steps = {"numeric": {"impute": "knn", "neighbours": 3, "scale": "standard"}}
    spec = model("regression", "sklearn.linear_model.Ridge", preprocessing=steps)
    data = dataset("regression")
    prepared = train.learn(spec, data).model[:-1].transform(data.test.frame())
    for name in data.parts:
        data = with_column(data, name, 1, data.parts[name].matrix[:, 1] * 1e6)
    again = train.learn(spec, data).model[:-1].transform(data.test.frame())
    np.testing.assert_allclose(again, prepared, atol=1e-9)
    assert not np.isnan(prepared).any()


def test_hashed_texts_stand_where_their_text_says_in_every_process() -> None:
    """MurmurHash3 with seed 0 of the UTF-8 bytes, its sign dropped, modulo the columns."""
    steps = {"numeric": {"impute": "mean"}, "categorical": {"encode": "hash", "hash_columns": 8}}
    learnt = train.learn(
        model("regression", "sklearn.linear_model.Ridge", preprocessing=steps), dataset("regression", text=True)
    )
    rows = dataset(text=True, rows=4).test
    rows = replace(rows, categories={"region": np.array(["north", "south", None, "Zoë"], np.object_)})
    prepared = learnt.model[:-1].transform(rows.frame())
    assert prepared.shape == (4, 3 + 8)
    assert [(np.flatnonzero(row) - 3).tolist() for row in prepared * (np.arange(11) >= 3)] == [[4], [3], [5], [6]]


def test_linear_regression_finds_the_coefficients_that_made_the_labels() -> None:
    """y = 2 a + 0.3 b + 0.5 e with a and e standard normal and b uniform in 0..10, 7,200 minutes to learn from."""
    generator = np.random.default_rng(0)
    data = dataset("regression", rows=7_200)
    parts = {}
    for name, part in data.parts.items():
        a, b, e = generator.normal(size=7_200), generator.uniform(0, 10, 7_200), generator.normal(size=7_200)
        parts[name] = replace(part, matrix=np.column_stack([a, b, np.zeros(7_200)]), label=2 * a + 0.3 * b + 0.5 * e)
    spec = model("regression", "sklearn.linear_model.LinearRegression", preprocessing={"numeric": {"impute": "mean"}})
    fitted = train.fit(spec, replace(data, parts=parts))
    assert fitted.learnt.model[-1].coef_[:2] == pytest.approx([2.0, 0.3], abs=0.02)
    assert fitted.metrics["test"]["r2"].value == pytest.approx(0.95, abs=0.01)


def test_pipelined_booster_scores_on_one_thread_as_a_task_has_one_core() -> None:
    booster = train.fit(model(preprocessing=PREPARED), dataset(text=True)).learnt.model[-1]
    assert booster.n_jobs == 1
    assert '"nthread":"1"' in booster.get_booster().save_config()


# ------------------------------------------------------------------ bad input


def test_one_class_is_refused() -> None:
    with pytest.raises(UnfitTrainingSet, match="one class only"):
        train.fit(model(), with_labels(dataset(), "train", np.zeros(400)))


def test_every_problem_is_named_at_once_without_values() -> None:
    data = with_column(with_column(dataset(), "train", 1, np.nan), "test", 0, np.inf)
    data = with_labels(data, "validation", np.full(400, 17.5))
    with pytest.raises(UnfitTrainingSet) as raised:
        train.fit(model(), data)
    message = str(raised.value)
    assert "null in every row of train: noise" in message
    assert "infinite values in signal (400 rows)" in message
    assert "validation: labels of a binary model must be 0 or 1" in message
    assert "17.5" not in message
    assert raised.value.exit_code == 4


def test_constant_feature_trains_with_a_warning() -> None:
    fitted = train.fit(model(), with_column(dataset(), "train", 1, 3.0))
    assert fitted.warnings == ("constant in train, so they teach nothing: noise",)


def test_strings_without_an_encoding_are_refused_by_name() -> None:
    for spec in (model(), model(algorithm="sklearn.tree.DecisionTreeClassifier")):
        with pytest.raises(ConfigError, match="region are strings"):
            train.fit(spec, dataset(text=True))


def test_estimator_that_takes_no_nulls_asks_for_imputation() -> None:
    with pytest.raises(ConfigError, match="LogisticRegression takes no nulls"):
        train.fit(model(algorithm="sklearn.linear_model.LogisticRegression"), dataset())


@pytest.mark.parametrize(
    ("algorithm", "message"),
    [
        ({"name": "xgboost", "params": {"max_dept": 3}}, "did you mean max_depth"),
        ({"name": "sklearn.tree.DecisionTreeClassifier", "params": {"max_deph": 3}}, "did you mean max_depth"),
    ],
)
def test_parameter_that_does_not_exist_is_refused_with_a_hint(algorithm: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        train.fit(model(algorithm=algorithm), dataset())


def test_parameter_value_that_the_library_refuses_is_reported_in_its_words() -> None:
    spec = model(algorithm={"name": "xgboost", "params": {"max_depth": -5}})
    with pytest.raises(ScorelakeError, match=r"XGBoost refused: .*max_depth"):
        train.fit(spec, dataset())
