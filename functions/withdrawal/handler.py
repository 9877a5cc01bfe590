"""Takes withdrawn rows out of the tables: a new snapshot of each table, and a record of who, why and how many."""

from __future__ import annotations

from functools import partial

from millrace.contract.load import load_contract
from millrace.datasets.known_rows import KnownRows
from millrace.datasets.tables import Lake
from millrace.datasets.withdrawal import by_drop, withdraw, withdraw_labels
from millrace.errors import WithdrawalError
from millrace.functions.room import WorkloadRoom
from millrace.messages.audit import AuditEvent, RowsWithdrawn
from millrace.messages.withdrawal import WithdrawalRequest, Withdrawn
from millrace.settings.environment import Environment

ROOM = WorkloadRoom(Environment.parse(), __name__)
LAKE = Lake(ROOM.names, load_contract(ROOM.settings.folder))
KNOWN = KnownRows(LAKE, ROOM.workload, ROOM.dynamodb)


@ROOM.handles(WithdrawalRequest)
def handler(request: WithdrawalRequest) -> Withdrawn:
    """How many rows left each table. The same request again changes nothing and gets the same answer.

    Labels are withdrawn with the rows. Else the next training would make the same rows of them and their decisions.
    Raises WithdrawalError if neither table has such a row."""
    answer = take_out(request)
    if not any(answer.model_dump().values()):
        tables = f"{ROOM.names.table('rows')} or {ROOM.names.table('labels')}"
        raise WithdrawalError(f"expected rows of the drop {request.drop} in {tables}, found none")
    if request.is_preview:
        return answer
    KNOWN.refresh()
    # No execution calls this function, so the record names the function and the request.
    by = f"{ROOM.names.function_arn('withdrawal')}:{request.cause}"
    details = RowsWithdrawn(**request.model_dump(include={"by", "reason", "drop"}), **answer.model_dump())
    ROOM.record(AuditEvent.ROWS_WITHDRAWN, details, by=by, as_of=request.as_of, cause=request.cause)
    ROOM.logger.info("withdrawn", extra=answer.model_dump())
    return answer


def take_out(request: WithdrawalRequest) -> Withdrawn:
    """What became of the rows, or would become of them. The rows of a label file have their earlier labels then."""
    cause, is_preview = request.cause, request.is_preview
    if request.drop.startswith(f"{ROOM.names.workload}/labels/"):
        return withdraw_labels(LAKE, request.drop, ROOM.workload.prediction, cause=cause, is_preview=is_preview)
    gone = partial(withdraw, LAKE, cells=by_drop(request.drop), cause=cause, is_preview=is_preview)
    return Withdrawn(labels=gone("labels"), rows=gone("rows"))
