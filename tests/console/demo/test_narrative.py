"""The story that a real run tells; figures are compared with what its functions answered."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from console.demo.narrative.bill import costs
from console.demo.narrative.findings import Findings, count_reasons
from console.demo.narrative.judging import candidates
from console.demo.narrative.lineage import lineage
from console.demo.narrative.story import question_of, tell
from console.demo.narrative.summary import Measured
from console.demo.narrative.timeline import Lived, happenings
from console.demo.narrative.watching import reigns, windows
from console.demo.run import FOLDER, NAMES
from console.pages.page import page
from console.pages.story import Story
from millrace.decisions.record import Decision


@pytest.fixture
def story(lived: Lived) -> Story:
    question = question_of(FOLDER / "workload.yaml")
    return tell(lived, NAMES, question=question, measured=Measured(seconds=52.1, api_calls=2527))


def test_the_question_is_the_workloads(story: Story, tmp_path: Path) -> None:
    assert story.question.startswith("Will the price of electricity")
    bare = tmp_path / "trees" / "workload.yaml"
    bare.parent.mkdir()
    bare.write_text("name: trees\n")
    assert question_of(bare) == "trees"


def test_what_happened_is_told_in_order_and_the_quiet_weeks_in_one_line(story: Story) -> None:
    assert [happening.what for happening in story.happenings] == [
        "Three files with labels came in",
        "First training: version 1",
        "Version 1 released",
        "scoring/week.csv was scored",
        "1,488 decisions, nothing moved",
        "Alarm: input drift",
        "Retraining accepted",
        "Training: version 2",
        "Version 2 released",
        "816 decisions",
        "labels/1997-05.csv came in with bad rows",
        "The alarm stays: input drift",
        "Retraining refused: cool-down",
        "Retraining refused: cool-down",
        "The alarm stays: input drift",
        "Retraining accepted",
        "Training: model refused by calibration and non-inferiority",
        "Retraining refused: cool-down",
    ]


def test_refusals_and_quarantine_say_why(story: Story) -> None:
    details = {happening.what: happening.detail for happening in story.happenings}
    assert details["labels/1997-05.csv came in with bad rows"] == (
        "1,488 rows accepted, 48 quarantined (duplicate key): timestamp: expected a key that comes once, "
        "came 1997-05-04 00:00:00, first on line 146"
    )
    assert "1 quarantined (range): nswdemand: expected <= 1, came 17.5" in details["scoring/week.csv was scored"]
    assert details["Retraining refused: cool-down"].endswith("35 days of cool-down; earliest 5 August 1997")
    assert (
        "expected calibration error 0.2032; at most 0.15 asked"
        in (details["Training: model refused by calibration and non-inferiority"])
    )
    assert details["Alarm: input drift"] == (
        "vicprice, vicdemand and transfer: never moved in training, 336 of 336 rows differ, from 7 May to 14 May"
    )


def drops(lived: Lived) -> list[str]:
    return [drop.name for drop in tell(lived, NAMES, question="?", measured=Measured(seconds=1, api_calls=1)).drops]


def test_what_came_in_stands_in_order_though_it_was_read_side_by_side(lived: Lived) -> None:
    first, second, third, *_ = lived.of("ingest")
    swapped = {first.arn: replace(first, started=third.started), third.arn: replace(third, started=first.started)}
    names = ["training/1996-09.parquet", "training/1996-11.parquet", "training/1996-12.parquet", "scoring/week.csv"]
    assert drops(replace(lived, executions={**lived.executions, **swapped}))[:4] == names
    later = replace(first, started=second.stopped + timedelta(seconds=2), stopped=second.stopped + timedelta(seconds=3))
    assert drops(replace(lived, executions={**lived.executions, first.arn: later}))[:4] != names


def test_the_rows_of_a_drop_are_counted(story: Story) -> None:
    came = {drop.name: (drop.accepted, drop.quarantined) for drop in story.drops}
    assert came["scoring/week.csv"] == (335, 1)
    assert came["labels/1997-05.csv"] == (1488, 48)


def test_causes_are_told(story: Story) -> None:
    because = {happening.what: happening.because for happening in story.happenings}
    assert because["Version 2 released"] == "train (alarm)"
    assert because["Alarm: input drift"] == "monitor"
    assert because["816 decisions"] == ""
    details = {happening.what: happening.detail for happening in story.happenings}
    assert details["816 decisions"] == "about 15 May to 31 May, by version 2"


def test_the_summary_says_the_alarm_and_what_was_refused(story: Story) -> None:
    assert story.summary.startswith("11,472 labelled rows came in and trained version 1: 87% right")
    assert "On 15 May 1997 an alarm went off, input drift (vicprice" in story.summary
    assert "Version 2 was trained and released on 15 May." in story.summary
    assert "The model trained on 1 July did not pass (calibration and non-inferiority)" in story.summary
    assert "Three requests for a retraining were refused" in story.summary


def test_the_figures_are_counted_not_told_by_heart(story: Story, lived: Lived) -> None:
    figures = {fact.what: fact.figure for fact in story.facts}
    assert figures["decisions answered"] == f"{sum(answer.rows for answer in lived.answers):,}" == "2,304"
    assert figures["trained models released"] == "2 of 3"
    assert figures["rows quarantined with their reasons"] == "49"
    assert figures["calls to AWS's API"] == "2,527"


def test_a_window_is_one_though_several_reports_looked_at_it(story: Story) -> None:
    """Its input is of the first report on it, its error of the last."""
    assert len({(window.start, window.end) for window in story.windows}) == len(story.windows)
    found = {window.start: window for window in story.windows}
    moved, calm = found[date(1997, 5, 7)], found[date(1997, 4, 16)]
    assert (moved.drift, moved.column, moved.error, moved.version) == (224, "vicprice", None, "1")
    assert calm.error == pytest.approx(0.2619048 / 0.282738, rel=1e-4)
    assert calm.error_in_a_row == pytest.approx(0.8105263)


def test_a_window_that_only_makes_up_a_row_is_left_out(lived: Lived, story: Story) -> None:
    looked_at = {window.start.date() for report in lived.findings.reports.values() for window in report.windows}
    assert date(1997, 3, 12) in looked_at
    assert date(1997, 3, 12) not in {window.start for window in story.windows}
    assert windows(lived.of("monitor"), {}, {}) == ()


def test_who_decided_on_which_days(lived: Lived) -> None:
    assert [(reign.version, reign.start, reign.end) for reign in reigns(lived.answers)] == [
        ("1", date(1997, 4, 15), date(1997, 5, 15)),
        ("2", date(1997, 5, 15), date(1997, 6, 1)),
    ]
    fallback = [replace(answer, versions=()) for answer in lived.answers]
    assert reigns(fallback) == ()


def test_windows_without_an_error_and_a_model_of_too_early_labels_are_explained(story: Story) -> None:
    said = " ".join(story.notes)
    assert "from 30 April to 21 May have labels but no error" in said
    assert "The model of 15 May 1997 was trained on labels up to 1 May" in said
    assert "The model of 1 July" not in said


def test_candidates_have_their_gates_and_their_calibration(story: Story) -> None:
    names = [candidate.name for candidate in story.candidates]
    assert names == ["Version 1", "Version 2", "Candidate of 1 July 1997"]
    refused = story.candidates[2]
    assert [gate.name for gate in refused.gates if not gate.passed] == ["calibration", "non-inferiority"]
    assert {gate.name: (gate.wanted, gate.measured) for gate in refused.gates}["calibration"] == (
        "error ≤ 0.15",
        "0.203",
    )
    assert sum(one.rows for one in refused.reliability) == 1344
    assert "63.5% right" in refused.note


def test_a_gate_without_a_number_and_an_unknown_gate_say_their_sentence(lived: Lived) -> None:
    run = lived.of("train")[0]
    verdicts = [
        {"name": "baseline", "passed": False, "measured": None, "bound": 0.6, "sentence": "accuracy nan"},
        {"name": "fairness", "passed": True, "measured": 1.0, "bound": 2.0, "sentence": "fair enough"},
    ]
    odd = replace(run, output=run.output | {"gating": {"answer": {"passed": False, "verdicts": verdicts}}})
    (candidate,) = candidates([odd], {})
    assert [(gate.name, gate.wanted) for gate in candidate.gates] == [
        ("baseline", "accuracy nan"),
        ("fairness", "fair enough"),
    ]


def test_the_chain_of_a_decision_holds_from_the_file_on(story: Story, lived: Lived) -> None:
    whats = [link.what for link in story.lineage]
    assert whats == [
        "file",
        "dataset version",
        "training run",
        "model",
        "model version",
        "release on record",
        "decision",
    ]
    assert story.lineage[0].identity == "labels/1997-04.csv"
    assert not any("NOT the same" in link.detail for link in story.lineage)


def test_a_model_that_is_not_what_the_package_says_is_seen(lived: Lived) -> None:
    models = {run: replace(model, digest="0" * 64) for run, model in lived.findings.models.items()}
    chain = lineage(list(lived.executions.values()), replace(lived.findings, models=models))
    assert [link.what for link in chain if "NOT the same" in link.detail] == ["model"]


def test_without_a_decision_of_a_model_there_is_no_chain(lived: Lived, findings: Findings) -> None:
    assert findings.kept is not None
    nobodys: Decision = replace(findings.kept.decision, model_version=None)
    kept = replace(findings.kept, decision=nobodys)
    assert lineage(list(lived.executions.values()), replace(findings, kept=kept)) == ()
    assert lineage(list(lived.executions.values()), replace(findings, kept=None)) == ()


def test_the_bill_is_quantity_times_price(findings: Findings) -> None:
    bill = {cost.what: cost for cost in costs(findings.usage)}
    endpoint, steps = bill["live endpoint, ml.m5.large"], bill["Step Functions"]
    assert findings.usage.endpoint is not None
    assert endpoint.usd == pytest.approx(findings.usage.endpoint.hours * 0.115 * 1.2)
    assert steps.usd == pytest.approx(findings.usage.transitions * 0.025 / 1000)
    assert [cost.usd for cost in costs(findings.usage)] == sorted((cost.usd for cost in bill.values()), reverse=True)
    assert all("2026" in cost.source for cost in bill.values())


def test_without_an_endpoint_none_is_on_the_bill(findings: Findings) -> None:
    usage = replace(findings.usage, endpoint=None, jobs=())
    assert [cost.what for cost in costs(usage)] == ["Step Functions", "S3 requests", "Lambda"]


def test_reasons_are_counted_by_run() -> None:
    rows = [
        {"run": "a", "reason": "range", "detail": "x: expected <= 1, came 2"},
        {"run": "b", "reason": "range", "detail": "x: expected <= 1, came 3"},
        {"run": "a", "reason": "type", "detail": "x: expected a number, came y"},
        {"run": "a", "reason": "range", "detail": "x: expected <= 1, came 4"},
    ]
    counted = count_reasons(rows)
    assert [(one.reason, one.rows, one.example) for one in counted["a"]] == [
        ("range", 2, "x: expected <= 1, came 2"),
        ("type", 1, "x: expected a number, came y"),
    ]
    assert count_reasons([]) == {}


def test_what_is_not_known_is_left_out(lived: Lived) -> None:
    """A run that was stopped after its deployment: nothing happened, and nothing is told."""
    usage = replace(lived.findings.usage, jobs=(), endpoint=None, invocations=0, gb_seconds=0, transitions=0, calls={})
    empty = replace(
        lived.findings,
        reports={},
        evaluations={},
        models={},
        refused={},
        packages={},
        kept=None,
        records=(),
        usage=usage,
    )
    bare = Lived(steps=[], executions={}, answers=[], findings=empty)
    story = tell(bare, NAMES, question="?", measured=Measured(seconds=1, api_calls=0))
    assert (story.summary, story.windows, story.happenings, story.lineage) == ("", (), (), ())
    assert happenings(bare) == ()
    assert "<section" in page(story)


def test_the_page_of_the_story_has_every_part(story: Story) -> None:
    html = page(story)
    for part in ("watched", "happened", "arrived", "trained", "judged", "traced", "ran", "paid"):
        assert f'id="{part}"' in html
    assert "http:" not in html
    assert "https:" not in html
