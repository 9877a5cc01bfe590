"""Takes out the rows of a drop that a person withdraws. A record says who, why and how many."""

from __future__ import annotations

from functools import partial

from millrace.contract.load import load_contract
from millrace.datasets.known_rows import KnownRows
from millrace.datasets.tables import Lake
from millrace.datasets.withdrawal import withdraw, withdraw_labels
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
    """How many rows of the drop left each table, or would leave it; of a label file rows have their earlier labels.

    Labels are withdrawn with the rows. Else the next training would make the same rows of them and their decisions.
    The same request again changes nothing twice. Raises WithdrawalError if no table has a row of the drop."""
    drop, cause, is_preview = request.drop, request.cause, request.is_preview
    if drop.startswith(f"{ROOM.names.workload}/labels/"):
        answer = withdraw_labels(LAKE, drop, ROOM.workload.prediction, cause=cause, is_preview=is_preview)
    else:
        gone = partial(withdraw, LAKE, drop=drop, cause=cause, is_preview=is_preview)
        answer = Withdrawn(labels=gone("labels"), rows=gone("rows"))
    if not any(answer.model_dump().values()):
        tables = f"{ROOM.names.table('rows')} or {ROOM.names.table('labels')}"
        raise WithdrawalError(f"expected rows of the drop {drop} in {tables}, found none")
    if not is_preview:
        KNOWN.refresh()
        details = RowsWithdrawn(**request.model_dump(include={"by", "reason", "drop"}), **answer.model_dump())
        ROOM.audit_request(AuditEvent.ROWS_WITHDRAWN, details, request)
    return answer
