"""What every encoder offers: one feature of a workload, and how its column becomes a part of a tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

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
    Rows = Sequence[Mapping[str, Any]]


class Encoder(Protocol):
    """A frozen dataclass whose fields are all that must be known to encode: they lie in the artefact as JSON.

    Encoders only cast, look up and decode. Standardisation and embeddings are weights of the network, so the same
    bits are made in training, evaluation, serving, batch and monitoring."""

    kind: ClassVar[str]
    """Its name in the catalogue."""
    takes_features: ClassVar[str]
    """The features that it can encode, in words: `a column of text`."""
    forms: ClassVar[tuple[FeatureForm | None, ...]]
    """The forms of features that it is offered; None is a column."""
    default_for: ClassVar[tuple[FeatureKind, ...]]
    """The kinds of columns, and the forms of features, that it encodes where workload.yaml names no encoder; no two
    encoders share one."""
    examples: ClassVar[tuple[Any, ...]]
    """Cells as JSON holds them, for an encoder that refuses some cells of its columns; the tests encode them."""

    @property
    def name(self) -> str:
        """The feature's name; for a column that is the column's."""
        ...

    @classmethod
    def declare(cls, feature: Feature, table: Table) -> Self | None:
        """The encoder of `feature` before any row was read; None where this encoder cannot encode it.

        Raises WorkloadError for a feature that is meant for this encoder and cannot work."""
        ...

    def fit(self, rows: pa.Table) -> Self:
        """The encoder with what it learns from the training rows; most learn nothing and return themselves."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """The contract's columns that it reads."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """What a row carries to a model: its columns, and what was looked up in other rows."""
        ...

    @property
    def spec(self) -> TensorSpec:
        """Its part of the signature; features with the same tensor's name are joined along their first axis."""
        ...

    def encode(self, rows: pa.Table) -> npt.NDArray[Any]:
        """The cells of all rows as (N, *spec.shape)."""
        ...

    def takes(self, rows: pa.Table) -> npt.NDArray[np.bool_]:
        """Whether `encode_one` would take each row (N); `encode` is for rows that it takes."""
        ...

    def encode_one(self, row: Mapping[str, Any]) -> npt.NDArray[np.generic] | list[float] | list[int]:
        """The cells of one JSON row as `spec.shape`, the same bits as `encode`.

        Raises ValueError whose message is what was expected."""
        ...

    def to_arrow(self, name: str, rows: Rows) -> pa.Array:
        """The cells of one of its `inputs` in rows of JSON, in the type in which a batch transform sends them."""
        ...

    def meaning(self, row: Mapping[str, Any]) -> Meaning:
        """What of a row that it takes each entry of its tensor says, for explanations."""
        ...

    @property
    def watched(self) -> tuple[str, ...]:
        """The columns whose distribution the monitors watch; a summary column such as `<name>.brightness` counts."""
        ...

    def summarise(self, rows: pa.Table) -> pa.Table:
        """The watched columns of these rows: numbers, text or booleans."""
        ...


@dataclass(frozen=True, kw_only=True)
class OneColumn:
    """What encoders of one column have in common: most learn nothing, and the column itself is watched."""

    forms: ClassVar[tuple[FeatureForm | None, ...]] = (None,)
    default_for: ClassVar[tuple[FeatureKind, ...]] = ()
    examples: ClassVar[tuple[Any, ...]] = ()
    arrow: ClassVar[str]
    """Arrow's name of the type in which a batch transform sends the column's cells."""

    name: str

    def fit(self, rows: pa.Table) -> Self:
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.name,)

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.columns

    @property
    def spec(self) -> TensorSpec:
        raise NotImplementedError

    def to_arrow(self, name: str, rows: Rows) -> pa.Array:
        import pyarrow as pa

        return pa.array([row[name] for row in rows], pa.type_for_alias(self.arrow))

    def meaning(self, row: Mapping[str, Any]) -> Meaning:
        """The cell as a whole."""
        import numpy as np

        shape = tuple(size or 0 for size in self.spec.shape)
        [column] = self.columns
        return Meaning(parts=(Part(column=column, value=written(row[column])),), of_entry=np.zeros(shape, np.int64))

    @property
    def watched(self) -> tuple[str, ...]:
        return self.columns

    def summarise(self, rows: pa.Table) -> pa.Table:
        return rows.select(self.watched)
