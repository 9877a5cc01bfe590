"""The explanation of a model as a whole, which the training measures by its gradients or, without these, its answers.

It lies in model.json, since serving and evaluation have no torch."""

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
"""So many places in columns are kept, those with the largest means."""


@dataclass(frozen=True, kw_only=True)
class MeanContribution:
    """How much a column, or a place in it, moved the answers."""

    column: str
    place: str = ""
    """The place in the column's cell: an hour, a patch, a word. Empty for the whole column."""
    mean: float
    """The mean over the rows of the absolute value of the contribution."""


@dataclass(frozen=True, kw_only=True)
class ExplainedRow:
    """One explained test row, to be compared with what the endpoint's method says of it."""

    row: int
    """The row's place among the test rows, counted from 0."""
    at: int
    """Which number of the answer is explained, counted from 0."""
    contributions: tuple[float, ...]
    """The contributions of the row's parts, in the order of its layout."""


@dataclass(frozen=True, kw_only=True)
class Explained:
    """A model's explanation as a whole, on rows spread over the test days."""

    method: str
    """`integrated gradients`, or `shapley` for a network without an entrance for each of its tensors."""
    reference: Reference
    """The row that all rows are compared with."""
    rows: int
    """The number of explained rows."""
    completeness_error: float
    """The contributions of a row should add up to its score minus the reference's score. This is the largest deviation
    of a row, as a share of the largest such difference of scores."""
    columns: tuple[MeanContribution, ...]
    """In the order of the features. A column's contribution is the sum over its places."""
    places: tuple[MeanContribution, ...]
    """Hours of histories, patches of images, words; empty if every column is one cell."""
    compared: tuple[ExplainedRow, ...]
    """A few of the rows."""


def mean_contributions(
    found: Sequence[Attribution],
) -> tuple[tuple[MeanContribution, ...], tuple[MeanContribution, ...]]:
    """The mean contributions of columns, and those of places in columns, over the rows.

    A word counts 0 in a row that does not have it."""
    import numpy as np

    # One array (N) for each column and each place: a row that lacks the place keeps its 0.

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
    """The explanation as model.json holds it."""
    return asdict(explained)


def from_document(document: Mapping[str, Any]) -> Explained:
    """The explanation in a document of model.json. Raises KeyError, TypeError or ValueError for another shape."""
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
