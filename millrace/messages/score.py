"""One batch-scoring run: where its pieces lie and what its steps tell each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.contract.arrow import arrow_schema
from millrace.contract.schema import Contract
from millrace.errors import WorkloadError
from millrace.messages.envelope import ExecutionInput, Message, StepResult
from millrace.names import WorkloadNames

if TYPE_CHECKING:
    import pyarrow as pa

ROW = "row_number"
"""Where the row stood in its drop, 1-based: the line of a text file, the row of a Parquet file."""
ANSWER_TYPES = {
    "value": "int",
    "probability": "double",
    "confidence": "double",
    "model_version": "string",
    ROW: "bigint",
}
"""What a delivered file has beside the contract's columns, with Athena's types."""
ANSWER = tuple(ANSWER_TYPES)


class Sharded(Message):
    """What the sharding function answers."""

    held: bool = False
    """No champion: nothing was read, come again later."""
    rejected: str = ""
    """Why the drop could not become rows at all; it is quarantined whole."""
    source: str = ""
    """The drop: URI and version."""
    accepted: int = 0
    quarantined: int = 0
    shards: int = 0
    shards_uri: str = ""
    transformed_uri: str = ""
    model_name: str = ""
    model_version: str = ""


class Delivered(Message):
    """What the delivery function answers."""

    uri: str
    rows: int
    quarantined: int


class ScoringDrop(Message):
    """The scoring drop as the intake function names it; without a key the newest one is meant."""

    key: str = ""
    version_id: str = ""


class ScoringState(ExecutionInput):
    """What the score machine hands to its functions: its input and, later, what was sharded."""

    detail: ScoringDrop
    sharding: StepResult[Sharded] | None = None

    @property
    def sharded(self) -> Sharded:
        """Raises ValueError before the sharding function has answered."""
        if self.sharding is None:
            raise ValueError("state.sharding: expected the answer of the sharding function, got nothing")
        return self.sharding.answer


@dataclass(frozen=True, kw_only=True)
class Staging:
    """The temporary keys of one run in the lake."""

    names: WorkloadNames
    run: str
    """The execution's name."""

    @property
    def prefix(self) -> str:
        return f"{self.names.workload}/staging/{self.run}/"

    @property
    def accepted(self) -> str:
        return f"{self.prefix}accepted.parquet"

    @property
    def shards(self) -> str:
        return f"{self.prefix}shards/"

    @property
    def transformed(self) -> str:
        return f"{self.prefix}transformed/"

    def shard(self, number: int) -> str:
        """The key of one shard; five digits, so that their names sort as they were cut."""
        return f"{self.shards}{number:05d}.jsonl"

    def answers(self, number: int) -> str:
        """Where batch transform puts the answers to one shard."""
        return f"{self.transformed}{number:05d}.jsonl.out"

    def uri(self, key: str) -> str:
        return f"s3://{self.names.platform.bucket('lake')}/{key}"

    @property
    def delivered(self) -> str:
        return f"{self.names.workload}/predictions/run={self.run}/part-00000.parquet"


def delivered_schema(contract: Contract) -> pa.Schema:
    """The columns of a delivered file: the contract's without the label, then the answer.

    Raises WorkloadError when the contract has a column of the answer's names."""
    import pyarrow as pa

    columns = contract.table("scoring")
    if taken := sorted(set(columns.names) & set(ANSWER)):
        raise WorkloadError(where="contract", field="schema.rows", expected=f"names other than {ANSWER}", came=taken)
    kinds = (pa.int32(), pa.float64(), pa.float64(), pa.string(), pa.int64())
    return pa.schema([*arrow_schema(columns), *map(pa.field, ANSWER, kinds)])
