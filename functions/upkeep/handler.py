"""The upkeep of the tables and of the decisions, called each night until nothing is left.

Old snapshots expire, files that no snapshot names are deleted, and many small data files become few. The lines of
decisions about days that are over become files. A person may have the rows rewritten by a contract that has changed.

The log says what was done. If a step fails, the execution fails. A repeated call does what is left."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import boto3

from millrace.aws.objects import keys_below, put_object, split_uri
from millrace.contract.load import load_contract
from millrace.datasets.compaction import FEWEST, OF_JOB, commit_job, compact, small_files
from millrace.datasets.expiry import KEPT_DAYS, delete_unreachable, expire
from millrace.datasets.known_rows import KnownRows
from millrace.datasets.rewriting import rewrite
from millrace.datasets.tables import Lake
from millrace.decisions.absorption import absorb
from millrace.functions.room import WorkloadRoom
from millrace.functions.upkeep.incidents import asker, record_incident
from millrace.messages.audit import AuditEvent, RowsRewritten
from millrace.messages.bulk import COMPACTION, CompactionPlan
from millrace.messages.ingest import Staging
from millrace.messages.upkeep import Absorption, KeptUp, RewrittenTable, Upkeep, UpkeepCall
from millrace.names import TABLES
from millrace.settings.drop import BulkEnvironment
from millrace.state.budget import MonthlyBudget
from millrace.workload.bulk import job_usd

ROOM = WorkloadRoom(BulkEnvironment.parse(), __name__)
LAKE = Lake(ROOM.names, load_contract(ROOM.settings.folder).read_by_models(ROOM.workload.prediction.tensor_columns))
S3 = boto3.client("s3")
Done = TypeVar("Done")


@ROOM.handles(UpkeepCall)
def handler(call: UpkeepCall) -> Upkeep:
    """Do the upkeep and say what was done. A table that does not exist yet has zeros.

    A step that fails does not hold up the others: the first failure is raised after all steps were tried."""
    if call.state.is_incident:
        record_incident(ROOM, call)
        return Upkeep(tables=(), decisions=Absorption(), has_more=False)
    if call.state.is_rewriting:
        return Upkeep(tables=(), decisions=Absorption(), has_more=False, rewritten=rewritten(call))
    as_of, failures = call.state.as_of, list[Exception]()
    before = as_of - timedelta(days=KEPT_DAYS)
    plan = tried("rows", partial(by_job, call), failures) if ROOM.settings.bulk_mb else ""
    tables = tuple(keep_up(table, before, failures, is_for_job=bool(plan) and table == "rows") for table in TABLES)
    lake, workload = ROOM.names.platform.bucket("lake"), ROOM.names.workload
    absorbed = tried("decisions", partial(absorb, S3, lake, workload, as_of=as_of), failures) or Absorption()
    has_more = any(one.compacted for one in tables) or (absorbed.waiting_bytes > 0 and absorbed.files > 0)
    done = Upkeep(tables=tables, decisions=absorbed, has_more=has_more, plan=plan or "")
    ROOM.logger.info("kept up", extra=done.model_dump())
    if failures:
        raise failures[0]
    return done


def keep_up(table: str, before: datetime, failures: list[Exception], *, is_for_job: bool) -> KeptUp:
    """Do the three steps for one table. The most expensive step comes last. Failures are added to `failures`."""
    expired = tried(table, partial(expire, LAKE, table, before=before), failures)
    deleted = tried(table, partial(delete_unreachable, LAKE, S3, table, before=before), failures)
    compacted = 0 if is_for_job else tried(table, partial(compact, LAKE, table), failures)
    return KeptUp(table=ROOM.names.table(table), compacted=compacted or 0, expired=expired or 0, deleted=deleted or 0)


def by_job(call: UpkeepCall) -> str:
    """The URI of the plan by which a job of this execution is to join small files; what it has joined is committed.

    Empty without need of a job, or without room in the month's budget."""
    staging = Staging(names=ROOM.names, of=call.run)
    base = staging.uri(staging.prefix)
    if any(keys_below(S3, *split_uri(staging.result))):
        commit_job(LAKE, S3, staging.result)
        return ""
    iceberg = LAKE.find("rows")
    small = small_files(iceberg, OF_JOB) if iceberg else []
    size = sum(file.file_size_in_bytes for file in small)
    if iceberg is None or len(small) < FEWEST or size <= ROOM.settings.bulk_mb * 2**20:
        return ""
    usd, monthly_usd, as_of = job_usd(size), ROOM.workload.budget.monthly_usd, call.state.as_of
    if not MonthlyBudget(ROOM.state).reserve(usd, arn=call.execution_arn, as_of=as_of, monthly_usd=monthly_usd):
        ROOM.logger.warning("no job: expected room in the month's budget", extra={"usd": usd})
        return ""
    plan = CompactionPlan(metadata_location=iceberg.metadata_location, staging=base)
    put_object(S3, base + COMPACTION, plan.model_dump_json().encode())
    return base + COMPACTION


def rewritten(call: UpkeepCall) -> tuple[RewrittenTable, ...]:
    """What became of the rows of each table with a column of another type; it is audited if a row was rewritten."""
    asked, spec = call.state, ROOM.workload.prediction
    # Before anything is rewritten: a call that comes again finds nothing more to rewrite.
    by = "" if asked.is_preview else asker(ROOM, call)
    done = tuple(found for table in TABLES if (found := rewrite(LAKE, table, spec, call, by)))
    if done and not asked.is_preview:
        KnownRows(LAKE, ROOM.workload, ROOM.dynamodb).refresh()
        ROOM.audit(AuditEvent.ROWS_REWRITTEN, RowsRewritten(by=by, reason=asked.reason, tables=done), call)
    return done


def tried(what: str, step: Callable[[], Done], failures: list[Exception]) -> Done | None:
    """What the step returns; None if it fails."""
    try:
        return step()
    except Exception as error:  # of AWS, of Iceberg, of a file that cannot be read
        ROOM.logger.exception(f"{what}: a step failed")
        failures.append(error)
        return None
