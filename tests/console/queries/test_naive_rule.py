"""A released version that is worse than its naive rule on newer rows."""

from __future__ import annotations

from dataclasses import replace

from console.pages.summary import summary
from console.queries.report import WorkloadReport
from console.queries.versions import newer_rows_of_rule


def test_the_rule_is_better_on_the_rows_of_a_later_model(report: WorkloadReport) -> None:
    _, live, refused = report.models
    assert live.evaluation is not None
    assert refused.evaluation is not None
    assert newer_rows_of_rule(live.version, [live.evaluation, refused.evaluation]) is refused.evaluation
    assert (
        "On 1,344 rows that a later model was tested on, 3 June 1997 to 30 June 1997, version 2 is 61% right, the "
        "naive rule 75% right."
    ) in summary(report)
    assert newer_rows_of_rule(live.version, [live.evaluation]) is None
    assert newer_rows_of_rule(report.models[0].version, [live.evaluation]) is None


def test_the_rule_is_compared_on_the_same_rows_and_by_the_error_alone(report: WorkloadReport) -> None:
    _, live, refused = report.models
    assert refused.evaluation is not None
    assert refused.evaluation.champion is not None
    found, champion, naive = refused.evaluation, refused.evaluation.champion, refused.evaluation.naive
    for changed in (
        {"champion": champion.model_copy(update={"rows": 7})},
        {"champion": champion.model_copy(update={"measure": "log_loss"})},
        {"naive": naive.model_copy(update={"metrics": {"error": champion.error}})},
        {"naive": naive.model_copy(update={"rule": "base_rate"})},
    ):
        other = found.model_copy(update=changed)
        assert newer_rows_of_rule(live.version, [other]) is None
        models = (*report.models[:-1], replace(refused, evaluation=other))
        assert "a later model was tested on" not in summary(replace(report, models=models))
