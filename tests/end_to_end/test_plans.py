"""A plan of tomorrow, scored by what people know of it alone; then a month passes by the command of the clock."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.local_cloud.local_cloud import SECRET_VARIABLE, started

pytestmark = pytest.mark.night("by day rows of a plan are completed by tests/functions/validation/test_plans.py")

START = datetime.fromisoformat("2024-01-01")
DAYS = 200
CLOCK = datetime.fromisoformat("2024-07-18T20:00:00+00:00")
"""The evening of the last day that has sales."""
Row = dict[str, Any]
Millrace = Callable[..., str]


def day(number: int) -> list[Row]:
    """A day of three shops: a promotion sells more on its own day."""
    return [
        {
            "shop": shop,
            "day": f"{START + timedelta(days=number):%Y-%m-%d}",
            "promo": int((number * 7 + at) % 5 < 2),
            "price": 2 + (number * 7 + at) % 13 / 10,
            "sales": round(10 + 5 * at + 8 * ((number * 7 + at) % 5 < 2) + number % 7 / 3, 2),
        }
        for at, shop in enumerate(("north", "south", "west"))
    ]


def write(path: Path, rows: list[Row], *names: str) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names or [*rows[-1]], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def millrace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Millrace]:
    """Types a command; its output. A model for the shops is live."""
    folder = tmp_path_factory.mktemp("plans")
    (folder / "workloads").mkdir()
    rows = write(folder / "sales.csv", [row for number in range(DAYS) for row in day(number)])

    def types(*words: str) -> str:
        done = CliRunner().invoke(app, [*words, "--build", str(folder)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_WORKLOADS", str(folder / "workloads"))
        types("new", "shops", "--from", str(rows), "--label", "sales", "--horizon-steps", "1", "--minutes", "0")
        with started(folder / "build", clock=CLOCK) as cloud:
            patch.setenv("AWS_ENDPOINT_URL", cloud.endpoint_url)
            patch.setenv(SECRET_VARIABLE, cloud.secret)
            types("drop", str(folder / "drops" / "shops" / "training" / "sales.csv"), "--feed", "training", "--wait")
            yield types


def test_a_plan_of_tomorrow_is_answered_as_the_whole_rows(millrace: Millrace, tmp_path: Path) -> None:
    plan = write(tmp_path / "plan.csv", day(DAYS), "shop", "day", "promo")
    answers = tmp_path / "answers.jsonl"
    millrace("drop", str(plan), "--feed", "scoring", "--wait", "--output", str(answers))
    scored = [json.loads(line) for line in answers.read_text().splitlines()]
    today = [row | {"promo_in_24h": later["promo"]} for row, later in zip(day(DAYS - 1), day(DAYS), strict=True)]
    rows = write(tmp_path / "whole.csv", [row for number in range(DAYS - 40, DAYS - 1) for row in day(number)] + today)
    asked = [json.loads(line) for line in millrace("predict", str(rows), "--json").splitlines()][-3:]
    assert [row["shop"] for row in scored] == ["north", "south", "west"]
    assert [float(row["value"]) for row in scored] == pytest.approx([row["value"] for row in asked], rel=1e-5)


def test_a_month_later_the_monitor_has_run(millrace: Millrace) -> None:
    before = json.loads(millrace("clock", "--json"))
    after = json.loads(millrace("clock", "--forward", "30d", "--json"))
    moved = datetime.fromisoformat(after["now"]) - datetime.fromisoformat(before["now"])
    assert timedelta(days=30) <= moved < timedelta(days=31)
    monitors = [run for run in after["ended"] if run["machine"] == "monitor"]
    assert monitors
    assert {run["status"] for run in after["ended"]} == {"SUCCEEDED"}
    assert "2024-08-17" in millrace("clock")
