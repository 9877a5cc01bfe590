"""Public packs besides cdk-nag, from build/static: checkov, parliament, bandit, detect-secrets, hadolint."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from millrace.infra.rules.assembly import read
from millrace.infra.rules.policies import ATTACHED, INLINE, documents
from millrace.infra.rules.sizes import plain

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / "build" / "static" / "bin"
LEAST_REASON = 30
KEY_ARN = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000"
DIGEST = hashlib.sha256(b"a digest").hexdigest()
KEY_ID = "AKIA" + hashlib.sha256(b"a key").hexdigest().upper()[:16]
ACCEPTED = {
    ("RESOURCE_MISMATCH", "athena:ListTagsForResource"): "it is for what else of Athena has tags, too",
    ("RESOURCE_MISMATCH", "athena:TagResource"): "as above",
    ("RESOURCE_MISMATCH", "athena:UntagResource"): "as above",
    ("RESOURCE_MISMATCH", "states:DescribeExecution"): "it is for express executions as well; ours are all standard",
    ("RESOURCE_MISMATCH", "states:ListExecutions"): "it is for map runs as well, and we have none",
}
OF_SEVERAL_KINDS = (
    *(f"sagemaker:Describe{kind}" for kind in ("Endpoint", "EndpointConfig", "Model", "ModelPackage")),
    *(f"sagemaker:Describe{kind}Job" for kind in ("HyperParameterTuning", "Processing", "Training", "Transform")),
    "sagemaker:ListTrainingJobsForHyperParameterTuningJob",
    *(f"states:{act}" for act in ("DescribeStateMachine", "DescribeStateMachineForExecution", "GetExecutionHistory")),
    *(f"states:{act}Execution" for act in ("Redrive", "Stop")),
)
"""Actions that a policy of people allows on several kinds at once, by a wildcard in a segment of the ARN.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html"""
ACCEPTED |= {("RESOURCE_MISMATCH", action): "parliament knows no wildcard there" for action in OF_SEVERAL_KINDS}
STAR = "RESOURCE_STAR"
"""parliament's finding on `*` as the resource of an action that takes one. It is a low one, and counts here."""
ACCEPTED |= {
    (STAR, "cloudwatch:DescribeAlarms"): "alarms are listed by their state or the beginning of their name",
    (STAR, "ec2:CreateNetworkInterface"): "SageMaker makes it with the job, and asks for all",
    (STAR, "ec2:CreateNetworkInterfacePermission"): "as above",
    (STAR, "ec2:DeleteNetworkInterface"): "as above",
}
"""parliament's findings that stand, by issue and action."""


TAG = re.compile(r"\$\{aws:PrincipalTag/[^}]+\}")
Places = set[tuple[str, str, str]]
"""Template, resource and check."""


def checkov(folder: Path) -> Places:
    """What fails in the templates below the folder; without its platform every finding counts, of any severity."""
    assert (BIN / "checkov").exists(), f"expected checkov in {BIN}: make static"
    words = ["--framework", "cloudformation", "--skip-download", "--quiet", "--output", "json"]
    environment = {**os.environ, "LOG_LEVEL": "ERROR"}
    done = subprocess.run(
        [str(BIN / "checkov"), "--directory", str(folder), *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    failed = report["results"]["failed_checks"]
    return {(one["file_path"].lstrip("/"), one["resource"], one["check_id"]) for one in failed}


def acknowledged(assembly: Path) -> Iterator[tuple[str, str, dict[str, str]]]:
    """What the resources of an assembly let stand: template, resource, id and comment."""
    for stack in read(assembly):
        for name, resource in stack.template["Resources"].items():
            for skipped in resource.get("Metadata", {}).get("checkov", {}).get("skip", []):
                yield f"{stack.name}.template.json", f"{resource['Type']}.{name}", skipped


def write_templates(folder: Path, assembly: Path, *, bare: bool = False) -> None:
    """Copies of an assembly's templates; bare of what they let stand, if so asked."""
    folder.mkdir()
    for path in assembly.glob("*.template.json"):
        template = json.loads(path.read_text())
        for resource in template["Resources"].values() if bare else ():
            resource.get("Metadata", {}).pop("checkov", None)
        (folder / path.name).write_text(json.dumps(template))


@pytest.fixture(scope="module")
def failed(assemblies: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Places:
    """Of dev, of prod, and of prod when nothing is let stand; in one process, which takes seconds to start."""
    folder = tmp_path_factory.mktemp("checkov")
    write_templates(folder / "dev", assemblies["dev"])
    write_templates(folder / "prod", assemblies["prod"])
    write_templates(folder / "bare", assemblies["prod"], bare=True)
    return checkov(folder)


@pytest.mark.night("checkov takes a minute; by day cdk-nag and our own rules read the same templates")
def test_checkov_finds_nothing(failed: Places) -> None:
    assert {place for place in failed if not place[0].startswith("bare/")} == set()


@pytest.mark.night("the reasons of what checkov finds")
def test_what_checkov_lets_stand_is_needed(failed: Places, assemblies: dict[str, Path]) -> None:
    """Without the reasons it finds exactly what they are given for: it looks, and none of them is stale."""
    said = {(f"bare/{path}", resource, one["id"]) for path, resource, one in acknowledged(assemblies["prod"])}
    assert {place for place in failed if place[0].startswith("bare/")} == said
    assert said


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_what_checkov_lets_stand_has_a_reason(assemblies: dict[str, Path], stage: str) -> None:
    reasons = list(acknowledged(assemblies[stage]))
    assert reasons
    for path, resource, one in reasons:
        assert re.fullmatch(r"CKV2?_AWS_\d+", one["id"]), (path, resource)
        assert len(one["comment"]) >= LEAST_REASON, (path, resource, one)


def parliament(policies: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    script = Path(__file__).with_name("policy_findings.py")
    words = [str(BIN / "python"), "-W", "ignore", str(script)]
    done = subprocess.run(words, input=json.dumps(policies), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return found


def identity_policies(assembly: Path) -> dict[str, Any]:
    """By where it stands; what is known only at deployment is the customer key, and a person's tag names a workload."""
    return {
        f"{resource.where} {number}": json.loads(
            re.sub(r'"<[^">]+>"', f'"{KEY_ARN}"', TAG.sub("any", json.dumps(plain(document))))
        )
        for stack in read(assembly)
        for resource in stack.resources(*INLINE, *ATTACHED)
        for number, document in enumerate(documents(resource))
    }


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_parliament_finds_nothing_above_low(assemblies: dict[str, Path], stage: str) -> None:
    policies = identity_policies(assemblies[stage])
    assert len(policies) == 27
    found = [
        (where, finding)
        for where, findings in parliament(policies).items()
        for finding in findings
        if (finding["severity"] != "LOW" or finding["issue"] == STAR) and not is_accepted(finding)
    ]
    assert found == []


def is_accepted(finding: dict[str, Any]) -> bool:
    detail = finding["detail"] if isinstance(finding["detail"], list) else [finding["detail"]]
    actions = {one.get("action") if isinstance(one, dict) else one for one in detail}
    return bool(actions) and all((finding["issue"], action) in ACCEPTED for action in actions)


def make(target: str, source: Path) -> subprocess.CompletedProcess[str]:
    """A target of the Makefile, on one file alone."""
    harmless = "tests/__init__.py"
    given = (harmless, source) if source.suffix == ".json" else (source, harmless)
    words = ["make", "--silent", target, f"SOURCES={given[0]}", f"RECORDED={given[1]}"]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("target", "name", "right", "wrong", "said"),
    [
        ("bandit", "one.py", "import json\n", "import pickle\npickle.loads(b'')\n", "B301"),
        *(
            pytest.param(*one, marks=pytest.mark.night("by day one finding of each checker"))
            for one in (
                ("bandit", "one.py", "import yaml\nyaml.safe_load('')\n", "import yaml\nyaml.load('')\n", "B506"),
                ("secrets", "one.py", "RUN = 1\n", f"RUN = '{DIGEST}'\n", "High Entropy"),
                ("secrets", "event.json", f'{{"md5": "{DIGEST}"}}', json.dumps({"pass" + "word": KEY_ID}), "Keyword"),
            )
        ),
        ("secrets", "one.py", "KEY = 'local'\n", f"KEY = '{KEY_ID}'\n", "AWS Access Key"),
        ("dockerfiles", "Dockerfile", "FROM python:3.13-slim\n", "FROM python:latest\n", "DL3007"),
    ],
)  # fmt: skip
def test_a_check_of_the_makefile_sees(
    target: str, name: str, right: str, wrong: str, said: str, tmp_path: Path
) -> None:
    """What `make check` asks of the sources; event.json: digests in JSON are no secrets, but passwords are."""
    file = tmp_path / name
    file.write_text(wrong)
    done = make(target, file)
    assert done.returncode != 0
    assert said in done.stdout + done.stderr
    file.write_text(right)
    done = make(target, file)
    assert done.returncode == 0, done.stdout + done.stderr
