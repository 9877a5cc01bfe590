"""The upkeep of the tables, once a day.

Old snapshots expire, files that no snapshot names are deleted, and many small data files become few.

The log says what was done. If a step fails, the schedule's call becomes a dead letter. A repeated call does what is
left."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import boto3
from aws_lambda_powertools import Logger

from millrace.contract.load import load_contract
from millrace.datasets.compaction import compact
from millrace.datasets.expiry import KEPT_DAYS, expire
from millrace.datasets.tables import Lake
from millrace.datasets.unreachable import delete_unreachable
from millrace.messages.envelope import ExecutionInput, Message, handles
from millrace.names import TABLES
from millrace.settings.environment import Environment

SETTINGS = Environment.parse()
LAKE = Lake(SETTINGS.names, load_contract(SETTINGS.folder))
LOGGER = Logger()
S3 = boto3.client("s3")


class KeptUp(Message):
    """What was done for one table."""

    table: str
    compacted: int
    """Data files whose rows are in fewer files now. 0 if the answer to the commit was lost."""
    expired: int
    """Snapshots that the table no longer has. Those of a commit whose answer was lost are not counted."""
    deleted: int
    """Deleted files of any kind. No snapshot has named them for some days at least."""


class Upkeep(Message):
    """What was done for all tables."""

    tables: tuple[KeptUp, ...]


@LOGGER.inject_lambda_context
@handles(ExecutionInput)
def handler(call: ExecutionInput) -> Upkeep:
    """Do the upkeep and say what was done. A table that does not exist yet has zeros.

    A step that fails does not hold up the others: the first failure is raised after all steps were tried."""
    before, failures = call.as_of - timedelta(days=KEPT_DAYS), list[Exception]()
    done = Upkeep(tables=tuple(keep_up(table, before, failures) for table in TABLES))
    LOGGER.info("kept up", extra=done.model_dump())
    if failures:
        raise failures[0]
    return done


def keep_up(table: str, before: datetime, failures: list[Exception]) -> KeptUp:
    """Do the three steps for one table. The most expensive step comes last. Failures are added to `failures`."""

    def tried(step: Callable[[], int]) -> int:
        try:
            return step()
        except Exception as error:  # of AWS, of Iceberg, of a file that cannot be read
            LOGGER.exception(f"{table}: a step failed")
            failures.append(error)
            return 0

    expired = tried(partial(expire, LAKE, table, before=before))
    deleted = tried(partial(delete_unreachable, LAKE, S3, table, before=before))
    compacted = tried(partial(compact, LAKE, table))
    return KeptUp(table=SETTINGS.names.table(table), compacted=compacted, expired=expired, deleted=deleted)
