"""AWS's command line tries a state of a deployed machine on the local cloud, with the variables that `up` exports."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from millrace.console.local_cloud.lifecycle import Instance
from millrace.console.local_cloud.local_cloud import LocalCloud
from tests.console.conftest import PASS

TASK = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"}}
CATCH = {"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.lost", "Next": "After"}
MOCK = {"errorOutput": {"error": "KeyError", "cause": "version"}, "fieldValidationMode": "PRESENT"}


def test_a_state_is_tried_with_an_error_in_place_of_its_call(
    cloud: Any, machine: Callable[..., str], tmp_path: Path
) -> None:
    exported = Instance(cloud=LocalCloud(endpoint_url=cloud.endpoint_url, secret="s"), pid=1, folder=tmp_path)

    def aws(*words: str) -> str:
        line = ("build/aws-cli/bin/aws", "stepfunctions", *words)
        return subprocess.run(
            line, env=os.environ | exported.environment, capture_output=True, text=True, check=True
        ).stdout

    arn = machine("release", {"Call": {**TASK, "Catch": [CATCH], "Next": "After"}, "After": PASS})
    told = aws("describe-state-machine", "--state-machine-arn", arn, "--query", "definition", "--output", "text")
    definition = tmp_path / "release.json"
    definition.write_text(told)
    asked = (
        "--definition",
        f"file://{definition}",
        "--state-name",
        "Call",
        "--mock",
        json.dumps(MOCK),
        "--input",
        "{}",
    )
    answer = json.loads(aws("test-state", *asked))
    assert (answer["status"], answer["nextState"], answer["error"]) == ("CAUGHT_ERROR", "After", "KeyError")
