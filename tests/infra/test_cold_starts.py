"""Each function of the local template, started cold: its own variables, its bundle and layers, the runtime, no more."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from localcloud.awslambda.workers import runtime_root
from millrace.infra.rules.assembly import text
from tests.infra.conftest import of_type

FUNCTIONS = sorted(path.parent.name for path in Path(__file__).resolve().parents[2].glob("functions/*/handler.py"))
for declared in ("consumers", "jobs", "pull", "sources", "stream"):
    FUNCTIONS.remove(declared)  # in no template where nobody declares it, and nobody waits for it
PREFIX = "millrace-local-"
HEAVY = {"awswrangler", "mlflow", "pandas", "sagemaker", "tokenizers", "torch"}
"""What no function loads before it is called."""
RUNTIME = {
    **dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), "eu-west-1"),
    **dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "x"),
}
"""Of what Lambda adds to a function's own variables, what these read at their start."""
START = """
import importlib, json, sys
name, _, handler = sys.argv[1].rpartition(".")
module = importlib.import_module(name)
settings = module.ROOM.settings if hasattr(module, "ROOM") else module.SETTINGS
print(json.dumps({"loaded": sorted(sys.modules),
    "handler": callable(getattr(module, handler)), "rendered": settings.render()}))
"""


@dataclass(frozen=True, kw_only=True)
class Function:
    """A function as its template says it."""

    handler: str
    variables: dict[str, str]
    path: tuple[str, ...]
    """Bundle, layers, runtime."""

    def start(self) -> subprocess.CompletedProcess[str]:
        source = f"import sys; sys.path[:0] = {list(self.path)}; sys.dont_write_bytecode = True{START}"
        words = [sys.executable, "-I", "-S", "-c", source, self.handler]
        environment = RUNTIME | self.variables
        return subprocess.run(words, env=environment, cwd=self.path[0], capture_output=True, text=True, check=False)

    def told(self) -> dict[str, Any]:
        done = self.start()
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


@pytest.fixture(scope="module")
def find(
    assemblies: dict[str, Path], templates: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Function]:
    assembly = assemblies["local"]
    runtime = runtime_root(SimpleNamespace(workspace=tmp_path_factory.mktemp("runtime")))  # type: ignore[arg-type]
    assets = {
        place["objectKey"]: (assembly / asset["source"]["path"]).resolve()
        for manifest in assembly.glob("*.assets.json")
        for asset in json.loads(manifest.read_text())["files"].values()
        for place in asset["destinations"].values()
    }
    made = templates["local"]["millrace-local-platform"]["Resources"]
    published = {one["Name"]: one["Value"] for one in of_type(templates["local"], "AWS::SSM::Parameter")}
    asked = {key: one for template in templates["local"].values() for key, one in template["Parameters"].items()}

    def key_of(layer: dict[str, str]) -> str:
        place: str = made[published[asked[layer["Ref"]]["Default"]]["Ref"]]["Properties"]["Content"]["S3Key"]
        return place

    def function(name: str) -> Function:
        functions, named = of_type(templates["local"], "AWS::Lambda::Function"), (name, f"electricity-{name}")
        (found,) = [one for one in functions if one["FunctionName"].removeprefix(PREFIX) in named]
        layers = [assets[key_of(layer)] / "python" for layer in found["Layers"]]
        folders = [assets[found["Code"]["S3Key"]], *layers, runtime]
        variables = {key: plain(value) for key, value in found["Environment"]["Variables"].items()}
        return Function(handler=found["Handler"], variables=variables, path=tuple(map(str, folders)))

    return function


def plain(value: Any) -> str:
    """The variable's value; a word in the place of what is known only when the stack is deployed."""
    return value if isinstance(value, str) else "https://example.com/deployed"


def test_every_function_of_the_template_is_started_here(templates: dict[str, Any]) -> None:
    names = [one["FunctionName"] for one in of_type(templates["local"], "AWS::Lambda::Function")]
    assert {name.rpartition("-")[2] for name in names} == set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_cold_start_loads_nothing_heavy_and_reads_what_the_stack_says(
    find: Callable[[str], Function], name: str
) -> None:
    function = find(name)
    told = function.told()
    assert told["handler"]
    assert told["rendered"] == function.variables, "what the stack renders is what the handler parses"
    assert not HEAVY & set(told["loaded"])


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


def machines(templates: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Definition by machine name; a deploy-time value stands as a plain word."""
    found = of_type(templates, "AWS::StepFunctions::StateMachine")
    return {one["StateMachineName"]: json.loads(text(one["DefinitionString"])) for one in found}


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
def test_cfn_lint_is_clean_with_the_longest_names(assemblies: dict[str, Path], stage: str, tmp_path: Path) -> None:
    """Of a workload, of a stage with its workloads' names cut, and of a region: it refuses what a service would."""
    for path in assemblies[stage].glob("*.template.json"):
        longer = path.read_text().replace("electricity", "w" * 24).replace("eu-west-1", "ap-southeast-1")
        if path.name in (f"millrace-{stage}-platform.template.json", f"millrace-{stage}-audit.template.json"):
            longer = longer.replace(f"millrace-{stage}", "millrace-" + "s" * 12)
        (tmp_path / path.name).write_text(longer)
    templates = sorted(tmp_path.iterdir())
    assert templates
    done = lint(*templates)
    assert done.returncode == 0, done.stdout


@pytest.mark.night("by day electricity; the others differ in values")
def test_another_workload_is_clean_too(other_workloads: Path, tmp_path: Path) -> None:
    done = lint(*sorted(other_workloads.glob("*.template.json")))
    assert done.returncode == 0, done.stdout
    templates = {path.name: json.loads(path.read_text()) for path in other_workloads.glob("*.template.json")}
    done = validate(machines(templates), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_every_machine_is_valid(templates: dict[str, dict[str, dict[str, Any]]], stage: str, tmp_path: Path) -> None:
    found = machines(templates[stage])
    assert found
    done = validate(found, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
