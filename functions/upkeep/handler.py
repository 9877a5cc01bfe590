"""Each day, of each table: small data files become few, old snapshots expire, and what no snapshot names is deleted.

What was done is in the log; a failure is a dead letter of the schedule's call. Called again, it does what is left."""

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
    """Data files whose rows are in fewer ones now; 0 where the answer to the commit was lost."""
    expired: int
    """Snapshots that the table no longer has, but for those of a commit whose answer was lost."""
    deleted: int
    """Files of it that no snapshot names, of any kind, for days at least."""


class Upkeep(Message):
    """What was done for all of them."""

    tables: tuple[KeptUp, ...]


@LOGGER.inject_lambda_context
@handles(ExecutionInput)
def handler(call: ExecutionInput) -> Upkeep:
    """What was done; nothing where a table has not been made yet.

    The first failure is raised when all else was tried, so that one table or step does not hold up the others."""
    before, failures = call.as_of - timedelta(days=KEPT_DAYS), list[Exception]()
    done = Upkeep(tables=tuple(keep_up(table, before, failures) for table in TABLES))
    LOGGER.info("kept up", extra=done.model_dump())
    if failures:
        raise failures[0]
    return done


def keep_up(table: str, before: datetime, failures: list[Exception]) -> KeptUp:
    """The dearest step comes last; what fails is added to `failures`."""

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
