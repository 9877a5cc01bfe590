"""The files and lines between `millrace new` and the trial, the training image's second entry, which it runs.

/input/data/config/contract.yaml, candidates/0.yaml, 1.yaml, …    declarations of one workload, the plainest first
/input/data/data/rows.arrow                                       the rows, with their lines in the file
{"who": "candidate", "name": "1", "figure": 0.2314, …}            a line of the output for each that was tried
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from millrace.evaluation.evidence import Measure

ROWS, CANDIDATES = "rows.arrow", "candidates"
MINUTES, USUAL = "minutes", "usual"
"""The hyperparameters of a trial: how long it may take, and the number of the candidate without a trial.

The simple models read what that candidate reads."""


class NotTried(BaseModel):
    """A candidate or rival that these rows do not allow, such as one whose label lies where no row is."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)

    who: Literal["candidate", "rival"]
    name: str
    why: str


class Tried(BaseModel):
    """One candidate or rival, judged on the validation rows that all candidates know."""

    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)

    who: Literal["candidate", "rival"]
    name: str
    """Of a candidate the number of its file; of a rival its kind: `naive`, `linear`, `boosted_trees`."""
    measure: Measure
    figure: float
    """The mean of the measure."""
    behind: float
    """By how much the figure is above that of the best candidate."""
    deviation: float
    """The standard error of `behind`. Rows of a day are one draw, since neighbouring rows are alike."""
    wrong: float | None = None
    """The share of wrong answers, where the answer is a class; None for others."""
    rows: int
    """The validation rows that were judged."""
    epochs: int = 0
    """The epochs up to the best one; 0 for a rival."""
    seconds: float
    """Of a processor. Unlike all else here they differ from trial to trial."""
