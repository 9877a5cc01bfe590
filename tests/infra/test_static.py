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


def lint(template: Path) -> subprocess.CompletedProcess[str]:
    arguments = [
        str(BIN / "cfn-lint"),
        "--regions",
        "eu-west-1",
        "--ignore-checks",
        *IGNORED,
        "--template",
        str(template),
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


def validate(definition: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    file = folder / "definition.asl.json"
    file.write_text(json.dumps(definition))
    validator = ROOT / "build" / "node" / "node_modules" / ".bin" / "asl-validator"
    return subprocess.run(
        [str(BIN / "node"), str(validator.resolve()), "--json-path", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_cfn_lint_is_clean(assemblies: dict[str, Path], stage: str) -> None:
    for template in sorted(assemblies[stage].glob("*.template.json")):
        done = lint(template)
        assert done.returncode == 0, f"{template.name}\n{done.stdout}"


def test_cfn_lint_sees_a_wrong_template(tmp_path: Path) -> None:
    template = tmp_path / "wrong.template.json"
    template.write_text('{"Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueNam": "x"}}}}')
    assert "QueueNam" in lint(template).stdout


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_every_machine_is_valid(templates: dict[str, dict[str, dict[str, Any]]], stage: str, tmp_path: Path) -> None:
    found = {name: text for template in templates[stage].values() for name, text in machines(template).items()}
    assert found
    for name, definition in found.items():
        done = validate(definition, tmp_path)
        assert done.returncode == 0, f"{name}\n{done.stdout}{done.stderr}"


def test_the_validator_sees_a_missing_state(tmp_path: Path) -> None:
    definition = {"StartAt": "One", "States": {"One": {"Type": "Pass", "Next": "Nowhere"}}}
    assert validate(definition, tmp_path).returncode != 0
