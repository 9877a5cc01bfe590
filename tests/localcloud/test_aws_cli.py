"""README's "Keep it running", typed line by line in a copy of the repository: AWS's clients work on what `up` keeps.

They get nothing but what `up` says to export; edits of the copy are deployed; `down` leaves nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from millrace.console.local_cloud.instance import command_of
from millrace.console.local_cloud.local_cloud import SECRET_VARIABLE, LocalCloud
from tests.documentation.pages import typed
from tests.processes import descendants

pytestmark = pytest.mark.night("AWS's own command line over a whole deployment; by day boto3 makes the same calls")
ROOT = Path(__file__).resolve().parents[2]
PREDICTION = "millrace-local-electricity-prediction:live"
INGEST = "arn:aws:states:eu-west-1:123456789012:stateMachine:millrace-local-electricity-ingest"


WAIT_S = 300.0


def said(beginning: str) -> str:
    """The command of README's section that begins like this, without its remark."""
    (line,) = (line for line in typed("eval") if line.startswith(beginning))
    return line


@dataclass(kw_only=True)
class Person:
    """Somebody with a copy of the repository, and a shell in it."""

    copy: Path
    shell: dict[str, str]
    """The variables of the shell."""

    def try_typing(self, line: str) -> subprocess.CompletedProcess[str]:
        script = f"{line}\nstatus=$?\nenv -0 > environment\nexit $status"
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.copy, env=self.shell, capture_output=True, text=True, check=False
        )
        instance = (self.copy / "environment").read_text().split("\0")
        self.shell = dict(one.split("=", 1) for one in instance if one)
        return done

    def type(self, line: str) -> str:
        """What the line prints."""
        done = self.try_typing(line)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def ask(self, line: str) -> Any:
        """What a command of AWS's line prints as JSON."""
        return json.loads(self.type(f"{line} --output json"))

    def edit(self, file: str, before: str, after: str) -> None:
        text = (self.copy / file).read_text()
        assert text.count(before) == 1, f"{before!r} in {file}"
        (self.copy / file).write_text(text.replace(before, after))

    def answer(self) -> dict[str, Any]:
        """What the prediction function says to a call without rows."""
        self.type(f"aws lambda invoke --function-name {PREDICTION} --payload '{{\"rows\": []}}' answer.json")
        return dict(json.loads((self.copy / "answer.json").read_text()))


def copy_repository(copy: Path) -> None:
    """The files of the repository with one workload, and by links what its set-up made: bundles may be added, layers
    are there."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    told = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in told.splitlines():
        is_other = name.startswith("workloads/") and not name.startswith("workloads/electricity/")
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/", ".")) and not is_other:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    (copy / "build" / "bundles").mkdir(parents=True)
    for name in (".venv", "build/node", "build/layers", "build/aws-cli"):
        (copy / name).symlink_to(ROOT / name)
    for bundle in (ROOT / "build" / "bundles").iterdir():
        (copy / "build" / "bundles" / bundle.name).symlink_to(bundle)


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    copy = tmp_path_factory.mktemp("copy")
    copy_repository(copy)
    person = Person(copy=copy, shell={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "AWS_PROFILE": "work"})
    try:
        for beginning in ("source", "export PATH", "eval"):
            person.type(said(beginning))
        yield person
    finally:
        person.type("millrace down --yes")


def test_the_clients_are_those_of_aws(person: Person) -> None:
    assert person.ask("aws sts get-caller-identity")["Account"] == "123456789012"
    told = person.ask("aws cloudformation describe-stacks")["Stacks"]
    templates = {path.name.split(".")[0] for path in (person.copy / "build/up/cdk.out").glob("*.template.json")}
    stacks = {stack["StackName"]: stack["StackStatus"] for stack in told}
    assert stacks == dict.fromkeys(templates | {"CDKToolkit"}, "CREATE_COMPLETE")
    program = "import boto3; print(boto3.client('s3').list_buckets()['Buckets'][0]['Name'])"
    assert person.type(f'python -c "{program}"').startswith("cdk-hnb659fds-assets-")


def test_a_drop_is_ingested(person: Person) -> None:
    person.type(said("python -m"))
    person.type(said("aws s3 cp"))
    cloud = LocalCloud(endpoint_url=person.shell["AWS_ENDPOINT_URL"], secret=person.shell[SECRET_VARIABLE])
    cloud.wait(timeout_s=WAIT_S)
    (execution,) = person.ask(said("aws stepfunctions"))["executions"]
    assert execution["status"] == "SUCCEEDED"
    ended = person.ask(f"aws stepfunctions describe-execution --execution-arn {execution['executionArn']}")
    assert json.loads(ended["output"])["detail"]["objects"][0]["key"] == "electricity/training/1996-05.parquet"
    group = "/aws/lambda/millrace-local-electricity-validation"
    (event,) = person.ask(f"aws logs filter-log-events --log-group-name {group} --filter-pattern validated")["events"]
    rows = pq.read_metadata(person.copy / "build" / "drops" / "electricity" / "1996-05.parquet").num_rows
    assert json.loads(event["message"])["drops"][0]["rows_accepted"] == rows


def test_a_second_up_deploys_what_was_edited(person: Person) -> None:
    first = person.shell["AWS_ENDPOINT_URL"]
    person.edit("infra/machines/ingest.py", 'f"Ingest drops of', 'f"Edited, drops of')
    person.edit("functions/prediction/request.py", '"number of rows"', '"edited"')
    assert person.answer()["error"] == "number of rows"
    assert json.loads(person.type("millrace up --json"))["environment"]["AWS_ENDPOINT_URL"] == first
    assert person.answer()["error"] == "edited"
    described = person.ask(f"aws stepfunctions describe-state-machine --state-machine-arn {INGEST}")
    assert json.loads(described["definition"])["Comment"].startswith("Edited, drops of electricity")
    assert len(person.ask(said("aws stepfunctions"))["executions"]) == 1, "what was there before the edit stays"


def test_an_edit_that_is_wrong_is_told_and_the_cloud_goes_on(person: Person) -> None:
    person.edit("workloads/electricity/workload.yaml", "first_rows:", "first_row:")
    before = person.answer()
    done = person.try_typing("millrace up")
    assert done.returncode == 1
    assert "first_row" in done.stderr
    assert person.answer() == before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_down_leaves_no_process_no_port_and_no_file(person: Person) -> None:
    before = json.loads((person.copy / "build" / "up.json").read_text())
    family = descendants(before["pid"])
    assert len(family) > 1, "functions were called"
    assert person.type(said("millrace down")) == f"The local cloud has ended, process {before['pid']}.\n"
    assert [command for pid in family if (command := command_of(pid))] == []
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(before["endpoint_url"])
    assert not {"up", "up.json", "local"} & {path.name for path in (person.copy / "build").iterdir()}
    assert person.type("millrace down") == "No local cloud ran for build.\n"
