"""The price table and what a run is projected to cost."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.workload.load import load_workload
from millrace.workload.prices import PRICES, REGION_FACTOR, Usage, projected_usd
from millrace.workload.training_cost import usages

WORKLOAD = load_workload(Path("workloads/electricity"))


def test_a_projection_is_instances_times_price_times_hours():
    usage = [Usage(instance="ml.m5.xlarge", count=2, minutes=30), Usage(instance="ml.g5.xlarge", count=1, minutes=60)]
    assert projected_usd(usage) == pytest.approx((0.23 + 1.408) * REGION_FACTOR)


def test_every_price_says_where_and_when_it_was_read():
    assert all(price.source and price.as_of >= "2025-01-01" and price.usd_per_hour > 0 for price in PRICES)
    assert len({price.instance for price in PRICES}) == len(PRICES)


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_the_shipped_workload_fits_its_budget_several_times(stage):
    assert 0 < projected_usd(usages(WORKLOAD, stage)) < WORKLOAD.budget.monthly_usd / 4


def test_every_instance_of_a_training_is_paid() -> None:
    alone, three = (
        WORKLOAD.model_copy(update={"training": WORKLOAD.training.model_copy(update={"instances": count})})
        for count in (1, 3)
    )
    [training, evaluation], [trainings, same] = usages(alone, "prod"), usages(three, "prod")
    assert (training.count, trainings.count) == (1, 3)
    assert same == evaluation
