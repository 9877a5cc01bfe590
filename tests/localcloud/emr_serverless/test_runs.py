"""EMR Serverless: a Spark script runs with its role and its memory, by a call and as a task of a machine."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.emr_serverless.runs import SERVER
from localcloud.sagemaker.containers import images
from localcloud.sagemaker.endpoints.serving import free_port
from tests.localcloud.resources import Resources, allow
from tests.localcloud.waiting import until

URI = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/millrace-local-bulk@sha256:{'0' * 64}"
DOCKERFILE = """\
ARG BASE=public.ecr.aws/emr-serverless/spark/emr-spark-8.0.0:latest
FROM ${BASE}
USER root
COPY requirements.txt /opt/requirements/
RUN python3 -m pip install -r /opt/requirements/requirements.txt
COPY program/ /opt/program/
WORKDIR /opt/program
USER hadoop:hadoop
"""
HELPER = "def doubled(number: int) -> int:\n    return 2 * number\n"
PROGRAM = """\
import os, sys, time
import boto3, pyarrow
from pyspark.sql import SparkSession
from helper import doubled
what, bucket, key = sys.argv[1:4]
if what == "sleep":
    time.sleep(60)
if what == "eat":
    eaten = bytearray(b"x") * (4 * 2**30)
    time.sleep(60)
def work(batches):
    for batch in batches:
        numbers = [doubled(one) for one in batch.column("id").to_pylist()]
        boto3.client("s3").put_object(Bucket=bucket, Key=f"{key}/{os.environ['PART']}-{numbers[0]}", Body=b"x")
        yield pyarrow.RecordBatch.from_pydict({"doubled": numbers})
spark = SparkSession.builder.getOrCreate()
rows = spark.range(0, 1000, 1, 2).mapInArrow(work, "doubled long")
print("sum", rows.agg({"doubled": "sum"}).collect()[0][0])
if what == "fail":
    raise RuntimeError("the drop is broken")
"""
SIZES = " ".join(f"--conf spark.{role}.{part}" for role in ("driver", "executor") for part in ("cores=1", "memory=1g"))
PATHS = "--conf spark.emr-serverless.driverEnv.PYTHONPATH=/opt/program --conf spark.executorEnv.PYTHONPATH=/opt/program"
PARAMETERS = f"{SIZES} {PATHS} --conf spark.executorEnv.PART=made --conf spark.dynamicAllocation.maxExecutors=2"


@pytest.fixture(scope="module")
def application(cloud: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("repository")
    for path, text in {
        "containers/bulk/Dockerfile": DOCKERFILE,
        "requirements.txt": "boto3\n",
        "program/main.py": PROGRAM,
        "program/helper.py": HELPER,
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    images(cloud).repository = root
    return make(cloud.client("emr-serverless"), maximumCapacity={"cpu": "4 vCPU", "memory": "16 GB"})


def make(emr: Any, **more: Any) -> str:
    image = {"imageUri": URI}
    made = emr.create_application(releaseLabel="emr-spark-8.0.0", type="SPARK", imageConfiguration=image, **more)
    return str(made["applicationId"])


@pytest.fixture
def emr(cloud: Any) -> Any:
    return cloud.client("emr-serverless")


@pytest.fixture(scope="module")
def bucket(aws: Resources) -> str:
    return aws.bucket()


def request(aws: Resources, application: str, *words: str, role: str = "", **more: Any) -> dict[str, Any]:
    submit = {"entryPoint": "local:///opt/program/main.py", "entryPointArguments": [*words]}
    return {
        "applicationId": application,
        "executionRoleArn": role or aws.role("emr-serverless", allow("s3:PutObject")),
        "jobDriver": {"sparkSubmit": {**submit, "sparkSubmitParameters": PARAMETERS}},
        **more,
    }


def ended(emr: Any, application: str, run: str) -> dict[str, Any]:
    def look() -> dict[str, Any]:
        told: dict[str, Any] = emr.get_job_run(applicationId=application, jobRunId=run)["jobRun"]
        return told if told["state"] in ("SUCCESS", "FAILED", "CANCELLED") else {}

    return until(look)


def listed(aws: Resources, bucket: str, prefix: str) -> list[str]:
    found = aws.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return sorted(one["Key"] for one in found)


def test_a_script_runs_with_the_roles_keys(aws: Resources, emr: Any, application: str, bucket: str) -> None:
    assert emr.get_application(applicationId=application)["application"]["state"] == "CREATED"
    run = emr.start_job_run(**request(aws, application, "run", bucket, "well"))["jobRunId"]
    told = ended(emr, application, run)
    assert (told["state"], told["stateDetails"]) == ("SUCCESS", "")
    assert listed(aws, bucket, "well/") == ["well/made-0", "well/made-1000"]
    log = aws.cloud.workspace / "logs" / "jobs" / "spark" / f"{run}-driver.log"
    assert "sum 999000" in log.read_text()
    assert emr.get_application(applicationId=application)["application"]["state"] == "STOPPED"


def test_a_run_that_fails_says_why(aws: Resources, emr: Any, application: str, bucket: str) -> None:
    broken = emr.start_job_run(**request(aws, application, "fail", bucket, "broken"))["jobRunId"]
    without = request(aws, application, "run", bucket, "denied", role=aws.role("emr-serverless"))
    denied = emr.start_job_run(**without)["jobRunId"]
    eater = emr.start_job_run(**request(aws, application, "eat", bucket, "eaten"))["jobRunId"]
    told = {name: ended(emr, application, name) for name in (broken, denied, eater)}
    assert {one["state"] for one in told.values()} == {"FAILED"}
    assert "the drop is broken" in told[broken]["stateDetails"]
    assert "AccessDenied" in told[denied]["stateDetails"]
    assert not listed(aws, bucket, "denied/")
    assert "137" in told[eater]["stateDetails"]


def test_a_cancelled_run_ends_at_once(aws: Resources, emr: Any, application: str, bucket: str) -> None:
    run = emr.start_job_run(**request(aws, application, "sleep", bucket, "late"))["jobRunId"]
    until(lambda: emr.get_job_run(applicationId=application, jobRunId=run)["jobRun"]["state"] == "RUNNING")
    with pytest.raises(ClientError, match="Current status: STARTED"):
        emr.delete_application(applicationId=application)
    emr.cancel_job_run(applicationId=application, jobRunId=run)
    assert ended(emr, application, run)["state"] == "CANCELLED"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"executionTimeoutMinutes": 4}, "at least 5 minutes"),
        ({"executionIamPolicy": {"policy": "{}"}}, "does not cover executionIamPolicy"),
        ({"role": "arn:aws:iam::123456789012:role/nobody"}, "Could not assume role"),
        ({"jobDriver": {"sparkSubmit": {"entryPoint": "s3://b/main.py"}}}, "local:///"),
        ({"parameters": "--conf spark.driver.cores=3"}, "no worker has 3 vCPUs"),
        ({"parameters": "--conf spark.driver.cores=1"}, "no worker has 1 vCPUs and 15.4 GB"),
        ({"parameters": "--jars a.jar"}, "covers sparkSubmitParameters"),
    ],
)
def test_what_aws_refuses_or_is_not_covered_is_refused(
    aws: Resources, emr: Any, application: str, more: dict[str, Any], said: str
) -> None:
    given = dict(more)
    asked = request(aws, application, role=given.pop("role", ""))
    asked["jobDriver"]["sparkSubmit"]["sparkSubmitParameters"] = given.pop("parameters", PARAMETERS)
    with pytest.raises(ClientError, match=said):
        emr.start_job_run(**{**asked, **given})


def test_an_application_without_room_for_an_executor_fails_the_run(aws: Resources, emr: Any, application: str) -> None:
    small = make(emr, maximumCapacity={"cpu": "1 vCPU", "memory": "16 GB"})
    run = emr.start_job_run(**request(aws, small))["jobRunId"]
    assert "exceeded maximumCapacity" in ended(emr, small, run)["stateDetails"]
    emr.update_application(applicationId=small, maximumCapacity={"cpu": "8 vCPU", "memory": "16 GB"})
    emr.delete_application(applicationId=small)
    with pytest.raises(ClientError, match="does not exist"):
        emr.get_application(applicationId=small)
    with pytest.raises(ClientError, match="which a run starts"):
        make(emr, autoStartConfiguration={"enabled": False})


def task(aws: Resources, application: str, *words: str, **more: Any) -> dict[str, Any]:
    asked = request(aws, application, *words)
    submit = {f"{key[:1].upper()}{key[1:]}": value for key, value in asked["jobDriver"]["sparkSubmit"].items()}
    role = {"ExecutionRoleArn": asked["executionRoleArn"]}
    parameters = {"ApplicationId": application, **role, "JobDriver": {"SparkSubmit": submit}, **more}
    resource = "arn:aws:states:::emr-serverless:startJobRun.sync"
    return {"A": {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True}}


def test_a_task_waits_for_its_run(aws: Resources, application: str, bucket: str) -> None:
    well = aws.run(task(aws, application, "run", bucket, "task"))
    assert (well["status"], json.loads(well["output"])["ApplicationId"]) == ("SUCCEEDED", application)
    assert listed(aws, bucket, "task/")
    failed = aws.run(task(aws, application, "fail", bucket, "task"))
    assert failed["error"] == "States.TaskFailed"
    assert "the drop is broken" in json.loads(failed["cause"])["StateDetails"]
    unknown = aws.run(task(aws, application, "run", bucket, "task", executionTimeoutMinutes=10))
    assert unknown["error"] == "States.Runtime"


def test_the_machines_role_must_allow_it_and_a_stopped_execution_cancels_the_run(
    aws: Resources, emr: Any, application: str, bucket: str
) -> None:
    steps = task(aws, application, "sleep", bucket, "stopped")
    place = f"arn:aws:emr-serverless:eu-west-1:123456789012:/applications/{application}"
    rule = "arn:aws:events:eu-west-1:123456789012:rule/StepFunctionsGetEventsForEMRServerlessJobRule"
    start = allow("emr-serverless:StartJobRun", place)
    rest = [
        allow(["emr-serverless:GetJobRun", "emr-serverless:CancelJobRun"], f"{place}/jobruns/*"),
        allow("iam:PassRole", Condition={"StringEquals": {"iam:PassedToService": "emr-serverless.amazonaws.com"}}),
    ]
    watch = allow(["events:PutTargets", "events:PutRule", "events:DescribeRule"], rule)
    with pytest.raises(ClientError, match="events:PutTargets"):
        aws.machine(steps, role=aws.role("states", start, *rest))
    refused = aws.run(aws.machine(steps, role=aws.role("states", watch, *rest)))
    assert "emr-serverless:StartJobRun" in refused["cause"]
    refused = aws.run(aws.machine(steps, role=aws.role("states", watch, start, rest[0])))
    assert "iam:PassRole" in refused["cause"]
    execution = aws.start(aws.machine(steps, role=aws.role("states", watch, start, *rest)))
    until(lambda: any("spark job" in line for each in aws.cloud.pending for line in each()))
    aws.client("stepfunctions").stop_execution(executionArn=execution)
    until(lambda: not any("spark job" in line for each in aws.cloud.pending for line in each()))


def test_a_server_ends_with_whoever_started_it() -> None:
    start = """
import socket, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1], "spark", "server", "--port", sys.argv[2]])
while socket.socket().connect_ex(("127.0.0.1", int(sys.argv[2]))):
    time.sleep(0.1)
"""
    # The server holds the pipe, too: the call returns when both have ended.
    subprocess.run([sys.executable, "-c", start, SERVER, str(free_port())], capture_output=True, check=True, timeout=60)
