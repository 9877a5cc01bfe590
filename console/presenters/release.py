"""How people read a run of `release`: the version, and whether it is live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from millrace.console.presenters.presenter import Document, Outcome, Presenter, RunSummary
from millrace.console.queries.drops import ReasonCount
from millrace.console.queries.executions import Execution, answer
from millrace.console.queries.report import WorkloadReport
from millrace.console.words import brief, count
from millrace.messages.climb import PhaseJudged
from millrace.messages.release import ReleaseAdvanced, ReleaseOutcome, ReleaseStarted, Rollback, SmokeTested


def _subject(given: Document, detail: Document) -> str:
    rollback = given.get("rollback")
    if isinstance(rollback, Mapping):
        return f"back to version {rollback['to']}" if rollback.get("to") else "back to the version before"
    version = detail.get("version") or str(detail.get("package_arn", "")).rpartition("/")[2]
    return f"version {version}" if version else ""


SERVES_AGAIN: tuple[ReleaseOutcome, ...] = ("done", "asleep")
"""With these a release that restores has only to see that the endpoint serves."""
NOT_RELEASED: Mapping[ReleaseOutcome, str] = {
    "done": "this version or a newer one is or was live",
    "outdated": "another version is live than the one that it was compared with",
    "busy": "another release runs",
    "behind": "another version answers copies first",
    "asleep": "the endpoint was asleep",
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
    if not advanced.watched_requests:
        return ["no request came while its fleet was watched"]
    return [f"{count(advanced.watched_requests, 'request')} came while its fleet was watched"]


def _stopped(run: Execution) -> str:
    """Why the version was stopped on a phase of its release; empty if it was not."""
    judged = answer(run, "judge_phase", PhaseJudged)
    return judged.because if judged and judged.answer == "stop" else ""


def _outcome(run: Execution, _: Sequence[ReasonCount]) -> Outcome:
    opened = answer(run, "start_release", ReleaseStarted)
    if opened is None:
        return Outcome()
    is_rollback = "rollback" in run.input
    if opened.outcome in SERVES_AGAIN and _restores(run):
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
        return Outcome(text=f"version {opened.version} is live again")
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


def _summary(run: Execution, report: WorkloadReport) -> RunSummary:
    opened, probed = answer(run, "start_release", ReleaseStarted), answer(run, "smoke_test", SmokeTested)
    version = opened.version if opened else ""
    if opened and opened.outcome in SERVES_AGAIN and _restores(run):
        return RunSummary(what=f"The endpoint serves version {version}", detail="", tone="good")
    if opened and opened.outcome != "open":
        why = opened.refusal or NOT_RELEASED[opened.outcome]
        return RunSummary(what=f"Version {version} not released", detail=why, tone="watch")
    detail = [*([probed.sentence] if probed else []), *_watched(run, opened)]
    if (rollback := run.input.get("rollback")) and opened:
        request = Rollback.model_validate(rollback)
        detail.insert(0, f"{request.reason} (requested by {brief(request.who)})")
        return RunSummary(what=f"Rolled back to version {version}", detail="; ".join(detail), tone="watch")
    # The previous version is `none` before the first release.
    stopped, advanced = _stopped(run), answer(run, "advance_release", ReleaseAdvanced)
    if advanced is None:
        return RunSummary(what=f"Version {version} not released", detail=stopped or "; ".join(detail), tone="watch")
    detail += [f"replaces version {opened.previous_version}"] if opened and opened.previous_version.isdigit() else []
    since = live_since(run, report)
    later = since if since != run.started.date() else None
    return RunSummary(what=f"Version {version} released", detail="; ".join(detail), tone="good", day=later)


PRESENTER = Presenter(subject=_subject, outcome=_outcome, summary=_summary)
