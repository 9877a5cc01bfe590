"""A consumer that is an event bus: each decision becomes one event of EventBridge with its document as detail."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from millrace.consumers.consumer import Act, Client, Consumer, Document, Right, arn_of
from millrace.errors import ConsumerError
from millrace.names import Platform

BATCH = 10
"""The most events of one call: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html"""
SOURCE, DETAIL_TYPE = "millrace", "decision.made"


class EventBus(Consumer):
    """An event bus. Each decision is an event: `source` is `millrace`, `detail-type` is `decision.made`.

    Example: `business: {to: event, bus: orders}`"""

    to: Literal["event"]
    bus: Annotated[str, Field(pattern=r"^(arn:aws[a-z-]*:events:[a-z0-9-]+:\d{12}:event-bus/)?[A-Za-z0-9._/-]{1,256}$")]
    """The name of a bus of the stage's account and region, or the ARN of a bus of another account."""

    def arn(self, platform: Platform) -> str:
        return arn_of(self.bus, platform, "events", kind="event-bus/")

    def rights(self, platform: Platform) -> tuple[Right, ...]:
        return self.may_put("events:PutEvents", self.arn(platform))

    def connect(self, client: Client, platform: Platform) -> Act:
        events = client("events")

        def act(documents: Sequence[Document]) -> None:
            entries = [
                {
                    "EventBusName": self.bus,
                    "Source": SOURCE,
                    "DetailType": DETAIL_TYPE,
                    "Detail": json.dumps(document, separators=(",", ":")),
                }
                for document in documents
            ]
            for start in range(0, len(entries), BATCH):
                answer = events.put_events(Entries=entries[start : start + BATCH])
                if failed := answer["FailedEntryCount"]:
                    codes = sorted({one["ErrorCode"] for one in answer["Entries"] if "ErrorCode" in one})
                    raise ConsumerError(f"bus {self.bus}: expected every event taken, got {failed} refused: {codes}")

        return act
