"""The outcome of a run, of every machine: what it did, whether that is a refusal, and what to look at."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import pytest

from console.presenters.ingest import PRESENTER
from console.presenters.monitor import NOT_JUDGED
from console.presenters.outcome import outcome
from console.presenters.presenter import Outcome
from console.presenters.release import NOT_RELEASED
from console.presenters.retrain import NOT_RETRAINED
from console.presenters.run_title import titled
from console.presenters.train import NOT_TRAINED
from console.queries.answers import of_drop
from console.queries.executions import Execution
from console.queries.quarantine import ReasonCount
from console.queries.report import WorkloadReport
from millrace.contract.reasons import Reason
from millrace.messages.ingest import Ingested, RejectedDrop
from millrace.messages.monitor import NoWindows
from millrace.messages.release import ReleaseOutcome, ReleaseStarted
from millrace.messages.retrain import RetrainingReason
from millrace.messages.train import BudgetRefusal


def validated(run: Execution, *, state: str = "validation", **facts: Any) -> Execution:
    """The run of one drop with other facts in the validation's answer, or in that of another state."""
    (one,) = run.output[state]["answer"]["drops"]
    return replace(run, output={**run.output, state: {"answer": {"drops": [one | facts]}}})


def rejected(run: Execution, **facts: str) -> Execution:
    """The run of one drop that could not become rows."""
    drop = RejectedDrop(
        drop_id=run.name,
        feed="training",
        source="s3://b/k",
        source_digest="",
        reason=Reason.FOREIGN,
        **{"expected": "", "got": "", **facts},
    )
    return replace(run, output={"ingestion": {"answer": Ingested(outcome="rejected", rejected=(drop,)).model_dump()}})


def lines(report: WorkloadReport) -> list[str]:
    return [f"{titled(report.names, run)}: {outcome(run).text}".removesuffix(": ") for run in report.runs]


def test_each_execution_has_its_outcome(report: WorkloadReport) -> None:
    named = lines(report)
    assert "ingest training/1996-12.parquet: 1,488 accepted" in named
    assert [line for line in named if not line.startswith("ingest training/")] == [
        "train first: registered version 1",
        "release version 1: released version 1",
        "score scoring/week.csv: 335 predictions delivered, 1 quarantined",
        "monitor windows until 1997-04-15: 2 windows judged, drift 0.572 × its bound",
        "ingest labels/1997-04.csv: 1,440 accepted",
        "monitor windows until 1997-05-01: 3 windows judged, drift 0.456 × its bound, error 0.811 × its bound",
        "monitor windows until 1997-05-15: 2 windows judged, drift 224 × its bound",
        "retrain alarm input-drift: accepted, trigger alarm",
        "train alarm: registered version 2",
        "release version 2: released version 2",
        "ingest labels/1997-05.csv: 1,488 accepted, 48 quarantined",
        "monitor windows until 1997-06-01: 2 windows judged, drift 224 × its bound",
        "retrain alarm input-drift: not started: cool-down until 1997-06-19",
        "monitor windows until 1997-06-15: 2 windows judged, drift 224 × its bound",
        "retrain alarm input-drift: not started: cool-down until 1997-06-19",
        "ingest labels/1997-06.csv: 1,440 accepted",
        "monitor windows until 1997-07-01: 2 windows judged, drift 224 × its bound, error 0.868 × its bound",
        "retrain alarm input-drift: accepted, trigger alarm",
        "train alarm: refused by calibration, non_inferiority",
        "retrain schedule: not started: cool-down until 1997-08-05",
    ]


def test_what_did_not_do_what_it_was_started_for_is_a_refusal(report: WorkloadReport) -> None:
    refused = [titled(report.names, run) for run in report.runs if outcome(run).is_refused]
    assert refused == [
        "retrain alarm input-drift",
        "retrain alarm input-drift",
        "train alarm",
        "retrain schedule",
    ]


def test_quarantined_rows_name_their_reasons_and_the_command(report: WorkloadReport) -> None:
    run = next(run for run in report.of("ingest") if outcome(run).look)
    none = validated(run, rows_accepted=0, rows_quarantined=11_000, reasons={"type": 10_990, "range": 10})
    assert outcome(none) == Outcome(
        text="0 accepted, 11,000 quarantined (type 10,990, range 10)",
        is_refused=True,
        look=("quarantine", "--drop", "labels/1997-05.csv"),
    )
    assert not outcome(validated(run, rows_accepted=1, rows_quarantined=11_000)).is_refused


def test_rows_that_left_for_a_later_version_are_counted(report: WorkloadReport) -> None:
    run = next(run for run in report.of("ingest") if outcome(run).look)
    later = validated(run, rows_accepted=7, rows_quarantined=0, reasons={}, rows_replaced=12_014)
    assert outcome(later).text == "7 accepted in the place of 12,014 rows of an earlier version"
    same = {"rows_accepted": 0, "duplicate": True, "duplicate_of": "s3://b/a.csv?versionId=1", "rows_replaced": 1}
    assert (
        "no row added in the place of one row of an earlier version: the bytes" in outcome(validated(run, **same)).text
    )


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"rows_total": 8_996}, "; no training yet: one row is missing of the 8,997 that start the first one"),
        ({"rows_total": 1_000}, "; no training yet: 7,997 rows are missing of the 8,997"),
        ({"rows_total": 8_997}, ""),
        ({"rows_total": 8_996, "has_champion": True}, ""),
        ({"rows_total": 8_996, "feed": "labels"}, ""),
        (
            {"rows_total": 8_996, "duplicate": True, "duplicate_of": "s3://b/a.csv?versionId=1"},
            "; no training yet: one row",
        ),
    ],
)
def test_rows_that_are_too_few_for_the_first_training_are_told(
    facts: dict[str, Any], told: str, report: WorkloadReport
) -> None:
    run = next(run for run in report.of("ingest") if not outcome(run).look)
    text = outcome(validated(run, **{"has_champion": False, "first_rows": 8_997, **facts})).text
    assert ("no training yet" in text) == bool(told)
    assert told in text


def test_bytes_that_the_table_holds_already_are_no_refusal(report: WorkloadReport) -> None:
    run = report.of("ingest")[-1]
    alias = {"rows_accepted": 0, "duplicate": True, "duplicate_of": "s3://b/w/labels/june.csv?versionId=1"}
    assert outcome(validated(run, **alias)) == Outcome(text="no row added: the bytes of june.csv again")
    found = outcome(validated(run, **alias, refused_before=3))
    again = ("quarantine", "--drop", "june.csv", "--rows", "june-refused.csv")
    assert found == Outcome(text="no row added: the bytes of june.csv again", look=again)


def test_a_version_that_came_too_late_is_no_refusal(report: WorkloadReport) -> None:
    run = report.of("ingest")[-1]
    found = outcome(validated(run, rows_accepted=0, superseded_by="s3://b/w/june.csv?versionId=2"))
    assert found == Outcome(text="no row added: a later version of the same object came before")


def test_a_scored_file_says_where_its_predictions_are(report: WorkloadReport) -> None:
    (run,) = report.of("score")
    assert outcome(run).uri.startswith("s3://millrace-local-lake-123456789012-eu-west-1/electricity/predictions/")
    (one,) = run.output["delivery"]["answer"]["drops"]
    assert outcome(scored(run, [one | {"rows": 1, "quarantined": 0}])).text == "1 prediction delivered"


def test_a_file_without_predictions_is_not_named(report: WorkloadReport) -> None:
    """It is there, and holds no row."""
    (run,) = report.of("score")
    (one,) = run.output["delivery"]["answer"]["drops"]
    nothing = one | {"rows": 0, "quarantined": 336, "reasons": {"range": 336}}
    reasons = [ReasonCount(reason="range", rows=336, example="price: expected >= 0, got -1")]
    found = outcome(scored(run, [nothing]), reasons)
    assert (found.text, found.uri) == ("no prediction delivered, 336 quarantined (range 336)", "")
    assert (found.is_refused, found.detail) == (True, reasons[0].example)
    both = scored(run, [nothing | {"drop_id": name} for name in "ab"], keys="ab")
    assert outcome(both).text.startswith(
        "two drops: no prediction delivered, 672 quarantined (range 672); two refused: "
    )


def scored(run: Execution, drops: Sequence[dict[str, Any]], *, keys: Sequence[str] = ()) -> Execution:
    """The run with these drops delivered."""
    objects = [{"key": f"electricity/scoring/{name}.csv", "drop_id": name} for name in keys]
    given = {**run.input, "detail": {"feed": "scoring", "objects": objects}} if keys else run.input
    return replace(run, input=given, output={**run.output, "delivery": {"answer": {"drops": list(drops)}}})


RELEASED = ReleaseStarted(
    outcome="done",
    label="v2-1f0e4a",
    has_canary=False,
    package_arn="arn:p/2",
    version="2",
    run_name="r",
    image="i",
    model_data_url="s3://b/m",
    previous_version="1",
    has_live=True,
    has_challenger=False,
).model_dump()
WHOLE = "nothing accepted, the whole file quarantined (foreign)"
EARLY: list[tuple[str, str, dict[str, Any], str, bool]] = [
    (
        "monitor",
        "plan_windows",
        {"count": 0, "reason": "none_complete"},
        "nothing judged: no new window is complete; decisions for earlier windows are not judged again",
        False,
    ),
    ("monitor", "plan_windows", {"count": 0, "reason": "no_champion"}, "nothing judged: no version is live", False),
    (
        "release",
        "start_release",
        RELEASED,
        "not released: this version or a newer one is or was live",
        False,
    ),
]


def first(report: WorkloadReport, machine: str) -> Execution:
    return report.of(machine)[0]


@pytest.mark.parametrize(("machine", "state", "answer", "text", "is_refused"), EARLY)
def test_a_run_that_ended_early_gives_its_reason(
    report: WorkloadReport, machine: str, state: str, answer: dict[str, Any], text: str, is_refused: bool
) -> None:
    found = outcome(replace(first(report, machine), output={state: {"answer": answer}}))
    assert (found.text, found.is_refused) == (text, is_refused)


@pytest.mark.parametrize("machine", ["ingest", "score"])
def test_a_file_that_is_refused_whole_says_why(report: WorkloadReport, machine: str) -> None:
    run = first(report, machine)
    found = outcome(rejected(run))
    assert (found.text, found.is_refused, found.detail) == (WHOLE, True, "")
    found = outcome(rejected(run, expected="the columns a, b", got="the line 'x'"))
    assert found.detail == "expected the columns a, b, got the line 'x'"


def test_several_drops_are_one_outcome_and_each_has_its_own(report: WorkloadReport) -> None:
    run = together(report)
    assert outcome(run).text == "two drops: 1,440 accepted; one refused: training/b.csv"
    assert outcome(run).detail == "training/b.csv: " + WHOLE
    assert outcome(run).is_refused
    assert titled(report.names, run) == "ingest training/a.csv and 1 more"
    assert outcome(of_drop(run, "a")) == Outcome(text="1,440 accepted")
    refused = outcome(of_drop(run, "b"))
    assert (refused.text, refused.is_refused, refused.look) == (WHOLE, True, ("quarantine", "--drop", "training/b.csv"))
    assert of_drop(run, "another") == run


@pytest.mark.parametrize(
    ("accepted", "quarantined", "text", "warning"),
    [
        ([48] * 25, [0] * 25, "25 drops: 1,200 accepted", ""),
        (
            [48] + [0] * 24,
            [0] + [48] * 24,
            "25 drops: 48 accepted, 1,152 quarantined; 24 refused: training/1.csv, training/2.csv, training/3.csv "
            "and 21 more",
            "",
        ),
        (
            [48, 8, 9],
            [0, 40, 39],
            "three drops: 65 accepted, 79 quarantined",
            "two drops: training/1.csv: 83% of the rows refused",
        ),
    ],
)
def test_no_refusal_is_lost_among_many_drops(
    report: WorkloadReport, accepted: list[int], quarantined: list[int], text: str, warning: str
) -> None:
    run = grouped(
        report, *({"rows_accepted": a, "rows_quarantined": q} for a, q in zip(accepted, quarantined, strict=True))
    )
    found = outcome(run)
    assert (found.text, found.is_refused, found.warning) == (text, 0 in accepted, warning)


def test_rows_that_are_too_few_are_told_once_for_all_drops(report: WorkloadReport) -> None:
    few = {"feed": "training", "has_champion": False, "first_rows": 8_997}
    again = {"rows_accepted": 0, "duplicate": True, "duplicate_of": "s3://b/w/training/a.csv?versionId=1"}
    changes = [
        {"rows_accepted": 0, "rows_quarantined": 9, "rows_total": 40},
        {"rows_accepted": 48, "rows_total": 88},
        *({"rows_total": 88} | again for _ in range(2)),
    ]
    run = grouped(report, *(few | change for change in changes))
    found = outcome(run)
    assert f"{found.text}; {found.detail}; {found.warning}".count("no training yet") == 1
    assert "no training yet: 8,909 rows are missing of the 8,997" in found.text
    assert found.detail == "training/0.csv: 0 accepted, 9 quarantined"
    assert "no training yet" in outcome(of_drop(run, "3")).text, "asked for one drop it is said of that one"
    summary = PRESENTER.summary(run, report)
    assert summary
    assert summary.detail.count("no training yet") == 0


def test_two_versions_of_a_key_are_two_drops(report: WorkloadReport) -> None:
    run = grouped(report, {"rows_accepted": 48}, {"rows_accepted": 0, "superseded_by": "x"}, keys=["a", "a"])
    assert outcome(run).text == "two drops: 48 accepted"
    assert not outcome(run).is_refused


def test_predictions_of_several_drops_are_one_outcome(report: WorkloadReport) -> None:
    run = report.of("score")[-1]
    objects = [{"key": f"electricity/scoring/{name}.csv", "drop_id": name} for name in "ab"]
    (delivered,) = run.output["delivery"]["answer"]["drops"]
    drops = [
        delivered | {"drop_id": "a", "rows": 7, "quarantined": 0},
        delivered | {"drop_id": "b", "rows": 0, "quarantined": 3},
    ]
    found = outcome(
        replace(
            run,
            input={**run.input, "detail": {"feed": "scoring", "objects": objects}},
            output={"delivery": {"answer": {"drops": drops}}},
        )
    )
    assert found.text == "two drops: 7 predictions delivered, 3 quarantined; one refused: scoring/b.csv"
    assert (found.is_refused, found.look) == (True, ("quarantine",))


def grouped(report: WorkloadReport, *changes: dict[str, Any], keys: Sequence[str] = ()) -> Execution:
    """A run of several drops, with changes of what was committed of each."""
    run = report.of("ingest")[-1]
    names = keys or [str(at) for at in range(len(changes))]
    objects = [{"key": f"electricity/training/{key}.csv", "drop_id": str(at)} for at, key in enumerate(names)]
    (committed,) = run.output["validation"]["answer"]["drops"]
    drops = [committed | {"drop_id": str(at)} | change for at, change in enumerate(changes)]
    return replace(
        run,
        input={**run.input, "detail": {"feed": "training", "objects": objects}},
        output={"ingestion": {"answer": {"outcome": "parsed"}}, "validation": {"answer": {"drops": drops}}},
    )


def together(report: WorkloadReport) -> Execution:
    """A run of two drops, of which one became rows."""
    run = report.of("ingest")[-1]
    objects = [{"key": f"electricity/training/{name}.csv", "drop_id": name} for name in ("a", "b")]
    (committed,) = run.output["validation"]["answer"]["drops"]
    (refused,) = rejected(run).output["ingestion"]["answer"]["rejected"]
    answers = {
        "ingestion": {"outcome": "parsed", "parsed": [], "rejected": [refused | {"drop_id": "b"}]},
        "validation": {"drops": [committed | {"drop_id": "a"}]},
    }
    return replace(
        run,
        input={**run.input, "detail": {"feed": "training", "objects": objects}},
        output={name: {"answer": answer} for name, answer in answers.items()},
    )


@pytest.mark.parametrize(
    ("started_by", "reason", "text", "is_refused"),
    [
        ("first", "busy", "not started: another training runs", False),
        ("first", "release", "not started: the first version is being released", False),
        ("first", "champion_exists", "not started: a version is live already", False),
        ("command", "busy", "not started: another training runs", True),
        ("first", "budget", "not started: the budget has no room for it: up to 1.00 USD, 2.00 USD a month", True),
    ],
)
def test_a_training_that_was_not_needed_is_no_refusal(
    report: WorkloadReport, started_by: str, reason: str, text: str, is_refused: bool
) -> None:
    """Of several drops that are enough rows, each starts a first training: one of them trains."""
    budget = {"accepted": False, "reason": reason, "projected_usd": 1, "monthly_usd": 2}
    run = replace(first(report, "train"), output={"reason": started_by, "budget": {"answer": budget}})
    assert (outcome(run).text, outcome(run).is_refused) == (text, is_refused)


def test_a_rollback_differs_from_a_release(report: WorkloadReport) -> None:
    run = report.of("release")[-1]
    assert outcome(replace(run, input={**run.input, "rollback": {"reason": "worse"}})).text == "version 2 is live again"


def test_a_rollback_that_released_nothing_is_a_refusal(report: WorkloadReport) -> None:
    """A registered model that is delivered once more is none: its version is or was live."""
    again = replace(report.of("release")[-1], output={"start_release": {"answer": RELEASED}})
    assert not outcome(again).is_refused
    assert outcome(replace(again, input={**again.input, "rollback": {"reason": "worse"}})).is_refused


def test_a_version_that_was_compared_with_another_is_a_refusal(report: WorkloadReport) -> None:
    run = report.of("release")[-1]
    started = run.output["start_release"]["answer"] | {"outcome": "outdated", "refusal": "evaluated beside version 1"}
    outdated = replace(run, output={"start_release": {"answer": started}})
    assert outcome(outdated).text == "not released: another version is live than the one that it was compared with"
    assert outcome(outdated).is_refused


def test_a_restoration_of_an_endpoint_that_serves_already_is_no_refusal(report: WorkloadReport) -> None:
    again = replace(report.of("release")[-1], output={"start_release": {"answer": RELEASED}})
    run = replace(again, input={**again.input, "rollback": {"reason": "gone", "restores": True}})
    assert outcome(run).text == "the endpoint serves version 2"
    assert not outcome(run).is_refused


def test_every_reason_has_its_words() -> None:
    assert set(NOT_RETRAINED) == set(RetrainingReason) - {RetrainingReason.ACCEPTED}
    assert set(NOT_TRAINED) == set(BudgetRefusal)
    assert set(NOT_JUDGED) == set(NoWindows)
    assert {"open", *NOT_RELEASED} == set(get_args(ReleaseOutcome))


def test_a_machine_without_words_has_no_outcome(report: WorkloadReport) -> None:
    assert outcome(replace(first(report, "train"), machine="audit")) == Outcome()


def test_a_failure_says_its_error(report: WorkloadReport) -> None:
    error = "RolledBack: an alarm of the release"
    failed = replace(first(report, "release"), status="FAILED", output={}, failure=error)
    assert outcome(failed).text == f"failed, {error}"
    assert outcome(replace(first(report, "train"), status="RUNNING", output={})).text == "running"


def test_a_first_run_names_the_days_that_it_left_out(report: WorkloadReport) -> None:
    run = report.of("monitor")[0]
    answer = run.output["plan_windows"]["answer"] | {"days_left_out": 90}
    step = run.output["plan_windows"] | {"answer": answer}
    older = replace(run, output={**run.output, "plan_windows": step})
    assert outcome(older).text == f"{outcome(run).text}, decisions of 90 days before the first window left out"


def test_a_training_counts_the_labels_that_no_decision_fits(report: WorkloadReport) -> None:
    run = report.of("train")[0]
    step = run.output["snapshot"]
    left = replace(run, output={**run.output, "snapshot": step | {"answer": step["answer"] | {"unmatched": 3}}})
    assert outcome(left).text == "registered version 1, three labels without a decision left out"


@pytest.mark.parametrize(
    ("machine", "state", "accepted", "text"),
    [
        ("ingest", "validation", {"rows_accepted": 329, "rows_quarantined": 390}, "329 accepted, 390 quarantined"),
        ("score", "delivery", {"rows": 329, "quarantined": 390}, "329 predictions delivered, 390 quarantined"),
    ],
)
def test_a_drop_of_which_most_rows_are_refused_warns(
    report: WorkloadReport, machine: str, state: str, accepted: dict[str, int], text: str
) -> None:
    run = report.of(machine)[-1]
    most = validated(run, state=state, reasons={"type": 390}, **accepted)
    reasons = [ReasonCount(reason="type", rows=390, example="discount: expected a float64, got 'unknown'")]
    found = outcome(most, reasons)
    assert (found.text, found.is_refused) == (f"{text} (type 390)", False)
    assert found.warning == "54% of the rows refused, most by type: discount: expected a float64, got 'unknown'"
    assert outcome(most).line == f"{text} (type 390); warning: 54% of the rows refused"
    half = validated(run, state=state, **dict.fromkeys(accepted, 390))
    assert outcome(half, reasons).warning == ""


def test_a_drop_without_a_good_row_says_what_is_wrong_most_often(report: WorkloadReport) -> None:
    none = validated(report.of("ingest")[-1], rows_accepted=0, rows_quarantined=9)
    found = outcome(none, [ReasonCount(reason="type", rows=9, example="x: expected a float64, got 'a'")])
    assert (found.detail, found.warning, found.is_refused) == ("x: expected a float64, got 'a'", "", True)
    known = outcome(none, [ReasonCount(reason="duplicate_key", rows=9, example="id: expected a new key, got 'a'")])
    assert known.detail.startswith("id: expected a new key, got 'a'; a key is one row's for ever")


def test_a_registered_model_that_a_gate_warns_of_says_so(report: WorkloadReport) -> None:
    """The model is registered and released all the same: who declared that wants to know of it."""
    run = report.of("train")[0]
    judged = run.output["gating"]["answer"]
    warned = {"name": "simple", "passed": True, "is_warning": True, "measured": -0.1, "bound": 0.0,
              "sentence": "accuracy 92% against 99% of linear: the simple model is better"}  # fmt: skip
    answer = {**judged, "verdicts": [*judged["verdicts"], warned]}
    found = outcome(replace(run, output={**run.output, "gating": {"answer": answer}}))
    assert found.text == "registered version 1"
    assert found.warning == ("the gate simple warns: accuracy 92% against 99% of linear: the simple model is better")
    assert outcome(run).warning == ""
