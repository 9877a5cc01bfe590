"""How people read a run of `train`: why it started, and the version that it made or the gates that refused it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from millrace.console.presenters.presenter import Document, Outcome, Presenter
from millrace.console.queries.drops import ReasonCount
from millrace.console.queries.executions import Execution, answer, trained_for
from millrace.console.queries.report import WorkloadReport
from millrace.console.words import brief, count
from millrace.messages.climb import PhaseJudged
from millrace.messages.release import ReleaseAdvanced, ReleaseOutcome, ReleaseStarted, Rollback
from millrace.messages.train import (
    BudgetChecked,
    BudgetRefusal,
    Corrections,
    DatasetPinned,
    GatesJudged,
    VersionRegistered,
)


def _subject(given: Document, detail: Document) -> str:
    if "external_model" in given:
        return "an external model"
    if "pulled" in given:
        return f"version {str(given['pulled']).rpartition('/')[2]} of another stage"
    # `rows_total` is in the detail of `dataset.committed`, the event that starts the first training.
    return str(given.get("reason") or ("first" if "rows_total" in detail else "command"))


NOT_TRAINED: Mapping[BudgetRefusal, str] = {
    BudgetRefusal.CHAMPION_EXISTS: "a version is live already",
    BudgetRefusal.RELEASE: "the first version is being released",
    BudgetRefusal.BUSY: "another training runs",
    BudgetRefusal.CORRECTIONS: "more labels are corrected than allowed",
    BudgetRefusal.BUDGET: "the budget has no room for it",
}
"""Why a training was not started, in words."""


def _outcome(run: Execution, _: Sequence[ReasonCount]) -> Outcome:
    budgeted, gated = answer(run, "budget", BudgetChecked), answer(run, "gating", GatesJudged)
    registered = answer(run, "registration", VersionRegistered)
    if budgeted and not budgeted.accepted:
        return _not_started(run, budgeted)
    pinned = answer(run, "snapshot", DatasetPinned)
    waiting = f"{_corrected(pinned)}{_waiting(pinned)}"
    step = gated.next_step if gated else None
    advice, then = (step.sentence, step.words) if step else ("", ())
    if registered:
        text, warning = f"registered version {registered.version}{waiting}", warnings_of(gated)
        return Outcome(text=text, warning=warning, advice=advice, then=then)
    if gated is None:
        return Outcome()
    refusals = ", ".join(verdict.name for verdict in gated.refusals)
    return Outcome(
        text=f"refused by {refusals}{waiting}",
        detail="; ".join(verdict.sentence for verdict in gated.refusals),
        is_refused=True,
        look=("versions",),
        advice=advice,
        then=then,
    )


def warnings_of(gated: GatesJudged | None) -> str:
    """The warnings of gates that passed the model, for example that a simple model is better; empty for none."""
    warned = [verdict for verdict in gated.verdicts if verdict.is_warning] if gated else []
    return "; ".join(f"the gate {verdict.name} warns: {verdict.sentence}" for verdict in warned)


def _waiting(pinned: DatasetPinned | None) -> str:
    """How many late labels were left out because their decision is not known; empty if there are none."""
    return f", {count(pinned.unmatched, 'label')} without a decision left out" if pinned and pinned.unmatched else ""


def _corrected(pinned: DatasetPinned | None) -> str:
    """How many labels are others than when the live version was trained; empty if there are none."""
    if pinned is None or not pinned.corrections.rows:
        return ""
    return f", {count(pinned.corrections.rows, 'label')} corrected ({extent(pinned.corrections)})"


def extent(corrections: Corrections) -> str:
    """How far the labels have changed: the share of them, and of numbers how far they moved."""
    said = [f"{corrections.share:.1%}"]
    if corrections.moved is None:
        said.append("all were equal before")
    elif corrections.moved > corrections.share:
        said.append(f"moved by {corrections.moved:.1%} of their spread")
    if corrections.unmeasured:
        said.append(f"{count(corrections.unmeasured, 'number')} missing or not finite: {corrections.first_unmeasured}")
    return "; ".join(said)


def _not_started(run: Execution, budgeted: BudgetChecked) -> Outcome:
    """The outcome of a training that was not started.

    Rows that are ingested during the first training, or just after it, start such a run. It is needless rather than
    refused."""
    reason = budgeted.reason
    is_needless = trained_for(run) == "first" and reason not in (BudgetRefusal.BUDGET, BudgetRefusal.CORRECTIONS)
    figures = ""
    if reason is BudgetRefusal.CORRECTIONS:
        pinned = answer(run, "snapshot", DatasetPinned)
        allowed = f", {pinned.corrections.bound:.1%} allowed" if pinned else ""
        text = f"held: {NOT_TRAINED[reason]}{_corrected(pinned)}{allowed}"
        return Outcome(text=text, is_refused=True, look=("train", "--accept-corrections"))
    if reason is BudgetRefusal.BUDGET:
        figures = f": up to {budgeted.projected_usd:.2f} USD, {budgeted.monthly_usd:.2f} USD a month"
    text = f"not started: {NOT_TRAINED[reason] if reason else 'refused'}{figures}"
    return Outcome(text=text, is_refused=not is_needless, look=("cost",) if figures else ())


TRAIN = Presenter(subject=_subject, outcome=_outcome, tone="good")


def _version_of_release(given: Document, detail: Document) -> str:
    rollback = given.get("rollback")
    if isinstance(rollback, Mapping):
        return f"back to version {rollback['to']}" if rollback.get("to") else "back to the version before"
    version = detail.get("version") or str(detail.get("package_arn", "")).rpartition("/")[2]
    return f"version {version}" if version else ""


NOT_RELEASED: Mapping[ReleaseOutcome, str] = {
    "done": "this version or a newer one is or was live",
    "outdated": "another version is live than the one that it was compared with",
    "busy": "another release runs",
    "behind": "another version answers copies first",
    "unapproved": "a person has to approve it",
    "refused": "a person has refused it",
}
"""Why a version was not released, in words."""


def _restores(run: Execution) -> bool:
    """Whether the run restores the endpoint of the live version."""
    rollback = run.input.get("rollback")
    return isinstance(rollback, Mapping) and rollback.get("restores") is True


def _watched(run: Execution, opened: ReleaseStarted | None) -> list[str]:
    """How many requests the alarms of the release have judged. Without any they say nothing of the version.

    Empty for the first version, which replaces none and has no such alarms."""
    advanced = answer(run, "advance_release", ReleaseAdvanced)
    if advanced is None or opened is None or not opened.has_live:
        return []
    came = count(advanced.watched_requests, "request") if advanced.watched_requests else "no request"
    return [f"{came} came while its fleet was watched"]


def _stopped(run: Execution) -> str:
    """Why the version was stopped on a phase of its release; empty if it was not."""
    judged = answer(run, "judge_phase", PhaseJudged)
    return judged.because if judged and judged.answer == "stop" else ""


def _outcome_of_release(run: Execution, _: Sequence[ReasonCount]) -> Outcome:
    opened = answer(run, "start_release", ReleaseStarted)
    if opened is None:
        return Outcome()
    is_rollback = "rollback" in run.input
    if opened.outcome == "done" and _restores(run):
        return Outcome(text=f"the endpoint serves version {opened.version}")
    if opened.outcome != "open":
        # `done` and `busy` refuse nothing that an event started: it came twice, or another release has its turn. A
        # person who started a rollback did not get what it was for.
        is_refused = is_rollback or opened.outcome in ("outdated", "refused")
        if opened.outcome == "unapproved":
            then = ("approve", opened.version, "--reason", "why", "--wait")
            text = f"not released: {NOT_RELEASED[opened.outcome]}"
            return Outcome(text=text, advice="look at its card, then approve or refuse it", then=then)
        why = opened.refusal if opened.outcome == "refused" else NOT_RELEASED[opened.outcome]
        return Outcome(text=f"not released: {why}", is_refused=is_refused)
    if is_rollback:
        asked = Rollback.model_validate(run.input["rollback"])
        why = f"{asked.reason} (requested by {brief(asked.who)})"
        return Outcome(text=f"version {opened.version} is live again", detail=why)
    stopped = _stopped(run)
    if stopped and answer(run, "advance_release", ReleaseAdvanced) is None:
        return Outcome(text=f"not released: {stopped}", is_refused=True)
    back = [f"then the version before comes back: {stopped}"] if stopped else []
    return Outcome(text="; ".join([f"released version {opened.version}", *_watched(run, opened), *back]))


def live_since(run: Execution, report: WorkloadReport) -> date | None:
    """The day on which the version of a release went live, which may be weeks after its start; None if not known."""
    opened = answer(run, "start_release", ReleaseStarted)
    periods = [one for one in report.champions if opened and one.version == opened.version]
    return next((one.start for one in periods if one.start >= run.started.date()), None)


RELEASE = Presenter(subject=_version_of_release, outcome=_outcome_of_release, tone="good", day=live_since)
