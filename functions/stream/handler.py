"""Decides the records of the stream, one row in each. One that is no row becomes a dead letter, with the reason."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from millrace.aws import queues
from millrace.decisions.online import Asked, OnlineRoad
from millrace.errors import RefusedError
from millrace.functions.stream.record import DeadRecord, RowRecord, read
from millrace.settings.prediction import StreamSettings

SETTINGS = StreamSettings.parse()
LOGGER = Logger()
ROAD = OnlineRoad(SETTINGS, LOGGER)


@LOGGER.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Decide the records; where nobody may answer, return the first of them, and all come again.

    Lambda keeps the order of a shard, so what comes again holds up what follows. That is right only for a fault of the
    platform: whatever is wrong with a record is settled here."""
    read_records = [read(one) for one in event["Records"]]
    records = [one for one in read_records if isinstance(one, RowRecord)]
    dead = [one for one in read_records if isinstance(one, DeadRecord)]
    # Each row by the time at which its own record came: so a record that comes again, in whatever batch, is the same.
    rows = [row for one in records for row in ROAD.complete([one.row], [one.id], one.place.arrived)]
    asked = Asked(rows=rows, ids=[one.id for one in records], at=datetime.now(UTC), source="stream")
    try:
        decided = ROAD.decide(asked)
    except RefusedError as error:
        LOGGER.error("records without an answer", extra={"records": len(rows), "expected": error.refusal.expected})
        return {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["kinesis"]["sequenceNumber"]}]}
    ROAD.keep(decided)
    dead += [DeadRecord(records[one.row].place, records[one.row].id, one) for one in decided.rejected]
    queues.send(ROAD.sqs, SETTINGS.dead_letters_url, [one.letter() for one in dead])
    ROAD.tell_refused(((one.id, one.rejected) for one in dead), asked)
    return {"batchItemFailures": []}
