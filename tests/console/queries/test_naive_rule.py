"""A released version that is worse than its naive rule."""

from __future__ import annotations

from dataclasses import replace

from console.pages.summary import summary
from console.queries.naive_rule import naive_is_better, newer_rows_of_rule
from console.queries.report import JudgedModel, WorkloadReport
from millrace.evaluation.report import NaiveFigures


def worse(report: WorkloadReport, model: JudgedModel) -> JudgedModel:
    assert model.evaluation is not None
    naive = NaiveFigures(rule="majority", rows=10, metrics={"error": 0.05})
    return replace(model, evaluation=model.evaluation.model_copy(update={"naive": naive}))


def test_a_later_version_that_the_rule_beats(report: WorkloadReport) -> None:
    first, live, refused = (worse(report, model) for model in report.models)
    said = naive_is_better(live.version, live.evaluation)
    assert said == (
        "Version 2 is worse than its naive rule by its share of wrong answers, 0.2381 against 0.0500: as a later model "
        "it was held against the version that was live, not against the rule."
    )
    assert said in summary(replace(report, models=(first, live, refused)))
    assert naive_is_better(first.version, first.evaluation) == ""
    assert naive_is_better(refused.version, refused.evaluation) == ""


def test_the_base_rate_is_compared_by_the_log_loss(report: WorkloadReport) -> None:
    """A threshold below one half costs accuracy, as it is meant to."""
    live = report.models[1]
    assert live.evaluation is not None
    loss = live.evaluation.metrics["log_loss"]
    assert loss is not None
    for share, is_worse in ((1.01, False), (0.5, True)):
        naive = NaiveFigures(rule="base_rate", rows=10, metrics={"error": 0.05, "log_loss": loss * share})
        evaluation = live.evaluation.model_copy(update={"naive": naive})
        said = naive_is_better(live.version, evaluation)
        assert said.startswith("Version 2 is worse than its naive rule by its log loss") is is_worse
        assert bool(said) is is_worse


def test_a_version_that_beats_the_rule(report: WorkloadReport) -> None:
    assert [naive_is_better(model.version, model.evaluation) for model in report.models] == ["", "", ""]
    assert naive_is_better(report.models[1].version, None) == ""


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
