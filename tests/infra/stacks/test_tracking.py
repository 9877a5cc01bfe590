"""Where runs are recorded: nowhere unless an MLflow is named, then in that one, by a layer that can speak to it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from millrace.infra.bundles import layer
from millrace.workload.load import SUITE
from tests.credentials import KEYS

MLFLOW = "arn:aws:sagemaker:eu-west-1:123456789012"
APP, SERVER = f"{MLFLOW}:mlflow-app/app-ABCDEFGHIJKL", f"{MLFLOW}:mlflow-tracking-server/runs"
OF_AN_APP = pytest.mark.night("by day an app")


@pytest.mark.parametrize(("requirements", "speaks"), [("requirements-managed.txt", True), ("requirements.txt", False)])
@pytest.mark.parametrize("arn", [APP, pytest.param(SERVER, marks=OF_AN_APP)], ids=["app", "server"])
def test_the_layer_speaks_to_what_an_arn_names(arn: str, requirements: str, speaks: bool, tmp_path: Path) -> None:
    """The layer of a file does not know ARNs: the control."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder, _ = layer(SUITE, SUITE / "functions" / "tracking" / requirements, "host", python)
    # Of what is installed here only what a function has of its runtime: SageMaker's SDK brings the plugin, too.
    for name in ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six.py", "urllib3"):
        (tmp_path / name).symlink_to(Path(boto3.__file__).parents[1] / name)
    source = (
        f"import sys; sys.path[:0] = ['{folder}/python', '{tmp_path}']\n"
        f"from mlflow.tracking import MlflowClient\nMlflowClient(tracking_uri='{arn}')\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", source], env=KEYS, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) == speaks, done.stderr
    assert speaks or "unsupported URI" in done.stderr
