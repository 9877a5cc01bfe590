"""What each command that reads prints of the stored cloud, as a table and as JSON: recorded in ../recorded/commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.environment import find_environment
from millrace.console.presenters.audit_records import SENTENCES
from millrace.console.queries.report import WorkloadReport, read_report
from millrace.messages.audit import AuditEvent
from tests.console import stored_cloud
from tests.recorded import compare, compare_folder

RECORDED = Path(__file__).parents[1] / "recorded/commands"
COMMANDS = {
    "status": ("status", "--workload", "electricity"),
    "runs": ("runs",),
    "runs-of-train": ("runs", "--machine", "train", "--status", "succeeded", "--limit", "2"),
    "runs-failed": ("runs", "--status", "failed"),
    "show-refused": ("show", "39e4b78a"),
    "versions": ("versions",),
    "live": ("live", "--at", "1997-05-20T06:00:00Z"),
    "quarantine": ("quarantine", "--limit", "3"),
    "quarantine-of-a-drop": ("quarantine", "--drop", "week.csv", "--reason", "range"),
    "quarantine-without-rows": ("quarantine", "--drop", "eek.csv"),
    "data_log": ("data", "log"),
    "decisions": ("decisions",),
    "why": ("why", "call-1"),
    "decision": ("decisions", "--id", "call-1", "--from", "1997-06-30"),
    "cost": ("cost", "--month", "1997-05"),
    "alarms": ("alarms",),
    "monitor": ("monitor",),
    "audit": ("audit", "list"),
    "audit-of-releases": ("audit", "list", "--event", "release.live", "--limit", "1"),
    "audit-of-every-event": ("audit", "list", "--workload", "income", "--limit", "0"),
    "audit-without-records": ("audit", "list", "--event", "teardown.step"),
    "access": ("access",),
    "access-of-a-person": ("access", "--person", "ann", "--file", "iceberg", "--since", "1997-08-05T00:00:00Z"),
    "access-of-a-workload": ("access", "--workload", "income"),
    "dead": ("dead",),
}


@pytest.fixture(scope="module", autouse=True)
def stored() -> Iterator[WorkloadReport]:
    with stored_cloud.running(COLUMNS="400") as report:
        yield report


def printed(*words: str) -> str:
    done = CliRunner().invoke(app, [*words, "--stage", "dev"])
    # Of the stored decision's version nothing is there any more.
    assert done.exit_code == (words[0] == "why"), done.exception
    notes = f"--- stderr\n{done.stderr}" if done.stderr else ""
    return "\n".join(line.rstrip() for line in f"{done.stdout}{notes}".splitlines())


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("ending", ["txt", "json"])
def test_what_a_command_prints_is_recorded(name: str, ending: str) -> None:
    compare(RECORDED / f"{name}.{ending}", printed(*COMMANDS[name], *(["--json"] if ending == "json" else [])))


def test_each_recorded_output_is_of_a_command() -> None:
    compare_folder(RECORDED, {f"{name}.{ending}" for name in COMMANDS for ending in ("txt", "json")})


def test_every_event_has_a_record_and_a_sentence() -> None:
    assert set(SENTENCES) == set(AuditEvent) == {event for event, _ in stored_cloud.EVERY_EVENT}


def test_the_report_reads_what_was_stored(stored: WorkloadReport) -> None:
    found = read_report(find_environment("dev", Path("build")), stored_cloud.NAMES, question=stored.question)
    assert found.runs == stored.runs
    assert found.windows == stored.windows
    assert found.alarms == stored.alarms
    assert found.drops == stored.drops
    assert [model.evaluation for model in found.models] == [model.evaluation for model in stored.models]
