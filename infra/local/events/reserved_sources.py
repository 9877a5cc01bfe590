"""PutEvents keeps sources that begin with `aws.` to AWS's own services; moto takes them of anybody.

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from moto.events.responses import EventsHandler

from infra.local.kernel.patching import replace

REFUSED = {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "Not authorized for the source."}


def refuse_reserved_sources() -> None:
    """Of callers alone: what rules carry from bus to bus keeps its source."""

    def put_events(self: Any) -> str:
        given = self._get_param("Entries")
        put = iter(self.events_backend.put_events([entry for entry in given if not _is_reserved(entry)]))
        answers = [REFUSED if _is_reserved(entry) else next(put) for entry in given]
        failed = sum("ErrorCode" in answer for answer in answers)
        return json.dumps({"FailedEntryCount": failed, "Entries": answers})

    replace(EventsHandler, put_events=put_events)


def _is_reserved(entry: Mapping[str, Any]) -> bool:
    return str(entry.get("Source") or "").startswith("aws.")
