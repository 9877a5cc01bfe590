"""The base classes of encoders: an encoder turns one feature of a workload into a part of a tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from millrace.features.parts import Meaning, Part, written

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.contract.kinds import Kind
    from millrace.contract.schema import Table
    from millrace.features.signature import TensorSpec
    from millrace.workload.declaration import Feature, FeatureForm

    FeatureKind = Kind | FeatureForm


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """The base class of encoders. By default they learn nothing, and the columns themselves are watched.

    An encoder's fields are all that it needs to encode; the artefact keeps them as JSON. Encoders only cast, look up
    and decode. Standardisation and embeddings are weights of the network. So training, evaluation, serving, batch and
    monitoring make the same bits of a row."""

    kind: ClassVar[str]
    """The encoder's name in the catalogue."""
    takes_features: ClassVar[str]
    """The features that it can encode, in words for an error: `a column of text`."""
    forms: ClassVar[tuple[FeatureForm | None, ...]] = (None,)
    """The forms of features that `declare` is asked about: `history`, `calendar`; None stands for a plain column."""
    default_for: ClassVar[tuple[FeatureKind, ...]] = ()
    """The kinds of columns and the forms of features that it encodes if workload.yaml names no encoder.

    No two encoders share one of them."""
    examples: ClassVar[tuple[Any, ...]] = ()
    """Cells as JSON holds them, for the tests. An encoder that refuses some cells of its columns needs them."""

    name: str
    """The feature's name; for a plain column it is the column's name."""

    @classmethod
    def declare(cls, feature: Feature, table: Table) -> Self | None:
        """The encoder of `feature`, not fitted yet; None if this encoder cannot encode the feature.

        Raises WorkloadError for a feature that is meant for this encoder but cannot work."""
        raise NotImplementedError

    def fit(self, rows: pa.Table) -> Self:
        """The encoder with what it has learnt from the training rows."""
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The contract's columns that it reads."""
        return (self.name,)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of what a row carries to a model: columns, and what was looked up in other rows."""
        return self.columns

    @property
    def spec(self) -> TensorSpec:
        """Its part of the signature. Parts with the same name of tensor are joined along their first axis."""
        raise NotImplementedError

    def encode(self, rows: pa.Table) -> npt.NDArray[Any]:
        """The encoded cells of all rows, (N, *spec.shape). Only for rows that `takes` allows."""
        raise NotImplementedError

    def takes(self, rows: pa.Table) -> npt.NDArray[np.bool_]:
        """Whether `encode_one` would take each row (N)."""
        raise NotImplementedError

    def encode_one(self, row: Mapping[str, Any]) -> npt.NDArray[np.generic] | list[float] | list[int]:
        """The encoded cells of one JSON row, in `spec.shape`, with the same bits as those of `encode`.

        Raises ValueError for a row that it does not take; the message says what was expected."""
        raise NotImplementedError

    def meaning(self, row: Mapping[str, Any]) -> Meaning:
        """The parts of a row that an explanation names, and which entry of the tensor comes from which part.

        The row must be one that `encode_one` takes."""
        raise NotImplementedError

    @property
    def watched(self) -> tuple[str, ...]:
        """The columns whose distributions the monitors watch, also summary columns such as `<name>.brightness`."""
        return self.columns

    def summarise(self, rows: pa.Table) -> pa.Table:
        """The watched columns of these rows: numbers, text or booleans."""
        return rows.select(self.watched)


@dataclass(frozen=True, kw_only=True)
class OneColumn(Encoder):
    """The base class of encoders of one column."""

    arrow: ClassVar[str]
    """Arrow's alias of the type in which a batch transform sends the column's cells: `float64`."""

    optional: bool = False

    @classmethod
    def declare(cls, feature: Feature, table: Table) -> Self | None:
        """The encoder for a column of the kinds that it is the default for; None for any other column."""
        column = table.column(feature.name)
        return cls(name=feature.name, optional=not column.required) if column.kind in cls.default_for else None

    def takes(self, rows: pa.Table) -> npt.NDArray[np.bool_]:
        """Whether each cell is of the type `arrow`, and there or allowed to be missing (N)."""
        import numpy as np
        import pyarrow as pa

        cells = rows[self.name].combine_chunks()
        # Text is large in the lake and plain in a file.
        if cells.type != pa.type_for_alias(self.arrow) and not (
            self.arrow == "string" and pa.types.is_large_string(cells.type)
        ):
            return np.zeros(len(cells), np.bool_)
        return is_valid(cells) | self.optional

    def meaning(self, row: Mapping[str, Any]) -> Meaning:
        """One part, the cell as a whole; every entry comes from it."""
        import numpy as np

        shape = tuple(size or 0 for size in self.spec.shape)
        [column] = self.columns
        return Meaning(parts=(Part(column=column, value=written(row[column])),), of_entry=np.zeros(shape, np.int64))


def is_valid(cells: pa.Array) -> npt.NDArray[np.bool_]:
    """Whether each cell is there (N)."""
    import numpy as np
    import pyarrow as pa

    # By DLPack, since pyarrow's `to_numpy` imports pandas where it is installed.
    return np.from_dlpack(cells.is_valid().cast(pa.uint8())).astype(np.bool_)
