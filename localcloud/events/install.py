"""Amazon EventBridge: rules deliver events.

AWS does: match events, render the target's input, deliver after the answer, try again for a day, then use the
    dead-letter queue.
moto does: deliver to few kinds of targets, render templates wrongly, raise a target's failure to the sender, let
    anybody send events in the name of AWS's services.
We do: deliver from our own queue, and check the policy or role of each target.
Weaker: tries are few and fast. A bus without its key tells its dead letters once for each rule that matches. The role
    of a bus as target is not checked. A log group is no target.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from moto.events.responses import EventsHandler

from localcloud.events.rules import deliver_events
from localcloud.kernel.cloud import Cloud
from localcloud.kernel.patching import replace
from localcloud.kernel.quotas import quota

# What PutEvents refuses: entries that are too large together, and sources that belong to AWS's services.
#
# moto takes entries of any size and any source.
#
# https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html

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


def install(cloud: Cloud) -> None:
    deliver_events(cloud)
    limit_entries()
    refuse_reserved_sources()
