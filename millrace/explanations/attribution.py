"""What each part of one row added to an answer, over the answer to the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.features.parts import Part

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.tasks.task import Objective, Task

MOST_EXPLAINED = 8
"""Rows of one request with explanations: each takes as long as a thousand rows without."""
MOST_LISTED = 24
"""Parts that an answer lists, the largest ones; the others are summed."""
LEAST_SHARE = 1e-7
"""A probability is held so far from 0 and 1, as float32 can tell it from them: log odds of 16 at most."""


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """The score of a row's answer, taken apart: `base` plus the contributions is `output`, but for the error."""

    parts: tuple[Part, ...]
    contributions: npt.NDArray[np.float64]
    """Of each part (P), in the unit of the score: log odds of a class, an amount of the label."""
    base: float
    """The score of the reference."""
    output: float
    """The score of the row."""
    standard_error: float = 0.0
    """Of the contribution that is known worst, where they are sampled."""

    @property
    def completeness_error(self) -> float:
        """How far base and contributions together are from the output."""
        return abs(float(self.contributions.sum()) - (self.output - self.base))

    def document(self, *, explains: str, method: str) -> dict[str, Any]:
        """As JSON: the largest contributions first, `others` for the sum of those that are not listed."""
        import numpy as np

        order = np.argsort(-np.abs(self.contributions), kind="stable")
        listed = [place for place in order[:MOST_LISTED].tolist() if self.contributions[place]]
        return {
            "explains": explains,
            "method": method,
            "base": rounded(self.base),
            "output": rounded(self.output),
            "completeness_error": rounded(self.completeness_error),
            "standard_error": rounded(self.standard_error),
            "contributions": [part_document(self.parts[at], float(self.contributions[at])) for at in listed],
            "others": rounded(float(self.contributions.sum() - self.contributions[listed].sum())),
        }


def part_document(part: Part, contribution: float) -> dict[str, Any]:
    """`{"column": "demand", "place": "-3 h", "value": "0.41", "contribution": 0.12}`; empty words are left out."""
    words = {"column": part.column, "place": part.place, "value": part.value}
    return {name: word for name, word in words.items() if word} | {"contribution": rounded(contribution)}


def rounded(number: float) -> float:
    """To six digits: more say nothing, and make an answer longer."""
    return float(f"{number:.6g}")


def score(task: Task, output_NW: npt.NDArray[Any], at: int) -> npt.NDArray[np.float64]:
    """What contributions add up to (N): the log odds of a probability, any other number as it is.

    Near 0 and 1 a probability hardly moves, whatever a column says; log odds do, and what columns add to them adds
    up in most networks. Quantiles of one horizon count as an answer has them, sorted."""
    import numpy as np

    sorted_NPL = np.sort(output_NW.reshape(len(output_NW), -1, task.objective.levels), axis=2)
    found = np.asarray(sorted_NPL.reshape(output_NW.shape)[:, at], np.float64)
    if not is_share(task.objective):
        return found
    found = np.clip(found, LEAST_SHARE, 1 - LEAST_SHARE)
    return np.asarray(np.log(found / (1 - found)))


def is_share(objective: Objective) -> bool:
    """Whether the numbers of an answer are probabilities."""
    return objective.activation in ("sigmoid", "softmax")


def explained_words(task: Task, at: int) -> str:
    """What the contributions add up to, for a person: "log odds of fan", "value"."""
    name = task.output_names[at]
    return f"log odds of {name}" if is_share(task.objective) else name
