"""The assemblies of every stage with the workload `electricity`, and one of `dev` with the others.

They are synthesized once for all processes of a test run; nobody writes into them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from aws_cdk.assertions import Template
from filelock import FileLock

from millrace.infra.app import build
from millrace.infra.deployer.__main__ import deployer
from millrace.infra.options import Options, options_of
from millrace.infra.rules.assembly import read
from millrace.infra.settings import settings_for
from millrace.workload.load import SUITE
from tests.consumers import with_consumers
from tests.infra.machines.contexts import QUERIES
from tests.shipped import SHIPPED

ELECTRICITY = SUITE / "workloads" / "electricity"
EVERY_OPTION: dict[str, Any] = {
    "api": {},  # jobs come by the REST API
    "callers": {"requests_per_s": 5, "burst": 10},
    "dashboards": True,
    "prediction_reserved": 2,
    "prediction_starts": {"provisioned": 1},
    "released_to": [{"account": "210987654321", "stage": "prod"}],
}
"""Every option that adds something, but for `pulls_from`, whose machine has a role more."""


@pytest.fixture(scope="session")
def assemblies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of the cloud assembly by stage; its only workload is `electricity`."""
    return {
        stage: shared(stage, [ELECTRICITY], tmp_path_factory, f"assembly-{stage}") for stage in ("local", "dev", "prod")
    }


@pytest.fixture(scope="session")
def other_workloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cloud assembly of `dev` with every other workload and every option that adds something."""
    options = options_of({"dev": EVERY_OPTION}, "dev")
    return shared("dev", every_section(tmp_path_factory), tmp_path_factory, "other-workloads", options)


def every_section(factory: pytest.TempPathFactory) -> list[Path]:
    """Every workload. `electricity` has a consumer of each kind, and each way in."""
    consumers = with_consumers(factory.mktemp("consumers"))
    with (consumers / "workload.yaml").open("a") as declaration:
        declaration.write("stream: {}\njobs: {}\n")
        queries = {name: query.model_dump() for name, query in QUERIES.items()}
        declaration.write(yaml.safe_dump({"queries": queries}))
    return [consumers, *(folder for folder in SHIPPED if folder != ELECTRICITY)]


@pytest.fixture(scope="session")
def deployer_assembly(assemblies: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stack that lets GitHub deploy `dev`."""
    options = options_of({"dev": {"github": {"repository": "octo-org/mill"}}}, "dev")
    settings = settings_for("dev", account="123456789012", region="eu-west-1", options=options)
    folder = tmp_path_factory.mktemp("deployer")
    deployer(settings, read(assemblies["dev"]), outdir=str(folder)).synth()
    return folder


def shared(
    stage: str,
    workloads: Sequence[Path],
    factory: pytest.TempPathFactory,
    name: str,
    options: Options | None = None,
) -> Path:
    """The assembly that the first process to come here makes; the others wait for it."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            synthesized(stage, workloads, folder.with_suffix(".part"), options).rename(folder)
    return folder


def synthesized(stage: str, workloads: Sequence[Path], folder: Path, options: Options | None = None) -> Path:
    settings = settings_for(stage, account="123456789012", region="eu-west-1", options=options)
    build(settings, workloads=workloads, outdir=str(folder)).synth()
    return folder


@pytest.fixture(scope="session")
def templates(assemblies: dict[str, Path]) -> dict[str, dict[str, dict[str, Any]]]:
    """Template by stage and stack name."""
    return {
        stage: {
            path.name.removesuffix(".template.json"): json.loads(path.read_text())
            for path in sorted(folder.glob("*.template.json"))
        }
        for stage, folder in assemblies.items()
    }


def roles_of(templates: dict[str, dict[str, dict[str, Any]]], stage: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every role of the stage: its name without stage and workload, such as `snapshot`, and its properties."""
    for template in templates[stage].values():
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::IAM::Role":
                role = resource["Properties"]
                yield role["RoleName"].removeprefix(f"millrace-{stage}-").removeprefix("electricity-"), role


def statements_of(templates: dict[str, dict[str, dict[str, Any]]], stage: str) -> dict[str, list[dict[str, Any]]]:
    """What each function and machine of the stage may do, such as `guard` and `train-machine`."""
    found = {}
    for template in templates[stage].values():
        for resource in template["Resources"].values():
            properties = resource["Properties"]
            match resource["Type"]:
                case "AWS::Lambda::Function":
                    name, role = properties["FunctionName"], properties["Role"]
                case "AWS::StepFunctions::StateMachine":
                    name, role = f"{properties['StateMachineName']}-machine", properties["RoleArn"]
                case _:
                    continue
            (policy,) = template["Resources"][role["Fn::GetAtt"][0]]["Properties"]["Policies"]
            owner = name.removeprefix(f"millrace-{stage}-").removeprefix("electricity-")
            found[owner] = policy["PolicyDocument"]["Statement"]
    return found


@pytest.fixture(scope="session")
def template_of(templates: dict[str, dict[str, dict[str, Any]]]) -> Callable[[str, str], Template]:
    """A stack of a stage as `aws_cdk.assertions` takes it: `template_of("prod", "electricity-serving")`."""
    return cache(lambda stage, stack: Template.from_json(templates[stage][f"millrace-{stage}-{stack}"]))
