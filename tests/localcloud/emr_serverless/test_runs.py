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
from localcloud.stepfunctions.outcomes import pascal
from millrace.aws.objects import keys_below
from tests.localcloud import tiny_images
from tests.localcloud.resources import Resources, allow
from tests.localcloud.waiting import until

DOCKERFILE = """\
FROM public.ecr.aws/emr-serverless/spark/emr-spark-8.0.0:latest
COPY requirements.txt /opt/
RUN pip install -r /opt/requirements.txt
COPY program/ /opt/program/
"""
PROGRAM = """\
import os, sys, time
import boto3, pyarrow
from pyspark.sql import SparkSession
what, bucket, key = sys.argv[1:4]
if what in ("sleep", "eat"):
    eaten = bytearray(b"x") * (4 * 2**30 if what == "eat" else 1)
    time.sleep(60)
def work(batches):
    for batch in batches:
        numbers = [2 * one for one in batch.column("id").to_pylist()]
        boto3.client("s3").put_object(Bucket=bucket, Key=f"{key}/{os.environ['PART']}-{numbers[0]}", Body=b"x")
        yield pyarrow.RecordBatch.from_pydict({"doubled": numbers})
spark = SparkSession.builder.getOrCreate()
rows = spark.range(0, 1000, 1, 2).mapInArrow(work, "doubled long")
assert rows.agg({"doubled": "sum"}).collect()[0][0] == 999_000
if what == "fail":
    raise RuntimeError("the drop is broken")
"""
SIZES = " ".join(f"--conf spark.{role}.{part}" for role in ("driver", "executor") for part in ("cores=1", "memory=1g"))
PARAMETERS = f"{SIZES} --conf spark.executorEnv.PART=made --conf spark.dynamicAllocation.maxExecutors=2"


@pytest.fixture(scope="module")
def emr(cloud: Any) -> Any:
    return cloud.client("emr-serverless")


@pytest.fixture(scope="module")
def application(cloud: Any, emr: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("repository")
    texts = {"containers/bulk/Dockerfile": DOCKERFILE, "requirements.txt": "boto3\n", "program/main.py": PROGRAM}
    for path, text in texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    images(cloud).repository = root
    return make(emr, maximumCapacity={"cpu": "4 vCPU", "memory": "16 GB"})


def make(emr: Any, **more: Any) -> str:
    image = {"imageUri": tiny_images.uri("bulk")}
    made = emr.create_application(releaseLabel="emr-spark-8.0.0", type="SPARK", imageConfiguration=image, **more)
    return str(made["applicationId"])


def request(
    aws: Resources, application: str, *words: str, role: str = "", parameters: str = PARAMETERS, **more: Any
) -> dict[str, Any]:
    submit = {"entryPoint": "local:///opt/program/main.py", "entryPointArguments": [*words]}
    return {
        "applicationId": application,
        "executionRoleArn": role or aws.role("emr-serverless", allow("s3:PutObject")),
        "jobDriver": {"sparkSubmit": {**submit, "sparkSubmitParameters": parameters}},
        **more,
    }


def ended(emr: Any, application: str, run: str) -> dict[str, Any]:
    look = lambda: emr.get_job_run(applicationId=application, jobRunId=run)["jobRun"]  # noqa: E731
    until(lambda: look()["state"] in ("SUCCESS", "FAILED", "CANCELLED"))
    return dict(look())


def task(aws: Resources, application: str, *words: str, **more: Any) -> dict[str, Any]:
    parameters = {**pascal(request(aws, application, *words)), **more}
    resource = "arn:aws:states:::emr-serverless:startJobRun.sync"
    return {"A": {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True}}


def test_a_task_waits_for_its_run_which_has_the_roles_keys(aws: Resources, emr: Any, application: str) -> None:
    bucket = aws.bucket()
    assert emr.get_application(applicationId=application)["application"]["state"] == "CREATED"
    well = json.loads(aws.run(task(aws, application, "run", bucket, "task"))["output"])
    told = ended(emr, well["ApplicationId"], well["JobRunId"])
    assert (told["state"], told["stateDetails"]) == ("SUCCESS", "")
    # Two workers of a vCPU, 1,408 MiB and the disk that is free, for a minute at least.
    taken = told["billedResourceUtilization"]
    assert taken["vCPUHour"] >= 2 / 60
    assert (taken["memoryGBHour"], taken["storageGBHour"]) == pytest.approx((1.375 * taken["vCPUHour"], 0))
    assert list(keys_below(aws.client("s3"), bucket, "task/")) == ["task/made-0", "task/made-1000"]
    assert emr.get_application(applicationId=application)["application"]["state"] == "STOPPED"
    failed = aws.run(task(aws, application, "fail", bucket, "task"))
    assert failed["error"] == "States.TaskFailed"
    assert "the drop is broken" in json.loads(failed["cause"])["StateDetails"]
    unknown = aws.run(task(aws, application, "run", bucket, "task", executionTimeoutMinutes=10))
    assert unknown["error"] == "States.Runtime"


@pytest.mark.parametrize(("what", "said"), [("run", "AccessDenied"), ("eat", "137")])
def test_a_run_that_fails_says_why(aws: Resources, emr: Any, application: str, what: str, said: str) -> None:
    role = aws.role("emr-serverless", allow("s3:GetObject"))
    run = emr.start_job_run(**request(aws, application, what, aws.bucket(), "k", role=role))["jobRunId"]
    told = ended(emr, application, run)
    assert told["state"] == "FAILED"
    assert said in told["stateDetails"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"applicationId": "0"}, "does not exist"),
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
    with pytest.raises(ClientError, match=said):
        emr.start_job_run(**request(aws, application, **more))


def test_an_application_without_room_for_an_executor_fails_the_run(aws: Resources, emr: Any, application: str) -> None:
    small = make(emr, maximumCapacity={"cpu": "1 vCPU", "memory": "16 GB"})
    run = emr.start_job_run(**request(aws, small))["jobRunId"]
    assert "exceeded maximumCapacity" in ended(emr, small, run)["stateDetails"]
    with pytest.raises(ClientError, match="which a run starts"):
        make(emr, autoStartConfiguration={"enabled": False})


def test_the_machines_role_must_allow_it_and_a_stopped_execution_cancels_the_run(
    aws: Resources, emr: Any, application: str
) -> None:
    steps = task(aws, application, "sleep", "b", "k")
    place = f"arn:aws:emr-serverless:eu-west-1:123456789012:/applications/{application}"
    rule = "arn:aws:events:eu-west-1:123456789012:rule/StepFunctionsGetEventsForEMRServerlessJobRule"
    needed = {
        "events:PutTargets": allow(["events:PutTargets", "events:PutRule", "events:DescribeRule"], rule),
        "emr-serverless:StartJobRun": allow("emr-serverless:StartJobRun", place),
        "iam:PassRole": allow(
            "iam:PassRole", Condition={"StringEquals": {"iam:PassedToService": "emr-serverless.amazonaws.com"}}
        ),
        "": allow(["emr-serverless:GetJobRun", "emr-serverless:CancelJobRun"], f"{place}/jobruns/*"),
    }
    watched, start, passed, _ = needed
    machine = lambda lacks: aws.machine(  # noqa: E731
        steps, role=aws.role("states", *(needed[name] for name in needed if name != lacks))
    )
    with pytest.raises(ClientError, match=watched):
        machine(watched)
    for lacks in (start, passed):
        assert lacks in aws.run(machine(lacks))["cause"]
    execution = aws.start(machine("nothing"))
    running = lambda: [line.split()[-1] for each in aws.cloud.pending for line in each() if "spark job" in line]  # noqa: E731
    (run,) = until(running)
    with pytest.raises(ClientError, match="Current status: STARTED"):
        emr.delete_application(applicationId=application)
    aws.client("stepfunctions").stop_execution(executionArn=execution)
    assert ended(emr, application, run)["state"] == "CANCELLED"


def test_a_server_ends_with_whoever_started_it() -> None:
    start = """
import socket, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1], "spark", "server", "--port", sys.argv[2]])
while socket.socket().connect_ex(("127.0.0.1", int(sys.argv[2]))):
    time.sleep(0.1)
"""
    # The server holds the pipe, too: the call returns when both have ended.
    subprocess.run([sys.executable, "-c", start, SERVER, str(free_port())], capture_output=True, check=True, timeout=60)
