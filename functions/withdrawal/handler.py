"""Takes withdrawn rows out of the tables: a new snapshot of each table, and a record of who, why and how many."""

from __future__ import annotations

import boto3
from aws_lambda_powertools import Logger

from millrace.contract.load import load_contract
from millrace.datasets.tables import Lake
from millrace.datasets.withdrawal import WITHDRAWN_IN_ORDER, by_drop, by_key, withdraw
from millrace.errors import WithdrawalError
from millrace.messages.audit import AuditEvent, RowsWithdrawn
from millrace.messages.envelope import handles
from millrace.messages.withdrawal import WithdrawalRequest, Withdrawn
from millrace.settings.environment import Environment
from millrace.state.audit import Record, append

SETTINGS = Environment.parse()
NAMES = SETTINGS.names
LAKE = Lake(NAMES, load_contract(SETTINGS.folder))
LOGGER = Logger()
DYNAMODB = boto3.client("dynamodb")


@LOGGER.inject_lambda_context
@handles(WithdrawalRequest)
def handler(request: WithdrawalRequest) -> Withdrawn:
    """How many rows left each table. The same request again changes nothing and gets the same answer.

    Labels are withdrawn with the rows. Else the next training would make the same rows of them and their decisions.
    Raises WithdrawalError if neither table has such a row."""
    # Labels first (WITHDRAWN_IN_ORDER): some are found by the rows, which must still be there if a retry is needed.
    cells = by_drop(request.drop) if request.drop else by_key(LAKE, request.key)
    gone = {table: withdraw(LAKE, table, cells, cause=request.cause) for table in WITHDRAWN_IN_ORDER}
    if not any(gone.values()):
        what = f"the drop {request.drop}" if request.drop else f"the key {dict(request.key)}"
        raise WithdrawalError(
            f"expected rows of {what} in {NAMES.table('rows')} or {NAMES.table('labels')}, found none"
        )
    # No execution calls this function, so the record names the function and the request.
    record = Record(
        actor="withdrawal",
        execution_arn=f"{NAMES.function_arn('withdrawal')}:{request.cause}",
        event=AuditEvent.ROWS_WITHDRAWN,
        as_of=request.as_of,
        cause=request.cause,
        details=RowsWithdrawn(**request.model_dump(include={"by", "reason", "key", "drop"}), **gone),
    )
    append(DYNAMODB, table=NAMES.platform.audit_table, workload=SETTINGS.workload, record=record)
    LOGGER.info("withdrawn", extra=gone)
    return Withdrawn(**gone)
