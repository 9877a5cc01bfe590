"""A gate's figure against its bound, in the direction in which it passes."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest

from millrace import errors
from millrace.console.pages.timeline import timeline
from millrace.console.presenters.catalogue import NOT_RETRAINED, outcome, run_title, titled
from millrace.console.presenters.gates import compared, contribution_rows, measured, required
from millrace.console.presenters.monitor import NOT_JUDGED
from millrace.console.presenters.presenter import Outcome
from millrace.console.presenters.remedy import UNHEALED, find_remedy
from millrace.console.presenters.train import NOT_RELEASED, NOT_TRAINED
from millrace.console.queries.drops import ReasonCount
from millrace.console.queries.executions import Execution, error_type, of_drop, reason_of
from millrace.console.queries.monitoring import raised_alarms
from millrace.console.queries.report import WorkloadReport
from millrace.console.queries.runs import Run, RunDetail
from millrace.console.queries.steps import Step
from millrace.messages.monitor import NoWindows
from millrace.messages.release import ReleaseOutcome
from millrace.messages.retrain import RetrainingReason
from millrace.messages.train import BudgetRefusal, GateVerdict
from millrace.monitoring.alarms import RATIO_ALARMS
from tests.console.conftest import NAMES, renewed
from tests.console.executions import RELEASED, answering, grouped, only, rejected, scored, together, validated
from tests.console.pages.variants import unreadable
from tests.recorded import compare


def verdict(figure: str, measured: float | None, bound: float | None, unit: str = "", **more: Any) -> GateVerdict:
    return GateVerdict.model_validate(
        {"name": "gate", "passed": True, "sentence": "as it was judged"}
        | {"figure": figure, "measured": measured, "bound": bound, "unit": unit, **more}
    )


LEAST = {"direction": "at_least"}
REFUSED = {"passed": False}
LOSS, LOWER = "log loss saved against the base rate", "lower bound of the improvement"


@pytest.mark.parametrize(
    ("judged", "words"),
    [
        (verdict("mean error", 74.35, 75.39, "µg/m³"), "mean error 74.35 µg/m³ ≤ 75.39 µg/m³"),
        (verdict("mean error", 75.4, 75.39, "µg/m³", **REFUSED), "mean error 75.4 µg/m³ > 75.39 µg/m³"),
        (verdict(LOSS, 0.82, 0.4, "%", **LEAST), "log loss saved against the base rate 82% ≥ 40%"),
        (verdict("p99", 0.0245, 50.0, "ms"), "p99 0.0245 ms ≤ 50 ms"),
        (verdict(LOWER, 0.01, -0.02, **LEAST), "lower bound of the improvement +0.01 ≥ -0.02"),
        (verdict(LOWER, -0.03, -0.02, **LEAST, **REFUSED), "lower bound of the improvement -0.03 < -0.02"),
        (verdict("error", 0.0200000004, 0.02, **REFUSED), "error 0.0200000004 > 0.02"),
        (verdict("error", None, 1.0, **REFUSED), "as it was judged"),
        (verdict("", 1.0, 1.0), "as it was judged"),
        (verdict("answers that are used", 0.9, 0.5, "%", **LEAST, **REFUSED), "as it was judged"),
    ],
)
def test_a_figure_is_compared_in_the_direction_of_its_gate(judged: GateVerdict, words: str) -> None:
    assert compared(judged) == words


def test_the_sentence_of_a_verdict_without_a_figure_is_shown_as_it_is() -> None:
    """A sentence may name a class of the label, and a class may be any text."""
    sentence = "answers for {north} and {0:s} differ by 100%"
    judged = verdict("", 1.0, 2.0, sentence=sentence)
    assert compared(judged) == sentence
    assert required(judged) == sentence
    assert measured(judged) == ""


WHY = {
    "explains": "log odds of fan",
    "base": -1.0,
    "output": 2.0,
    "others": 0.25,
    "contributions": [
        {"column": "demand", "place": "-3 h", "value": "0.41", "contribution": 2.0},
        {"column": "note", "place": "late", "contribution": -1.25},
        {"column": "open", "value": "true", "contribution": 1.5},
        {"column": "load", "value": "7", "contribution": 0.5},
    ],
}


def test_a_table_goes_from_the_reference_to_the_row() -> None:
    rows = contribution_rows(WHY)
    assert [(row["what"], row["adds"]) for row in rows] == [
        ("the reference", "-1"),
        ("demand", "+2"),
        ("note", "-1.25"),
        ("open", "+1.5"),
        ("load", "+0.5"),
        ("all others", "+0.25"),
        ("the row: log odds of fan", "2"),
    ]
    assert len({tuple(row) for row in rows}) == 1


AT = datetime(2026, 1, 1, tzinfo=UTC)
SNAPSHOT = "SnapshotError: walk-forward step 3 got no validation rows"


def failed(*, redrivable: bool = True, status: str = "FAILED") -> RunDetail:
    run = Run(arn="arn:r", machine="train", name="r", status=status, started=AT, stopped=AT, redrives=0)
    return RunDetail(
        run=run,
        input={},
        output=None,
        error="States.TaskFailed",
        cause="",
        redrivable=redrivable,
        why_not_redrivable="" if redrivable else "too old",
        steps=[],
        parent="",
        children=[],
    )


def step(error: str, cause: Any, kind: str = "Task") -> Step:
    return Step(name="Training", kind=kind, entered=AT, outcome="failed", error=error, cause=json.dumps(cause))


def job(reason: str) -> dict[str, str]:
    return {"FailureReason": f"AlgorithmError: {reason}"}


def of_function(kind: str, message: str) -> dict[str, str]:
    return {"errorType": kind, "errorMessage": message}


def of_child(cause: Any, error: str = "States.TaskFailed") -> dict[str, str]:
    return {"ExecutionArn": "arn:x", "Error": error, "Cause": json.dumps(cause)}


LABEL = "WorkloadError: contract.yaml: label: expected a column, got 'x', exit code: 1"
ASTRAY = "TrainingError: epoch 0, step 3: expected a finite training loss, got nan"
FAILURES: dict[str, tuple[str, Any]] = {
    "a job without rows": ("States.TaskFailed", job(f"{SNAPSHOT}, exit code: 1")),
    "a function without rows": ("SnapshotError", of_function("SnapshotError", "expected rows to pin, found none")),
    "a function with another declaration": ("WorkloadError", of_function("WorkloadError", "x")),
    "a job with another contract": ("States.TaskFailed", job(LABEL)),
    "answers that are too few": ("AnswerError", of_function("AnswerError", "expected 3 rows")),
    "a training that went astray": ("States.TaskFailed", job(ASTRAY)),
    "a right that lacks": ("AccessDenied", of_function("AccessDenied", "no")),
    "a container that was killed": ("States.TaskFailed", job(", exit code: 137")),
    "a container that ended": ("States.TaskFailed", job(", exit code: 3")),
    "a child without rows": ("States.TaskFailed", of_child(of_function("SnapshotError", "no rows"), "SnapshotError")),
    "a child whose job had no rows": ("States.TaskFailed", of_child(job(f"{SNAPSHOT}, exit code: 1"))),
}


def test_why_it_failed_and_what_helps_is_recorded() -> None:
    """A redrive only where it can heal. A new retraining would be a request, which cool-down may hold back."""
    lines = []
    for name, (error, cause) in FAILURES.items():
        lines.append(f"{name}: {error_type(error, json.dumps(cause))}: {reason_of(json.dumps(cause))}")
        for redrivable in (True, False):
            remedy = find_remedy(failed(redrivable=redrivable), step(error, cause), short="f477")
            assert remedy is not None
            lines.append(f"    {'' if redrivable else 'too old: '}{' '.join(remedy.words)}: {remedy.advice}")
    compare(Path(__file__).parents[1] / "recorded/remedies.txt", "\n".join(lines))


def test_each_error_of_the_table_is_one_of_ours() -> None:
    assert all(hasattr(errors, name) for name in UNHEALED)


def test_after_a_refusal_nothing_is_rerun(report: WorkloadReport) -> None:
    """By a gate, by the budget or by the guard: the run succeeded, and what it says leads elsewhere."""
    refused = [run for run in report.runs if outcome(run).is_refused]
    assert {run.machine for run in refused} >= {"train", "retrain"}
    budget = {"accepted": False, "reason": "budget", "projected_usd": 9.0, "monthly_usd": 5.0, "champion": None}
    no_room = replace(refused[0], machine="train", output={"budget": {"answer": budget}})
    for run in (*refused, no_room):
        assert outcome(run).is_refused
        assert "rerun" not in outcome(run).look
        told = replace(failed(status=run.status), input=run.input, output=run.output)
        assert find_remedy(told, None, short="f477") is None
    assert outcome(no_room).look == ("cost",)


BYTES = {"rows_accepted": 0, "duplicate": True, "duplicate_of": "s3://b/w/labels/june.csv?versionId=1"}
FEW = {"has_champion": False, "first_rows": 8_997}
WARNED = {"name": "simple", "passed": True, "is_warning": True, "measured": -0.1, "bound": 0.0, "sentence": "they tie"}
TYPES = [ReasonCount(reason="type", rows=9, example="x: expected a float64, got 'a'")]
KEYS = [ReasonCount(reason="duplicate_key", rows=9, example="id: expected a new key, got 'a'")]

Runs = Mapping[str, Callable[[WorkloadReport], Execution]]


def ingested(**facts: Any) -> Callable[[WorkloadReport], Execution]:
    return lambda report: validated(report.of("ingest")[-1], **facts)


def budget(started_by: str, reason: str) -> Callable[[WorkloadReport], Execution]:
    answer = {"accepted": False, "reason": reason, "projected_usd": 1, "monthly_usd": 2}
    return lambda report: replace(report.of("train")[0], output={"reason": started_by, "budget": {"answer": answer}})


def release(answer: dict[str, Any], **given: Any) -> Callable[[WorkloadReport], Execution]:
    return lambda report: only(report.of("release")[-1], "start_release", answer, **given)


DONE: Runs = {
    "a person has to approve it": release(RELEASED | {"outcome": "unapproved"}),
    "most rows refused": ingested(rows_accepted=1, rows_quarantined=11_000, reasons={"type": 11_000}),
    "the bytes of another": ingested(**BYTES),
    "a version too late": ingested(rows_accepted=0, superseded_by="s3://b/w/june.csv?versionId=2"),
    "one row too few for the first training": ingested(**FEW, feed="training", rows_total=8_996),
    "25 drops": lambda report: grouped(report, *[{"rows_accepted": 48}] * 25),
    "mostly refused among three": lambda report: grouped(
        report, *({"rows_accepted": a, "rows_quarantined": q} for a, q in ((48, 0), (8, 40), (9, 39)))
    ),
    "most scored rows refused": lambda report: validated(
        report.of("score")[-1], state="delivery", rows=329, quarantined=390, reasons={"type": 390}
    ),
    "no new window": lambda report: only(
        report.of("monitor")[0], "plan_windows", {"count": 0, "reason": "none_complete"}
    ),
    "first training, busy": budget("first", "busy"),
    "labels without a decision": lambda report: answering(report.of("train")[0], "snapshot", unmatched=3),
    "a gate that warns": lambda report: answering(
        report.of("train")[0],
        "gating",
        verdicts=[*report.of("train")[0].output["gating"]["answer"]["verdicts"], WARNED],
    ),
    "released already": release(RELEASED),
    "rollback": lambda report: replace(
        report.of("release")[-1], input={**report.of("release")[-1].input, "rollback": {"reason": "worse"}}
    ),
    "running": lambda report: replace(report.of("train")[0], status="RUNNING", output={}),
    "unknown machine": lambda report: replace(report.of("train")[0], machine="audit"),
}
REFUSED_OUTCOME: Runs = {
    "every row refused": ingested(rows_accepted=0, rows_quarantined=11_000, reasons={"type": 10_990, "range": 10}),
    "a foreign file": lambda report: rejected(report.of("ingest")[0]),
    "a foreign file with a reason": lambda report: rejected(
        report.of("score")[0], expected="the columns a, b", got="the line 'x'"
    ),
    "24 of 25 drops": lambda report: grouped(
        report, {"rows_accepted": 48}, *[{"rows_accepted": 0, "rows_quarantined": 48}] * 24
    ),
    "one of two drops": together,
    "no row scored": lambda report: scored(report.of("score")[-1], {"rows": 0, "quarantined": 336}),
    "one of two scored drops": lambda report: scored(
        report.of("score")[-1], {"rows": 7, "quarantined": 0}, {"rows": 0, "quarantined": 3}
    ),
    "windows of a day to come": lambda report: only(
        report.of("monitor")[0], "plan_windows", {"count": 0, "reason": "not_yet"}, as_of="1997-04-16T06:00:00Z"
    ),
    "command, busy": budget("command", "busy"),
    "first training, budget": budget("first", "budget"),
    "rollback that released nothing": release(RELEASED, rollback={"reason": "worse"}),
    "another version is live": release(RELEASED | {"outcome": "outdated", "refusal": "evaluated beside version 1"}),
    "refused by ann: errs": release(RELEASED | {"outcome": "refused", "refusal": "refused by ann: errs"}),
}
FAILED: Runs = {
    "failed": lambda report: replace(
        report.of("release")[0], status="FAILED", output={}, failure="RolledBack: an alarm of the release"
    )
}
REASONS = {"every row refused": KEYS, "no row scored": TYPES, "most rows refused": TYPES}


def test_the_words_of_each_outcome_are_recorded(report: WorkloadReport) -> None:
    stored = [(titled(report.names, run), run) for run in report.runs]
    made = [(name, make(report)) for name, make in {**DONE, **REFUSED_OUTCOME, **FAILED}.items()]
    lines = []
    for name, run in (*stored, *made):
        found = outcome(run, REASONS.get(name, ()))
        lines.append(f"{name}: {found.text}{' [refused]' if found.is_refused else ''}")
        lines += [f"    {field}: {value}" for field in ("detail", "warning", "uri") if (value := getattr(found, field))]
        lines += [f"    millrace {' '.join(found.look)}"] if found.look else []
    compare(Path(__file__).parents[1] / "recorded/outcomes.txt", "\n".join(lines))


def test_each_drop_of_a_run_has_an_outcome_of_its_own(report: WorkloadReport) -> None:
    run = together(report)
    assert outcome(of_drop(run, "a")) == Outcome(text="1,440 accepted")
    refused = outcome(of_drop(run, "b"))
    assert (refused.is_refused, refused.look) == (True, ("quarantine", "--drop", "training/b.csv"))
    assert of_drop(run, "another") == run


def test_every_reason_has_its_words() -> None:
    assert set(NOT_RETRAINED) == set(RetrainingReason) - {RetrainingReason.ACCEPTED}
    assert set(NOT_TRAINED) == set(BudgetRefusal)
    assert set(NOT_JUDGED) == set(NoWindows)
    assert {"open", *NOT_RELEASED} == set(get_args(ReleaseOutcome))


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("ingest", {"detail": {"objects": [{"key": "electricity/labels/1997-05.csv"}]}}, "labels/1997-05.csv"),
        ("score", {}, "the newest drop"),
        ("train", {"reason": "alarm"}, "alarm"),
        ("train", {"detail": {"rows_total": 7}}, "first"),
        ("train", {}, "command"),
        ("retrain", {"detail": {"alarmName": "millrace-local-electricity-input-drift"}}, "alarm input-drift"),
        ("retrain", {"detail": {"alarms": ["millrace-local-electricity-error"]}}, "alarm error"),
        ("retrain", {"detail": {"schedule": "retrain"}}, "schedule"),
        ("release", {"detail": {"package_arn": "arn:aws:sagemaker:model-package/g/3"}}, "version 3"),
        ("release", {"rollback": {"to": "1"}}, "back to version 1"),
        ("release", {"rollback": {"reason": "r"}}, "back to the version before"),
        ("monitor", {"as_of": "1997-05-15T06:00:00Z"}, "windows until 1997-05-15"),
        ("of tomorrow", {}, ""),
        ("train", {"detail": "text"}, "command"),
    ],
)
def test_what_a_run_is_about(name: str, given: dict[str, Any], told: str) -> None:
    assert run_title(NAMES, name, given) == told


@pytest.fixture
def added(report: WorkloadReport, monkeypatch: pytest.MonkeyPatch) -> WorkloadReport:
    """The report as if an alarm on decisions without a label had been raised where the real one was."""
    alarm = replace(
        RATIO_ALARMS["error"],
        noun="share without a label",
        of_window=lambda window: 2 - 2 * window.error.labelled / window.error.answered if window.error else None,
    )
    monkeypatch.setitem(RATIO_ALARMS, "unlabelled", alarm)
    found = renewed(report)
    return replace(found, alarms=tuple(replace(alarm, name="unlabelled") for alarm in found.alarms))


def test_the_timeline_explains_it(added: WorkloadReport) -> None:
    entry = next(entry for entry in timeline(added) if entry.what == "Alarm: unlabelled")
    assert entry.detail == "share without a label 2.00 × its bound, from 7 May to 14 May"
    (calm,) = (entry.detail for entry in timeline(added) if entry.what.endswith("no new alarm"))
    assert "error at most 0.81" in calm
    assert "share without a label at most 2.00" in calm


@pytest.fixture
def watched(report: WorkloadReport) -> WorkloadReport:
    """The report with a run that could not read 3 decisions."""
    return unreadable(report)


def test_an_alarm_that_starts_nothing_is_on_the_timeline(watched: WorkloadReport) -> None:
    (starts_none,) = (alarm for alarm in watched.alarms if not alarm.starts_retraining)
    assert (starts_none.name, starts_none.at) == ("unreadable", watched.monitor_runs[-1].started)
    entries = [entry for entry in timeline(watched) if entry.what.startswith("Alarm: ")]
    assert len(entries) == len(watched.alarms)
    found = {entry.what: entry for entry in entries}
    assert found["Alarm: unreadable"].detail == "three unreadable decisions"
    assert found["Alarm: unreadable"].because.startswith("monitor")


def test_a_figure_that_stays_above_raises_no_second_alarm(report: WorkloadReport) -> None:
    first, *others = report.monitor_runs
    numbers = [2, 5, 0, 1, *(0 for _ in others[3:])]
    runs = [
        replace(run, report=run.report.model_copy(update={"unreadable": number}))
        for run, number in zip(report.monitor_runs, numbers, strict=True)
    ]
    raised = [alarm.at for alarm in raised_alarms(report.names, (), runs)]
    assert raised == [first.started, report.monitor_runs[3].started]
