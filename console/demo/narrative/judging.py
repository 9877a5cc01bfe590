"""The trainings and their candidates: curves, gates, calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from console.demo.answers import answer, reason_of
from console.demo.narrative.findings import Model
from console.pages.story import Bin, Candidate, Epoch, Gate, Training
from console.queries.executions import Execution
from millrace.evaluation.report import Evaluation
from millrace.messages.train import DatasetPinned, GatesJudged, GateVerdict, VersionRegistered

WANTED = {
    "finite_weights": "all finite",
    "calibration": "error ≤ {bound:g}",
    "latency": "p99 ≤ {bound:g} ms",
    "size": "≤ {bound:g} MB",
    "baseline": "error ≤ {bound:.3f}",
    "non_inferiority": "lower bound ≥ {bound:+.3g}",
}
MEASURED = {
    "finite_weights": "",
    "calibration": "{measured:.3f}",
    "latency": "{measured:.3f} ms",
    "size": "{measured:.3f} MB",
    "baseline": "{measured:.3f}",
    "non_inferiority": "{measured:+.4f}",
}


def trainings(runs: Sequence[Execution], models: Mapping[str, Model]) -> tuple[Training, ...]:
    """Those that made a model; `runs` are the executions of `train` in order of time."""
    return tuple(
        Training(
            version=_version(run),
            run=run.name,
            reason=reason_of(run),
            rows=pinned.rows,
            snapshot=pinned.snapshot_id,
            as_of=pinned.as_of,
            epochs=_epochs(models[run.name]),
        )
        for run in runs
        if run.name in models and (pinned := answer(run, "snapshot", DatasetPinned))
    )


def candidates(runs: Sequence[Execution], evaluations: Mapping[str, Evaluation]) -> tuple[Candidate, ...]:
    """Those that came before the gates."""
    return tuple(
        Candidate(
            name=_name(run),
            gates=tuple(map(_gate, gated.verdicts)),
            note=_note(evaluations[run.name]) if run.name in evaluations else "",
            reliability=_reliability(evaluations[run.name]) if run.name in evaluations else (),
        )
        for run in runs
        if (gated := answer(run, "gating", GatesJudged))
    )


def _version(run: Execution) -> str:
    registered = answer(run, "registration", VersionRegistered)
    return registered.version if registered else ""


def _name(run: Execution) -> str:
    version = _version(run)
    return f"Version {version}" if version else f"Candidate of {run.started:%-d %B %Y}"


def _epochs(model: Model) -> tuple[Epoch, ...]:
    """Counted from 1; an epoch whose loss is no number has no place on paper."""
    return tuple(
        Epoch(**epoch.model_dump(exclude={"epoch"}), epoch=epoch.epoch + 1)
        for epoch in model.epochs
        if math.isfinite(epoch.train_loss) and math.isfinite(epoch.validation_loss)
    )


def _gate(verdict: GateVerdict) -> Gate:
    """A gate that this file does not know says its own sentence."""
    return Gate(
        name=verdict.name.replace("non_inferiority", "non-inferiority").replace("_", " "),
        wanted=_filled(WANTED, verdict, verdict.sentence),
        measured=_filled(MEASURED, verdict, ""),
        passed=verdict.passed,
    )


def _filled(texts: Mapping[str, str], verdict: GateVerdict, otherwise: str) -> str:
    if verdict.measured is None or verdict.bound is None:
        return otherwise
    return texts.get(verdict.name, otherwise).format(measured=verdict.measured, bound=verdict.bound)


def _note(evaluation: Evaluation) -> str:
    champion, said_as = evaluation.champion, evaluation.error.quality
    own, naive = said_as(evaluation.metrics["error"]), said_as(evaluation.naive.metrics["error"])
    test = f"{evaluation.rows.test:,} rows from {_day(evaluation.split.from_)} on, which it never saw"
    said = f"On the {test}: {own}; the naive rule {naive}."
    if champion is None:
        return said
    return (
        f"{said} Beside version {champion.model_version} on {champion.rows:,} recent rows: "
        f"{said_as(champion.challenger_error)} against {said_as(champion.error)}."
    )


def _day(text: str) -> str:
    return f"{datetime.fromisoformat(text):%-d %B %Y}"


def _reliability(evaluation: Evaluation) -> tuple[Bin, ...]:
    bins = (Bin(confidence=one.confidence, accuracy=one.accuracy, rows=one.rows) for one in evaluation.reliability)
    return tuple(one for one in bins if math.isfinite(one.confidence) and math.isfinite(one.accuracy))
