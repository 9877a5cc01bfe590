"""The rows of a request, and how the cells of a row in JSON are checked and encoded.

Axes: N rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NoReturn

from millrace.contract.kinds import FLOAT32_END
from millrace.features import catalogue as encoders
from millrace.features.catalogue import Features
from millrace.features.number import Number
from millrace.serving.refusals import Refused, Rejection, Untaken, describe, describe_image

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

Values = tuple[Any, ...]
"""One row's features in the model's order, each encoded by itself."""


@dataclass(kw_only=True, slots=True)  # as in `server`, not frozen
class RequestRows:
    """The rows of one request. Its body decides which fields are set:

    body            values   tensors, numbers
    JSON            set      None
    Arrow stream    empty    set
    """

    values: list[Values] = field(default_factory=list)
    """The rows that are not rejected."""
    rejected: dict[int, Rejection] = field(default_factory=dict)
    """Why a row is not answered, by its place in the request, counted from 0: the model does not take one of its cells,
    or its answer is not finite or not in its range."""
    tensors: Mapping[str, npt.NDArray[Any]] | None = None
    """The rows that are not rejected, as the model takes them (N, …)."""
    numbers: pa.Array | None = None
    """The number of each row (int64), which is sent back."""
    explained: list[Mapping[str, Any]] | None = None
    """The cells of the rows in `values`, if the body is JSON and wants explanations."""

    def __len__(self) -> int:
        """The number of rows that the model is to answer."""
        return len(self.values) if self.numbers is None else len(self.numbers) - len(self.rejected)

    def reject(self, answered: Sequence[int], reason: Rejection) -> None:
        """Reject further rows. `answered` has their places among the rows that the model was to answer."""
        # `left[k]` is the place in the request of the k-th row that the model was to answer.
        left = [place for place in range(len(self) + len(self.rejected)) if place not in self.rejected]
        self.rejected.update((left[place], reason) for place in answered)
        if self.values:
            self.values[:] = [value for place, value in enumerate(self.values) if place not in set(answered)]
        if self.explained:
            self.explained[:] = [row for place, row in enumerate(self.explained) if place not in set(answered)]


def cells_of(features: Features) -> NumberCells | EncodedCells:
    """The reader of rows in JSON for these features. If all are required numbers, a row is checked in one go."""
    if all(isinstance(encoder, Number) and not encoder.optional for encoder in features):
        return NumberCells(encoders.inputs(features))
    return EncodedCells(features)


class NumberCells:
    """Reads rows of required numbers without an encoder: most requests are of this kind."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns, self._names = columns, frozenset(columns)
        # `itemgetter` of one name gives the cell and no tuple.
        pick = itemgetter(*columns)
        self._pick = pick if len(columns) > 1 else lambda row: (pick(row),)

    def read(self, row: Any, number: int) -> Values:
        if type(row) is not dict or row.keys() != self._names:
            refuse(row, self._columns, f"rows[{number}]")
        values: Values = self._pick(row)
        for value in values:
            kind = type(value)
            # `type` and not `isinstance`, since True is an int too. NaN fails the comparison.
            if not (kind is float or kind is int) or not -FLOAT32_END < value < FLOAT32_END:
                at = next(at for at, one in enumerate(values) if one is value)
                raise Untaken(self._columns[at], expected="a finite number of float32", came=describe(value))
        return values

    def tensors(self, values: Sequence[Values]) -> dict[str, npt.NDArray[Any]]:
        import numpy as np

        return {"numbers": np.array(values, np.float32)}


class EncodedCells:
    """Reads rows of any features, each cell by its encoder."""

    def __init__(self, features: Features) -> None:
        self._features, self._images = features, encoders.images(features)
        self._columns = encoders.inputs(features)
        self._names = frozenset(self._columns)

    def read(self, row: Any, number: int) -> Values:
        """The encoded features of the row with this number, counted from 0.

        Raises Untaken for a cell that the model does not take, and Refused for anything that is no row of these
        features."""
        if type(row) is not dict or row.keys() != self._names:
            refuse(row, self._columns, f"rows[{number}]")
        values = []
        for encoder in self._features:
            try:
                values.append(encoder.encode_one(row))
            except ValueError as error:
                cell = row[encoder.inputs[0]]
                came = describe_image(cell) if encoder in self._images else describe(cell)
                raise Untaken(encoder.name, expected=str(error), came=came) from None
        return tuple(values)

    def tensors(self, values: Sequence[Values]) -> dict[str, npt.NDArray[Any]]:
        """The model's tensors (N, …) of rows that were read."""
        return encoders.stack(self._features, values)


def refuse(row: Any, columns: Sequence[str], where: str) -> NoReturn:
    """Raise Refused, with the reason why `row` is no object with exactly these columns."""
    if type(row) is not dict:
        raise Refused("a row is no object", expected="an object", came=describe(row), where=where)
    if missing := [name for name in columns if name not in row]:
        raise Refused("missing feature", expected=missing[0], came="no such field", where=where)
    unknown = sorted(row.keys() - set(columns))
    raise Refused("unknown field", expected=", ".join(columns), came=describe(unknown[0]), where=where)
