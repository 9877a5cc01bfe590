"""Lets PutEvents refuse events whose source begins with `aws.`: such sources belong to AWS's services.

moto takes them from anybody. https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from moto.events.responses import EventsHandler

from infra.local.kernel.patching import replace

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
