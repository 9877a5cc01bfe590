"""What retraining cost and brought, by the stored run."""

from dataclasses import replace

import pytest

from millrace.console.pages.balance import balance_of
from millrace.console.pages.page import page
from millrace.console.queries.money.month import Gain
from millrace.console.queries.money.work import Job
from millrace.console.queries.report import WorkloadReport
from millrace.evaluation.report import ChampionComparison

COMPARED = ChampionComparison(
    model_version="1", rows=100, error=0.3, challenger_error=0.2, difference=0.1, lower_bound=0.05
)
GAIN = Gain(compared=COMPARED, price=2.0)


def with_jobs(report: WorkloadReport, price: float | None = 0.05) -> WorkloadReport:
    """Each training takes half an hour, each monitor run a minute."""
    took_s = {"train": 1800.0, "monitor": 60.0}
    jobs = tuple(
        Job(run=run.name, kind="training", instance="ml.m5.large", billed_s=took_s[run.machine])
        for run in report.runs
        if run.machine in took_s
    )
    return replace(report, jobs=jobs, usd_per_error=price)


def test_each_request_has_its_price_and_what_it_brought(report: WorkloadReport) -> None:
    found = balance_of(with_jobs(report))
    assert found is not None
    released, *_, refused = [one for one in found.retrainings if one.usd]
    champion = next(one.evaluation.champion for one in report.models if one.version.version == "2" and one.evaluation)
    assert champion is not None
    answers = sum(one.decisions for one in report.windows if one.version == "2")
    assert (released.because, released.became, released.answers) == (
        "alarm input-drift",
        "registered version 2",
        answers,
    )
    assert released.usd == pytest.approx(0.115 * 1.2 / 2)
    assert released.saved == pytest.approx((champion.error - champion.challenger_error) * answers * 0.05)
    assert released.least == pytest.approx(champion.lower_bound * answers * 0.05)
    # A refused model has answered nobody, and a refused request has trained nothing.
    assert (refused.answers, refused.saved) == (0, 0)
    assert {one.usd for one in found.retrainings if one.became.startswith("not started")} == {0}
    assert found.usd == pytest.approx(sum(one.usd for one in found.retrainings) + found.monitor_usd)
    assert found.sentence in page(with_jobs(report))
    assert f"saved {found.saved:.2f} USD at 0.05 an error" in found.sentence


def test_without_a_price_nothing_is_saved_or_lost(report: WorkloadReport) -> None:
    found = balance_of(with_jobs(report, None))
    assert found is not None
    assert found.saved is None
    assert "retraining.usd_per_error" in found.sentence
    assert balance_of(replace(report, runs=())) is None


def test_a_gain_is_a_difference_of_errors_times_their_price() -> None:
    assert (GAIN.of(1000), GAIN.least_of(1000)) == (pytest.approx(200), pytest.approx(100))
    assert "so 5 pay for the training" in GAIN.words(usd=1.0)
    worse = COMPARED.model_copy(update={"challenger_error": 0.4})
    # A worse version pays for nothing, and amounts of another currency are not set off.
    assert "pay for" not in replace(GAIN, compared=worse).words(1.0) + replace(GAIN, currency="EUR").words(1.0)
