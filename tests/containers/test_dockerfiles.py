"""Each image carries exactly the packages that its entry points reach, whole."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

import pytest

from millrace.infra.bundles import closure
from millrace.jobs.preflight.container import SERVE

REPOSITORY = Path(__file__).resolve().parents[2]
JOBS = {
    "bulk": ("bulk",),
    "training": ("training",),
    "inference": ("preflight", "serving"),
    "processing": ("evaluation", "external_model", "monitoring"),
}
BY_NAME = {"training": "millrace/models"}
"""Folders whose files are imported by name."""
BASE_IMAGE = {"training": {"torch"}, "bulk": {"pyspark"}}
PACKAGES = {"PIL": "pillow", "re2": "google-re2", "sklearn": "scikit-learn", "yaml": "pyyaml"}
IMPORTED_BY_OTHERS = {"training": {"onnxscript"}}
"""torch's exporter to ONNX imports it."""


def copied(image: str) -> set[Path]:
    """The Python files that the Dockerfile copies; checks that each lands where the repository has it."""
    text = (REPOSITORY / "containers" / image / "Dockerfile").read_text().replace("\\\n", " ")
    files: set[Path] = set()
    for line in re.findall(r"^COPY (.+)$", text, re.M):
        *sources, target = line.split()
        for source in sources:
            path = REPOSITORY / source
            if path.is_dir():
                assert target == f"/opt/program/{source}", line
                files |= set(path.rglob("*.py"))
            elif path.suffix == ".py":
                assert target == f"/opt/program/{Path(source).parent}/", line
                files.add(path)
    return files


def needed(image: str) -> set[Path]:
    entries = [REPOSITORY / "millrace" / "jobs" / job / "__main__.py" for job in JOBS[image]]
    files = set().union(*(closure(REPOSITORY, entry) for entry in entries))
    whole = set((REPOSITORY / BY_NAME[image]).rglob("*.py")) if image in BY_NAME else set()
    return files.union(whole, *(closure(REPOSITORY, path) for path in whole))


def packages(files: set[Path]) -> set[str]:
    """The rooms of `millrace/` and the jobs that hold the files; a file right below is itself."""
    parts = [path.relative_to(REPOSITORY).parts for path in files]
    return {"/".join(each[: 3 if each[1] == "jobs" else 2]) for each in parts}


@pytest.mark.parametrize("image", JOBS)
def test_an_image_carries_what_its_jobs_import(image: str) -> None:
    assert needed(image) <= copied(image)


@pytest.mark.parametrize("image", JOBS)
def test_an_image_carries_no_package_that_its_jobs_do_not_reach(image: str) -> None:
    assert packages(copied(image)) == packages(needed(image))


def test_every_container_and_every_job_is_known_here() -> None:
    assert {path.parent.name for path in REPOSITORY.glob("containers/*/Dockerfile")} == set(JOBS)
    assert {path.parent.name for path in REPOSITORY.glob("jobs/*/__main__.py")} == {
        j for jobs in JOBS.values() for j in jobs
    }


@pytest.mark.parametrize("image", JOBS)
def test_an_image_installs_the_packages_that_its_files_import(image: str) -> None:
    imported = set().union(*(third_party(path) for path in needed(image)))
    listed = (REPOSITORY / "containers" / image / "requirements.txt").read_text().split()
    ours = {PACKAGES.get(name, name) for name in imported - BASE_IMAGE.get(image, set())}
    assert ours | IMPORTED_BY_OTHERS.get(image, set()) == set(listed)


@pytest.mark.parametrize(
    ("image", "module"), [("training", "millrace.jobs.training"), ("inference", "millrace.jobs.serving")]
)
def test_the_entry_point_takes_the_argument_that_sagemaker_adds(image: str, module: str) -> None:
    text = (REPOSITORY / "containers" / image / "Dockerfile").read_text()
    found = re.search(r"^ENTRYPOINT (.+)$", text, re.M)
    assert found is not None
    assert json.loads(found[1]) == ["python", "-m", module]


def test_a_preflight_starts_what_an_endpoint_starts() -> None:
    assert [*SERVE] == ["python", "-m", "millrace.jobs.serving", "serve"]


def third_party(path: Path) -> set[str]:
    """Top-level names that a file imports at run time, neither ours nor the standard library's."""
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(path.read_text())]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"millrace"}
