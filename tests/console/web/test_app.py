"""The pages over a real socket, on the stored run: live, and whole where a part of them cannot be read."""

import html
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from shutil import copytree
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.stepfunctions.models import stepfunctions_backends
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.environment import Environment, find_environment
from millrace.console.pages.template import decisions_path
from millrace.console.web import app as web
from millrace.names import WorkloadNames
from millrace.state.automation import Automation
from millrace.state.table import StateTable
from tests.console import stored_cloud
from tests.console.conftest import make_machines, read_stored, stage_of
from tests.console.web import served
from tests.console.web.served import Browser
from tests.credentials import KEYS

ROOT = Path(__file__).resolve().parents[3]
NAMES = stored_cloud.NAMES
LIVE = (
    "version 2, ✗ its endpoint is gone: millrace rollback --restore --workload electricity --stage dev "
    "--reason &#34;endpoint gone&#34;"
)
"""The stored cloud has no endpoint."""


@pytest.fixture(scope="module", autouse=True)
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The stored run of electricity, and a deployed workload whose declaration is broken."""
    folder = tmp_path_factory.mktemp("workloads")
    copytree(ROOT / "workloads" / "electricity", folder / "electricity")
    (folder / "income").mkdir()
    (folder / "income" / "workload.yaml").write_text("name: <b>income</b>\n")
    with stored_cloud.running(MILLRACE_WORKLOADS=str(folder)):
        make_machines(stage_of(stored_cloud.PLATFORM), stored_cloud.OTHER, "ingest")
        yield


@pytest.fixture
def environment() -> Environment:
    return find_environment("dev", Path("build"))


@pytest.fixture
def opened(environment: Environment) -> Iterator[Callable[..., Browser]]:
    """Opens the console of the environment, in which IAM denies some services."""

    def open_(*denied: str) -> Browser:
        clients: dict[str, Any] = {}

        def client(service: str) -> Any:
            if service not in clients:
                clients[service] = boto3.client(service)
                if service in denied:
                    clients[service].meta.events.register("before-call", _deny)
            return clients[service]

        return running.enter_context(served.opened(replace(environment, client=client)))

    with ExitStack() as running:
        yield open_


def _deny(model: Any, **_: Any) -> None:
    raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": f"ann may not {model.name}"}}, model.name)


def rows_of(html: str) -> dict[str, list[str]]:
    """The cells of each workload's row, as text."""
    rows = re.findall(r'<tr><th scope="row"><a href="/(\w+)">.*?</th>(.*?)</tr>', html, re.S)
    return {name: [text_of(cell) for cell in re.findall(r"<td.*?</td>", row, re.S)] for name, row in rows}


def text_of(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_all_workloads_are_on_one_page_and_a_broken_one_is_one_row(opened: Callable[..., Browser]) -> None:
    answer = opened().ask("/")
    rows = rows_of(answer.text)
    assert answer.status == 200
    assert rows["electricity"][0] == LIVE
    assert rows["electricity"][4] == "▲ monitor window 42 days (late for 28 days), labels never (late for 30 h)"
    (why,) = rows["income"]
    assert "workload.yaml" in why
    # What a file says is escaped.
    assert "<b>income</b>" not in answer.text


def test_many_workloads_are_on_pages_with_alarms_first(monkeypatch: Any, opened: Callable[..., Browser]) -> None:
    monkeypatch.setattr(web, "PER_PAGE", 1)
    browser = opened()
    first, second = (rows_of(browser.ask(f"/{asked}").text) for asked in ("", "?page=2"))
    assert first.keys() | second.keys() == {"electricity", "income"}
    assert [rows_of(browser.ask(f"/?page={page}").text) for page in ("9", "0", "x")] == [second, first, first]
    assert '<a href="/?page=2">2</a>' in browser.ask("/").text
    shown = [NAMES, WorkloadNames(platform=NAMES.platform, workload="zoo")]
    alarm = {
        "AlarmName": f"{shown[1].prefix}-input-drift",
        "StateValue": "ALARM",
        "StateUpdatedTimestamp": datetime.now(UTC),
    }
    assert web.pages_of(shown, [alarm]) == [[shown[1]], [shown[0]]]


def test_a_broken_declaration_hides_no_other_workload_from_the_status() -> None:
    done = CliRunner().invoke(app, ["status", "--stage", "dev", "--json"])
    states = {state["workload"]: state["live"] for state in json.loads(done.stdout)}
    assert states["electricity"] == html.unescape(LIVE)
    assert "workload.yaml" in states["income"]


def test_a_denied_part_says_so_in_its_place(opened: Callable[..., Browser]) -> None:
    row = rows_of(opened("cloudwatch").ask("/").text)["electricity"]
    assert ["may not DescribeAlarms" in cell for cell in row] == [False, False, True, False, False]
    assert row[0] == LIVE


def test_what_waits_for_a_person_is_listed(opened: Callable[..., Browser], environment: Environment) -> None:
    """An alarm is on from the beginning; a switch that is thrown is seen by the next request."""
    browser = opened()
    before = browser.ask("/").text.count("<li><strong>")
    switch = Automation(is_paused=True, reason="complaints", by="arn:aws:iam::1:user/ann", since=environment.now())
    switch.put(StateTable(environment.client("dynamodb"), NAMES))
    boto3.client("sqs").send_message(QueueUrl=NAMES.queue("drops"), MessageBody="{}")
    after = browser.ask("/").text
    assert after.count("<li><strong>") == before + 1 > 1
    assert "Drops wait" in after


def test_a_failed_run_waits_for_a_week(opened: Callable[..., Browser], environment: Environment) -> None:
    """Of `ingest` each run has rows of its own; of another machine a newer run has made up for it."""
    report, now = read_stored(stage="dev"), environment.now()
    backend = stepfunctions_backends[NAMES.platform.account][NAMES.platform.region]

    def fails(machine: str, name: str, ago: timedelta) -> None:
        run = replace(report.of(machine)[-1], name=name, status="FAILED", output={}, started=now - ago, stopped=now)
        backend.describe_state_machine(NAMES.machine_arn(machine)).executions.append(stored_cloud.StoredExecution(run))

    for machine, name, days in (
        ("ingest", "one", 2),
        ("ingest", "two", 1),
        ("ingest", "old", 8),
        ("train", "other", 1),
    ):
        fails(machine, f"{name}-failed", timedelta(days=days))
    fails("train", "newest-failed", timedelta(hours=5))
    offered = re.findall(r"millrace rerun ([\w-]+)", opened().ask("/").text)
    assert sorted(offered) == ["newest-f", "one-fail", "two-fail"]


def test_a_window_is_one_click_from_its_decisions(opened: Callable[..., Browser]) -> None:
    """The stored cloud has two decisions, of 30 June."""
    browser = opened()
    paths = [
        unescape(path)
        for path in re.findall(r'<a href="([^"]+)" aria-label="Decisions', browser.ask("/electricity").text)
    ]
    windows = read_stored(stage="dev").windows
    assert set(paths) == {decisions_path("electricity", one.start, one.end - timedelta(days=1)) for one in windows}
    assert browser.ask(paths[0]).status == 200
    shown = browser.ask("/electricity/decisions?first=1997-06-24&last=1997-06-30").text
    assert [id_ in shown for id_ in ("call-0", "call-1")] == [True, True]
    assert "call-1" not in browser.ask("/electricity/decisions?first=1997-06-17&last=1997-06-23").text
    wrong = browser.ask("/electricity/decisions?first=x")
    assert (wrong.status, "expected a day" in wrong.text) == (404, True)


def test_a_denied_part_of_the_report_is_said_in_its_section(opened: Callable[..., Browser]) -> None:
    answer = opened("sagemaker").ask("/electricity")
    assert answer.status == 200
    sections = dict(re.findall(r'<section id="(\w+)">(.*?)</section>', answer.text, re.S))
    denied = [name for name, text in sections.items() if "not allowed" in text]
    assert "models" in denied
    assert "drops" not in denied


def test_the_command_serves_this_machine_until_it_is_interrupted(tmp_path: Path) -> None:
    """Without a cloud: the pages say so."""
    settings = {**os.environ, **KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    program = [sys.executable, "-m", "millrace.console.cli", "console", "--stage", "local", "--build", str(tmp_path)]
    with subprocess.Popen(program, cwd=ROOT, env=settings, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = process.stdout.readline().strip()
        found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/open\?secret=[\w-]{43}", url)
        assert found
        browser = Browser(int(found[1]))
        assert browser.open(url).status == 303
        assert browser.ask("/").status == 502
        with socket.socket() as other, pytest.raises(ConnectionRefusedError):
            other.connect(("127.0.0.2", browser.port))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
