"""The naive rule of a proposal is measured by the functions that the gates use."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import yaml

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
