"""Why an execution failed, of the cause that Step Functions gives."""

import json

import pytest

from millrace.console.queries.executions import failure_of

FRAME = '  File "/var/task/functions/gating/handler.py", line 40, in handler\n'
"""A line of the traceback that the Lambda runtime gives with an exception."""


@pytest.mark.parametrize(
    ("error", "cause", "failure"),
    [
        ("States.TaskFailed", "the guard is broken", "States.TaskFailed: the guard is broken"),
        (
            "States.TaskFailed",
            '{"TrainingJobName": "x", "FailureReason": "SnapshotError: no rows"}',
            "States.TaskFailed: SnapshotError: no rows",
        ),
        ("SettingsError", '{"errorMessage": "no table", "errorType": "SettingsError"}', "SettingsError: no table"),
        *(
            (
                kind,
                json.dumps({"errorMessage": said, "errorType": kind, "stackTrace": [FRAME]}),
                f"an unexpected error in gating: {told}; the log: millrace logs gating",
            )
            for kind, said, told in (
                ("ZeroDivisionError", "division by zero", "division by zero"),
                ("KeyError", "'rows'", "key error 'rows'"),
                ("AssertionError", "", "assertion error"),
            )
        ),
        (
            "States.TaskFailed",
            json.dumps({"FailureReason": "AlgorithmError: IndexError: list index out of range, exit code: 1"}),
            "an unexpected error in the job: list index out of range; the log: millrace logs RUN",
        ),
        ("Sandbox.Timedout", '{"errorMessage": "900 s", "errorType": "Sandbox.Timedout"}', "Sandbox.Timedout: 900 s"),
        ("States.Timeout", "", "States.Timeout"),
        ("Boom", '{"unknown": 1}', 'Boom: {"unknown": 1}'),
    ],
)
def test_a_cause_that_is_a_document_is_cut_to_its_reason(error: str, cause: str, failure: str) -> None:
    assert failure_of(error, cause) == failure
