"""What training measured of a model, by its gradients or, where it has none, by its answers.

model.json holds it, as serving and evaluation have no torch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from millrace.explanations.attribution import Attribution, rounded
from millrace.explanations.reference import Reference

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST_PLACES = 256
"""Places of columns that are kept, those of the largest means."""


@dataclass(frozen=True, kw_only=True)
class MeanContribution:
    """How much a column, or a place in it, moved answers: the mean of its contributions' absolute values."""

    column: str
    place: str = ""
    mean: float


@dataclass(frozen=True, kw_only=True)
class ExplainedRow:
    """One test row by the model's method, for comparison with what the endpoint would say of it."""

    row: int
    """Its place among the test rows, counted from 0."""
    at: int
    """Which number of the answer is explained."""
    contributions: tuple[float, ...]
    """Of its parts, in the order of their layout."""


@dataclass(frozen=True, kw_only=True)
class Explained:
    """A model's explanation as a whole, on rows spread over the test days."""

    method: str
    """`integrated gradients`, or `shapley` for a network without an entrance for each of its tensors."""
    reference: Reference
    rows: int
    completeness_error: float
    """How far a row's sum of contributions is from its score less the reference's: the largest, as a share of the
    largest such difference of the rows."""
    columns: tuple[MeanContribution, ...]
    """In the order of the features. A column's contribution is the sum over its places."""
    places: tuple[MeanContribution, ...]
    """Hours of histories, patches of images, words; empty where every column is one cell."""
    compared: tuple[ExplainedRow, ...]


def mean_contributions(
    found: Sequence[Attribution],
) -> tuple[tuple[MeanContribution, ...], tuple[MeanContribution, ...]]:
    """By column, and by place in a column, over the rows; a word counts 0 in a row that does not have it."""
    import numpy as np

    columns: defaultdict[str, npt.NDArray[np.float64]] = defaultdict(lambda: np.zeros(len(found)))
    places: defaultdict[tuple[str, str], npt.NDArray[np.float64]] = defaultdict(lambda: np.zeros(len(found)))
    for row, one in enumerate(found):
        for part, contribution in zip(one.parts, one.contributions.tolist(), strict=True):
            columns[part.column][row] += contribution
            if part.place:
                places[part.column, part.place][row] += contribution
    means = {key: float(np.abs(value).mean()) for key, value in places.items()}
    kept = set(sorted(means, key=lambda key: -means[key])[:MOST_PLACES])
    return (
        tuple(MeanContribution(column=name, mean=rounded(np.abs(value).mean())) for name, value in columns.items()),
        tuple(
            MeanContribution(column=column, place=place, mean=rounded(mean))
            for (column, place), mean in means.items()
            if (column, place) in kept
        ),
    )


def to_document(explained: Explained) -> dict[str, Any]:
    """As model.json holds it."""
    return asdict(explained)


def from_document(document: Mapping[str, Any]) -> Explained:
    """Raises KeyError, TypeError or ValueError for another shape."""
    means = {name: tuple(map(float, found)) for name, found in document["reference"]["means"].items()}
    rows = (
        ExplainedRow(row=int(one["row"]), at=int(one["at"]), contributions=tuple(map(float, one["contributions"])))
        for one in document["compared"]
    )
    return Explained(
        method=str(document["method"]),
        reference=Reference(means=means, blanks=dict(document["reference"]["blanks"])),
        rows=int(document["rows"]),
        completeness_error=float(document["completeness_error"]),
        columns=_means(document["columns"]),
        places=_means(document["places"]),
        compared=tuple(rows),
    )


def _means(documents: Iterable[Mapping[str, Any]]) -> tuple[MeanContribution, ...]:
    return tuple(MeanContribution(**one) for one in documents)
