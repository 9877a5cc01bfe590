"""How people read a run of `teardown`: what it leaves. The audit says what it removed."""

from __future__ import annotations

from millrace.console.presenters.presenter import Outcome, Presenter, RunSummary

LEFT = "rules, schedules and the queue of drops are off; the stacks are left"

PRESENTER = Presenter(
    subject=lambda _, __: "",
    outcome=lambda _, __: Outcome(text=LEFT),
    summary=lambda run, _: RunSummary(what=run.machine, detail=LEFT),
)
