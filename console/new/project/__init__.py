"""The files of a project: what a team's own repository holds, beside its workloads.

Its cdk.json and its pipeline are those that deploy the suite itself, with a project's commands in place of make's."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from millrace.errors import ConfigurationError

FILES = {
    "README.md": "README.md",
    "cdk.json": "cdk.json",
    "deploy.yml": ".github/workflows/deploy.yml",
    "gitignore.txt": ".gitignore",
    "gitkeep.txt": "workloads/.gitkeep",
    "package.json": "package.json",
    "plan.yml": ".github/workflows/plan.yml",
    "requirements.txt": "requirements.txt",
}
"""Where each file of this folder stands in a project."""
COMMANDS = {
    "make setup": "python -m venv .venv && .venv/bin/pip install -r requirements.txt && npm install",
    'make images STAGE="$STAGE"': 'python -m millrace.infra.images --stage "$STAGE"',
    'make logs STAGE="$STAGE"': 'python -m millrace.infra.job_logs --stage "$STAGE"',
    "build/node/node_modules": "node_modules",
}
"""What the pipeline types here, and what a project's types instead."""


def write_project(folder: Path) -> Iterator[Path]:
    """Write the files into a new or empty folder, and yield the path of each.

    Raises ConfigurationError if the folder holds anything."""
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigurationError(where=str(folder), field="init", expected="a new or empty folder", came="files in it")
    for name, place in FILES.items():
        text = Path(__file__).with_name(name).read_text()
        for ours, theirs in (COMMANDS | {"{name}": folder.resolve().name, "{version}": version("millrace")}).items():
            text = text.replace(ours, theirs)
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        yield path


def install(folder: Path) -> None:
    """Install what package.json names, by the npm of this environment. Raises CalledProcessError if npm fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, check=True)
