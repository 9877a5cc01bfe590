"""The naive rule of a proposal is measured by the functions that the gates use."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml

from millrace.errors import ConfigurationError
from millrace.evaluation.naive.catalogue import NAIVE_RULES
from tests.console.new.conftest import Row, proposed
from tests.millrace.evaluation.gates.test_catalogue import report

Writer = Callable[..., Path]
FIRST = datetime.fromisoformat("2020-01-01")
ROWS = 60 * 24


def hours(label: Callable[[int], object]) -> list[Row]:
    noise = np.random.default_rng(0).random(ROWS)
    return [
        {"time": (FIRST + timedelta(hours=at)).isoformat(), "noise": round(float(noise[at]), 4), "label": label(at)}
        for at in range(ROWS)
    ]


def test_yesterday_is_the_rule_where_it_is_right_more_often(as_csv: Writer) -> None:
    found = proposed(as_csv(hours(lambda at: int(at % 24 > 13))), label="label").naive
    assert (found.lag_hours, found.error) == (24, 0.0)
    coins = np.random.default_rng(1).integers(0, 10, ROWS)
    assert proposed(as_csv(hours(lambda at: int(coins[at] == 0))), label="label").naive.lag_hours is None


def test_a_model_worse_than_the_median_of_a_tail_is_refused(as_csv: Writer) -> None:
    amounts = np.random.default_rng(4).lognormal(6, 1.6, ROWS).round(2)
    found = proposed(as_csv(hours(lambda at: float(amounts[at]))), label="label", unit="EUR")
    assert found.naive.rule == "always the median"
    baseline = yaml.safe_load(found.workload_yaml)["gates"]["baseline"]
    tested = amounts[-found.rehearsal.rows[2] :]
    # A model whose answers all lie between the median and the mean: by the mean it would pass.
    worse = float(np.abs(tested - (np.median(amounts) + np.mean(amounts)) / 2).mean())
    by_mean = float(np.abs(tested - np.mean(amounts)).mean())
    for kind, naive, passes in (("median", found.naive.error, False), ("mean", by_mean, True)):
        rule = NAIVE_RULES[kind].model_validate(baseline | {"kind": kind})
        changes = {"metrics": {"error": worse}, "naive": {"rule": kind, "metrics": {"error": naive}}}
        assert rule.judge(report("number", changes)).passed is passes
    assert baseline["kind"] == "median"
    assert "  huber: 0.03   # of a label with a tail" in found.workload_yaml


def test_a_number_is_compared_with_its_median_and_with_yesterday(as_csv: Writer) -> None:
    waves = proposed(as_csv(hours(lambda at: round(np.sin(at / 24 * 2 * np.pi) + at / 1e4, 6))), label="label").naive
    assert (waves.lag_hours, waves.is_share) == (24, False)
    noise = np.random.default_rng(3).normal(100, 9, ROWS)
    found = proposed(as_csv(hours(lambda at: round(float(noise[at]), 3))), label="label", unit="kW").naive
    assert found.lag_hours is None
    assert found.said.endswith("kW on the test rows on average")


def test_a_label_ahead_is_compared_with_labels_that_are_known_by_then(as_csv: Writer) -> None:
    waves = hours(lambda at: round(np.sin(at / 24 * 2 * np.pi) + at / 1e4, 6))
    assert proposed(as_csv(waves), label="label", horizon_hours=24.0).naive.lag_hours == 24
    later = proposed(as_csv(waves), label="label", horizon_hours=30.0).naive
    assert later.lag_hours in (30, 168)


def test_a_horizon_at_which_there_are_no_rows_is_refused(as_csv: Writer) -> None:
    waves = hours(lambda at: round(np.sin(at / 24 * 2 * np.pi) + at / 1e4, 6))
    with pytest.raises(ConfigurationError, match=r"--horizon-hours: expected a multiple of 1 h, the .*, got '2.5 h'"):
        proposed(as_csv(waves), label="label", horizon_hours=2.5)
    for at, row in enumerate(waves):  # no two of them are 24 h apart
        row["time"] = (FIRST + timedelta(minutes=at**1.6)).isoformat()
    expected = "--horizon-hours: expected hours after which there is another row .*got '24 hours: expected rows with a "
    with pytest.raises(ConfigurationError, match=expected):
        proposed(as_csv(waves), label="label", horizon_hours=24)
