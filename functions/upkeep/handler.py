"""The upkeep of the tables and of the decisions, called each night until nothing is left.

Old snapshots expire, files that no snapshot names are deleted, and many small data files become few. The lines of
decisions about days that are over become files.

The log says what was done. If a step fails, the execution fails. A repeated call does what is left."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import boto3

from millrace.contract.load import load_contract
from millrace.datasets.compaction import compact
from millrace.datasets.expiry import KEPT_DAYS, delete_unreachable, expire
from millrace.datasets.tables import Lake
from millrace.decisions.absorption import absorb
from millrace.functions.room import Room
from millrace.messages.envelope import ExecutionInput, StepInput
from millrace.messages.upkeep import Absorption, KeptUp, Upkeep
from millrace.names import TABLES
from millrace.settings.environment import Environment

ROOM = Room(Environment.parse(), __name__)
LAKE = Lake(ROOM.names, load_contract(ROOM.settings.folder))
S3 = boto3.client("s3")
Done = TypeVar("Done")


@ROOM.handles(StepInput[ExecutionInput])
def handler(call: StepInput[ExecutionInput]) -> Upkeep:
    """Do the upkeep and say what was done. A table that does not exist yet has zeros.

    A step that fails does not hold up the others: the first failure is raised after all steps were tried."""
    as_of, failures = call.state.as_of, list[Exception]()
    before = as_of - timedelta(days=KEPT_DAYS)
    tables = tuple(keep_up(table, before, failures) for table in TABLES)
    lake, workload = ROOM.names.platform.bucket("lake"), ROOM.names.workload
    absorbed = tried("decisions", partial(absorb, S3, lake, workload, as_of=as_of), failures) or Absorption()
    has_more = any(one.compacted for one in tables) or (absorbed.waiting_bytes > 0 and absorbed.files > 0)
    done = Upkeep(tables=tables, decisions=absorbed, has_more=has_more)
    ROOM.logger.info("kept up", extra=done.model_dump())
    if failures:
        raise failures[0]
    return done


def keep_up(table: str, before: datetime, failures: list[Exception]) -> KeptUp:
    """Do the three steps for one table. The most expensive step comes last. Failures are added to `failures`."""
    expired = tried(table, partial(expire, LAKE, table, before=before), failures)
    deleted = tried(table, partial(delete_unreachable, LAKE, S3, table, before=before), failures)
    compacted = tried(table, partial(compact, LAKE, table), failures)
    name = ROOM.names.table(table)
    return KeptUp(table=name, compacted=compacted or 0, expired=expired or 0, deleted=deleted or 0)


def tried(what: str, step: Callable[[], Done], failures: list[Exception]) -> Done | None:
    """What the step returns; None if it fails."""
    try:
        return step()
    except Exception as error:  # of AWS, of Iceberg, of a file that cannot be read
        ROOM.logger.exception(f"{what}: a step failed")
        failures.append(error)
        return None
