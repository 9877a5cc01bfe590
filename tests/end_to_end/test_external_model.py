"""An external model goes through the machine `train`, and is judged by the gates of every model."""

from __future__ import annotations

import json
from pathlib import Path

from millrace.console.actions.start import read_model, register
from tests.end_to_end.conftest import Lived
from tests.external_models import parts, write

WORKLOAD = Path(__file__).resolve().parents[2] / "workloads" / "electricity"


def test_a_model_that_answers_the_opposite_is_refused_by_the_gates_of_every_model(lived: Lived, tmp_path: Path) -> None:
    s3, states = (lived.cloud.client(service) for service in ("s3", "stepfunctions"))
    run = register(s3, states, lived.names, read_model(write(tmp_path, **parts(sign=-1)), WORKLOAD))
    lived.rest()
    ended = states.describe_execution(executionArn=run.arn)
    assert ended["status"] == "SUCCEEDED", ended
    output = json.loads(ended["output"])
    verdicts = {verdict["name"]: verdict["passed"] for verdict in output["gating"]["answer"]["verdicts"]}
    assert verdicts["non_inferiority"] is False
    assert verdicts["finite_weights"] is verdicts["latency"] is True
    assert output["training"]["model_data_url"].endswith("/training/model.tar.gz")
    assert "registration" not in output
