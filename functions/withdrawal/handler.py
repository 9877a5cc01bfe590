"""Takes out what a person withdraws, the rows of a drop, or erases: all that the stage keeps of somebody.

A record says who, why and how much."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import boto3

from millrace.contract.load import load_contract
from millrace.datasets.known_rows import KnownRows
from millrace.datasets.tables import Lake
from millrace.datasets.withdrawal import withdraw, withdraw_labels
from millrace.erasure.erasure import Erasure, check
from millrace.errors import WithdrawalError
from millrace.functions.room import WorkloadRoom
from millrace.functions.withdrawal.declaration import DECLARED
from millrace.messages.audit import AuditEvent, RowsErased, RowsWithdrawn
from millrace.messages.withdrawal import ErasureAnswer, WithdrawalRequest, Withdrawn
from millrace.settings.environment import Environment
from millrace.state.erasures import ErasureProgress, pseudonym_of

ROOM = WorkloadRoom(Environment.parse(), __name__)
LAKE = Lake(ROOM.names, load_contract(ROOM.settings.folder))
KNOWN = KnownRows(LAKE, ROOM.workload, ROOM.dynamodb)
S3 = boto3.client("s3")
SPARE_S = 180
"""Seconds before its limit at which a call erases nothing new: a large file takes a minute."""


@ROOM.handles(WithdrawalRequest)
def handler(request: WithdrawalRequest) -> Withdrawn | ErasureAnswer:
    """What left, and of an erasure what is still there. The same request again changes nothing twice.

    Raises WithdrawalError if no table has a row of the drop, or for a key by which a person cannot be erased."""
    return take_turn(request) if request.column else revert(request)


def revert(request: WithdrawalRequest) -> Withdrawn:
    """How many rows of the drop left each table, or would leave it; of a label file rows have their earlier labels.

    Labels are withdrawn with the rows. Else the next training would make the same rows of them and their decisions."""
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
        details = RowsWithdrawn(**request.model_dump(include={"by", "reason", "drop"}), **answer.model_dump())
        finish(request, AuditEvent.ROWS_WITHDRAWN, details)
    return answer


def take_turn(request: WithdrawalRequest) -> ErasureAnswer:
    """What `erase` answers, while no other call erases."""
    check(LAKE.contract, ROOM.workload, request.column, request.cell, request.reason)
    # Whoever waits for an answer too long asks again while the first call works on.
    holder, now = f"erasure {uuid4()}", datetime.now(UTC)
    ends_at = now + timedelta(seconds=DECLARED.timeout_s)
    if not ROOM.leases.take("erasure", holder=holder, as_of=now, expires_at=ends_at):
        return ErasureAnswer(is_done=False)
    try:
        return erase(request)
    finally:
        ROOM.leases.free(holder)


def erase(request: WithdrawalRequest) -> ErasureAnswer:
    """What left each store, and what is still there. The same request again goes on."""
    end_s = time.monotonic() + DECLARED.timeout_s - SPARE_S
    progress = ErasureProgress.find(ROOM.state, request.cause) or ErasureProgress(cause=request.cause)
    try:
        for _ in Erasure(LAKE, S3, ROOM.dynamodb, request, progress).steps():
            if time.monotonic() > end_s:
                return ErasureAnswer(is_done=False)
    finally:
        progress.put(ROOM.state)
    told = progress.told | {"pseudonym": pseudonym_of({request.column: request.cell}, ROOM.state)}
    if not request.is_preview:
        finish(request, AuditEvent.ROWS_ERASED, RowsErased(by=request.by, reason=request.reason, **told))
    return ErasureAnswer(is_done=True, **told)


def finish(request: WithdrawalRequest, event: AuditEvent, details: RowsErased | RowsWithdrawn) -> None:
    """Forget the keys of rows that have left, and write the record."""
    KNOWN.refresh()
    # No execution calls this function, so the record names the function and the request.
    by = f"{ROOM.names.function_arn('withdrawal')}:{request.cause}"
    ROOM.record(event, details, by=by, as_of=request.as_of, cause=request.cause)
