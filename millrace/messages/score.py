"""One batch-scoring execution: the messages of its steps, and the file that it delivers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from millrace.artefact.batch import ANSWER, ROW, VERSION
from millrace.contract.arrow import arrow_schema
from millrace.contract.schema import Contract
from millrace.errors import WorkloadError
from millrace.messages.envelope import ExecutionInput, Message, StepResult
from millrace.names import WorkloadNames

if TYPE_CHECKING:
    import pyarrow as pa

DELIVERED = (*ANSWER, VERSION, ROW)
"""The columns of a delivered file beside the contract's."""
ATHENA_TYPES = {"int32": "int", "float64": "double"}
DELIVERED_TYPES = {**{name: ATHENA_TYPES[kind] for name, kind in ANSWER.items()}, VERSION: "string", ROW: "bigint"}
"""The same with Athena's types."""


class Sharded(Message):
    """The answer of the validation function for the feed `scoring`."""

    source: str
    """The drop: URI and version."""
    source_digest: str
    """SHA-256 of its bytes."""
    accepted: int
    quarantined: int
    shards: int
    shards_uri: str
    transformed_uri: str
    model_name: str
    model_version: str
    """Of the champion when the rows were validated; every answer must be of it."""


class Delivered(Message):
    """The answer of the delivery function."""

    uri: str
    rows: int
    quarantined: int


class ScoreState(ExecutionInput):
    """The state of an execution when it calls the delivery function."""

    validation: StepResult[Sharded]


def delivered_key(names: WorkloadNames, run: str) -> str:
    """The key in the lake of the file that the execution `run` delivers."""
    return f"{names.workload}/predictions/run={run}/part-00000.parquet"


def delivered_schema(contract: Contract) -> pa.Schema:
    """The columns of a delivered file: the contract's without the label, then the answer.

    Raises WorkloadError when the contract has a column of the answer's names."""
    import pyarrow as pa

    columns = contract.table("scoring")
    if taken := sorted(set(columns.names) & set(DELIVERED)):
        raise WorkloadError(where="contract", field="schema.rows", expected=f"names other than {DELIVERED}", came=taken)
    kinds = {**{name: pa.type_for_alias(kind) for name, kind in ANSWER.items()}, VERSION: pa.string(), ROW: pa.int64()}
    return pa.schema([*arrow_schema(columns), *kinds.items()])
