"""The machine `ingest`: bytes become typed rows, rows are validated, and one commit adds the good rows to a table.

Of a drop that is too large for a function a job of Spark judges the rows, then ingestion finds the result:

Ingestion ──> Rejected ──> Readable? ──bulk──> Bulk ──> Ingestion
                              └──parsed──> Validation ──(TableMovedError)──> Moved ──> Ingestion
"""

from __future__ import annotations

from millrace.errors import TableMovedError
from millrace.infra.context import Context
from millrace.infra.iam.resource import Statement
from millrace.infra.machines import states
from millrace.infra.machines.jobs import tags
from millrace.infra.machines.paths import Result
from millrace.infra.machines.states import Definition, State
from millrace.messages.events import DatasetCommitted, DropRejected
from millrace.messages.ingest import CommittedDrops, Ingested
from millrace.names import BULK

INGESTION = Result(
    "ingestion", Ingested, "Bytes to typed rows; what cannot be parsed is kept raw, with line and reason"
)
VALIDATION = Result(
    "validation",
    CommittedDrops,
    "Each row by the contract and the keys of the table; the good ones are committed, once",
)
TIMEOUT_S, JOBS_TIMEOUT_S, MOVED_S = 3600, 24 * 3600, 300
"""The seconds of an execution, of one with jobs, and those before a drop is judged again: its table has other keys."""
ROOT, PYTHON = "/opt/program", "/usr/bin/python3.11"
"""The folder of the program in the image, and the interpreter of its packages."""
PROPERTIES = {
    "emr-serverless.executor.disk": "200G",
    "emr-serverless.driverEnv.PYTHONPATH": ROOT,
    "emr-serverless.driverEnv.PYSPARK_PYTHON": PYTHON,
    "emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": PYTHON,
    "executorEnv.PYTHONPATH": ROOT,
    "executorEnv.PYSPARK_PYTHON": PYTHON,
}
"""Of Spark. A driver and an executor have 4 vCPUs and 14 GB if nothing is said, and 16 with what Spark adds. Usually a
worker has 20 GB of disk, too few for the file that a packed drop becomes.
https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/jobs-spark.html"""
JUDGED_AGAIN = {"ErrorEquals": [TableMovedError.__name__], "ResultPath": "$.moved", "Next": "Moved"}
"""The catcher of a validation whose table has other keys than the job has seen."""


def definition(context: Context, application: str = "") -> Definition:
    """The definition. Input: `cause`, `as_of`, `detail` with `feed` and `objects`, as the intake function gives it.

    `application` is the id of the application of Spark; empty for a stage without one. But for a table that moved, no
    failure of a step is caught, so a failed execution can be redriven from the step that failed."""
    validation = states.invoke(context, VALIDATION, next_state="Committed")
    return states.machine(
        f"Ingest drops of {context.workload.name}: parse, validate, commit once",
        start="Ingestion",
        timeout_s=JOBS_TIMEOUT_S if application else TIMEOUT_S,
        states={
            "Ingestion": states.invoke(context, INGESTION, next_state="Rejected"),
            **told_of_rejected(context, otherwise="Quarantined", bulk="Bulk" if application else ""),
            **(_job(context, application) if application else {}),
            "Validation": {**validation, **({"Catch": [JUDGED_AGAIN]} if application else {})},
            **states.put_events(
                context,
                "Committed",
                event=DatasetCommitted,
                items=VALIDATION.path("drops"),
                comment="Tell what the table holds with each drop",
                next_state="Done",
            ),
            "Done": states.succeed("Every row is in the table or in quarantine"),
            "Quarantined": states.succeed("Nothing could become rows; the table is as it was"),
        },
    )


def _job(context: Context, application: str) -> dict[str, State]:
    """The states beside those of every drop."""
    task = spark_job(context, application, INGESTION.path("plan"), next_state="Ingestion")
    return {"Bulk": task, "Moved": states.wait("Others change the table now", seconds=MOVED_S, next_state="Ingestion")}


def spark_job(context: Context, application: str, plan: str, *, next_state: str) -> State:
    """The task that does what the plan says; its result lies beside it. `plan` is the path of the plan's URI."""
    return {
        "Type": "Task",
        "Comment": "Spark does what is too large for a function; the result lies beside the plan",
        "Resource": states.integration("emr-serverless:startJobRun.sync"),
        "Parameters": {
            "ApplicationId": application,
            "ExecutionRoleArn": context.names.role_arn(BULK),
            "ExecutionTimeoutMinutes": JOBS_TIMEOUT_S // 120,
            "JobDriver": {
                "SparkSubmit": {
                    "EntryPoint": f"local://{ROOT}/millrace/jobs/bulk/__main__.py",
                    "EntryPointArguments.$": f"States.Array({plan})",
                    "SparkSubmitParameters": " ".join(f"--conf spark.{each}={PROPERTIES[each]}" for each in PROPERTIES),
                }
            },
            "Tags": {one["Key"]: one["Value"] for one in tags(context)},
        },
        "ResultPath": "$.bulk",
        "Retry": [states.retry("States.TaskFailed", interval_s=30, attempts=1)],
        "Next": next_state,
    }


def told_of_rejected(context: Context, *, otherwise: str, bulk: str = "") -> dict[str, State]:
    """The states between ingestion and validation, for each machine that reads drops.

    `bulk` is the state that comes next for a large drop; empty for none."""
    large = [(states.equals(INGESTION.path("outcome"), "bulk"), bulk)] if bulk else []
    return {
        **states.put_events(
            context,
            "Rejected",
            event=DropRejected,
            items=INGESTION.path("rejected"),
            comment="Tell of each object that cannot become rows; it is quarantined whole",
            next_state="Readable?",
        ),
        "Readable?": states.choice(
            "Could an object become rows at all?",
            [(states.equals(INGESTION.path("outcome"), "parsed"), "Validation"), *large],
            otherwise=otherwise,
        ),
    }


def statements(context: Context) -> list[Statement]:
    """The rights of the machine itself, beside calling its functions."""
    return states.put_event_statements(context, DropRejected, DatasetCommitted)
