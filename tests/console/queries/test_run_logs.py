"""The log of a step: the lines of its invocation or of its job, and no others."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from localcloud.logs.log_streams import log_streams
from millrace.console.queries.steps import Call, Step, plainly, read_log
from tests.localcloud.logs.test_log_streams import write as append

MINE, OTHERS = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


@pytest.fixture
def logs(cloud: Any) -> Any:
    return cloud.client("logs")


def write(cloud: Any, path: str, *lines: str) -> None:
    log_streams(cloud).mark(append(cloud, path, *lines))


def step(began: datetime, service: str, action: str, cause: str = "", **parameters: str) -> Step:
    call = Call(service=service, action=action, parameters=parameters, started=began)
    ended = began + timedelta(seconds=2)
    return Step(name="S", kind="Task", entered=began, ended=ended, outcome="failed", cause=cause, call=call)


def test_the_lines_of_the_invocation_that_failed(logs: Any, cloud: Any) -> None:
    """Not what another invocation wrote at the same time, nor what the function wrote before."""
    write(cloud, "functions/f.log", "long ago")
    began = cloud.clock.now() + timedelta(minutes=1)
    cloud.clock.move(began)
    write(
        cloud,
        "functions/f.log",
        json.dumps({"level": "INFO", "message": "mine", "function_request_id": MINE}),
        json.dumps({"level": "INFO", "message": "another's", "function_request_id": OTHERS}),
        "[ERROR] Boom: a line of nobody",
        f"REPORT RequestId: {OTHERS}\tDuration: 1 ms",
        f"REPORT RequestId: {MINE}\tDuration: 1 ms",
    )
    cloud.clock.move(began + timedelta(minutes=1))
    write(cloud, "functions/f.log", "much later")
    function = "arn:aws:lambda:eu-west-1:123456789012:function:f"
    log = read_log(logs, step(began, "lambda", "invoke", json.dumps({"requestId": MINE}), FunctionName=function))
    assert (log.group, log.stream) == ("/aws/lambda/f", "")
    assert [plainly(line.text) for line in log.lines] == [
        "INFO mine", "[ERROR] Boom: a line of nobody", f"REPORT RequestId: {MINE}\tDuration: 1 ms"
    ]  # fmt: skip
    assert abs(log.lines[0].at - began) < timedelta(seconds=2)
    # The negative control: without the invocation's id all lines of the time are told, but no others.
    assert len(read_log(logs, step(began, "lambda", "invoke", FunctionName=function)).lines) == 5
    of_alias = read_log(logs, step(began, "lambda", "invoke", FunctionName=f"{function}:live"), most=1)
    assert [line.text for line in of_alias.lines] == [f"REPORT RequestId: {MINE}\tDuration: 1 ms"]


@pytest.mark.parametrize(
    ("kind", "action", "parameter", "group"),
    [
        ("training", "createTrainingJob.sync", "TrainingJobName", "TrainingJobs"),
        ("processing", "createProcessingJob.sync", "ProcessingJobName", "ProcessingJobs"),
        ("transform", "createTransformJob.sync", "TransformJobName", "TransformJobs"),
    ],
)
def test_the_lines_of_a_job(logs: Any, cloud: Any, kind: str, action: str, parameter: str, group: str) -> None:
    began = cloud.clock.now()
    write(cloud, f"jobs/{kind}/job-0.log", "epoch=0", "killed")
    write(cloud, f"jobs/{kind}/job-0-0.log", "another's")
    log = read_log(logs, step(began, "sagemaker", action, **{parameter: "job-0"}))
    assert (log.group, log.stream) == (f"/aws/sagemaker/{group}", "job-0/")
    assert [line.text for line in log.lines] == ["epoch=0", "killed"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("plain text", "plain text"),
        ('"text"', '"text"'),
        ('{"other": 1}', '{"other": 1}'),
        ('{"level": "INFO", "message": "done"}', "INFO done"),
        (
            '{"level": "WARNING", "message": "not taken", "service": "s", "reason": "500", "ids": [1]}',
            "WARNING not taken · reason=500 · ids=[1]",
        ),
        ('{"level": "ERROR", "message": "no", "exception": "Traceback\\n  x"}', "ERROR no\nTraceback\n  x"),
        (
            '{"errorType": "Boom", "errorMessage": "no", "stackTrace": ["  File a\\n", "  File b\\n"]}',
            "Boom: no\n  File a\n  File b",
        ),
    ],
)
def test_a_line_as_a_person_reads_it(line: str, told: str) -> None:
    assert plainly(line) == told
