"""What callers of the REST API alone have: they look up what was decided for them, and bring rows and labels."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import boto3

from millrace.decisions.record import to_document
from millrace.decisions.store import find_answered, stored_days
from millrace.functions.prediction import request
from millrace.names import WorkloadNames
from millrace.settings.prediction import BY_API, DAYS, MOST_DAYS
from millrace.state.callers import owner_of

DECISION_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Lookups:
    """What the callers of one workload may read. `acts` says whether it has a policy."""

    def __init__(self, names: WorkloadNames, *, acts: bool) -> None:
        self._names, self._acts, self._s3 = names, acts, boto3.client("s3")

    def answer(self, event: Mapping[str, Any], caller: str | None, now: datetime) -> dict[str, Any]:
        wanted = str(request.part(event, "pathParameters").get("id", ""))
        return self._decision(wanted, _days(request.part(event, "queryStringParameters"), now.date()), caller)

    def drop(self, feed: str, rows: Sequence[Mapping[str, Any]], call_id: str, caller: str) -> dict[str, Any]:
        """Drop the rows as a file of the feed. The same call again brings the same bytes, which count once."""
        file = f"{feed}/{BY_API}/{call_id}.jsonl"
        # A number beyond the range is written as Infinity, and ingestion refuses its row.
        lines = "".join(f"{json.dumps(row, separators=(',', ':'))}\n" for row in rows)
        bucket, key = self._names.platform.bucket("landing"), f"{self._names.workload}/{file}"
        self._s3.put_object(Bucket=bucket, Key=key, Body=lines.encode(), Metadata={"by": caller})
        return {"drop": file, "rows": len(rows)}

    def _decision(self, wanted: str, days: tuple[date, date], caller: str | None) -> dict[str, Any]:
        """The decision with this id about one of the days. Another caller's is as one that there is not."""
        bucket, workload, (first, last) = self._names.platform.bucket("lake"), self._names.workload, days
        located = None
        if caller and DECISION_ID.fullmatch(wanted):
            among = [day for day in stored_days(self._s3, bucket, workload) if first <= day <= last]
            located = find_answered(self._s3, bucket, workload, wanted, reversed(among))
        decision = located.decision if located else None
        if decision is None or not decision.caller or owner_of(decision.caller) != owner_of(caller or ""):
            expected = f"the id of a decision of yours about {first} to {last}, recorded some minutes after its answer"
            raise request.refused("no decision", expected, wanted[:80], "path", 404)
        return to_document(decision, acts=self._acts)


def _days(given: Mapping[str, Any], today: date) -> tuple[date, date]:
    """The first and the last day of the search, by the parameters `from` and `to`."""
    try:
        last = date.fromisoformat(given.get("to") or today.isoformat())
        first = date.fromisoformat(given["from"]) if given.get("from") else last - timedelta(days=DAYS - 1)
        if timedelta(0) <= last - first < timedelta(days=MOST_DAYS):
            return first, last
    except (ValueError, OverflowError):
        pass
    expected = f"days as 1997-05-01, at most {MOST_DAYS} from the first to the last"
    came = ", ".join(f"{name}: {given[name]!s:.40}" for name in ("from", "to") if name in given)
    raise request.refused("days", expected, came, "query")
