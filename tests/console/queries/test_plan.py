"""What an edit leads to: of columns of a contract, on paper, and beside what is deployed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import boto3
import pytest
from typer.testing import CliRunner

from millrace.aws.objects import put_object
from millrace.console.cli.app import app
from millrace.console.queries.plan import plan_deployed, plan_on_paper, step_of
from millrace.errors import RunError
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable
from millrace.workload.declaration import Workload
from tests.console import stored_cloud
from tests.console.conftest import stage_of
from tests.shipped import WORKLOADS

EDITS = {
    "workload.yaml": (
        ("# Will", "# Shall", "nothing", ()),
        ("epochs: 30", "epochs: 31", "retrain", ("training.parameters.epochs 30 → 31",)),
        ("[day_of_week", "[{name: day_of_week, every_hours: 2}", "redeploy", ("prediction.features.day_of_week",)),
    ),
    "contract.yaml": (
        ("number\n        physicalType: DOUBLE", "integer", "rewrite", ("contract rows.period",)),
        ("physicalType: STRING", "physicalType: BINARY", "refused", ("contract labels.prediction_id",)),
    ),
}


@pytest.fixture
def electricity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with this workload alone, committed."""
    folder = tmp_path / "workloads" / "electricity"
    shutil.copytree(WORKLOADS / "electricity", folder, ignore=shutil.ignore_patterns("sample"))
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(folder.parent))
    author = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    for words in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "One"]):
        subprocess.run(["git", "-C", str(folder), *words], check=True)
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_every_section_of_a_declaration_has_a_reader() -> None:
    assert {step_of(name) for name in Workload.model_fields} == {"retrain", "judge again", "redeploy"}


@pytest.mark.parametrize(
    ("file", "old", "new", "step", "because"), [(file, *one) for file, all_of in EDITS.items() for one in all_of]
)
def test_an_edit_since_a_commit(
    file: str, old: str, new: str, step: str, because: tuple[str, ...], electricity: Path
) -> None:
    edit(electricity / file, old, new)
    done = CliRunner().invoke(app, ["plan", "--against", "HEAD", "--stage", "dev", "--json"])
    assert done.exit_code == (step == "refused"), done.output
    (planned,) = json.loads(done.stdout)
    assert planned["step"] == step
    assert all(told.startswith(wanted) for told, wanted in zip(planned["because"], because, strict=True))
    assert (planned["work"] is not None) == (step in ("retrain", "judge again"))


def test_a_commit_that_is_none(electricity: Path) -> None:
    with pytest.raises(RunError, match="nope"):
        plan_on_paper([electricity], "nope", "dev")


def test_what_is_deployed_is_compared_with_the_templates_and_the_live_version(electricity: Path) -> None:
    queue = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "a"}}
    code = {"Environment": {"Variables": {"MILLRACE_CODE_DIGEST": "f" * 64}}}
    snapshot = {"Type": "AWS::Lambda::Function", "Properties": code}
    renamed = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "b"}}
    stack = stored_cloud.NAMES.stack("training")
    with stored_cloud.running():
        live = ReleasePointers(StateTable(boto3.client("dynamodb"), stored_cloud.NAMES)).champion()
        assert live is not None
        uri = stored_cloud.NAMES.run_uri(live.run, "config", "contract.yaml")
        put_object(boto3.client("s3"), uri, (electricity / "contract.yaml").read_bytes())
        template = json.dumps({"Resources": {"Q": queue}})
        boto3.client("cloudformation").create_stack(StackName=stack, TemplateBody=template)
        edit(electricity / "workload.yaml", "cool_down_days: 35", "cool_down_days: 36")
        environment = stage_of(stored_cloud.PLATFORM)
        made = {stack: {"Q": renamed, "Snapshot": snapshot}}
        steps = {one.step: one.because for one in plan_deployed(environment, [electricity], made)}
        assert steps["replace"] == ("Q (AWS::SQS::Queue) is replaced",)
        assert steps["retrain"][0].startswith("the suite's training code")
        assert steps["redeploy"][0] == "retraining.cool_down_days 35 → 36"
        # An edited policy is tried on what the live version has answered.
        with (electricity / "workload.yaml").open("a") as file:
            file.write("\npolicy: {review_above: {column: nswprice, bound: 0.04}}\n")
        (planned,) = (one for one in plan_deployed(environment, [electricity], made) if one.step == "redeploy")
        tried = "1 to a person (were 0), error of those that act not known (was not known)"
        assert f"dry run on one answer since 1997-06-30: {tried}" in planned.because
        # Nothing of the templates differs: the edit is deployed already.
        assert [one.step for one in plan_deployed(environment, [electricity], {})] == ["nothing"]
        # A workload without a deployment has no runs to look at.
        other = shutil.copytree(WORKLOADS / "xray", electricity.with_name("xray"))
        made = {stack.replace("electricity", "xray"): {"Q": queue}}
        assert [one.step for one in plan_deployed(environment, [other], made)] == ["redeploy"]
