"""Which workloads the app takes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infra.app import chosen, main
from infra.context import REPOSITORY
from millrace.errors import ConfigurationError
from millrace.workload.load import read_workloads

FOLDERS = [Path("workloads/electricity"), Path("workloads/mine"), Path("workloads/yours")]


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ("", ["electricity", "mine", "yours"]),
        ("mine", ["mine"]),
        ("yours, electricity,yours", ["yours", "electricity"]),
    ],
)
def test_all_or_those_that_the_context_lists(names: str, taken: list[str]) -> None:
    assert [folder.name for folder in chosen(FOLDERS, names)] == taken


@pytest.mark.parametrize("names", ["mine,theirs", "theirs"])
def test_an_unknown_name_is_refused(names: str) -> None:
    said = r"context: workloads: expected .* of electricity, mine, yours.*'theirs'"
    with pytest.raises(ConfigurationError, match=said):
        chosen(FOLDERS, names)


def test_a_workload_that_cannot_be_read_is_one_line_and_stops_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(REPOSITORY / "workloads" / "electricity", tmp_path / "electricity")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "workload.yaml").write_text("name: broken\n")
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(tmp_path))
    monkeypatch.setenv("CDK_DEFAULT_ACCOUNT", "123456789012")
    monkeypatch.setenv("CDK_DEFAULT_REGION", "eu-west-1")
    with pytest.raises(SystemExit, match=r"^broken/workload.yaml: .*`-c workloads=…`"):
        main()
    found, broken = read_workloads(tmp_path)
    assert [workload.name for workload in found] == ["electricity"]
    assert [error.where for error in broken] == ["broken/workload.yaml"]
    assert [folder.name for folder in chosen([tmp_path / "broken", tmp_path / "electricity"], "electricity")] == [
        "electricity"
    ]


def test_an_empty_name_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="workloads"):
        chosen(FOLDERS, "mine,")
