"""What is known of the predicted moment: proposed by name or as said, and taken from later rows as training does."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from millrace.console.new.writing import write
from millrace.contract.ahead import Ahead
from millrace.errors import ConfigurationError
from tests.console.new.conftest import Row, proposed

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime.fromisoformat("2024-01-01")


@pytest.fixture
def sales(as_csv: Callable[..., Path]) -> Path:
    rows: list[Row] = [
        {
            "shop": shop,
            "day": str(START + timedelta(days=day)),
            "promo": int(day % 5 == at),
            "price": 2 + (day * 7 + at) % 13 / 10,
            "sales": 10 + 5 * at + 8 * (day % 5 == at) + day % 7 / 3,
        }
        for day in range(200)
        for at, shop in enumerate(("a", "b"))
    ]
    return as_csv(rows)


def found(sales: Path, **words: Any) -> Any:
    return proposed(sales, label="sales", horizon_steps=1, **words)


def test_a_promotion_is_known_a_step_ahead(sales: Path, tmp_path: Path) -> None:
    proposal = found(sales)
    column = proposal.contract.column("promo_in_24h")
    assert (column.ahead, column.required) == (Ahead(column="promo", hours=24.0), False)
    assert "promo_in_24h" in proposal.prediction.features
    assert "price_in_24h" not in proposal.contract.names
    cells = {(row["shop"], row["day"]): row for row in proposal.accepted.to_pylist()}
    for (shop, day), row in cells.items():
        later = cells.get((shop, day + timedelta(days=1)))
        assert row["promo_in_24h"] == (later["promo"] if later else None)
    # The rows to predict hold it, as the function wants it of them.
    written = write(proposal, tmp_path / "workloads", tmp_path / "drops", pieces=0, force=False)
    assert all(json.loads(line)["promo_in_24h"] in (0, 1) for line in written.to_predict.read_text().splitlines())


def test_a_column_is_known_if_you_say_so(sales: Path) -> None:
    assert {"promo_in_24h", "price_in_24h"} < {*found(sales, known=("price",)).prediction.features}


def test_what_is_known_of_each_horizon_has_a_column(sales: Path) -> None:
    names = proposed(sales, label="sales", kind="forecast", horizon_steps=2).contract.names
    assert {"promo_in_24h", "promo_in_48h"} < {*names}


@pytest.mark.parametrize("name", ["sales", "day", "shop", "nothing"])
def test_label_and_key_are_not_known_ahead(sales: Path, name: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        found(sales, known=(name,))
    assert raised.value.field == "--known"


def test_without_a_horizon_there_is_nothing_ahead(sales: Path) -> None:
    with pytest.raises(ConfigurationError) as raised:
        proposed(sales, label="sales", known=("promo",))
    assert raised.value.field == "--known"
