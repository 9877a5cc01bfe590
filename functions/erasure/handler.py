"""Erases all that the stage keeps of somebody. A record says who wanted it, why, and how much left."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import boto3

from millrace.contract.load import load_contract
from millrace.datasets.known_rows import KnownRows
from millrace.datasets.tables import Lake
from millrace.erasure.erasure import Erasure, check
from millrace.functions.erasure.declaration import DECLARED
from millrace.functions.room import WorkloadRoom
from millrace.messages.audit import AuditEvent, RowsErased
from millrace.messages.withdrawal import ErasureAnswer, ErasureRequest
from millrace.settings.environment import Environment
from millrace.state.erasures import KEPT, ErasureProgress, pseudonym_of
from millrace.state.own_secrets import PSEUDONYM, own_secret

ROOM = WorkloadRoom(Environment.parse(), __name__)
LAKE = Lake(ROOM.names, load_contract(ROOM.settings.folder))
KNOWN = KnownRows(LAKE, ROOM.workload, ROOM.dynamodb)
S3 = boto3.client("s3")
SPARE_S = 180
"""Seconds before its limit at which a call erases nothing new: a large file takes a minute."""


@ROOM.handles(ErasureRequest)
def handler(request: ErasureRequest) -> ErasureAnswer:
    """What left each store and what is still there, while no other call erases.

    Raises WithdrawalError for a key by which a person cannot be erased."""
    check(LAKE.contract, ROOM.workload, request.column, request.cells, request.reason)
    # Whoever waits for an answer too long asks again while the first call works on.
    holder, now = f"erasure {uuid4()}", datetime.now(UTC)
    ends_at = now + timedelta(seconds=DECLARED.timeout_s)
    if not ROOM.leases.take("erasure", holder=holder, as_of=now, expires_at=ends_at):
        return ErasureAnswer(is_done=False, column=request.column)
    try:
        return erase(request)
    finally:
        ROOM.leases.free(holder)


def erase(request: ErasureRequest) -> ErasureAnswer:
    """What left each store, and what is still there. The same request again goes on.

    Raises WithdrawalError if people are known by their pseudonyms, and a call is too short to find them."""
    end_s = time.monotonic() + DECLARED.timeout_s - SPARE_S
    first = ErasureProgress(cause=request.cause, until=request.as_of + KEPT)
    progress = ErasureProgress.find(ROOM.state, request.cause) or first
    secret = own_secret(ROOM.state, PSEUDONYM)
    if request.pseudonyms:
        stores = Erasure(LAKE, S3, ROOM.dynamodb, request, progress)
        request = request.model_copy(update={"cells": stores.find(request.pseudonyms, secret, end_s=end_s)})
    pseudonyms = [pseudonym_of({request.column: cell}, secret) for cell in request.cells]
    progress.pseudonyms = [*dict.fromkeys([*progress.pseudonyms, *pseudonyms])]
    try:
        for _ in Erasure(LAKE, S3, ROOM.dynamodb, request, progress).steps() if request.cells else ():
            if time.monotonic() > end_s:
                return ErasureAnswer(is_done=False, column=request.column)
    finally:
        progress.put(ROOM.state)
    told = progress.told | {"column": request.column}
    if progress.pseudonyms and not request.is_preview:
        KNOWN.refresh()
        ROOM.audit_request(AuditEvent.ROWS_ERASED, RowsErased(by=request.by, reason=request.reason, **told), request)
    return ErasureAnswer(is_done=True, **told)
