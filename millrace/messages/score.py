"""The messages of the machine `score` from its validation on, and the format of the file that it delivers.

The messages of its first steps are in `millrace.messages.ingest`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from millrace.artefact.batch import ROW, VERSION
from millrace.contract.reasons import RowsByReason
from millrace.contract.schema import Contract, arrow_schema
from millrace.decisions.scored import beside_columns
from millrace.errors import WorkloadError
from millrace.messages.envelope import ExecutionInput, Message, Moment, StepResult
from millrace.messages.ingest import OfDrop
from millrace.tasks.answer import arrow_type, athena_type

if TYPE_CHECKING:
    import pyarrow as pa

    from millrace.tasks.task import AnswerField, Task
    from millrace.workload.policy import Policy


class ShardedDrop(OfDrop):
    """A drop whose accepted rows are in shards."""

    as_of: Moment
    """When the object came."""
    accepted: int
    """Rows to score."""
    quarantined: int
    reasons: RowsByReason = Field(default_factory=dict)
    """How many quarantined rows have which reason."""
    unlisted: Mapping[str, int] = Field(default_factory=dict)
    """By column, how many accepted rows have a value outside of the contract's list."""
    first_shard: int
    """The number of the drop's first shard in the run, from 0 on."""
    shards: int
    """How many shards the drop has. A shard never holds rows of two drops."""


class Sharded(Message):
    """The answer of the validation function for the feed `scoring`: the shards of all drops, for one transform job.

    {"drops": [{"drop_id": "5b5c7a4e1f", "accepted": 100, "quarantined": 1, "reasons": {"type": 1}, "first_shard": 0,
     "shards": 3, …}], "accepted": 100, "shards_uri": "s3://…/electricity/staging/5b5c7a4e1f/shards/",
     "transformed_uri": "s3://…/electricity/staging/5b5c7a4e1f/transformed/",
     "model_name": "millrace-local-electricity-v3-1f0e4a-0-0", "model_version": "3",
     "instances": 1, "usd_per_hour": 0.14}"""

    drops: tuple[ShardedDrop, ...]
    accepted: int
    """Rows to score in all drops. If there are none, the machine skips the transform job."""
    shards_uri: str
    transformed_uri: str
    """The folder that the transform job writes the answers to."""
    model_name: str
    """SageMaker's model of the champion."""
    model_version: str
    """The champion's version when the rows were validated. Every answer must come from this version."""
    instances: int = 1
    """Of the transform job."""
    usd_per_hour: float = 0.0
    """What they cost at most. Nothing bounds the time of a transform job, so no budget can reserve it."""


class Delivered(Message):
    """The predictions of one drop. The event `scores.delivered` carries this message."""

    drop_id: str
    uri: str
    """The Parquet file with the predictions."""
    rows: int
    """Rows with a prediction."""
    quarantined: int
    """Rows without one: refused by the contract, or by the model's container."""
    reasons: RowsByReason = Field(default_factory=dict)
    """How many quarantined rows have which reason. Empty in answers that older code has written."""
    unlisted: Mapping[str, int] = Field(default_factory=dict)
    """By column, how many rows have a value outside of the contract's list, which their answers take as unknown."""
    unopened: int = 0
    """Rows that a person decides and that did not come into the queue, since the file has too many of them."""


class DeliveredDrops(Message):
    """The answer of the delivery function.

    {"drops": [{"drop_id": "5b5c7a4e1f", "uri": "s3://…/electricity/predictions/run=5b5c7a4e1f/part-00000.parquet",
     "rows": 100, "quarantined": 1, "reasons": {"type": 1}}]}"""

    drops: tuple[Delivered, ...]


class ScoreState(ExecutionInput):
    """The state of an execution when it calls the delivery function."""

    validation: StepResult[Sharded]


def delivered_types(task: Task, policy: Policy | None = None, dates: tuple[AnswerField, ...] = ()) -> dict[str, str]:
    """The columns that a delivered file has beside the contract's, each with its type in Athena.

    Example for the task `binary`: `value`, `probability`, `confidence`, then VERSION and ROW."""
    beside = {VERSION: "string", ROW: "bigint"} | beside_columns(policy, dates)
    return {field.name: athena_type(field) for field in task.answer} | beside


def delivered_schema(
    contract: Contract, task: Task, policy: Policy | None = None, dates: tuple[AnswerField, ...] = ()
) -> pa.Schema:
    """The schema of a delivered file: the contract's columns without the label, then those of `delivered_types`.

    Raises WorkloadError if the contract has a column with a name of `delivered_types`."""
    import pyarrow as pa

    columns, names = contract.table("scoring"), tuple(delivered_types(task, policy, dates))
    if taken := sorted(set(columns.names) & set(names)):
        raise WorkloadError(where="contract", field="schema.rows", expected=f"names other than {names}", came=taken)
    fields, dated = ([(field.name, arrow_type(field)) for field in each] for each in (task.answer, dates))
    beside = [(name, pa.type_for_alias(kind)) for name, kind in beside_columns(policy).items()]
    return pa.schema([*arrow_schema(columns), *fields, (VERSION, pa.string()), (ROW, pa.int64()), *beside, *dated])
