"""Drops that are too large for a function: a job of Spark is told what to do, and asked what became of them."""

from __future__ import annotations

import json
import sys
from typing import Any

from millrace.aws.objects import put_object
from millrace.contract.load import load_contract, read_document
from millrace.datasets.bulk.job import read_if_there
from millrace.datasets.bulk.result import BulkRows
from millrace.datasets.new_rows import Source
from millrace.datasets.tables import Lake
from millrace.files.origin import image_columns
from millrace.functions.ingestion.drop import DropVersion, opened, told
from millrace.functions.room import Room
from millrace.messages.bulk import RANGE_BYTES, BulkPlan, BulkResult
from millrace.messages.ingest import DropInWork, Staging
from millrace.settings.drop import DropEnvironment
from millrace.workload.load import load_workload

MOST_RANGES = 4096
"""The most ranges of a drop: each is a task."""


class LargeDrops:
    """The large drops of a workload. `s3` is boto3's client."""

    def __init__(self, room: Room[DropEnvironment], s3: Any) -> None:
        self._s3, self._room, self._workload = s3, room, load_workload(room.settings.folder)
        self._lake = Lake(room.names, load_contract(room.settings.folder))
        # Functions alone fetch the images of a drop, and write what is known of its keys.
        has_images = bool(image_columns(self._lake.contract.rows))
        self._takes = room.settings.bulk and not has_images and not self._workload.known_keys

    def judged(self, drop: DropInWork, source: DropVersion) -> tuple[DropVersion, BulkResult | str] | None:
        """The version of the drop, and the job's result or the URI of its plan. None for one that no job reads.

        Raises DropError as `opened` does."""
        if not self._takes or drop.feed != "training":
            return None
        answer = opened(self._s3, source, most_bytes=sys.maxsize)
        answer["Body"].close()
        size, source = int(answer["ContentLength"]), told(source, answer)
        if size <= self._room.settings.drop_mb * 2**20:
            return None
        plan = self._plan(drop, source, size)
        if (found := read_if_there(plan.result)) is not None:
            result, now = BulkResult.model_validate_json(found), self._lake.find("rows")
            of = Source(uri=source.uri, key=plan.replaceable, digest="", written_by="", sequencer="known")
            if result.refusal or BulkRows(self._lake, result, of).holds(now):
                return source, result
        uri = f"{plan.staging}plan.json"
        put_object(self._s3, uri, plan.model_dump_json().encode())
        return source, uri

    def _plan(self, drop: DropInWork, source: DropVersion, size: int) -> BulkPlan:
        names, prediction = self._room.names, self._workload.prediction
        staging = Staging(names=names, of=drop.drop_id)
        return BulkPlan(
            drop_id=drop.drop_id,
            as_of=drop.as_of,
            source=source.uri,
            key=source.key,
            size=size,
            replaceable=source.key if drop.object and drop.object.sequencer else "",
            contract=json.dumps(read_document(self._room.settings.folder / "contract.yaml"), default=str),
            read_by_models=tuple(prediction.tensor_columns),
            event_time=prediction.event_time,
            horizon_hours=prediction.horizon_hours,
            metadata_location=self._lake.open("rows").metadata_location,
            staging=staging.uri(staging.prefix),
            range_bytes=max(RANGE_BYTES, size // MOST_RANGES),
        )
