"""What helps after a failure. A redrive repeats the failed step with the same input, which heals only some failures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from millrace.console.queries.executions import error_type, is_of_child
from millrace.console.queries.runs import RunDetail
from millrace.console.queries.steps import Step
from millrace.messages.execution import UNWANTED

START_NEW = ", then start a new run"
DECLARATION = (
    "the same declaration fails again: correct workload.yaml or contract.yaml, or drop the rows that they need, "
    f"deploy{START_NEW}"
)
"""The remedy for errors in the declaration or the contract."""
UNHEALED: Mapping[str, str] = {
    "ConfigurationError": DECLARATION,
    "WorkloadError": DECLARATION,
    "SettingsError": DECLARATION,
    "SnapshotError": (
        "the same rows fail again: drop the rows that it lacks, or change `training` in workload.yaml and "
        f"deploy{START_NEW}"
    ),
    "TrainingError": (
        "the same rows and seed go astray again: change `training` in workload.yaml (a lower learning rate, another "
        f"batch size) and deploy{START_NEW}"
    ),
    "AnswerError": "the same answers fail again: release another version of the model, then start a new run",
    "PreflightError": (
        "the same version fails again on the same instance: train or register another, or declare another instance "
        f"and deploy{START_NEW}"
    ),
    "OvertakenError": "another version is live, or served, than when it began: a new run begins with that one",
    "ArtefactError": "the same artefact fails again: a new run makes another",
}
"""By the class of the error: why a redrive fails in the same way, and what helps."""
PURPOSE = "the machine ended it on purpose, and a redrive ends the same way: mend the cause, then start a new run"
"""The remedy for a run that the machine itself ended as failed."""
WAITED = "the run that it waited for failed, and redriven it starts a new one: {why}"
"""The remedy for a run that waited for another run, which failed."""


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """What a person can do about a failed run."""

    advice: str
    words: tuple[str, ...]
    """The command that follows the advice, in words after `millrace`."""


def find_remedy(detail: RunDetail, broken: Step | None, *, short: str) -> Remedy | None:
    """What a person can do about the run; None if it has not failed.

    `broken` is the state that failed, if there is one. `short` is the name by which commands find the run."""
    if detail.run.status not in UNWANTED:
        return None
    new = ("rerun", short, "--new")
    # The state says more than the execution, whose error may be the machine's own.
    error, cause = (broken.error, broken.cause) if broken else (detail.error, detail.cause)
    if why := UNHEALED.get(error_type(error, cause)):
        if is_of_child(cause) and detail.redrivable:
            # A new run of the parent would be a new request, which its guard might refuse for the one before.
            return Remedy(advice=WAITED.format(why=why.removesuffix(START_NEW)), words=("rerun", short))
        return Remedy(advice=why, words=new)
    # From the most special case to the most general: the machine ended the run on purpose, a redrive can go on, nothing
    # but a new run is left.
    if broken and broken.kind == "Fail":
        return Remedy(advice=PURPOSE, words=new)
    if detail.redrivable:
        return Remedy(advice="goes on from the step that failed, once its cause is mended", words=("rerun", short))
    return Remedy(advice=f"it cannot go on ({detail.why_not_redrivable}): starts a new run", words=new)
