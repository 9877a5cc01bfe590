"""Takes withdrawn rows out of the tables: a new snapshot of each table, and a record of who, why and how many."""

from __future__ import annotations

from functools import partial

import boto3
from aws_lambda_powertools import Logger

from millrace.contract.load import load_contract
from millrace.datasets.known_rows import KnownRows
from millrace.datasets.relabelled_rows import restore_rows
from millrace.datasets.tables import Lake
from millrace.datasets.withdrawal import by_drop, by_key, withdraw
from millrace.errors import WithdrawalError
from millrace.messages.audit import AuditEvent, RowsWithdrawn
from millrace.messages.envelope import handles
from millrace.messages.withdrawal import WithdrawalRequest, Withdrawn
from millrace.settings.environment import Environment
from millrace.state.audit import Record, append
from millrace.state.pseudonyms import Pseudonyms
from millrace.state.table import StateTable
from millrace.workload.load import load_workload

SETTINGS = Environment.parse()
NAMES = SETTINGS.names
WORKLOAD = load_workload(SETTINGS.folder)
LAKE = Lake(NAMES, load_contract(SETTINGS.folder))
LOGGER = Logger()
DYNAMODB = boto3.client("dynamodb")
KNOWN = KnownRows(LAKE, WORKLOAD, DYNAMODB)
PSEUDONYMS = Pseudonyms(StateTable(DYNAMODB, NAMES))


@LOGGER.inject_lambda_context
@handles(WithdrawalRequest)
def handler(request: WithdrawalRequest) -> Withdrawn:
    """How many rows left each table. The same request again changes nothing and gets the same answer.

    Labels are withdrawn with the rows. Else the next training would make the same rows of them and their decisions.
    Raises WithdrawalError if neither table has such a row."""
    answer = take_out(request)
    if not any(answer.model_dump().values()):
        what = f"the drop {request.drop}" if request.drop else f"the key {dict(request.key)}"
        raise WithdrawalError(
            f"expected rows of {what} in {NAMES.table('rows')} or {NAMES.table('labels')}, found none"
        )
    if request.is_preview:
        return answer
    KNOWN.refresh()
    # No execution calls this function, so the record names the function and the request.
    record = Record(
        actor="withdrawal",
        execution_arn=f"{NAMES.function_arn('withdrawal')}:{request.cause}",
        event=AuditEvent.ROWS_WITHDRAWN,
        as_of=request.as_of,
        cause=request.cause,
        details=RowsWithdrawn(
            **request.model_dump(include={"by", "reason", "drop"}),
            # The audit is locked: what a person's key is must not stand there.
            pseudonym=PSEUDONYMS.of(request.key) if request.key else "",
            **answer.model_dump(),
        ),
    )
    append(DYNAMODB, table=NAMES.platform.audit_table, workload=SETTINGS.workload, record=record)
    LOGGER.info("withdrawn", extra=answer.model_dump())
    return answer


def take_out(request: WithdrawalRequest) -> Withdrawn:
    """What became of the rows, or would become of them.

    Labels leave first: some are found by the rows, which must still be there if a retry is needed. The rows of a label
    file get their earlier labels then."""
    cells = by_drop(request.drop) if request.drop else by_key(LAKE, request.key)
    gone = partial(withdraw, LAKE, cells=cells, cause=request.cause, is_preview=request.is_preview)
    labels = gone("labels")
    if not request.drop.startswith(f"{NAMES.workload}/labels/"):
        return Withdrawn(labels=labels, rows=gone("rows"))
    restored = restore_rows(LAKE, request.drop, WORKLOAD.prediction, cause=request.cause, is_preview=request.is_preview)
    return Withdrawn(labels=labels, rows=restored.left, relabelled=restored.relabelled)
