"""What PutEvents refuses: entries that are too large together, and sources that belong to AWS's services.

moto takes entries of any size and any source.

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from moto.events.responses import EventsHandler

from localcloud.kernel.patching import replace
from localcloud.kernel.quotas import quota

LIMIT_BYTES = quota("events", "entries")
TIME_BYTES = 14
"""The bytes that EventBridge counts for an entry's time.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevent-size.html"""


def limit_entries() -> None:
    """Let PutEvents refuse entries that are too large together. May go when moto counts bytes as AWS does."""
    backend: Any = import_module("moto.events.models").EventsBackend
    error: Any = import_module("moto.events.exceptions").ValidationException
    put = backend.put_events

    def put_events(self: Any, events: list[dict[str, Any]]) -> Any:
        if sum(map(size_of, events)) > LIMIT_BYTES:
            raise error("Total size of the entries in the request is over the limit.")
        return put(self, events)

    replace(backend, put_events=put_events)


def size_of(entry: Mapping[str, Any]) -> int:
    """The bytes of one entry, as EventBridge counts them."""
    texts = [*(entry.get(key) or "" for key in ("Source", "DetailType", "Detail")), *(entry.get("Resources") or ())]
    return sum(len(text.encode()) for text in texts) + (TIME_BYTES if entry.get("Time") else 0)


REFUSED = {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "Not authorized for the source."}


def refuse_reserved_sources() -> None:
    """Refuse such entries in the answer to a caller. An event that a rule carries to another bus keeps its source.

    May go when moto refuses the sources itself."""

    def put_events(self: Any) -> str:
        # The handler is replaced, not the backend: rules and services deliver without it. moto sees the allowed entries
        # only; the answers come in the order of all entries.
        given = self._get_param("Entries")
        put = iter(self.events_backend.put_events([entry for entry in given if not _is_reserved(entry)]))
        answers = [REFUSED if _is_reserved(entry) else next(put) for entry in given]
        failed = sum("ErrorCode" in answer for answer in answers)
        return json.dumps({"FailedEntryCount": failed, "Entries": answers})

    replace(EventsHandler, put_events=put_events)


def _is_reserved(entry: Mapping[str, Any]) -> bool:
    return str(entry.get("Source") or "").startswith("aws.")
