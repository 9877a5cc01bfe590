"""What can be said about the templates without an account: cfn-lint and the validator of state machines."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
IGNORED = ("W3005",)
"""W3005: CDK writes a DependsOn beside a reference; harmless."""
BIN = Path(sys.executable).parent


def lint(*templates: Path) -> subprocess.CompletedProcess[str]:
    """All in one process, which takes most of a second to start."""
    arguments = [
        str(BIN / "cfn-lint"),
        "--regions",
        "eu-west-1",
        "--ignore-checks",
        *IGNORED,
        "--template",
        *map(str, templates),
    ]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def machines(template: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Definition by machine name; a deploy-time value stands as a plain word."""
    return {
        resource["Properties"]["StateMachineName"]: json.loads(_plain(resource["Properties"]["DefinitionString"]))
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::StepFunctions::StateMachine"
    }


def _plain(text: Any) -> str:
    if isinstance(text, str):
        return text
    return "".join(part if isinstance(part, str) else "value" for part in text["Fn::Join"][1])


def validate(definitions: dict[str, dict[str, Any]], folder: Path) -> subprocess.CompletedProcess[str]:
    arguments = []
    for name, definition in definitions.items():
        file = folder / f"{name}.asl.json"
        file.write_text(json.dumps(definition))
        arguments += ["--json-path", str(file)]
    validator = ROOT / "build" / "node" / "node_modules" / ".bin" / "asl-validator"
    words = [str(BIN / "node"), str(validator.resolve()), *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "stage", [pytest.param("dev", marks=pytest.mark.night("by day prod; dev differs in settings")), "prod"]
)
def test_cfn_lint_is_clean(assemblies: dict[str, Path], stage: str) -> None:
    templates = sorted(assemblies[stage].glob("*.template.json"))
    assert templates
    done = lint(*templates)
    assert done.returncode == 0, done.stdout


@pytest.mark.night("by day electricity; the others differ in values")
def test_another_workload_is_clean_too(other_workloads: Path, tmp_path: Path) -> None:
    done = lint(*sorted(other_workloads.glob("*.template.json")))
    assert done.returncode == 0, done.stdout
    templates = [json.loads(path.read_text()) for path in other_workloads.glob("*.template.json")]
    done = validate({name: text for one in templates for name, text in machines(one).items()}, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_cfn_lint_sees_a_wrong_template(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right.template.json", tmp_path / "wrong.template.json"
    right.write_text('{"Resources": {"Q": {"Type": "AWS::SQS::Queue"}}}')
    wrong.write_text('{"Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueNam": "x"}}}}')
    done = lint(wrong, right)
    assert done.returncode != 0
    assert "QueueNam" in done.stdout
    assert str(wrong) in done.stdout


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_every_machine_is_valid(templates: dict[str, dict[str, dict[str, Any]]], stage: str, tmp_path: Path) -> None:
    found = {name: text for template in templates[stage].values() for name, text in machines(template).items()}
    assert found
    done = validate(found, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_validator_sees_a_missing_state(tmp_path: Path) -> None:
    wrong = {"StartAt": "One", "States": {"One": {"Type": "Pass", "Next": "Nowhere"}}}
    right = {"StartAt": "One", "States": {"One": {"Type": "Pass", "End": True}}}
    assert validate({"right": right}, tmp_path).returncode == 0
    for definitions in ({"wrong": wrong, "right": right}, {"right": right, "wrong": wrong}):
        done = validate(definitions, tmp_path)
        assert done.returncode != 0
        assert "Nowhere" in done.stdout + done.stderr
