"""A profile is frozen, whole and the same after a round trip."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from scorelake.drift.build import build_arrow
from scorelake.drift.counts import reference
from scorelake.drift.freeze import Cutting
from scorelake.drift.profile import Profile
from scorelake.errors import ContractBroken, DamagedFile, ScorelakeError

ROWS = pa.table(
    {
        "age": pa.array([2**53 + 1, 30, None, 30]),
        "price": pa.array([0.1, 0.2, 0.1 + 0.2, 1e-300]),
        "ratio": pa.array([0.1, 0.2, 0.3, 0.4], pa.float32()),
        "town": pa.array(["a", "<b>", "ü", None]),
        "region": pa.array(["n", "s", "n", None]),
        "w": pa.array([1.0, 2.0, 3.0, 0.5]),
    }
)
COLUMNS = ["age", "price", "ratio", "town"]


@pytest.fixture
def profile() -> Profile:
    return build_arrow(ROWS, COLUMNS, segments=["region"], cutting=Cutting(max_values=0, bins=3))


def test_json_gives_back_the_same_profile_bit_for_bit(profile: Profile) -> None:
    again = Profile.from_json(profile.to_json())
    assert again == profile
    assert again.hash == profile.hash
    assert again["ratio"].cells == profile["ratio"].cells


def test_a_changed_file_is_refused(profile: Profile) -> None:
    content = json.loads(profile.to_json())
    content["profile"]["features"][0]["counts"][0][1] += 1
    with pytest.raises(DamagedFile, match=r"drift\.json was changed"):
        Profile.from_json(json.dumps(content), source="drift.json")


@pytest.mark.parametrize("damage", ["", "{}", "[1]", '{"hash": "x", "profile": {"format": 2}}'])
def test_what_is_no_profile_is_refused(damage: str) -> None:
    with pytest.raises(DamagedFile, match="no drift profile"):
        Profile.from_json(damage)


def test_a_truncated_file_is_refused(profile: Profile) -> None:
    with pytest.raises(DamagedFile):
        Profile.from_json(profile.to_json()[:-20])


def test_segments_are_counted_apart_and_rows_of_none_only_in_all(profile: Profile) -> None:
    counts = reference(profile)
    assert profile.segments == ("all", "region=n", "region=s")
    assert [int(counts.of("town", segment).rows.sum()) for segment in range(3)] == [4, 2, 1]


def test_segments_are_capped() -> None:
    many = pa.table({"x": list(range(100)), "a": [f"a{i}" for i in range(100)], "b": [f"b{i}" for i in range(100)]})
    profile = build_arrow(many, ["x"], segments=["a", "b"], cutting=Cutting(max_segments=10))
    assert len(profile.segments) == 11


def test_weights_are_summed_and_squared() -> None:
    profile = build_arrow(ROWS, ["age"], weight="w")
    assert profile["age"].cells.values == (30, 2**53 + 1)
    assert profile["age"].counts == ((2, 1, 0, 0, 1),)
    assert profile["age"].sum_w == ((2.5, 1, 0, 0, 3),)
    assert profile["age"].sum_w2 == ((4.25, 1, 0, 0, 9),)


def test_profiles_of_two_samples_stand_side_by_side(profile: Profile) -> None:
    scores = pa.table({"score": [0.1, 0.9], "region": ["n", "s"]})
    score = build_arrow(scores, ["score"], segments=["region"], roles={"score": "score"})
    joined = profile.joined(score)
    assert [feature.name for feature in joined.features] == [*COLUMNS, "score"]
    assert (joined["score"].role, joined["score"].n, joined["age"].n) == ("score", 2, 4)
    with pytest.raises(ScorelakeError, match="segments"):
        profile.joined(build_arrow(scores, ["score"]))


def test_a_part_of_a_profile_keeps_its_cells(profile: Profile) -> None:
    part = profile.only(["town"])
    assert part["town"] == profile["town"]
    assert part.hash != profile.hash


def test_a_column_without_cells_is_refused() -> None:
    lists = pa.table({"tags": [["a"], ["b"]]})
    with pytest.raises(ContractBroken, match="tags"):
        build_arrow(lists, ["tags"])


def test_moments_are_of_finite_values() -> None:
    profile = build_arrow(pa.table({"x": [1.0, 3.0, float("inf"), float("nan"), None]}), ["x"])
    assert (profile["x"].mean, profile["x"].std) == (2.0, 1.0)
