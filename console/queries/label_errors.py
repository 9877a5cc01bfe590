"""The labels that contradicted the model most, and what people said when they were asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from console.environment import Environment
from console.queries.executions import executions
from console.queries.monitoring import read_monitor_runs
from console.queries.reviews import find_items
from millrace.decisions.review import ReviewItem
from millrace.messages.asked_labels import LabelDoubted
from millrace.names import WorkloadNames

LOOKED_AT = 50
"""The newest monitor runs whose reports are read."""


@dataclass(frozen=True, kw_only=True)
class DoubtedLabel:
    """One label that a model contradicts."""

    label: LabelDoubted
    version: str
    """The model's."""
    item: ReviewItem | None
    """The question that a person got about the decision; None if nobody was asked."""

    @property
    def outcome(self) -> Literal["not asked", "asked before", "waits", "unanswered", "confirmed", "corrected"]:
        """`asked before`: a person gave it. `confirmed`: a person who did not know the label gave the same one."""
        if self.item is None:
            return "not asked"
        if self.item.reason != "label_error":
            return "asked before"
        if self.item.answer is None:
            return "waits" if self.item.status == "waiting" else "unanswered"
        value = self.item.answer.value
        return "confirmed" if (list(value) if isinstance(value, tuple) else value) == self.label.label else "corrected"


def find_label_errors(environment: Environment, names: WorkloadNames) -> list[DoubtedLabel]:
    """The doubted labels of the newest monitor runs, the newest run first, and the worst of each run first."""
    found = executions(environment.client("stepfunctions"), names, limit=LOOKED_AT, machines=("monitor",))
    runs = read_monitor_runs(environment.client("s3"), found)
    told = [
        (one, run.report.model_version)
        for run in sorted(runs, key=lambda run: run.started, reverse=True)
        if run.report.label_errors
        for one in run.report.label_errors.doubted
    ]
    items = find_items(environment, names, [one.id for one, _ in told])
    return [DoubtedLabel(label=one, version=version, item=items.get(one.id)) for one, version in told]
