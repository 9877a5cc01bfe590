"""Drops that are too large for a function: a job of Spark is told what to do, and asked what became of them."""

from __future__ import annotations

import json
import sys
from typing import Any

from millrace.aws.objects import keys_below, put_object, split_uri
from millrace.contract.load import load_contract, read_document
from millrace.contract.reasons import Reason
from millrace.datasets.bulk.result import found
from millrace.datasets.tables import Lake
from millrace.errors import DropError
from millrace.functions.ingestion.drop import DropVersion, answered, opened
from millrace.functions.room import Room
from millrace.messages.bulk import MOST_ROUNDS, BulkPlan, BulkResult
from millrace.messages.ingest import DropInWork, Staging
from millrace.settings.drop import DropEnvironment
from millrace.state.budget import MonthlyBudget
from millrace.workload.bulk import job_usd, needs_functions
from millrace.workload.load import load_workload

RANGE_BYTES, MOST_RANGES = 64 * 2**20, 1024
"""The least bytes of a piece, and about the most pieces of a drop: each is a data file."""


def judged(
    s3: Any, room: Room[DropEnvironment], drop: DropInWork, source: DropVersion, execution: str
) -> tuple[DropVersion, BulkResult | str | None]:
    """The version of the drop, with the job's result or the URI of its plan; None for one that no job reads.

    `s3` is boto3's client. Each job reserves its part of the month's budget for the execution. Raises DropError as
    `opened` does, `busy` if the table has moved too often, `budget` if there is no room."""
    answer = opened(s3, source, most_bytes=sys.maxsize)
    answer["Body"].close()
    size, source, folder = int(answer["ContentLength"]), answered(source, answer), room.settings.folder
    if size <= room.settings.bulk_mb * 2**20:
        return source, None
    workload, contract = load_workload(folder), load_contract(folder)
    if needs_functions(workload, contract):
        return source, None
    lake = Lake(room.names, contract)
    iceberg, staging = lake.open("rows"), Staging(names=room.names, of=drop.drop_id)
    prediction = workload.prediction
    plan = BulkPlan(
        drop_id=drop.drop_id,
        as_of=drop.as_of,
        source=source.uri,
        size=size,
        replaceable=source.key if drop.object and drop.object.sequencer else "",
        contract=json.dumps(read_document(folder / "contract.yaml"), default=str),
        read_by_models=tuple(prediction.tensor_columns),
        event_time=prediction.event_time,
        horizon_hours=prediction.horizon_hours,
        metadata_location=iceberg.metadata_location,
        staging=staging.uri(staging.prefix),
        range_bytes=max(RANGE_BYTES, size // MOST_RANGES),
    )
    if any(keys_below(s3, *split_uri(plan.result))):
        result, is_valid = found(s3, plan.result, lake, iceberg)
        if result.refusal or is_valid:
            return source, result
        if result.round == MOST_ROUNDS:
            expected, got = "a table that gets no key of the drop while a job judges it", f"{MOST_ROUNDS + 1} tables"
            raise DropError(Reason.BUSY, expected=expected, got=got)
        plan = plan.model_copy(update={"round": result.round + 1})
    budget, usd, monthly_usd = MonthlyBudget(room.state), job_usd(size), workload.budget.monthly_usd
    run = f"{execution}#{plan.round}" if plan.round else execution
    if not budget.reserve(usd, arn=run, as_of=drop.as_of, monthly_usd=monthly_usd):
        expected = f"room for {usd:.2f} USD in the month's budget"
        raise DropError(
            Reason.BUDGET, expected=expected, got=f"{budget.spent_usd(drop.as_of)} of {monthly_usd:g} USD reserved"
        )
    uri = f"{plan.staging}plan.json"
    put_object(s3, uri, plan.model_dump_json().encode())
    return source, uri
