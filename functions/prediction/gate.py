"""Whether a request is answered: how many its caller has sent, and whether it was answered before."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from millrace.errors import RefusedError
from millrace.functions.prediction.request import KeyedRequest, refused
from millrace.settings.prediction import PredictionSettings
from millrace.state.callers import CallerBuckets
from millrace.state.table import DELETE_AFTER, StateTable

KEY = "header Idempotency-Key"
ITEM, KEPT_S = "request", 24 * 60 * 60
"""The beginning of the sort key of an answered request, and for how long its answer is kept, in seconds."""
MOST_BYTES = 290_000
"""The most bytes of an answer. As base64 it is a third longer, and an item has 400 KB:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""
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


def pack(document: Mapping[str, Any]) -> str:
    """The answer as it is kept. Raises RefusedError if it is too long."""
    packed = zlib.compress(json.dumps(document, separators=(",", ":"), allow_nan=False).encode())
    if len(packed) > MOST_BYTES:
        raise refuse("too large")
    return base64.b64encode(packed).decode()


class CallerGate:
    """The callers' buckets and the answered requests of one workload."""

    def __init__(self, table: StateTable, settings: PredictionSettings, logger: Logger) -> None:
        self._table, self._logger = table, logger
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

    def once(self, request: KeyedRequest, context: Any, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The answer that was given to the request in the last day; else the one that `make` makes, which is kept.

        A refusal of `make` is not kept. If the function ends before its answer, the request may be repeated when the
        time of its invocation, whose `context` this is, is over."""
        # Most requests have no key, and would wait for these imports at a cold start.
        from aws_lambda_powertools.utilities.idempotency import (
            DynamoDBPersistenceLayer,
            IdempotencyConfig,
            exceptions,
            idempotent_function,
        )

        kept = {"table_name": self._table.name, "key_attr": "pk", "sort_key_attr": "sk", "expiry_attr": DELETE_AFTER}
        store = DynamoDBPersistenceLayer(**kept, static_pk_value=self._table.workload, boto3_client=self._table.client)
        config = IdempotencyConfig(
            event_key_jmespath="id",
            payload_validation_jmespath="body",
            hash_function="sha256",
            expires_after_seconds=KEPT_S,
            lambda_context=context,
        )
        known: dict[str, Any] = {"data_keyword_argument": "asked", "persistence_store": store, "key_prefix": ITEM}

        def answered(*, asked: Mapping[str, str]) -> str:  # noqa: ARG001 - by which powertools knows it
            return pack(make())

        answer = idempotent_function(answered, config=config, **known)
        try:
            packed = answer(asked={"id": request.id, "body": request.body})
        except exceptions.IdempotencyValidationError:
            raise refuse("another body") from None
        except exceptions.IdempotencyAlreadyInProgressError:
            raise refuse("under way") from None
        except exceptions.IdempotencyPersistenceLayerError as error:
            self._logger.exception("the answered requests cannot be read or kept")
            raise refuse("unknown") from error
        found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(packed)))
        return found
