"""Each command reads `s3://…` as it reads a path on disk."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from click.testing import Result
from moto import mock_aws
from typer.testing import CliRunner

from millrace.console.cli.app import app
from tests.console.sagemaker.conftest import capture
from tests.console.sagemaker.test_labels import LOOP, SPECIES
from tests.credentials import set_credentials

DAY = datetime(2026, 11, 26, tzinfo=UTC)
ROWS = [(n % 7, n % 3) for n in range(600)]
CALLS = [capture(n, DAY + timedelta(minutes=n), f"{a},{b}") for n, (a, b) in enumerate(ROWS)]
OBJECTS = {
    **{f"capture/AllTraffic/2026/11/26/0{n}/x.jsonl": "\n".join(CALLS[n * 100 : n * 100 + 100]) for n in range(6)},
    "capture/AllTraffic/_SUCCESS": "",
    "capture/AllTraffic-2/2026/11/26/00/x.jsonl": capture(0, DAY, "1,2,3"),
    "scans/manifests/output/output.manifest": SPECIES.replace("\n", " "),
    "a2i/flow/2026/11/26/08/00/00/loop/output.json": json.dumps(LOOP),
}


@pytest.fixture(autouse=True)
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    set_credentials(monkeypatch)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="bucket")
        for key, text in OBJECTS.items():
            client.put_object(Bucket="bucket", Key=key, Body=text.encode())
        yield


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["sagemaker", *words])


@pytest.mark.parametrize("ending", ["", "/"])
def test_a_folder_of_captures_is_read_without_its_neighbour(ending: str) -> None:
    result = run("captures", f"s3://bucket/capture/AllTraffic{ending}", "--columns", "a,b", "--json")
    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout)["calls"] == 600


def test_one_object_is_read() -> None:
    result = run("captures", "s3://bucket/capture/AllTraffic-2/2026/11/26/00/x.jsonl", "--columns", "a,b")
    assert getattr(result.exception, "where", "") == "s3://bucket/capture/AllTraffic-2/2026/11/26/00/x.jsonl:1"


def test_labels_are_read_and_their_folder_is_made(tmp_path: Path) -> None:
    for words in (("ground-truth", "s3://bucket/scans/manifests/output/"), ("a2i", "s3://bucket/a2i/flow")):
        output = tmp_path / words[0] / "labels.jsonl"
        result = run(*words, "--output", str(output))
        assert result.exit_code == 0, result.exception
        assert len(output.read_text().splitlines()) == 1


@pytest.mark.parametrize("path", ["s3://bucket/nothing", "s3://bucket", "s3://bucket/capture/All"])
def test_a_path_without_a_file_is_named(path: str) -> None:
    assert path in str(run("captures", path).exception)
