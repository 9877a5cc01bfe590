"""An account in the local cloud on which AWS's own command line works, and edited copies of an assembly."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

from localcloud.kernel.cloud import ACCOUNT, REGION

ROOT = Path(__file__).resolve().parents[2]
CLI = ROOT / "build" / "node" / "node_modules" / ".bin" / "cdk"
CONTEXT = ("-c", "stage=local", "-c", f"account={ACCOUNT}", "-c", f"region={REGION}", "-c", "workloads=electricity")
ASSETS = f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"
PREDICTION = "millrace-local-electricity-prediction:live"
INGEST = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:millrace-local-electricity-ingest"
OLDEST = "millrace-local-electricity-oldest-drop"
"""An alarm whose threshold is 1, as of all monitors."""
WAIT_S = 300.0
HEAVY_BYTES = 100_000_000


@dataclass(frozen=True, kw_only=True)
class Account:
    """A cloud of its own, empty but for what the command line puts there."""

    endpoint_url: str
    secret: str
    """For the control routes."""
    folder: Path

    @property
    def whole(self) -> Path:
        """What the app synthesized when it was bootstrapped."""
        return self.folder / "whole"

    def bootstrap(self) -> None:
        """The app is in the command line's folder, so it is synthesized for it."""
        self.cdk("bootstrap", "--output", str(self.whole), *CONTEXT)

    def client(self, service: str) -> Any:
        keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
        return boto3.client(service, endpoint_url=self.endpoint_url, region_name=REGION, **keys)

    def try_cdk(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command line as in an activated environment; its folder is the repository's root."""
        environment = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": os.environ["HOME"],
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": REGION,
            "MILLRACE_BUILD": str(self.folder),
            # The rules that CDK itself checks are those of dev and prod; to start them takes seconds.
            "CDK_VALIDATION": "false",
        }
        return subprocess.run([CLI, *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    def cdk(self, *words: str) -> str:
        done = self.try_cdk(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def stacks(self) -> dict[str, str]:
        stacks = self.client("cloudformation").describe_stacks()["Stacks"]
        return {stack["StackName"]: stack["StackStatus"] for stack in stacks}

    def answer(self) -> dict[str, Any]:
        """What the prediction function says to a call without rows."""
        invoked = self.client("lambda").invoke(FunctionName=PREDICTION, Payload=json.dumps({"rows": []}))
        return dict(json.load(invoked["Payload"]))

    def run(self, machine: str) -> str:
        """The output of an execution of the machine, or how it ended."""
        stepfunctions = self.client("stepfunctions")
        execution = stepfunctions.start_execution(stateMachineArn=machine, input="{}")["executionArn"]
        end = time.monotonic() + WAIT_S
        while (described := stepfunctions.describe_execution(executionArn=execution))["status"] == "RUNNING":
            assert time.monotonic() < end, "the execution did not end"
            time.sleep(0.02)
        return str(described.get("output", described["status"]))


@contextmanager
def account_below(folder: Path) -> Iterator[Account]:
    """An account in a cloud of its own, which ends with the block."""
    cloud = subprocess.Popen(
        [sys.executable, "-m", "localcloud", "--workspace", str(folder / "local")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with cloud:
        try:
            assert cloud.stdout is not None
            announced = json.loads(cloud.stdout.readline())
            secret = Path(announced["secret_file"]).read_text()
            yield Account(endpoint_url=announced["endpoint_url"], secret=secret, folder=folder)
        finally:
            cloud.terminate()


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A copy of an assembly in which stacks are edited as a new synthesis would write them."""

    folder: Path

    def edit(self, stack: str, before: str, after: str) -> None:
        """Change the text of a template; its asset, which is named by its content, changes with it."""
        text = (self.folder / f"{stack}.template.json").read_text()
        assert text.count(before) == 1, f"{before!r} in {stack}"
        self._rewrite(stack, text.replace(before, after))

    def edit_alarm(self, stack: str, name: str, **properties: Any) -> None:
        template = json.loads((self.folder / f"{stack}.template.json").read_text())
        (alarm,) = (one for one in template["Resources"].values() if one["Properties"].get("AlarmName") == name)
        alarm["Properties"].update(properties)
        self._rewrite(stack, json.dumps(template))

    def _rewrite(self, stack: str, text: str) -> None:
        template, manifest = self.folder / f"{stack}.template.json", self.folder / "manifest.json"
        template.write_text(text)
        assets = self.folder / f"{stack}.assets.json"
        files = json.loads(assets.read_text())["files"]
        (old,) = (key for key, one in files.items() if one["source"]["path"] == template.name)
        new = hashlib.sha256(template.read_bytes()).hexdigest()
        for path in (assets, manifest):
            path.write_text(path.read_text().replace(old, new))

    def edit_code(self, stack: str, function: str, module: str, before: str, after: str) -> None:
        """Change a module in the bundle of a function, of which there is a new version then, under a new logical id."""
        assets = self.folder / f"{stack}.assets.json"
        described = json.loads(assets.read_text())
        (old,) = (key for key, one in described["files"].items() if one["displayName"] == f"{function}/Code")
        bundle = self.folder / f"bundle-{function}"
        shutil.copytree(described["files"][old]["source"]["path"], bundle)
        text = (bundle / module).read_text()
        assert text.count(before) == 1, f"{before!r} in {module}"
        (bundle / module).write_text(text.replace(before, after))
        new = hashlib.sha256(text.replace(before, after).encode()).hexdigest()
        described["files"][old]["source"]["path"] = bundle.name
        assets.write_text(json.dumps(described).replace(old, new))
        self.edit(stack, old, new)
        template = self.folder / f"{stack}.template.json"
        resources = json.loads(template.read_text())["Resources"]
        (version,) = (name for name, one in resources.items() if one["Type"] == "AWS::Lambda::Version")
        self._rewrite(stack, template.read_text().replace(version, f"{version}Edited"))


def lighten(whole: Path, assembly: Path) -> None:
    """A copy whose heavy layers are empty: the command line takes a dozen seconds to zip them.

    No function that stands on one is called here."""
    shutil.copytree(whole, assembly)
    empty = assembly / "empty"
    (empty / "python").mkdir(parents=True)
    (empty / "python" / "empty.py").touch()
    for path in assembly.glob("*.assets.json"):
        described = json.loads(path.read_text())
        for asset in described["files"].values():
            source = Path(asset["source"]["path"])
            if "layers" in source.parts and sum(one.stat().st_size for one in source.rglob("*")) > HEAVY_BYTES:
                asset["source"]["path"] = empty.name
        path.write_text(json.dumps(described))


def edited(assembly: Path, folder: Path) -> Path:
    """A copy of the assembly after three edits: of a machine, of the code of a function and of an alarm."""
    copy = Copy(folder=folder)
    shutil.copytree(assembly, copy.folder)
    state = {"Type": "Pass", "Result": "the new definition", "End": True}
    inner = json.dumps(json.dumps({"Edited": state}, separators=(",", ":"))[1:-1])[1:-1]
    copy.edit("millrace-local-electricity-ingestion", r"\"StartAt\":\"Ingestion\"", r"\"StartAt\":\"Edited\"")
    copy.edit(
        "millrace-local-electricity-ingestion", r"\"States\":{\"Ingestion\"", rf"\"States\":{{{inner},\"Ingestion\""
    )
    copy.edit_code(
        "millrace-local-electricity-serving",
        "prediction",
        "millrace/functions/prediction/request.py",
        '"number of rows"',
        '"new code"',
    )
    copy.edit_alarm("millrace-local-electricity-monitoring", OLDEST, Threshold=5)
    return copy.folder


def retained(assembly: Path, type_name: str, name: str) -> list[str]:
    """The names of what the templates say outlives its stack."""
    templates = [json.loads(path.read_text()) for path in assembly.glob("*.template.json")]
    return sorted(
        one["Properties"][name]
        for template in templates
        for one in template["Resources"].values()
        if one["Type"] == type_name and one.get("DeletionPolicy", "Delete") != "Delete"
    )
