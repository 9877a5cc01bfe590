"""What a call of the function `upkeep` has done."""

from __future__ import annotations

from millrace.contract.reasons import Reason
from millrace.messages.envelope import ExecutionInput, Message, Moment, StepInput


class UpkeepInput(ExecutionInput):
    """The input of the machine `upkeep`: of a night, or of a person who wants the rows in the types of a contract.

    {"is_rewriting": true, "reason": "prices are whole cents", "is_preview": true}

    A preview only says what would become of the rows; other changes of the contract's columns are in the tables then.
    Who asks is what CloudTrail says."""

    is_rewriting: bool = False
    reason: str = ""
    is_preview: bool = False
    is_incident: bool = False
    """Whether an incident is recorded in place of the upkeep."""
    closes: str = ""
    """The id of the incident that is closed; empty to open one."""
    is_serious: bool = False


class UpkeepCall(StepInput[UpkeepInput]):
    """One call of the function."""

    started: Moment | None = None
    """When the execution started, which its input cannot say."""


class RewrittenTable(Message):
    """What became of a table whose columns got another type: how many rows fit, and why the others are in quarantine.

    {"table": "rows", "columns": ["price"], "rows": 48, "reasons": [["type", 2]]}"""

    table: str
    columns: tuple[str, ...]
    rows: int
    reasons: tuple[tuple[Reason, int], ...]


class KeptUp(Message):
    """What was done for one table."""

    table: str
    compacted: int
    """Data files whose rows are in fewer files now. 0 if the answer to the commit was lost."""
    expired: int
    """Snapshots that the table no longer has. Those of a commit whose answer was lost are not counted."""
    deleted: int
    """Deleted files of any kind. No snapshot has named them for some days at least."""


class Absorption(Message):
    """What was done for the lines of decisions."""

    files: int = 0
    rows: int = 0
    deleted: int = 0
    """Objects with lines that a file has had since an earlier night."""
    waiting_bytes: int = 0
    """Bytes of lines that are left for the next call."""


class Upkeep(Message):
    """What was done for all tables."""

    tables: tuple[KeptUp, ...]
    decisions: Absorption
    has_more: bool
    """Whether another call finds work: each does a part of what many files need."""
    rewritten: tuple[RewrittenTable, ...] = ()
    plan: str = ""
    """The URI of the plan of a job that joins the small files of the rows; empty for none."""
