"""What each part of one row added to an answer, over the answer to the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from millrace.features.parts import Part

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.tasks.task import Task

MOST_LISTED = 24
"""Parts that an answer lists, the largest ones; the others are summed."""


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """The answer's number for a row, taken apart: `base` plus the contributions is `output`, but for the error."""

    parts: tuple[Part, ...]
    contributions: npt.NDArray[np.float64]
    """Of each part (P), in the unit of the answer: shares of a class, amounts of the label."""
    base: float
    """The number for the reference."""
    output: float
    """The number for the row."""
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


def explained_output(task: Task, output_NW: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Which of its W numbers each row's answer is mostly made of (N): the likeliest class, else the middle one."""
    import numpy as np

    width = output_NW.shape[1]
    if width > 1 and task.objective.activation in ("softmax", "sigmoid"):
        return np.asarray(output_NW.argmax(axis=1))
    return np.full(len(output_NW), width // 2)


def explained_words(task: Task, output_W: npt.NDArray[Any]) -> str:
    """What the contributions add up to, for a person: "probability", "confidence in fan", "value"."""
    answer = {name: values[0] for name, values in task.answers(output_W[None]).items()}
    if "probability" in answer:
        return "probability"
    return f"confidence in {answer['value']}" if "confidence" in answer else "value"
