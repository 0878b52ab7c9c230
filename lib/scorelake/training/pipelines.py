"""scikit-learn pipelines: preparation fitted on train only, then an estimator from the allow-list or XGBoost."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scorelake.errors import ConfigError
from scorelake.models import CategoricalSteps, Model, NumericSteps
from scorelake.training import boosting, encoding
from scorelake.training.dataset import Dataset, Part, names
from scorelake.training.fitted import Floats, Learnt
from scorelake.training.parameters import require_known

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

_NULL = "(null)"


def fit(spec: Model, data: Dataset) -> Learnt:
    """A fitted Pipeline over named columns (doubles, strings). Same rows and seed give the same predictions."""
    from sklearn.pipeline import Pipeline

    prepare = _preparation(spec, data)
    label = data.train.label if spec.task == "regression" else data.train.label.astype(np.int64)
    estimator = _boosted(spec, len(data.classes)) if spec.algorithm.name == "xgboost" else _estimator(spec)
    columns = prepare.fit_transform(data.train.frame(), label)
    categorical = spec.preprocessing.categorical if spec.preprocessing else None
    if (
        categorical is not None
        and categorical.target_folds == "leave_one_out"
        and "categorical" in prepare.output_indices_
    ):
        texts = [data.train.categories[name] for name in names(data.features, "category")]
        columns[:, prepare.output_indices_["categorical"]] = encoding.left_out(texts, label, len(data.classes))
    details: dict[str, float | int | str] = {"columns_prepared": columns.shape[1]}
    if spec.algorithm.name == "xgboost":
        watched = (prepare.transform(data.validation.frame()), data.validation.label)
        estimator.fit(
            columns,
            label,
            eval_set=[watched],
            sample_weight=data.train.weight,
            sample_weight_eval_set=None if data.validation.weight is None else [data.validation.weight],
            verbose=False,
        )
        details["rounds_used"] = _rounds_used(estimator)
        estimator.set_params(n_jobs=1)  # scoring runs one task a core; threads of the trainer would fight there
    else:
        weights = {} if data.train.weight is None else {"sample_weight": data.train.weight}
        estimator.fit(columns, label, **weights)
    pipeline = Pipeline([("prepare", prepare), ("model", estimator)])

    def predict(part: Part) -> Floats:
        return predicted(pipeline, part, spec)

    return Learnt(pipeline, "sklearn", predict, details)


def predicted(pipeline: Pipeline, part: Part, spec: Model) -> Floats:
    if spec.task == "regression":
        return np.asarray(pipeline.predict(part.frame()), np.float64)
    chances = np.asarray(pipeline.predict_proba(part.frame()), np.float64)
    return chances[:, 1] if spec.task == "binary" else chances


# ------------------------------------------------------------------ preparation


def _preparation(spec: Model, data: Dataset) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import MissingIndicator

    numeric, texts = names(data.features, "number"), names(data.features, "category")
    steps = spec.preparation
    branches: list[tuple[str, Any, list[str]]] = []
    if numeric:
        branches.append(("numeric", _numeric(steps, data.train.matrix, spec.seed), numeric))
    if numeric and steps.flag_missing:
        branches.append(("missing", MissingIndicator(features="missing-only", error_on_new=False), numeric))
    if texts:
        if spec.preprocessing is None or spec.preprocessing.categorical is None:
            raise ConfigError(
                f"model {spec.name}: features {', '.join(texts)} are strings: "
                "declare preprocessing.categorical, or exclude them"
            )
        categorical = spec.preprocessing.categorical
        if categorical.encode == "hash":
            branches += [(f"hash {name}", _hashed(categorical.hash_columns), [name]) for name in texts]
        else:
            branches.append(("categorical", _categorical(categorical, spec.seed), texts))
    return ColumnTransformer(branches, sparse_threshold=0, verbose_feature_names_out=True)


def _numeric(steps: NumericSteps, train: NDArray[np.floating[Any]], seed: int) -> Any:
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, RobustScaler, StandardScaler

    chain: list[tuple[str, Any]] = []
    if steps.winsorise:
        low, high = np.nanquantile(train, [steps.winsorise, 1 - steps.winsorise], axis=0)
        clip = FunctionTransformer(
            np.clip, kw_args={"a_min": low, "a_max": high}, feature_names_out="one-to-one", validate=False
        )
        chain.append(("winsorise", clip))
    scalers = {"standard": StandardScaler, "minmax": MinMaxScaler, "robust": RobustScaler}
    impute = [("impute", _imputer(steps, seed))] if steps.impute != "none" else []
    scale = [("scale", scalers[steps.scale]())] if steps.scale != "none" else []
    # Neighbours are told by distance.
    chain += [*scale, *impute] if steps.impute == "knn" else [*impute, *scale]
    return Pipeline(chain) if chain else "passthrough"


def _imputer(steps: NumericSteps, seed: int) -> Any:
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

    if steps.impute == "knn":
        return KNNImputer(n_neighbors=steps.neighbours)
    if steps.impute == "iterative":
        return IterativeImputer(random_state=seed)
    return SimpleImputer(strategy=steps.impute, fill_value=steps.fill)


def _hashed(columns: int) -> Any:
    """Of one feature: the same texts mean other places in another one. A text adds 1 at its place, never -1: there
    is nothing to cancel out."""
    from sklearn.feature_extraction import FeatureHasher
    from sklearn.pipeline import Pipeline

    return Pipeline([("null", _null()), ("encode", FeatureHasher(columns, input_type="string", alternate_sign=False))])


def _null() -> Any:
    from sklearn.impute import SimpleImputer

    return SimpleImputer(strategy="constant", fill_value=_NULL, missing_values=None)


def _categorical(steps: CategoricalSteps, seed: int) -> Any:
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

    encoder = {
        "one_hot": lambda: OneHotEncoder(
            handle_unknown="infrequent_if_exist", min_frequency=steps.min_rows, sparse_output=False
        ),
        "ordinal": lambda: OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=-1, min_frequency=steps.min_rows
        ),
        # Left out one by one (see `encoding`), train has plain means; so has what is scored then.
        "target": lambda: (
            TargetEncoder(smooth=0.0, cv=2, random_state=seed)
            if steps.target_folds == "leave_one_out"
            else TargetEncoder(cv=steps.target_folds, random_state=seed)
        ),
    }[steps.encode]()
    return Pipeline([("null", _null()), ("encode", encoder)])


# ------------------------------------------------------------------ estimators


def _estimator(spec: Model) -> Any:
    """The estimator with its parameters and seed. ConfigError for unknown ones, and for nulls that it cannot take."""
    module, _, name = spec.algorithm.name.rpartition(".")
    kind = getattr(importlib.import_module(module), name)
    known = sorted(kind().get_params())
    require_known(spec, known, of=name)
    own = {"random_state": spec.seed} if "random_state" in known else {}
    estimator = kind(**spec.algorithm.params, **own)
    if spec.preparation.impute == "none" and not estimator.__sklearn_tags__().input_tags.allow_nan:
        raise ConfigError(f"model {spec.name}: {name} takes no nulls: declare preprocessing.numeric.impute")
    return estimator


def _boosted(spec: Model, classes: int) -> Any:
    import xgboost

    kind = xgboost.XGBRegressor if spec.task == "regression" else xgboost.XGBClassifier
    params = boosting.parameters(spec, classes)
    params.pop("num_class", None)  # the classifier counts the classes itself
    return kind(
        **{
            "random_state" if name == "seed" else "n_jobs" if name == "nthread" else name: v
            for name, v in params.items()
        },
        n_estimators=spec.algorithm.rounds,
        early_stopping_rounds=spec.algorithm.early_stopping_rounds,
    )


def _rounds_used(estimator: Any) -> int:
    booster = estimator.get_booster()
    best = booster.attributes().get("best_iteration")
    return int(best) + 1 if best is not None else int(booster.num_boosted_rounds())
