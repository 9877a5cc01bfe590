"""What the app is told, and what is said when the cloud does not come up; that it does is seen end to end."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import boto3
import pytest
from moto import mock_aws

from millrace.console.local_cloud.lifecycle import _check_webhook
from millrace.console.local_cloud.local_cloud import LocalCloud, find_cloud, synthesis_context
from millrace.console.local_cloud.processes import Processes
from millrace.errors import LocalCloudError
from millrace.infra.app import listed, settings_of
from millrace.infra.cdk_context import KEYS


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    processes = Processes(folder=tmp_path)
    yield processes
    processes.stop()


def find(processes: Processes, program: str) -> LocalCloud:
    return find_cloud(processes.start("local cloud", ["-c", program], log="cloud.log", program=[sys.executable]))


def test_the_address_is_found_among_other_lines(processes: Processes, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush")
    announced = json.dumps({"endpoint_url": "http://localhost:1", "secret_file": str(tmp_path / "secret")})
    line = f"""print("a warning"); print({announced!r}, flush=True)"""
    expected = LocalCloud(endpoint_url="http://localhost:1", secret="hush")
    assert find(processes, f"{line}; import time; time.sleep(60)") == expected


def test_a_cloud_that_ends_without_an_address_is_told(processes: Processes) -> None:
    with pytest.raises(LocalCloudError, match=r"local cloud: expected its address, got nothing; see .*cloud\.log"):
        find(processes, "raise SystemExit('no port')")


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `cdk.json` beside a folder of workloads; the file is to be written."""
    (tmp_path / "workloads").mkdir()
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(tmp_path / "workloads"))
    return tmp_path / "cdk.json"


def read_keys(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The keys of the context that the app reads."""
    keys: set[str] = set()
    context = cdk.App().node

    class Recording:
        def try_get_context(self, key: str) -> Any:
            keys.add(key)
            return context.try_get_context(key)

    monkeypatch.setenv("CDK_DEFAULT_ACCOUNT", "123456789012")
    monkeypatch.setenv("CDK_DEFAULT_REGION", "eu-west-1")
    settings_of(Recording())
    listed(Recording())
    return keys


def test_the_app_is_told_every_key_of_cdk_json(declared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `cdk deploy` tells it; but for the place, which is the local cloud's."""
    place = {"stage": "local", "account": "123456789012", "region": "eu-west-1"}
    keys = read_keys(monkeypatch)
    assert keys == {*KEYS} - {"bases"} > {*place}, "`bases` is said with a command alone"
    said = {key: f"of {key}" for key in (*keys, "@aws-cdk/core:aFlag")}
    declared.write_text(json.dumps({"context": said}))
    assert synthesis_context({}, ()) == said | place
    own = {"stages": {}, "workloads": "mine,yours"}
    assert synthesis_context({"stages": {}}, ["mine", "yours"]) == said | place | own


@pytest.mark.parametrize(("stage", "is_told"), [("local", True), ("prod", False)])
def test_a_chat_without_its_secret_is_told_before_a_deployment(
    declared: Path, monkeypatch: pytest.MonkeyPatch, stage: str, is_told: bool
) -> None:
    declared.write_text(json.dumps({"context": {"stages": {stage: {"alarm_webhook": "chat/url"}}}}))
    cloud = LocalCloud(endpoint_url="http://localhost:1", secret="")
    with mock_aws():
        secrets = boto3.client("secretsmanager", region_name="eu-west-1")
        monkeypatch.setattr(LocalCloud, "client", lambda *_: secrets)
        if is_told:
            with pytest.raises(
                LocalCloudError, match=r"stages\.local\.alarm_webhook: expected the secret chat/url .*got none"
            ):
                _check_webhook(cloud)
            secrets.create_secret(Name="chat/url", SecretString="https://localhost:9/x")  # pragma: allowlist secret
        _check_webhook(cloud)
