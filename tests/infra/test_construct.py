"""Another team's CDK app takes the suite as a construct, beside what it has of its own."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_sns as sns

from millrace.errors import MillraceError
from millrace.infra.app import Millrace, build
from millrace.infra.settings import settings_for
from millrace.workload.load import workloads_folder

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
