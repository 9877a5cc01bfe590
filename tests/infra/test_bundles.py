"""A bundle holds what its handler imports and nothing else; a layer fits into Lambda."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from millrace.infra import bundles, compilation
from millrace.infra.bundles import bundle, closure, layer
from millrace.infra.settings import settings_for

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = sorted(path.parent.name for path in ROOT.glob("functions/*/handler.py"))
LIMIT_MB = 250
"""Lambda's limit for function and layers, unzipped."""


def size_mb(folder: str) -> float:
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 2**20


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_bundle_mirrors_the_repository_and_is_small(function: str) -> None:
    folder, _ = bundle(ROOT, function, workload=ROOT / "workloads" / "electricity", platform="manylinux2014_aarch64")
    files = {path.relative_to(folder).as_posix() for path in Path(folder).rglob("*.py")}
    assert f"millrace/functions/{function}/handler.py" in files
    others = {file.split("/")[2] for file in files if file.startswith("millrace/functions/")}
    assert others - {"__init__.py", "room.py"} == {function}, "functions never import each other"
    assert not any(file.startswith(("millrace/jobs/", "millrace/infra/", "tests/")) for file in files)
    code = sum(path.stat().st_size for path in Path(folder).rglob("*.py")) / 2**20
    assert size_mb(folder) - code < 0.1, "the sample data stays out"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_function_has_tests_and_an_event_to_call_it_with(function: str) -> None:
    assert list((ROOT / "tests" / "functions" / function).glob("test_*.py"))
    assert list((ROOT / "events").glob(f"{function}*.json"))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_bundle_and_layer_fit_into_lambda(function: str) -> None:
    code, _ = bundle(ROOT, function, workload=ROOT / "workloads" / "electricity", platform="manylinux2014_aarch64")
    packages, _ = layer(ROOT, ROOT / "functions" / function / "requirements.txt", "host", "3.11")
    assert size_mb(code) + size_mb(packages) <= LIMIT_MB


def test_a_function_that_runs_versions_and_tells_decisions_fits_too() -> None:
    code, _ = bundle(ROOT, "prediction", workload=ROOT / "workloads" / "electricity", platform="host")
    files = ("requirements-api.txt", "requirements-host.txt")
    layers = [layer(ROOT, ROOT / "functions" / "prediction" / file, "host", "3.11")[0] for file in files]
    assert size_mb(code) + sum(map(size_mb, layers)) <= LIMIT_MB


def test_closure_follows_imports_inside_functions_but_not_those_for_typing(tmp_path: Path) -> None:
    (tmp_path / "entry.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import millrace.typed\n"
        "def late():\n    from millrace import inner\n"
    )
    for name in ("millrace/__init__.py", "millrace/typed.py", "millrace/inner.py", "millrace/other.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = {path.relative_to(tmp_path).as_posix() for path in closure(tmp_path, tmp_path / "entry.py")}
    assert found == {"entry.py", "millrace/__init__.py", "millrace/inner.py"}


@pytest.fixture
def handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the only function of a tree."""
    monkeypatch.chdir(tmp_path)
    (folder := tmp_path / "millrace" / "functions" / "one").mkdir(parents=True)
    return folder / "handler.py"


def in_new_process(root: Path, **asked: Any) -> tuple[str, str]:
    """A process reads the sources once."""
    bundles.code_of.cache_clear()
    return bundle(root, "one", platform="manylinux2014_aarch64", **asked)


def test_a_changed_file_makes_another_bundle(tmp_path: Path, handler: Path) -> None:
    handler.write_text("A = 1\n")
    first = in_new_process(tmp_path, workload=tmp_path / "none")
    assert in_new_process(tmp_path, workload=tmp_path / "none") == first
    handler.write_text("A = 2\n")
    assert in_new_process(tmp_path, workload=tmp_path / "none") != first


def test_a_new_bundle_drops_those_that_nobody_used_for_days(tmp_path: Path, handler: Path) -> None:
    made = []
    for value in "ABC":
        handler.write_text(f"{value} = 1\n")
        made.append(in_new_process(tmp_path, workload=None))
        os.utime(made[-1][0], (0, 0))
    assert [Path(folder).exists() for folder, _ in made] == [False, False, True], "each drops the old one before it"
    assert in_new_process(tmp_path, workload=None) == made[-1], "it is used again"
    handler.write_text("D = 1\n")
    assert Path(in_new_process(tmp_path, workload=None)[0]).exists()
    assert Path(made[-1][0]).exists()


def test_the_declaration_stands_in_its_place_wherever_its_folder_lies(tmp_path: Path) -> None:
    elsewhere = tmp_path / "here" / "electricity"
    shutil.copytree(ROOT / "workloads" / "electricity", elsewhere)
    there = bundle(ROOT, "guard", workload=elsewhere, platform="manylinux2014_aarch64")
    assert there == bundle(ROOT, "guard", workload=ROOT / "workloads" / "electricity", platform="manylinux2014_aarch64")
    (elsewhere / "workload.yaml").write_text("name: other\n")
    changed, _ = bundle(ROOT, "guard", workload=elsewhere, platform="manylinux2014_aarch64")
    assert Path(changed, "workloads", "electricity", "workload.yaml").read_text() == "name: other\n"
    code = {Path(folder, "millrace/functions/guard/handler.py").stat().st_ino for folder in (there[0], changed)}
    assert len(code) == 1, "200 workloads have 4,600 bundles; a file of the code is on the disk once"


def test_two_that_make_the_same_bundle_at_once_both_get_it(tmp_path: Path, handler: Path) -> None:
    handler.write_text("A = 1\n")
    with ThreadPoolExecutor(8) as pool:
        made = {pool.submit(bundle, tmp_path, "one", workload=tmp_path / "none", platform="host") for _ in range(8)}
        assert len({one.result() for one in made}) == 1
    code, own = (tmp_path / "build" / "bundles").iterdir()
    assert [(one / "millrace/functions/one/handler.py").read_text() for one in (code, own)] == ["A = 1\n"] * 2


def test_what_is_compiled_for_a_stage_needs_no_times_and_is_another_asset(tmp_path: Path, handler: Path) -> None:
    """An asset's zip keeps no times: bytecode that is checked against them would be thrown away at each start."""
    (tmp_path / "millrace" / "__init__.py").touch()
    handler.write_text("A = 1\n")
    asked = {"workload": tmp_path / "none", "platform": "manylinux2014_aarch64"}
    bare, compiled = bundle(tmp_path, "one", **asked), bundle(tmp_path, "one", **asked, compiler=sys.executable)
    assert bare[1] != compiled[1]
    assert not list(Path(bare[0]).rglob("*.pyc"))
    (bytecode,) = Path(compiled[0]).rglob("handler.*.pyc")
    assert int.from_bytes(bytecode.read_bytes()[4:8], "little") == 0b01, "by the hash of its source, unchecked"
    source = Path(compiled[0], "millrace", "functions", "one", "handler.py")
    os.utime(source, (0, 0))
    words = [sys.executable, "-B", "-v", "-c", "import millrace.functions.one.handler"]
    given = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run(words, cwd=compiled[0], env=given, capture_output=True, text=True, check=True).stderr
    assert f"code object from '{bytecode}'" in said.replace(f"'{Path(bytecode).name}'", f"'{bytecode}'")


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_a_stage_is_compiled_by_a_python_of_its_version(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The local cloud compiles by its own."""
    settings = settings_for(stage, account="123456789012", region="eu-west-1")
    python = tmp_path / settings.runtime
    python.write_text(f"#!/bin/sh\necho {settings.python}\n")
    python.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    compilation.interpreter.cache_clear()
    assert settings.compiler == str(python)
    assert settings_for("local", account="123456789012", region="eu-west-1").compiler is None
    compilation.interpreter.cache_clear()


def test_a_python_of_another_version_compiles_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shim by the right name that starts nothing, as pyenv leaves one, is no Python of that version."""
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert compilation.interpreter(own) == sys.executable
    for answer, found in (("echo 3.98", None), ("exit 1", None), ("echo 3.99", str(tmp_path / "python3.99"))):
        (tmp_path / "python3.99").write_text(f"#!/bin/sh\n{answer}\n")
        (tmp_path / "python3.99").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        compilation.interpreter.cache_clear()
        assert compilation.interpreter("3.99") == found
    compilation.interpreter.cache_clear()
