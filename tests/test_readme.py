"""What the README shows is true: its files load, its commands are calls, its query runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from scorelake import cli
from scorelake.definitions import load_definitions
from scorelake.errors import ConfigError
from scorelake.models import Model
from scorelake.strict_yaml import load, parse
from tests.shop.night import Shop

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TEXTS = [README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")]
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
WORDS = {"demo", "test", "bench", "check", "notebook", "shell", "doctor"}


def files() -> dict[str, str]:
    """Path -> text of every block that begins with the path it belongs to."""
    found = {}
    for _, text in BLOCKS:
        first = text.splitlines()[0]
        match = re.match(r"(?:#|--) (conf/\S+?|feature_repo/\S+?):?( |$)", first)
        if match:
            found[match[1]] = text
    return found


def test_tables_of_the_readme_load(tmp_path: Path) -> None:
    for name, text in files().items():
        if name.startswith("conf/tables/"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    found = load_definitions(tmp_path / "conf")
    assert set(found.tables) == {"bronze.payments", "silver.payments", "gold.calendar"}


def test_the_readmes_files_are_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "payments.yaml"
    path.write_text(files()["conf/tables/bronze/payments.yaml"] + "nonsense: 1\n")
    with pytest.raises(ConfigError, match="unknown key 'nonsense'"):
        parse(Model, load(path), name="payments")


def test_the_model_of_the_readme_loads(tmp_path: Path) -> None:
    path = tmp_path / "churn.yaml"
    path.write_text(files()["conf/models/churn.yaml"])
    assert parse(Model, load(path), name="churn").headline == "auc"


def test_what_the_readme_says_of_the_gate_and_of_scoring_loads(tmp_path: Path) -> None:
    merged = yaml.safe_load(files()["conf/models/churn.yaml"])
    for text in (text for language, text in BLOCKS if language == "yaml" and "# in conf/models/churn.yaml" in text):
        merged |= yaml.safe_load(text)
    path = tmp_path / "churn.yaml"
    path.write_text(yaml.safe_dump(merged))
    found = parse(Model, load(path), name="churn")
    assert found.subgroups is not None
    assert found.retrain is not None
    assert found.scoring.cut_by is not None


def test_what_the_readme_says_of_watching_a_model_loads(tmp_path: Path) -> None:
    [watching] = [text for language, text in BLOCKS if language == "yaml" and text.startswith("drift:")]
    path = tmp_path / "churn.yaml"
    path.write_text(files()["conf/models/churn.yaml"] + watching)
    assert set(parse(Model, load(path), name="churn").drift.against) == {"last_week", "same_weekday", "summer"}


def test_the_feature_of_the_readme_is_a_source() -> None:
    from datetime import timedelta

    from feast.aggregation import Aggregation

    from scorelake.feature_store.source import LakeSource

    scope = {"timedelta": timedelta, "Aggregation": Aggregation, "LakeSource": LakeSource}
    exec(files()["feature_repo/customers.py"], scope)
    assert [aggregation.name for aggregation in scope["payments"].aggregations] == ["paid_28d", "days_since_payment"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("line", sorted({m for t in TEXTS for m in re.findall(r"\./spark-submit\.sh [^\n`]+", t)}))
def test_every_command_shown_is_a_call(line: str) -> None:
    arguments = re.sub(r"   .*", "", line).split()[1:]
    if arguments[0] not in WORDS and arguments[0] != "JOB":
        assert cli.validate(arguments) in (0, cli.HANDLED)


def test_the_analysts_query_runs_without_spark(shop: Shop) -> None:
    [snippet] = [text for kind, text in BLOCKS if kind == "python" and "DeltaTable" in text]
    snippet = snippet.replace(".scorelake/lake/scores/lapse_xgboost", shop.lake.location("scores.churn"))
    scope: dict[str, object] = {}
    exec(snippet.replace("household_id", "customer_code"), scope)
    newest = shop.lake.read("scores.churn").groupBy("score_date").count().orderBy("score_date").collect()[-1]
    assert len(scope["tonight"]) == newest["count"]  # type: ignore[arg-type]
