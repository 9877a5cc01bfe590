"""How people read a run of `release`: the version, and whether it is live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from console.presenters.presenter import Document, Presenter, RunSummary
from console.queries.answers import answer
from millrace.messages.release import ReleaseStarted, SmokeTested

if TYPE_CHECKING:
    from console.queries.executions import Execution
    from console.queries.report import WorkloadReport


def _subject(given: Document, detail: Document) -> str:
    rollback = given.get("rollback")
    if isinstance(rollback, Mapping):
        return f"back to version {rollback['to']}" if rollback.get("to") else "back to the version before"
    version = detail.get("version") or str(detail.get("package_arn", "")).rpartition("/")[2]
    return f"version {version}" if version else ""


def _outcome(run: Execution) -> str:
    opened = answer(run, "start_release", ReleaseStarted)
    return "" if opened is None or opened.outcome == "open" else opened.outcome


def _summary(run: Execution, _: WorkloadReport) -> RunSummary:
    opened, probed = answer(run, "start_release", ReleaseStarted), answer(run, "smoke_test", SmokeTested)
    version = opened.version if opened else ""
    if opened and opened.outcome != "open":
        return RunSummary(what=f"Version {version} not released", detail=opened.outcome, tone="watch")
    detail = [probed.sentence] if probed else []
    detail += [f"replaces version {opened.previous_version}"] if opened and opened.previous_version.isdigit() else []
    return RunSummary(what=f"Version {version} released", detail="; ".join(detail), tone="good")


PRESENTER = Presenter(subject=_subject, outcome=_outcome, summary=_summary)
