"""One batch-scoring execution: the messages of its steps, and the file that it delivers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from millrace.artefact.batch import ROW, VERSION
from millrace.contract.reasons import RowsByReason
from millrace.contract.schema import Contract, arrow_schema
from millrace.errors import WorkloadError
from millrace.messages.envelope import ExecutionInput, Message, Moment, StepResult
from millrace.names import WorkloadNames
from millrace.tasks.answer import arrow_type, athena_type

if TYPE_CHECKING:
    import pyarrow as pa

    from millrace.tasks.task import Task


class ShardedDrop(Message):
    """A drop whose rows are in shards now."""

    drop_id: str
    as_of: Moment
    source: str
    """The object: URI and version."""
    source_digest: str
    """SHA-256 of its bytes."""
    accepted: int
    quarantined: int
    reasons: RowsByReason = Field(default_factory=dict)
    """Of the quarantined rows."""
    first_shard: int
    shards: int


class Sharded(Message):
    """The answer of the validation function for the feed `scoring`: shards of all drops, for one transform."""

    drops: tuple[ShardedDrop, ...]
    accepted: int
    """Rows of all drops."""
    shards_uri: str
    transformed_uri: str
    model_name: str
    model_version: str
    """Of the champion when the rows were validated; every answer must be of it."""


class Delivered(Message):
    """The predictions of one drop; `scores.delivered` carries it."""

    drop_id: str
    uri: str
    rows: int
    quarantined: int
    reasons: RowsByReason = Field(default_factory=dict)
    """Of the quarantined rows; empty in answers that do not say."""


class DeliveredDrops(Message):
    """The answer of the delivery function."""

    drops: tuple[Delivered, ...]


class ScoreState(ExecutionInput):
    """The state of an execution when it calls the delivery function."""

    validation: StepResult[Sharded]


def delivered_key(names: WorkloadNames, drop_id: str) -> str:
    """The key in the lake of the drop's predictions."""
    return f"{names.workload}/predictions/run={drop_id}/part-00000.parquet"


def delivered_types(task: Task) -> dict[str, str]:
    """The columns of a delivered file beside the contract's, with Athena's types."""
    return {field.name: athena_type(field) for field in task.answer} | {VERSION: "string", ROW: "bigint"}


def delivered_schema(contract: Contract, task: Task) -> pa.Schema:
    """The columns of a delivered file: the contract's without the label, then the answer.

    Raises WorkloadError when the contract has a column of the answer's names."""
    import pyarrow as pa

    columns, names = contract.table("scoring"), tuple(delivered_types(task))
    if taken := sorted(set(columns.names) & set(names)):
        raise WorkloadError(where="contract", field="schema.rows", expected=f"names other than {names}", came=taken)
    fields = [(field.name, arrow_type(field)) for field in task.answer]
    return pa.schema([*arrow_schema(columns), *fields, (VERSION, pa.string()), (ROW, pa.int64())])
