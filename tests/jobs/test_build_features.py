from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.shop.night import Shop


def test_building_features_notes_their_null_rates(shop: Shop) -> None:
    start = "features.shop_v1: null rates: "
    notes = [note for note in shop.outcomes["nights"].notes if note.startswith(start)]
    assert len(notes) == 1
    assert "%" in notes[0] or notes[0].endswith("no feature is null")
