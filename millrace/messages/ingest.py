"""One drop on its way into a table: where its pieces lie and what the steps tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import model_validator

from millrace.datasets.commits import Source
from millrace.messages.envelope import ExecutionInput, Message, StepResult


class Drop(Message):
    """One version of one object in the landing bucket, as the intake function names it."""

    feed: Literal["training", "labels"]
    bucket: str
    key: str
    version_id: str

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}?versionId={self.version_id}"

    @property
    def table(self) -> Literal["rows", "labels"]:
        """Where its rows go."""
        return "rows" if self.feed == "training" else "labels"


class Ingested(Message):
    """What the ingestion function answers."""

    rejected: bool = False
    """The object cannot become rows at all; it is quarantined whole."""
    reason: str = ""
    """A code of `millrace.files`, when rejected."""
    source: str
    source_digest: str = ""
    parsed: int = 0
    unparsable: int = 0


class Validated(Message):
    """What the validation function answers."""

    accepted: int
    refused: int
    duplicate: bool
    """The table holds these very bytes already: nothing was validated, nothing is quarantined."""
    checked: str = ""
    """The snapshot whose keys were compared, as text; empty before the first."""


class Committed(Message):
    """What the commit function answers: the detail of `dataset.committed`."""

    feed: str
    table: str
    snapshot_id: str
    """As text: JSON's numbers are doubles to many readers."""
    rows_accepted: int
    rows_quarantined: int
    rows_total: int
    source: str
    source_digest: str
    duplicate: bool
    alias_of: str
    has_champion: bool


INPUT = ("cause", "as_of", "detail")
"""Of an ingest execution, as the intake gives it."""


class IngestState(ExecutionInput):
    """What the ingest machine hands to its functions."""

    detail: Drop
    ingestion: StepResult[Ingested] | None = None
    validation: StepResult[Validated] | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_a_drop(cls, given: Any) -> Any:
        """A person who starts the machine by hand learns what it wants."""
        missing = [name for name in INPUT if isinstance(given, Mapping) and name not in given]
        if missing:
            raise ValueError(
                f"expected cause, as_of and detail with {', '.join(Drop.model_fields)}, as the intake gives them, got "
                f"none of {missing}: drop a file instead"
            )
        return given

    @property
    def ingested(self) -> Ingested:
        """Raises ValueError before the ingestion function has answered."""
        if self.ingestion is None:
            raise ValueError("state.ingestion: expected the answer of the ingestion function, got nothing")
        return self.ingestion.answer

    @property
    def validated(self) -> Validated:
        """Raises ValueError before the validation function has answered."""
        if self.validation is None:
            raise ValueError("state.validation: expected the answer of the validation function, got nothing")
        return self.validation.answer

    def origin(self, run: str) -> Source:
        """Where the rows come from, as the commit records it."""
        digest = self.ingested.source_digest
        return Source(uri=self.detail.uri, key=self.detail.key, digest=digest, run=run)


@dataclass(frozen=True, kw_only=True)
class Staged:
    """The temporary keys of one run in the lake."""

    workload: str
    run: str

    @property
    def parsed(self) -> str:
        return f"{self.workload}/staging/{self.run}/parsed.parquet"

    @property
    def accepted(self) -> str:
        return f"{self.workload}/staging/{self.run}/accepted.parquet"
