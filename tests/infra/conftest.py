"""The assemblies of every stage, synthesized once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.app import build
from infra.context import REPOSITORY
from infra.settings import settings_for
from millrace.workload.load import workload_folders


@pytest.fixture(scope="session")
def assemblies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of the cloud assembly by stage."""
    folders = {}
    for stage in ("local", "dev", "prod"):
        settings = settings_for(stage, account="123456789012", region="eu-west-1")
        folder = tmp_path_factory.mktemp(f"assembly-{stage}")
        workloads = workload_folders(REPOSITORY / "workloads")
        build(settings, workloads=workloads, outdir=str(folder)).synth()
        folders[stage] = folder
    return folders


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
