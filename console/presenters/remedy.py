"""What helps after a failure: a redrive repeats the failed step on the same input, which heals some failures only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from console.queries.failures import error_type
from console.queries.history import Step
from console.queries.runs import RunDetail

DECLARATION = (
    "the same declaration fails again: correct workload.yaml or contract.yaml, or drop the rows that they need, "
    "deploy, then start a new run"
)
UNHEALED: Mapping[str, str] = {
    "ConfigurationError": DECLARATION,
    "WorkloadError": DECLARATION,
    "SettingsError": DECLARATION,
    "SnapshotError": (
        "the same rows fail again: drop the rows that it lacks, or change `training` in workload.yaml and deploy, "
        "then start a new run"
    ),
    "ArtefactError": "the same artefact fails again: a new run makes another",
}
"""By the class of the error: why a redrive fails as the run did, and what helps."""
PURPOSE = "the machine ended it on purpose, and a redrive ends the same way: mend the cause, then start a new run"
ENDED = ("FAILED", "TIMED_OUT", "ABORTED")


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """What a person can do about a failed run."""

    advice: str
    words: tuple[str, ...]
    """After `millrace`: the command that follows the advice."""


def find_remedy(detail: RunDetail, broken: Step | None, *, short: str) -> Remedy | None:
    """None for a run that has not failed. `short` is the name by which commands find the run."""
    if detail.run.status not in ENDED:
        return None
    new = ("rerun", short, "--new")
    kind = error_type(broken.error if broken else detail.error, broken.cause if broken else detail.cause)
    if why := UNHEALED.get(kind):
        return Remedy(advice=why, words=new)
    if broken and broken.kind == "Fail":
        return Remedy(advice=PURPOSE, words=new)
    if detail.redrivable:
        return Remedy(advice="goes on from the step that failed, once its cause is mended", words=("rerun", short))
    return Remedy(advice=f"it cannot go on ({detail.why_not_redrivable}): starts a new run", words=new)
