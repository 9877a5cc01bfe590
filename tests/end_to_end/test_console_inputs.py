"""`{}` in the console is taken where docs/operating.md says so; else an error says what was expected."""

from __future__ import annotations

import json
from typing import Any

from tests.end_to_end.conftest import Lived

TAKEN = ("train", "retrain", "score", "monitor")
REFUSED = {
    "ingest": "expected cause, as_of and detail with feed, objects, as the intake gives them, got none of "
    "['cause', 'as_of', 'detail']: drop a file instead",
    "release": "expected detail.package_arn (a registered model) or rollback, got neither",
}


def test_each_machine_is_started_with_nothing(lived: Lived) -> None:
    states = lived.cloud.client("stepfunctions")
    begun = {
        machine: states.start_execution(stateMachineArn=lived.names.machine_arn(machine), input="{}")["executionArn"]
        for machine in (*TAKEN, *REFUSED)
    }
    lived.rest()
    ended: dict[str, dict[str, Any]] = {
        machine: states.describe_execution(executionArn=arn) for machine, arn in begun.items()
    }
    for machine in TAKEN:
        assert ended[machine]["status"] == "SUCCEEDED", ended[machine]
        output = json.loads(ended[machine]["output"])
        assert output["cause"] == "console"
        assert output["as_of"][:10] == f"{ended[machine]['startDate']:%Y-%m-%d}"
    assert json.loads(ended["train"]["output"])["reason"] == "command"
    assert json.loads(ended["retrain"]["output"])["guard"]["answer"]["trigger"] == "command"
    newest = json.loads(ended["score"]["output"])["ingestion"]["answer"]["parsed"][0]["source"]
    assert newest.startswith(f"s3://{lived.names.platform.bucket('landing')}/{lived.names.workload}/scoring/")
    for machine, told in REFUSED.items():
        assert ended[machine]["status"] == "FAILED", ended[machine]
        assert told in json.loads(ended[machine]["cause"])["errorMessage"]
