"""The assemblies of every stage with the workload `electricity`, and one of `dev` with the others.

They are synthesized once for all processes of a test run; nobody writes into them."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from millrace.infra.app import build
from millrace.infra.deployer.__main__ import deployer
from millrace.infra.options import Options, options_of
from millrace.infra.rules.assembly import listed, read
from millrace.infra.settings import settings_for
from millrace.workload.load import SUITE
from tests.consumers import HTTP, KEY, TABLE, with_consumers
from tests.infra.machines.contexts import QUERIES
from tests.shipped import SHIPPED

ELECTRICITY = SUITE / "workloads" / "electricity"
EVERY_OPTION: dict[str, Any] = {
    "access_audit": True,
    "api": {},  # jobs come by the REST API
    "bulk": {"vcpus": 32},
    "callers": {"requests_per_s": 5, "burst": 10},
    "dashboards": True,
    "prediction_reserved": 2,
    "prediction_provisioned": 1,
    "partners": {"111122223333": {"drops": ["income/labels", "xray/training"], "calls": ["income"]}},
    "released_to": [{"account": "210987654321", "stage": "prod"}],
}
"""Every option that adds something, but for `pulls_from`, whose machine has a role more."""
OWN: dict[str, Any] = {
    "permissions_boundary": "arn:aws:iam::123456789012:policy/boundary",
    "network": {"subnets": ["subnet-0a1b2c3d", "subnet-1a2b3c4d"], "security_group": "sg-0a1b2c3d"},
    "key_arn": "arn:aws:kms:eu-west-1:123456789012:key/0f1e2d3c-0000-4000-8000-000000000000",
}
"""What an account has already: a boundary, a network and a key instead of the platform's own."""
SOURCES = ("millrace", "functions", "infra", "jobs", "containers", "workloads", "tests/infra/conftest.py")
KEPT_S = 24 * 3600
"""Shorter than unused bundles are kept, which an assembly names."""


@pytest.fixture(scope="session")
def assemblies() -> dict[str, Path]:
    """The folder of the cloud assembly by stage; its only workload is `electricity`."""
    return {stage: shared(stage, [ELECTRICITY], f"assembly-{stage}") for stage in ("local", "dev", "prod")}


@pytest.fixture(scope="session")
def other_workloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cloud assembly of `dev` with every other workload and every option that adds something."""
    options = options_of({"dev": EVERY_OPTION}, "dev")
    return shared("dev", every_section(tmp_path_factory), "other-workloads", options)


@pytest.fixture(scope="session")
def own_resources() -> Path:
    """The cloud assembly of `dev` in an account that has all that it may have already, but for an MLflow."""
    return shared("dev", [ELECTRICITY], "own-resources", options_of({"dev": {**OWN, "tracking": "app"}}, "dev"))


OTHERS = {
    name: {"schedule": "rate(1 hour)", "feed": feed, "cursor": "changed", name: kind, "key_arn": KEY}
    for name, feed, kind in (("http", "training", HTTP), ("postgres", "labels", TABLE))
}
"""A source of each kind."""


def every_section(factory: pytest.TempPathFactory) -> list[Path]:
    """Every workload. `electricity` has a consumer of each kind, and each way in; the function of `income` runs it."""
    consumers = with_consumers(factory.mktemp("consumers"))
    with (consumers / "workload.yaml").open("a") as declaration:
        declaration.write("stream: {}\njobs: {}\n")
        queries = {name: query.model_dump() for name, query in QUERIES.items()}
        declaration.write(yaml.safe_dump({"queries": queries, "sources": OTHERS}))
    hosted, (income,) = factory.mktemp("hosted") / "income", (one for one in SHIPPED if one.name == "income")
    shutil.copytree(income, hosted, ignore=shutil.ignore_patterns("sample"))
    document = yaml.safe_load((hosted / "workload.yaml").read_text())
    phases = {"phases": ["shadow", "assisted", "canary", "live"], "warm_hours": 24, "host": "function"}
    document["rollout"] = phases | {"instance": document["rollout"]["instance"]}
    (hosted / "workload.yaml").write_text(yaml.safe_dump(document))
    return [consumers, hosted, *(folder for folder in SHIPPED if folder not in (ELECTRICITY, income))]


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
    name: str,
    options: Options | None = None,
) -> Path:
    """The assembly that the first process to come here makes; the others wait for it, and later runs of a day find it
    as long as no source has changed."""
    folder = SUITE / "build" / "assemblies" / f"{name}-{sources()}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            for other in folder.parent.iterdir():
                if other.is_dir() and time.time() - other.stat().st_mtime > KEPT_S:
                    shutil.rmtree(other)
            synthesized(stage, workloads, folder.with_suffix(".part"), options).rename(folder)
    return folder


@cache
def sources() -> str:
    """A digest of everything that decides on an assembly."""
    digest = hashlib.sha256(sys.version.encode())
    for path in sorted(path for part in SOURCES for path in ((SUITE / part), *(SUITE / part).rglob("*"))):
        if path.suffix in (".py", ".yaml", ".json", ".txt") and "sample" not in path.parts:
            digest.update(f"{path.relative_to(SUITE)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def synthesized(stage: str, workloads: Sequence[Path], folder: Path, options: Options | None = None) -> Path:
    place = {"account": "123456789012", "region": "eu-west-1"}
    settings = settings_for(stage, **place, options=options)
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


def of_type(templates: Mapping[str, dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The properties of every resource of a type, in templates by their names."""
    every = [one for template in templates.values() for one in template["Resources"].values()]
    return [one["Properties"] for one in every if one["Type"] == kind]


def role_statements(templates: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The name of a role and a statement of its policies, for each."""
    for role in of_type(templates, "AWS::IAM::Role"):
        for policy in role.get("Policies", ()):
            yield from ((role.get("RoleName", ""), part) for part in policy["PolicyDocument"]["Statement"])


def texts(value: Any) -> list[str]:
    """The values of a policy as texts, also where CloudFormation puts them together."""
    return [str(one) for one in listed(value)]


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
