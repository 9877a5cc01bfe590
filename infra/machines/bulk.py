"""A drop that is too large for a function: a job of Spark judges its rows, then ingestion finds the result.

Ingestion ──> Rejected ──> Readable? ──bulk──> Bulk ──> Counted ──> Ingestion
                              └──parsed──> Validation ──(TableMovedError)──> Moved ──> Counted ──> Ingestion
"""

from __future__ import annotations

from typing import Any

from millrace.errors import TableMovedError
from millrace.infra.context import Context
from millrace.infra.machines import states
from millrace.infra.machines.jobs import tags
from millrace.infra.machines.parameters import checked
from millrace.infra.machines.states import State
from millrace.names import BULK

MOST_LAPS, MOVED_S = 5, 60
"""How often a drop may come back to ingestion, and the seconds before it does since its table has other keys now."""
TIMEOUT_MINUTES = 720
ROOT, PYTHON = "/opt/program", "/usr/bin/python3.11"
"""The folder of the program in the image, and the interpreter of its packages."""
SIZES = {"driver.cores": "4", "driver.memory": "14g", "executor.cores": "4", "executor.memory": "14g"}
"""Of each worker; with what Spark adds it is 16 GB."""
COUNT = "$.judged.count"


def properties() -> str:
    """The words of `spark-submit`."""
    own = {"PYTHONPATH": ROOT, "PYSPARK_PYTHON": PYTHON}
    driver = {f"emr-serverless.driverEnv.{name}": value for name, value in own.items()}
    driver["emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON"] = PYTHON
    executor = {f"executorEnv.{name}": value for name, value in own.items()}
    return " ".join(f"--conf spark.{name}={value}" for name, value in {**SIZES, **driver, **executor}.items())


def job(context: Context, application: str, plan: str) -> dict[str, State]:
    """The states from `Count` on, which begins the machine. `plan` is the path of the plan's URI."""
    parameters: dict[str, Any] = {
        "ApplicationId": application,
        "ExecutionRoleArn": context.names.role_arn(BULK),
        "ExecutionTimeoutMinutes": TIMEOUT_MINUTES,
        "JobDriver": {
            "SparkSubmit": {
                "EntryPoint": f"local://{ROOT}/millrace/jobs/bulk/__main__.py",
                "EntryPointArguments.$": f"States.Array({plan})",
                "SparkSubmitParameters": properties(),
            }
        },
        "Tags": {one["Key"]: one["Value"] for one in tags(context)},
    }
    task = {
        "Type": "Task",
        "Comment": "Spark judges the rows of a large drop; the result lies beside the plan",
        "Resource": states.integration("emr-serverless:startJobRun.sync"),
        "Parameters": parameters,
        "ResultPath": "$.bulk",
        # A job that is begun again asks no task that has answered.
        "Retry": [states.retry("States.TaskFailed", interval_s=30, attempts=1)],
        "Next": "Counted",
    }
    return {
        "Count": {
            "Type": "Pass",
            "Comment": "No job has judged a drop yet",
            "Result": {"count": 0},
            "ResultPath": "$.judged",
            "Next": "Ingestion",
        },
        "Bulk": checked(task),
        "Counted": {
            "Type": "Pass",
            "Comment": "Once more the drop is looked at",
            "Parameters": {"count.$": f"States.MathAdd({COUNT}, 1)"},
            "ResultPath": "$.judged",
            "Next": "Ingestion",
        },
        "Moved": states.wait("Others change the table now", seconds=MOVED_S, next_state="Counted"),
        "Table moved": states.fail(
            "Others change the table faster than a job can judge by it",
            error=TableMovedError.__name__,
            cause=f"The table got other keys again and again; start the drop anew, the {MOST_LAPS} times are over",
        ),
    }


def branches(outcome: str) -> list[tuple[State, str]]:
    """The branches of `Readable?` that come first. `outcome` is the path of ingestion's word."""
    over = {"Variable": COUNT, "NumericGreaterThan": MOST_LAPS}
    return [(over, "Table moved"), (states.equals(outcome, "bulk"), "Bulk")]


def judged_again() -> State:
    """The catcher of a validation whose table has other keys than the job has seen."""
    return {"ErrorEquals": [TableMovedError.__name__], "ResultPath": "$.moved", "Next": "Moved"}
