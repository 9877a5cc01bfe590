"""Reads a record of the stream: the row itself, or the row beside an id.

{"timestamp": "1997-01-10T08:30:00", …}                 the decision's id is the shard and the sequence number
{"id": "order-4711", "row": {"timestamp": "1997-…       the decision's id is `order-4711-stream`
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from millrace.aws.queues import MESSAGE_BYTES
from millrace.contract import strict_json
from millrace.contract.reasons import Reason
from millrace.decisions.road import Rejected
from millrace.settings.prediction import CALL_ID

FORM = {"id", "row"}
OF_STREAM = "-stream"
"""Ends a producer's own id: no decision of a request or of a file ends so, so a producer replaces none of them."""
MOST_SAID = 200
"""The most characters of each word in a dead letter: a column may have any name."""
OBJECT = "a row, or an id and a row, as one JSON object"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a record lies in the stream."""

    shard: str
    sequence_number: str
    arrived: datetime
    data: bytes

    @property
    def id(self) -> str:
        """The same at each delivery: `6-49590338271490256608559692538361571`. A sequence number is of its shard."""
        return f"{int(self.shard.removeprefix('shardId-'))}-{self.sequence_number}"


@dataclass(frozen=True, kw_only=True)
class RowRecord:
    """A record with a row, which may break the contract."""

    place: Place
    id: str
    """Of its decision."""
    row: Mapping[str, Any]


@dataclass(frozen=True)
class DeadRecord:
    """A record without a decision, and why."""

    place: Place
    id: str
    """Of the decision that it would have."""
    rejected: Rejected

    def letter(self) -> str:
        """What is kept of it: the reason, the place, and the record if there is room for it."""
        said = {name: str(value)[:MOST_SAID] for name, value in asdict(self.rejected).items() if name != "row"}
        letter = said | {
            "shard": self.place.shard,
            "sequence_number": self.place.sequence_number,
            "arrived": self.place.arrived.isoformat(),
            "data": self.place.data.decode(errors="backslashreplace"),
        }
        whole = json.dumps(letter)
        return whole if len(whole) <= MESSAGE_BYTES else json.dumps(letter | {"data": None})


def read(event: Mapping[str, Any]) -> RowRecord | DeadRecord:
    """The record of Lambda's event.

    https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html"""
    kinesis = event["kinesis"]
    place = Place(
        shard=event["eventID"].partition(":")[0],
        sequence_number=kinesis["sequenceNumber"],
        arrived=datetime.fromtimestamp(kinesis["approximateArrivalTimestamp"], UTC),
        data=base64.b64decode(kinesis["data"]),
    )
    try:
        document = strict_json.parse(place.data)
    except strict_json.UNREADABLE as error:
        return DeadRecord(place, place.id, _rejected(Reason.JSON, OBJECT, str(error)))
    if not isinstance(document, dict):
        return DeadRecord(place, place.id, _rejected(Reason.JSON, OBJECT, repr(document)))
    if document.keys() != FORM or not isinstance(document["row"], dict):
        return RowRecord(place=place, id=place.id, row=document)
    if not isinstance(document["id"], str) or not CALL_ID.fullmatch(document["id"]):
        expected = "1 to 64 letters, digits, '.', '_' or '-' of ASCII"
        return DeadRecord(place, place.id, _rejected(Reason.TYPE, expected, repr(document["id"]), column="id"))
    return RowRecord(place=place, id=f"{document['id']}{OF_STREAM}", row=document["row"])


def _rejected(reason: Reason, expected: str, came: str, *, column: str = "") -> Rejected:
    return Rejected(row=0, reason=reason, column=column, expected=expected, came=came[:80])
