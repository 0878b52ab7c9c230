from __future__ import annotations

from typing import TYPE_CHECKING

from jobs import build_features
from tests.shop.night import TRAINED_AT

if TYPE_CHECKING:
    from tests.shop.night import Shop


def test_building_features_notes_their_null_rates(shop: Shop) -> None:
    (line,) = build_features.run(shop.spark, shop.settings, TRAINED_AT).notes
    assert line.startswith("features.shop_v1: null rates: ")
    assert "%" in line or line.endswith("no feature is null")
