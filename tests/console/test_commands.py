"""Commands that are proposed: they work where they are pasted."""

from pathlib import Path

import pytest

from millrace.console.local_cloud.local_cloud import PLATFORM
from millrace.console.stages import command
from millrace.names import Platform, WorkloadNames

NAMES = WorkloadNames(platform=PLATFORM, workload="electricity")
DEV = WorkloadNames(platform=Platform(stage="dev", account="1", region="eu-west-1"), workload="electricity")


def test_options_are_said_where_the_shell_does_not_say_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert command(NAMES, "show", "f477") == "millrace show f477"
    monkeypatch.setenv("MILLRACE_WORKLOAD", "xray")
    assert command(NAMES, "show", "f477") == "millrace show f477 --workload electricity"
    monkeypatch.delenv("MILLRACE_WORKLOAD")
    assert command(NAMES, "runs") == "millrace runs --workload electricity"
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(tmp_path))
    (tmp_path / "electricity").mkdir()
    (tmp_path / "electricity" / "workload.yaml").touch()
    assert command(DEV, "runs") == "millrace runs --stage dev"
    monkeypatch.setenv("MILLRACE_STAGE", "dev")
    assert command(DEV, "runs") == "millrace runs"


def test_a_name_with_spaces_is_one_word() -> None:
    assert command(NAMES, "quarantine", "--drop", "my week.csv") == "millrace quarantine --drop 'my week.csv'"
