"""The timeline and the summary of a real run; figures are those that its functions answered."""

import re
from dataclasses import replace

from console.pages.summary import accepted_rows, facts, notes, summary
from console.pages.timeline import timeline
from console.presenters.presenter import TimelineEntry
from console.queries.report import WorkloadReport
from console.queries.withdrawals import Withdrawal, find_withdrawals
from millrace.evaluation.report import ErrorMeaning, NaiveFigures
from millrace.messages.audit import AuditEvent, RowsWithdrawn
from millrace.messages.monitor import ErrorReport, MonitorReport
from millrace.state.audit import Record
from tests.console.executions import rejected, together

FEEDS = ("training", "scoring", "labels")


def by_title(report: WorkloadReport) -> dict[str, TimelineEntry]:
    return {entry.what: entry for entry in timeline(report)}


def test_a_machine_without_a_presenter_has_its_name(report: WorkloadReport) -> None:
    *others, last = report.runs
    strange = replace(report, runs=[*others, replace(last, machine="audit")])
    assert timeline(strange)[-1].what == "audit"


def test_what_matters_has_an_entry_and_a_quiet_stretch_has_one(report: WorkloadReport) -> None:
    assert [entry.what for entry in timeline(report)] == [
        "Two files ingested",
        "First training: version 1",
        "Version 1 released",
        "scoring/week.csv scored",
        "One file ingested",
        "1,680 decisions monitored, no alarm",
        "Alarm: input drift",
        "Retraining accepted",
        "Training: version 2",
        "Version 2 released",
        "labels/1997-05.csv ingested with bad rows",
        "The alarm stays: input drift",
        "Retraining refused: cool-down",
        "The alarm stays: input drift",
        "Retraining refused: cool-down",
        "One file ingested",
        "The alarm stays: input drift",
        "Retraining accepted",
        "Training: model refused by calibration and non-inferiority",
        "Retraining refused: cool-down",
    ]


def test_refusals_and_quarantine_say_why(report: WorkloadReport) -> None:
    found = by_title(report)
    assert found["labels/1997-05.csv ingested with bad rows"].detail == (
        "1,488 rows accepted, 48 quarantined (duplicate key): timestamp: expected a new key, "
        "got 1997-05-04 00:00:00, first on line 146"
    )
    assert "1 quarantined (range): nswdemand: expected <= 1, got 17.5" in found["scoring/week.csv scored"].detail
    assert found["Retraining refused: cool-down"].detail.endswith("35 days of cool-down; earliest 5 August 1997")
    refused = found["Training: model refused by calibration and non-inferiority"]
    assert "expected calibration error 0.2032; at most 0.15 allowed" in refused.detail
    assert found["Alarm: input drift"].detail == (
        "vicprice, vicdemand and transfer: constant in training, 336 of 336 rows differ, from 7 May to 14 May"
    )


def test_an_entry_of_several_days_says_until_when(report: WorkloadReport) -> None:
    found = by_title(report)
    assert found["1,680 decisions monitored, no alarm"].detail.startswith("until 1 May 1997; two monitor runs, ")
    assert found["One file ingested"].detail.startswith("labels/1997-06.csv: ")


def test_a_scored_file_says_where_its_predictions_lie(report: WorkloadReport) -> None:
    detail = by_title(report)["scoring/week.csv scored"].detail
    assert detail.startswith("335 predictions delivered, 1 quarantined (range): ")
    assert re.search(r", in electricity/predictions/run=\w{8}…/part-00000.parquet$", detail)


def test_a_rollback_differs_from_a_release(report: WorkloadReport) -> None:
    """By its words and its mark, with the person's reason."""
    last = report.of("release")[-1]
    asked = {**last.input, "rollback": {"reason": "worse since Tuesday", "who": "arn:aws:iam::1:user/kim"}}
    (entry,) = timeline(replace(report, runs=(replace(last, input=asked),), monitor_runs=(), alarms=()))
    assert (entry.what, entry.tone) == ("Rolled back to version 2", "watch")
    assert entry.detail.startswith("worse since Tuesday (requested by arn:aws:iam::1:user/kim); ")
    assert (by_title(report)["Version 2 released"].tone) == "good"


def test_recent_decisions_are_told_where_they_are_worse(report: WorkloadReport) -> None:
    assert report.live is not None
    assert report.live.evaluation is not None
    expected = report.live.evaluation.metrics["error"]
    assert expected is not None
    one = replace(report.windows[-1], version="2", decisions=300, mean_error=expected + 0.1)
    other = replace(one, decisions=100, mean_error=expected - 0.1)
    said = summary(replace(report, windows=(one, other)))
    right = f"{1 - expected - 0.05:.0%} right"
    assert f" Its last 400 decisions with labels were worse: {right}, {one.start:%-d %B %Y} to" in said
    better = replace(one, mean_error=expected - 0.01)
    assert "were worse" not in summary(replace(report, windows=(better,)))
    assert "were worse" not in summary(replace(report, windows=(replace(one, version="1"),)))


def test_causes_are_named(report: WorkloadReport) -> None:
    found = by_title(report)
    assert found["Version 2 released"].because == "train alarm"
    assert found["Alarm: input drift"].because == "monitor windows until 1997-05-15"
    assert timeline(report)[7].because == "alarm input-drift"
    assert timeline(report)[-1].because == "the schedule"
    assert found["scoring/week.csv scored"].because == ""


def test_a_run_that_failed_or_still_runs_is_an_entry(report: WorkloadReport) -> None:
    monitor = report.of("monitor")[0]
    failed = replace(monitor, arn="arn:failed", status="FAILED", output={}, failure="Boom: no bytes")
    running = replace(monitor, arn="arn:running", status="RUNNING", output={})
    entries = timeline(replace(report, runs=(failed, running)))
    assert [(entry.what, entry.detail, entry.tone) for entry in entries] == [
        ("monitor windows until 1997-04-15: failed", "Boom: no bytes", "bad"),
        ("monitor windows until 1997-04-15 is running", "", "plain"),
    ]


def test_a_file_without_rows_says_its_outcome(report: WorkloadReport) -> None:
    (entry,) = timeline(replace(report, runs=(rejected(report.of("ingest")[-1]),)))
    assert (entry.what, entry.detail) == (
        "labels/1997-06.csv added no rows",
        "nothing accepted, the whole file quarantined (foreign)",
    )


def test_of_several_drops_those_with_something_to_say_are_named(report: WorkloadReport) -> None:
    (entry,) = timeline(replace(report, runs=(together(report),)))
    assert entry.what == "training/b.csv added no rows"


def test_the_summary_names_the_champion_the_alarm_and_what_was_refused(report: WorkloadReport) -> None:
    said = summary(report)
    assert said.startswith("Version 2 has been live since 15 May 1997: 76% right on 1,344 rows that it never saw, ")
    assert "3 April 1997 to 30 April 1997, where the naive rule is 62% right." in said
    assert "On 15 May 1997 the input drift alarm was raised (vicprice" in said
    assert "Version 2 was released on 15 May 1997." in said
    assert "The model trained on 1 July 1997 did not pass (calibration and non-inferiority)" in said
    assert "Three requests for a retraining were refused." in said


def test_a_model_that_is_right_less_often_than_its_rule_says_by_what_it_is_better(report: WorkloadReport) -> None:
    model = report.live
    assert model is not None
    assert model.evaluation is not None
    figures = {"error": 0.05, "log_loss": 0.2}
    naive = NaiveFigures(rule="base_rate", rows=10, metrics=figures)
    later = model.evaluation.champion
    assert later is not None
    for error, champion, told in (
        (0.06, None, "its log loss, which the gate compares, is 0.1700 against 0.2000"),
        (0.06, later, "its log loss is 0.1700 against 0.2000"),
        (0.04, None, ""),
    ):
        metrics = model.evaluation.metrics | {"error": error, "log_loss": 0.17}
        changed = {"metrics": metrics, "naive": naive, "champion": champion}
        evaluation = model.evaluation.model_copy(update=changed)
        judged = replace(model, evaluation=evaluation)
        said = summary(replace(report, models=tuple(judged if one is model else one for one in report.models)))
        assert told in said
        assert ("log loss" in said) is bool(told)


def test_rows_that_left_for_a_later_version_are_not_counted_twice(report: WorkloadReport) -> None:
    first, *others = [drop for drop in report.drops if drop.feed == "training"]
    later = replace(first, replaced=first.accepted)
    assert accepted_rows([first, later, *others]) == accepted_rows([first, *others])


def test_a_workload_without_a_champion_says_so(report: WorkloadReport) -> None:
    bare = replace(report, runs=(), models=(), alarms=(), monitor_runs=(), windows=(), drops=(), usage=())
    assert (summary(bare), facts(bare), len(notes(bare))) == ("No model has been trained yet.", (), 1)
    assert summary(replace(bare, models=report.models[-1:])).startswith("No model version is live.")


def test_the_figures_are_counted(report: WorkloadReport) -> None:
    figures = {fact.what: fact.figure for fact in facts(report)}
    assert figures["trained models passed their gates"] == "2 of 3"
    rows = {feed: sum(drop.accepted for drop in report.drops if drop.feed == feed) for feed in FEEDS}
    assert all(rows.values())
    what = (
        f"training rows accepted, {rows['scoring']:,} rows scored, {rows['labels']:,} labels accepted in six drops, "
        "49 quarantined"
    )
    assert figures[what] == f"{rows['training']:,}"
    assert figures["decisions monitored"] == f"{sum(window.decisions for window in report.windows):,}"
    assert figures["alarm raised"] == "1"
    assert figures["estimated cost on AWS; nearly all of it the endpoint"] == "$ 599"


def test_windows_without_an_error_and_a_model_of_too_early_labels_are_explained(report: WorkloadReport) -> None:
    said = " ".join(notes(report))
    assert "from 30 April to 21 May have labels but no error" in said
    assert "The model of 15 May 1997 was trained on labels up to 1 May" in said
    assert "The model of 1 July" not in said


AMOUNT = ErrorMeaning(name="mean absolute error", is_share=False, unit="µg/m³")


def of_amounts(report: WorkloadReport) -> WorkloadReport:
    """The same run, as if its task were a regression whose error alarm had been raised."""
    evaluations = [model.evaluation for model in report.models]
    models = [
        replace(model, evaluation=found and found.model_copy(update={"error": AMOUNT}))
        for model, found in zip(report.models, evaluations, strict=True)
    ]
    runs = [replace(run, report=judged(run.report), error_bound=80.0) for run in report.monitor_runs]
    alarms = [replace(alarm, name="error") for alarm in report.alarms]
    return replace(report, models=tuple(models), monitor_runs=tuple(runs), alarms=tuple(alarms))


def judged(found: MonitorReport) -> MonitorReport:
    """With the error of its last window 1.25 times the bound."""
    error = ErrorReport(answered=9, labelled=9, champions=9, error=120.0, ratio=1.25, settled=True)
    last = found.windows[-1].model_copy(update={"error": error})
    return found.model_copy(update={"windows": (*found.windows[:-1], last)})


def test_an_alarm_of_the_error_says_how_large_it_was(report: WorkloadReport) -> None:
    found = of_amounts(report)
    detail = by_title(found)["Alarm: error"].detail
    assert "mean absolute error 100 µg/m³ or more in each of the last windows until" in detail
    assert detail.endswith("; the bound is 80 µg/m³")
    assert f"the error alarm was raised ({detail})" in summary(found)
    unknown = replace(found, models=())
    assert "1.25 × its bound in each of the last windows until" in by_title(unknown)["Alarm: error"].detail


def test_an_amount_has_its_unit_and_a_share_is_right_or_wrong(report: WorkloadReport) -> None:
    own = report.live.evaluation.metrics["error"]  # type: ignore[union-attr]
    naive = report.live.evaluation.naive.metrics["error"]  # type: ignore[union-attr]
    said = summary(of_amounts(report))
    assert f": mean absolute error {own:.4g} µg/m³ on" in said
    assert f", where the naive rule has {naive:.4g} µg/m³." in said
    assert f", where the naive rule is {1 - naive:.0%} right." in summary(report)


def test_a_withdrawal_is_between_the_runs_before_and_after_it(report: WorkloadReport) -> None:
    def one(at: int, **given: object) -> Withdrawal:
        details = RowsWithdrawn(by="arn:x", reason="of another meter", **{"key": {}, "drop": "", **given})
        record = Record(
            actor="withdrawal", execution_arn="e", event=AuditEvent.ROWS_WITHDRAWN,
            as_of=timeline(report)[at].at, cause="c", details=details,
        )  # fmt: skip
        (found,) = find_withdrawals([record])
        return found

    drop = one(1, drop="electricity/training/may.csv", rows=1200, labels=1)
    key = one(-1, key={"timestamp": "1996-05-07"}, rows=1, labels=0)
    entries = timeline(replace(report, withdrawals=(drop, key)))
    assert len(entries) == len(timeline(report)) + 2
    assert [entry.what for entry in entries[1:3]] == ["First training: version 1", "training/may.csv withdrawn"]
    assert entries[2].detail == "1,200 rows and one label: of another meter"
    assert entries[-1].what == "timestamp 1996-05-07 withdrawn"


def test_two_shares_that_round_alike_have_a_decimal(report: WorkloadReport) -> None:
    assert report.live is not None
    assert report.live.evaluation is not None

    def said(own: float, naive: float) -> str:
        evaluation = report.live.evaluation  # type: ignore[union-attr]
        figures = {"metrics": evaluation.metrics | {"error": own}}  # type: ignore[union-attr, operator]
        rule = evaluation.naive.model_copy(update={"metrics": {"error": naive}})  # type: ignore[union-attr]
        close = evaluation.model_copy(update={**figures, "naive": rule})  # type: ignore[union-attr]
        return summary(replace(report, models=(replace(report.live, evaluation=close),), windows=()))  # type: ignore[type-var]

    close, apart = said(0.245, 0.248), said(0.245, 0.36)
    assert "75.5% right on" in close
    assert "where the naive rule is 75.2% right." in close
    assert "76% right on" in apart
    assert "where the naive rule is 64% right." in apart


def test_a_rejected_file_is_not_called_scored(report: WorkloadReport) -> None:
    [run] = report.of("score")
    (entry,) = timeline(replace(report, runs=(replace(run, output={}),)))
    assert entry.what == "scoring/week.csv rejected whole"
    assert entry.detail.startswith("no prediction delivered")
    assert entry.tone == "watch"


def test_windows_with_too_few_decisions_are_not_calm(report: WorkloadReport) -> None:
    """Their decisions are counted, and no alarm could be raised."""
    [run, *_] = [run for run in report.of("monitor") if any(each.arn == run.arn for each in report.monitor_runs)]
    judged = next(each for each in report.monitor_runs if each.arn == run.arn)
    windows = tuple(
        window.model_copy(update={"input": window.input and window.input.model_copy(update={"ratio": None})})
        for window in judged.report.windows
    )
    thin = replace(judged, report=judged.report.model_copy(update={"windows": windows}))
    (entry,) = timeline(replace(report, runs=(run,), monitor_runs=(thin,), alarms=()))
    assert entry.what.endswith(" decisions monitored, too few to judge")
    assert "one monitor run, two windows, 2 of them with too few decisions to judge" in entry.detail
