"""Attributions: by how much each part of one row moved the answer away from the answer to a reference row.

Axes: N rows, W numbers of an answer, P parts of a row, L levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.features.parts import Part

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.tasks.task import Objective, Task

MOST_EXPLAINED = 8
"""The most rows of a request with explanations. An explanation takes as long as the answers to a thousand rows."""
MOST_LISTED = 24
"""An answer lists so many parts, those with the largest contributions. The others are summed."""
LEAST_SHARE = 1e-7
"""A probability is kept at least so far from 0 and 1, as float32 can tell it from them. So log odds are 16 at most."""


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """The score of a row's answer, taken apart. `base` plus the contributions is `output`, but for an error."""

    parts: tuple[Part, ...]
    at: int
    """Which number of the answer is explained, counted from 0."""
    contributions: npt.NDArray[np.float64]
    """The contribution of each part (P), in the unit of the score: log odds of a class, or an amount of the label."""
    base: float
    output: float
    standard_error: float = 0.0
    """The standard error of the least certain contribution; 0 if they are not sampled."""

    @property
    def completeness_error(self) -> float:
        """How far `base` plus all contributions is from `output`."""
        return abs(float(self.contributions.sum()) - (self.output - self.base))

    def document(self, *, explains: str) -> dict[str, Any]:
        """The attribution as JSON. The largest contributions come first; `others` is the sum of those not listed.

        docs/predictions.md has an example."""
        import numpy as np

        order = np.argsort(-np.abs(self.contributions), kind="stable")
        listed = [place for place in order[:MOST_LISTED].tolist() if self.contributions[place]]
        return {
            "explains": explains,
            "method": "shapley",
            "base": rounded(self.base),
            "output": rounded(self.output),
            "completeness_error": rounded(self.completeness_error),
            "standard_error": rounded(self.standard_error),
            "contributions": [part_document(self.parts[at], float(self.contributions[at])) for at in listed],
            "others": rounded(float(self.contributions.sum() - self.contributions[listed].sum())),
        }


def part_document(part: Part, contribution: float) -> dict[str, Any]:
    """A part as JSON: `{"column": "demand", "place": "-3 h", "value": "0.41", "contribution": 0.12}`.

    Empty words are left out."""
    words = {"column": part.column, "place": part.place, "value": part.value}
    return {name: word for name, word in words.items() if word} | {"contribution": rounded(contribution)}


def rounded(number: float) -> float:
    """The number with six digits. More digits say nothing and make an answer longer."""
    return float(f"{number:.6g}")


def score(task: Task, output_NW: npt.NDArray[Any], at: int) -> npt.NDArray[np.float64]:
    """The score of each answer (N), to which contributions add up: log odds of a probability, else the number itself.

    Near 0 and 1 a probability hardly moves, whatever a column says. Log odds do move, and in most networks the columns'
    contributions to them add up. Quantiles of one horizon are sorted, as in an answer."""
    import numpy as np

    # (N, W) as (N, P, L): the levels of each part are sorted among themselves. With one level nothing changes.

    sorted_NPL = np.sort(output_NW.reshape(len(output_NW), -1, task.objective.levels), axis=2)
    found = np.asarray(sorted_NPL.reshape(output_NW.shape)[:, at], np.float64)
    if not is_share(task.objective):
        return found
    found = np.clip(found, LEAST_SHARE, 1 - LEAST_SHARE)
    return np.asarray(np.log(found / (1 - found)))


def is_share(objective: Objective) -> bool:
    """Whether the numbers of an answer are probabilities: shares from 0 to 1."""
    return objective.activation in ("sigmoid", "softmax")


def explained_words(task: Task, at: int) -> str:
    """The name of what the contributions add up to, for a person: "log odds of fan", "value"."""
    name = task.output_names[at]
    return f"log odds of {name}" if is_share(task.objective) else name
