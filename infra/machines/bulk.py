"""A drop that is too large for a function: a job of Spark judges its rows, then ingestion finds the result.

Ingestion ──> Rejected ──> Readable? ──bulk──> Bulk ──> Ingestion
                              └──parsed──> Validation ──(TableMovedError)──> Moved ──> Ingestion
"""

from __future__ import annotations

from millrace.errors import TableMovedError
from millrace.infra.context import Context
from millrace.infra.machines import states
from millrace.infra.machines.jobs import tags
from millrace.infra.machines.parameters import checked
from millrace.infra.machines.states import State
from millrace.names import BULK

TIMEOUT_S, MOVED_S = 24 * 3600, 300
"""The seconds of an execution with its jobs, and those before a drop is judged again since its table has other keys."""
ROOT, PYTHON = "/opt/program", "/usr/bin/python3.11"
"""The folder of the program in the image, and the interpreter of its packages."""
PROPERTIES = {
    "driver.maxResultSize": "8g",
    "emr-serverless.executor.disk": "200G",
    "emr-serverless.driverEnv.PYTHONPATH": ROOT,
    "emr-serverless.driverEnv.PYSPARK_PYTHON": PYTHON,
    "emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON": PYTHON,
    "executorEnv.PYTHONPATH": ROOT,
    "executorEnv.PYSPARK_PYTHON": PYTHON,
}
"""Of Spark. A driver and an executor have 4 vCPUs and 14 GB if nothing is said, and 16 with what Spark adds. Usually it
takes a GiB of results, too few for the rows of a drop that comes again; and a worker has 20 GB of disk, too few for
the file that a packed drop becomes.
https://docs.aws.amazon.com/emr/latest/EMR-Serverless-UserGuide/jobs-spark.html"""
JUDGED_AGAIN = {"ErrorEquals": [TableMovedError.__name__], "ResultPath": "$.moved", "Next": "Moved"}
"""The catcher of a validation whose table has other keys than the job has seen."""


def job(context: Context, application: str, plan: str) -> dict[str, State]:
    """The states beside those of every drop. `plan` is the path of the plan's URI."""
    task = {
        "Type": "Task",
        "Comment": "Spark judges the rows of a large drop; the result lies beside the plan",
        "Resource": states.integration("emr-serverless:startJobRun.sync"),
        "Parameters": {
            "ApplicationId": application,
            "ExecutionRoleArn": context.names.role_arn(BULK),
            "ExecutionTimeoutMinutes": TIMEOUT_S // 120,
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
        "Next": "Ingestion",
    }
    moved = states.wait("Others change the table now", seconds=MOVED_S, next_state="Ingestion")
    return {"Bulk": checked(task), "Moved": moved}
