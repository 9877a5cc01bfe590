"""Another team's CDK app takes the suite as a construct, beside what it has of its own."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_sns as sns

from millrace.errors import ConfigurationError, MillraceError
from millrace.infra.app import Millrace, build
from millrace.infra.options import options_of
from millrace.infra.rules.assembly import machines, read
from millrace.infra.rules.catalogue import findings
from millrace.infra.settings import settings_for
from millrace.workload.load import workloads_folder
from tests.infra.conftest import ELECTRICITY, OWN

PLACE = {"account": "123456789012", "region": "eu-west-1"}


class Shop(cdk.Stack):
    """What the other app is about."""

    def __init__(self, scope: cdk.App) -> None:
        super().__init__(scope, "shop", env=cdk.Environment(**PLACE))
        sns.Topic(self, "Orders")


def templates(app: cdk.App) -> dict[str, object]:
    return {stack.stack_name: stack.template for stack in app.synth().stacks}


def test_the_construct_makes_the_stacks_of_the_app_beside_the_others(tmp_path: Path) -> None:
    app = cdk.App(outdir=str(tmp_path / "other"))
    Shop(app)
    Millrace(app, "ml", stage="dev", workloads=["income"], options={"like": "dev"}, **PLACE)
    own = build(settings_for("dev", **PLACE), workloads=[workloads_folder() / "income"], outdir=str(tmp_path / "own"))
    made = templates(app)
    assert made.pop("shop")
    assert made == templates(own)


def test_a_workload_that_is_no_folder_is_refused() -> None:
    with pytest.raises(MillraceError, match=r"names of workloads.*got 'outcome'"):
        Millrace(cdk.App(), "ml", stage="dev", workloads=["outcome"], **PLACE)


@pytest.mark.parametrize(
    ("stage", "chosen"), [("dev", {"key_arn": OWN["key_arn"]}), ("local", {"prediction_provisioned": 1})]
)
def test_a_key_of_another_region_and_what_no_local_cloud_has_are_refused(stage: str, chosen: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings_for(stage, account="123456789012", region="eu-central-1", options=options_of({stage: chosen}, stage))
    assert refused.value.field == f"stages.{stage}.{next(iter(chosen))}"


@pytest.mark.parametrize(("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")])
def test_no_template_names_another_partition(tmp_path: Path, region: str, partition: str) -> None:
    """Step Functions refuses a machine with a task of another partition; the rules read the tasks all the same."""
    build(
        settings_for("dev", account="123456789012", region=region), workloads=[ELECTRICITY], outdir=str(tmp_path)
    ).synth()
    stacks = read(tmp_path)
    for machine in machines(stacks):
        assert all(task.state["Resource"].startswith(f"arn:{partition}:states:::") for task in machine.tasks())
    assert [path.name for path in tmp_path.glob("*.template.json") if "arn:aws:" in path.read_text()] == []
    assert findings(stacks) == []
