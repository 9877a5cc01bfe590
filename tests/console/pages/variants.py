"""The stored report with other contents: each kind of thing that a page can show."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from math import nan
from pathlib import Path
from typing import Any

from millrace.console.pages.timeline import timeline
from millrace.console.queries.alarms import Limit
from millrace.console.queries.drops import ReasonCount
from millrace.console.queries.executions import Execution
from millrace.console.queries.report import WorkloadReport
from millrace.evaluation.evidence import Estimate, ForecastExample, PartFigures
from millrace.evaluation.report import ErrorMeaning, Evaluation, NaiveFigures
from millrace.messages.audit import RowsWithdrawn
from millrace.messages.monitor import ErrorReport
from millrace.messages.train import GateVerdict
from millrace.monitoring.alarms import RATIO_ALARMS
from tests.console.conftest import renewed, with_older_rows
from tests.console.executions import rejected, together

UNKNOWN = dict.fromkeys(RATIO_ALARMS)
LATER = timedelta(days=60)
"""From the release of version 2 to what a variant adds; the model of 1 July was refused before."""
PARTS = ("runs", "models", "monitor_runs", "windows", "champions", "alarms", "drops", "lineage", "usage")
FORECAST = ForecastExample(
    at="2026-05-01T06:00:00",
    entity="<north>",
    past_hours=(-2.0, -1.0, 0.0),
    past=(90.0, 95.0, 100.0),
    hours=(1.0, 2.0),
    value=(104.0, 106.0),
    lower=(100.0, 98.0),
    upper=(109.0, 118.0),
    truth=(103.0, 120.0),
)
AMOUNT = ErrorMeaning(name="mean absolute error", is_share=False, unit="µg/m³")


def bare(report: WorkloadReport) -> WorkloadReport:
    """A workload that was deployed and nothing else."""
    return replace(report, **dict.fromkeys(PARTS, ()), quarantined={})


def instead(report: WorkloadReport, **changes: Any) -> WorkloadReport:
    """With another live version in the place of the report's."""
    return replace(report, models=tuple(replace(x, **changes) if x is report.live else x for x in report.models))


def live(report: WorkloadReport, **changes: Any) -> WorkloadReport:
    """With changes of the live version's evaluation."""
    model = report.live
    assert model is not None
    assert model.evaluation is not None
    return instead(report, evaluation=model.evaluation.model_copy(update=changes))


def figures(report: WorkloadReport, *, naive: dict[str, float], champion: Any = None, **own: Any) -> WorkloadReport:
    """With other figures of the live version and of its naive rule."""
    assert report.live is not None
    assert report.live.evaluation is not None
    rule = NaiveFigures(rule="base_rate", rows=10, metrics=naive)
    return live(report, metrics=report.live.evaluation.metrics | own, naive=rule, champion=champion)


def gate(report: WorkloadReport, **changes: Any) -> WorkloadReport:
    """With changes of the live version's first gate."""
    model = report.live
    assert model is not None
    first, *others = model.version.gates
    return instead(report, version=replace(model.version, gates=(first.model_copy(update=changes), *others)))


def with_runs(report: WorkloadReport, *runs: Execution) -> WorkloadReport:
    return replace(report, runs=runs)


def released(report: WorkloadReport, *, version: str, previous: str, after: timedelta) -> Execution:
    """A release of the report again, of another version and later than the release of version 2."""
    last = report.of("release")[-1]
    opened = last.answer("start_release") | {"version": version, "previous_version": previous}
    output = last.output | {"start_release": last.output["start_release"] | {"answer": opened}}
    at = last.started + after
    return replace(last, arn=f"arn:{at}", output=output, started=at, stopped=at)


def rolled_back(run: Execution, **asked: object) -> Execution:
    return replace(run, input={**run.input, "rollback": {"reason": "wrong since noon", "who": "kim", **asked}})


def by_hand(report: WorkloadReport) -> WorkloadReport:
    """A version that was registered by hand: no run, no gates, no evaluation, no curve."""
    known = report.models[1].version
    version = replace(known, run="", snapshot_id="", rows=None, trained_at=None, reason="", live_at=None, gates=())
    return replace(bare(report), models=(replace(report.models[1], version=version, evaluation=None, epochs=()),))


def strange_drops(report: WorkloadReport) -> WorkloadReport:
    """A file refused whole, one with the bytes of another, one that came too late, one in the place of another."""
    empty = replace(report.drops[0], accepted=0, quarantined=0, reasons=())
    why = ReasonCount(reason="columns", rows=1, example="expected the columns a, b, got a")
    drops = (
        replace(empty, rejected="columns", reasons=(why,)),
        replace(empty, repeats="may.csv"),
        replace(empty, is_superseded=True),
        replace(empty, replaced=12_014),
    )
    return replace(report, drops=drops)


def of_amounts(report: WorkloadReport) -> WorkloadReport:
    """The same run, as if its task were a regression whose error alarm had been raised."""
    error = ErrorReport(answered=9, labelled=9, champions=9, error=120.0, ratio=1.25, settled=True)
    models = tuple(
        replace(model, evaluation=model.evaluation and model.evaluation.model_copy(update={"error": AMOUNT}))
        for model in report.models
    )
    runs = []
    for run in report.monitor_runs:
        *others, last = run.report.windows
        windows = (*others, last.model_copy(update={"error": error}))
        runs.append(replace(run, report=run.report.model_copy(update={"windows": windows}), error_bound=80.0))
    alarms = tuple(replace(alarm, name="error") for alarm in report.alarms)
    return replace(report, models=models, monitor_runs=tuple(runs), alarms=alarms)


def withdrawn(report: WorkloadReport) -> WorkloadReport:
    def record(at: int, **given: object) -> tuple[datetime, RowsWithdrawn]:
        details = {"by": "arn:x", "reason": "another meter"} | given
        return timeline(report)[at].at, RowsWithdrawn.model_validate(details)

    drop = record(1, drop="electricity/training/may.csv", rows=1200, labels=1)
    return replace(report, withdrawals=(drop, record(-1, drop="electricity/labels/may.csv", rows=1, labels=0)))


def thin(report: WorkloadReport) -> WorkloadReport:
    """A monitor run whose windows have too few decisions."""
    run = next(run for run in report.of("monitor") if any(each.arn == run.arn for each in report.monitor_runs))
    judged = next(each for each in report.monitor_runs if each.arn == run.arn)
    windows = tuple(
        window.model_copy(update={"input": window.input and window.input.model_copy(update={"ratio": None})})
        for window in judged.report.windows
    )
    few = replace(judged, report=judged.report.model_copy(update={"windows": windows}))
    return replace(bare(report), runs=(run,), monitor_runs=(few,))


def unknown(report: WorkloadReport, **changes: Any) -> WorkloadReport:
    """Windows of which no figure is known."""
    windows = tuple(replace(window, ratios=UNKNOWN, error=None, **changes) for window in report.windows)
    return replace(report, windows=windows)


def worse(report: WorkloadReport) -> WorkloadReport:
    """The live version's last decisions are worse than its test rows."""
    assert report.live is not None
    assert report.live.evaluation is not None
    expected = report.live.evaluation.metrics["error"]
    assert expected is not None
    first = replace(report.windows[-1], version="2", decisions=300, mean_error=expected + 0.1)
    return replace(report, windows=(first, replace(first, decisions=100, mean_error=expected - 0.1)))


def with_evidence(report: WorkloadReport) -> WorkloadReport:
    """With all that gates may have measured, as evidence.json holds it."""
    assert report.live is not None
    assert report.live.evaluation is not None
    measured = json.loads(Path(__file__).with_name("evidence.json").read_text())
    whole = Evaluation.model_validate(json.loads(report.live.evaluation.model_dump_json(by_alias=True)) | measured)
    return live(report, **{name: getattr(whole, name) for name in measured})


def of_forecast(report: WorkloadReport) -> WorkloadReport:
    parts = tuple(
        PartFigures(
            name=f"{hours} h",
            figures={"error": 10.0 + hours, "coverage": 0.912, "r2": 0.5},
            naive={"error": 20.0 + hours},
        )
        for hours in range(1, 73)
    )
    meaning = ErrorMeaning(name="mean absolute error", is_share=False, unit="MW")
    return live(report, parts=parts, error=meaning, examples=(FORECAST,), contenders=())


def of_labels(report: WorkloadReport) -> WorkloadReport:
    known = {"error": 0.05, "log_loss": 0.123, "auc": None, "f1": 0.8, "regret": 2.0}
    return live(report, parts=(PartFigures(name="damp", figures=known, naive={"log_loss": 0.3}),), contenders=())


def broken_link(report: WorkloadReport) -> WorkloadReport:
    drops = [link for link in report.lineage if link.what == "drop"]
    return replace(report, lineage=(drops[0], replace(drops[1], state="broken", detail="no such object"), drops[2]))


def unreadable(report: WorkloadReport) -> WorkloadReport:
    """An alarm that starts nothing: a run could not read 3 decisions."""
    *before, last = report.monitor_runs
    broken = replace(last, report=last.report.model_copy(update={"unreadable": 3}))
    return renewed(replace(report, monitor_runs=(*before, broken)))


def moves(report: WorkloadReport) -> WorkloadReport:
    """More releases, and a rollback."""
    runs = [
        released(report, version=str(number), previous=str(number - 1), after=LATER * number) for number in (3, 4, 5)
    ]
    back = released(report, version="4", previous="5", after=LATER * 5 + timedelta(hours=1))
    return replace(report, runs=(*report.runs, *runs, rolled_back(back)))


FIGURES = {"error": 0.05, "log_loss": 0.2}
UNNUMBERED = GateVerdict(name="fairness", passed=True, measured=1.0, bound=2.0, sentence="fair {north} enough")

VARIANTS: Mapping[str, Callable[[WorkloadReport], WorkloadReport]] = {
    "bare": bare,
    "no live version": lambda report: replace(bare(report), models=report.models[-1:]),
    "registered by hand": by_hand,
    "older rows": lambda report: with_older_rows(report, timedelta(days=731)),
    "rollback": lambda report: with_runs(report, rolled_back(report.of("release")[-1])),
    "brought back": lambda report: replace(
        report, champions=(*report.champions[:-1], replace(report.champions[-1], by_rollback=True))
    ),
    "moves": moves,
    "strange drops": strange_drops,
    "failed and running": lambda report: with_runs(
        report,
        replace(report.of("monitor")[0], arn="a", status="FAILED", output={}, failure="Boom: no bytes"),
        replace(report.of("monitor")[0], arn="b", status="RUNNING", output={}),
        replace(report.of("train")[0], arn="c", machine="audit"),
    ),
    "refused files": lambda report: with_runs(
        report,
        rejected(report.of("ingest")[-1]),
        together(report),
        replace(report.of("score")[0], output={}),
    ),
    "of amounts": of_amounts,
    "unreadable decisions": unreadable,
    "withdrawn rows": withdrawn,
    "thin windows": thin,
    "windows without figures": lambda report: unknown(report, labelled=0),
    "no bound": lambda report: unknown(report, labelled=9, error_bound=None),
    "worse decisions": worse,
    "limits": lambda report: replace(report, limits=(Limit(what="error watching is off", why="no bound was set"),)),
    "a gate that warns": lambda report: gate(report, is_warning=True, sentence="they only tie"),
    "a gate without a number": lambda report: gate(report, **UNNUMBERED.model_dump()),
    "close to the rule": lambda report: figures(report, naive={"error": 0.248}, error=0.245),
    "less right than the rule": lambda report: figures(report, naive=FIGURES, error=0.06, log_loss=0.17),
    "intervals": lambda report: live(
        report,
        metrics={"error": 0.1, "auc": 0.92, "recall": 0.8},
        intervals={"auc": Estimate(value=0.92, low=0.91, high=0.93), "recall": Estimate(value=0.8, low=nan, high=nan)},
    ),
    "evidence": with_evidence,
    "forecast": of_forecast,
    "labels": of_labels,
    "broken link": broken_link,
}
