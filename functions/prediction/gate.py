"""Whether a request is answered: how many its caller has sent, and whether it was answered before."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from millrace.errors import RefusedError
from millrace.functions.prediction.request import refused
from millrace.settings.prediction import PredictionSettings
from millrace.state.answered_requests import MOST_BYTES, AnsweredRequests, KeyedRequest
from millrace.state.callers import CallerBuckets
from millrace.state.table import StateTable

KEY = "header Idempotency-Key"
REFUSED = {
    "another body": refused("idempotency key", "the body that came with this key first", "another", KEY, 422),
    "under way": refused(
        "idempotency key", "one request with this key at a time", "a second one", KEY, 409, retry_after_s=1
    ),
    "unknown": refused("no state", "the state table, which knows the key", "no answer of it", KEY, 503),
    "too large": refused(
        "size of the answer",
        f"an answer of {MOST_BYTES} bytes at most when compressed, since it is kept under its key",
        "a longer one: send fewer rows, or no key",
        "rows",
        413,
    ),
}
"""Statuses of draft-ietf-httpapi-idempotency-key-header, section 2.7."""


def refuse(why: str) -> RefusedError:
    """The error of a keyed request that is refused."""
    return RefusedError(REFUSED[why].refusal)


def pack(document: Mapping[str, Any]) -> bytes | None:
    """The answer as it is kept; None if it is too long."""
    packed = zlib.compress(json.dumps(document, separators=(",", ":"), allow_nan=False).encode())
    return packed if len(packed) <= MOST_BYTES else None


class CallerGate:
    """The callers' buckets and the answered requests of one workload."""

    def __init__(self, table: StateTable, settings: PredictionSettings, logger: Logger) -> None:
        self._answered, self._logger = AnsweredRequests(table), logger
        self._per_s, self._burst = settings.caller_requests_per_s, settings.caller_burst
        limited = self._per_s is not None and self._burst is not None
        self._buckets = (
            CallerBuckets(table, requests_per_s=self._per_s or 1, burst=self._burst or 1) if limited else None
        )

    def check(self, caller: str | None, now: datetime) -> None:
        """Raise RefusedError for a caller who has sent too much.

        Nobody is refused because the table does not answer: it would stop all callers for the sake of one."""
        if self._buckets is None or caller is None:
            return
        try:
            wait_s = self._buckets.take(caller, now.timestamp())
        except (BotoCoreError, ClientError) as error:
            self._logger.error("the requests of callers are not counted", extra={"reason": str(error)})
            return
        if wait_s:
            expected = f"{self._per_s} requests in a second, {self._burst} at once"
            after_s = max(1, math.ceil(wait_s))
            raise refused("too many requests", expected, "more", "caller", 429, retry_after_s=after_s)

    def once(self, request: KeyedRequest, now: datetime, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The answer that was given to the request before; else the one that `make` makes, which is kept.

        A refusal of `make` is not kept. If `make` fails, the request may be repeated after ANSWER_S."""
        try:
            begun = self._answered.begin(request, now)
        except (BotoCoreError, ClientError) as error:
            self._logger.error("the answered requests cannot be read", extra={"reason": str(error)})
            raise refuse("unknown") from error
        if isinstance(begun, bytes):
            found: dict[str, Any] = json.loads(zlib.decompress(begun))
            return found
        if begun != "begun":
            raise refuse(begun)
        try:
            answer = make()
        except RefusedError:
            self._answered.give_up(request, now)
            raise
        if packed := pack(answer):
            self._answered.finish(request, packed, now)
        else:
            self._answered.give_up(request, now)
        return answer
