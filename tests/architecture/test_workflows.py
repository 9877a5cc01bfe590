"""The pipelines: with the least rights, and what they call is there. `make check` lints them (zizmor)."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.infra.deployer.stack import SESSION_S

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_rights_are_given_job_by_job_and_none_is_more_than_asked(path: Path) -> None:
    workflow = read(path)
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        signs_in = any("configure-aws-credentials" in step.get("uses", "") for step in job["steps"])
        wanted = {"contents": "read"} | ({"id-token": "write"} if signs_in else {})  # pragma: allowlist secret
        if any("gh pr create" in step.get("run", "") for step in job["steps"]):
            wanted |= {"contents": "write", "pull-requests": "write"}
        if any("gh pr comment" in step.get("run", "") for step in job["steps"]):
            wanted |= {"pull-requests": "write"}
        assert job["permissions"] == wanted, name
        assert not signs_in or "environment" in job, f"{name}: whoever signs in at AWS stands behind an environment"
        assert job["timeout-minutes"] <= 120


def commands(path: Path) -> list[list[str]]:
    scripts = [step["run"] for step in steps(read(path)) if "run" in step]
    return [shlex.split(line) for script in scripts for line in script.splitlines()]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_what_they_call_is_there(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    made = [words[1:] for words in commands(path) if words[0] == "make"]
    called = {next(word for word in words if not word.startswith("-")) for words in made}
    assert called
    assert called <= targets


def test_what_changes_the_account_has_credentials_as_long_as_its_role_lets_it() -> None:
    """Two jobs: neither the images nor the stacks of a first deployment may outlast what was left by the other."""
    jobs = read(ROOT / ".github" / "workflows" / "deploy.yml")["jobs"]
    durations = {
        name: step["with"].get("role-duration-seconds")
        for name, job in jobs.items()
        for step in job["steps"]
        if "configure-aws-credentials" in step.get("uses", "")
    }
    assert durations == {"diff": None, "images": SESSION_S, "deploy": SESSION_S}


@pytest.mark.parametrize(("workloads", "waves"), [(1, [1]), (25, [25]), (26, [25, 1]), (200, [25] * 8)])
def test_a_stage_is_deployed_in_waves_of_workloads(tmp_path: Path, workloads: int, waves: list[int]) -> None:
    for number in range(workloads):
        (folder := tmp_path / "workloads" / f"w{number}").mkdir(parents=True)
        (folder / "workload.yaml").touch()
    (script,) = [step["run"] for path in WORKFLOWS for step in steps(read(path)) if step.get("id") == "waves"]
    output = {"PATH": os.environ["PATH"], "GITHUB_OUTPUT": str(tmp_path / "output")}
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=output, check=True)
    found = [wave.split(",") for wave in json.loads((tmp_path / "output").read_text().removeprefix("waves="))]
    assert ([len(wave) for wave in found], len({name for wave in found for name in wave})) == (waves, workloads)
