"""`runs`, `show`, `rerun`, `train`, `retrain`, `drop` as a person types them, on small machines that run."""

import json
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from millrace.console.cli import app as cli
from millrace.errors import MillraceError
from millrace.names import MACHINES, drop_id_of
from millrace.state.claims import Claims, Start
from millrace.state.pointers import Pointers, ReleasePointers, Version
from millrace.state.table import StateTable
from tests.console.conftest import NAMES, PASS
from tests.localcloud.waiting import until
from tests.state_table import create_table

FAIL = {"Type": "Fail", "Error": "Broken", "Cause": "on purpose"}


@pytest.fixture(autouse=True)
def _here(cloud: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.endpoint_url)
    monkeypatch.delenv("COLUMNS", raising=False)  # pytest's workers have 80
    before = {number: signal.getsignal(number) for number in cli.SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True, scope="module")
def _machines(machine: Callable[..., str]) -> None:
    for name in MACHINES:
        machine(name, {"A": PASS})


@pytest.fixture(scope="module")
def claims(cloud: Any) -> Claims:
    create_table(cloud.client("dynamodb"), NAMES.platform.state_table)
    return Claims(StateTable(cloud.client("dynamodb"), NAMES))


def typed(*words: str) -> Result:
    return CliRunner().invoke(cli.app, list(words))


def told(*words: str) -> str:
    done = typed(*words)
    assert done.exit_code == 0, done.exception
    return done.stdout


def refused(*words: str) -> str:
    done = typed(*words)
    assert isinstance(done.exception, MillraceError), done
    return str(done.exception)


def test_a_failed_run_is_shown_and_goes_on(machine: Callable[..., str], ran: Callable[..., str]) -> None:
    arn = ran(machine("ingest", {"A": {"Type": "Pass", "Next": "F"}, "F": FAIL}))
    name = arn.rpartition(":")[2]
    shown = told("show", name)
    for words in (f"ingest {name}  FAILED", "Broken in F\non purpose", "succeeded", f"millrace rerun {name[:8]}"):
        assert words in shown
    document = json.loads(told("show", arn, "--json"))
    assert document["run"]["arn"] == arn
    assert [step["outcome"] for step in document["steps"]] == ["succeeded", "failed"]
    assert (document["error"], document["redrivable"], document["log"]["lines"]) == ("Broken", True, [])
    assert told("rerun", name[:12]) == f"ingest {name} redriven\n"
    assert refused("rerun", name[:12], "--wait").startswith("1 of 1 runs did not succeed: look with `millrace show ")
    assert "redriven 2 times" in told("show", name)
    assert "expected the ARN, the name or the beginning" in refused("show", "nobody")


def test_a_new_run_takes_the_new_definition(machine: Callable[..., str], ran: Callable[..., str]) -> None:
    arn = ran(machine("score", {"F": FAIL}), {"as": "before"})
    machine("score", {"A": PASS})
    assert "the machine's definition has changed" in refused("rerun", arn)
    done = json.loads(told("rerun", arn, "--new", "--wait", "--json"))
    assert (done["machine"], done["how"]) == ("score", "started")
    assert done["ended"] == [
        {"machine": "score", "arn": done["arn"], "status": "SUCCEEDED", "outcome": "", "refused": False}
    ]
    assert json.loads(told("show", done["arn"], "--json"))["output"] == {"as": "before"}
    assert refused("rerun", arn, "--keep-definition", "--wait").startswith("1 of 1 runs did not succeed")


def test_a_release_that_watches_its_version_says_so_once(machine: Callable[..., str], ran: Callable[..., str]) -> None:
    machine("release", {"Watch shadow": {"Type": "Wait", "Seconds": 2, "End": True}})
    shown = typed("rerun", ran(NAMES.machine_arn("release")), "--new", "--wait").stderr
    assert shown.count(" is at 'Watch shadow', for hours or weeks: `millrace versions` says how it stands") == 1
    machine("release", {"A": PASS})


def check_start(command: str, *words: str, title: str) -> None:
    """The run of a command that waits, as of a moment: what it says, and the input that it gives."""
    done = typed(command, *words, "--as-of", "1997-05-15T06:00:00Z", "--wait")
    assert done.exit_code == 0
    name = done.stdout.split()[1]
    assert done.stdout == f"{command} {name} started\n"
    assert done.stderr.startswith(f"{command} {name[:8]} ({title}): SUCCEEDED, ")
    given = json.loads(told("show", name, "--json"))["input"]
    assert given == {"cause": "command", "as_of": "1997-05-15T06:00:00+00:00"}


@pytest.mark.parametrize("command", ["train", "retrain"])
def test_a_run_is_started_by_command(machine: Callable[..., str], command: str) -> None:
    machine(command, {"A": PASS})
    check_start(command, title="command")
    assert told(command).endswith("started\n")


def test_a_monitor_run_is_started_for_windows_of_the_past(machine: Callable[..., str]) -> None:
    machine("monitor", {"A": PASS})
    check_start("monitor", "--start", title="windows until 1997-05-15")
    assert "--as-of: expected a moment" in refused("monitor", "--start", "--as-of", "May")
    came = refused("monitor", "--start", "--as-of", "2999-01-01T00:00:00Z")
    assert "has come" in came
    assert came.endswith("got 2999-01-01T00:00:00Z")
    for words in (("--as-of", "1997-05-15T06:00:00Z"), ("--wait",)):
        alone = typed("monitor", *words)
        assert alone.exit_code == 2
        assert f"{words[0]}: expected --start beside it, got none" in " ".join(alone.stderr.split())


REFUSED = {
    "accepted": False,
    "reason": "cool_down",
    "trigger": "command",
    "sentence": "",
    "earliest_next": "1997-06-19T06:00:00Z",
    "evidence": {
        "as_of": "1997-06-01T06:00:00Z",
        "last_started_at": None,
        "new_labels": 0,
        "runs_this_month": 0,
        "spent_usd": 0,
        "projected_usd": 0,
    },
}


def test_a_run_that_succeeded_with_a_refusal_is_no_success(machine: Callable[..., str]) -> None:
    """In JSON its status is SUCCEEDED; the exit status, the line and the list say what came of it."""
    machine("retrain", {"Guard": {**PASS, "Result": {"answer": REFUSED}, "ResultPath": "$.guard"}})
    done = typed("retrain", "--wait")
    assert str(done.exception).endswith(" (command): not started: cool-down until 1997-06-19")
    assert done.stderr.endswith(" s: not started: cool-down until 1997-06-19\n")
    assert "(command): REFUSED, " in done.stderr
    newest = json.loads(told("runs", "--machine", "retrain", "--limit", "1", "--json"))[0]
    assert (newest["status"], newest["refused"]) == ("SUCCEEDED", True)
    shown = told("show", newest["run"])
    assert "\nnot started: cool-down until 1997-06-19\n" in shown
    assert ("what now" in shown, "rerun" in shown) == (False, False)
    as_json = typed("retrain", "--wait", "--json")
    assert json.loads(as_json.stdout)["ended"][0]["outcome"] == "not started: cool-down until 1997-06-19"
    machine("retrain", {"A": PASS})


COMMITTED = {
    "feed": "training",
    "table": "electricity_rows",
    "snapshot_id": "1",
    "rows_accepted": 1,
    "rows_quarantined": 2,
    "reasons": {"type": 2},
    "rows_total": 1,
    "source": "",
    "source_digest": "",
    "duplicate": False,
    "duplicate_of": "",
    "has_champion": True,
}


@pytest.mark.parametrize(
    "words",
    [("versions",), ("predict", "rows.csv"), ("drop", "rows.csv", "--feed", "training"), ("quarantine",),
     ("decisions",), ("cost",), ("why", "id"), ("alarms",), ("monitor",), ("dead",), ("card",), ("runs",),
     ("rollback", "--reason", "x"), ("report",)],
)  # fmt: skip
def test_of_a_workload_that_is_not_deployed_the_command_that_deploys_it_is_told(
    words: tuple[str, ...], tmp_path: Path, machine: Callable[..., str]
) -> None:
    machine("ingest", {"A": PASS})  # of another workload
    (tmp_path / "rows.csv").write_text("a\n1\n")
    told = refused(*[str(tmp_path / word) if word == "rows.csv" else word for word in words], "--workload", "income")
    assert told == (
        "expected the machines of millrace-local-income in this account and region, got none: income is not deployed "
        "at stage local; `millrace up --workload income` does that"
    )


def test_a_drop_is_put_and_followed(
    tmp_path: Path, cloud: Any, landing: str, claims: Claims, machine: Callable[..., str], ran: Callable[..., str]
) -> None:
    """There is no intake here: the test starts what it would start."""
    s3, bucket = cloud.client("s3"), landing
    file = tmp_path / "may.csv"
    file.write_text("a\n1\n")
    first = typed("drop", str(file), "--feed", "labels")
    assert first.exit_code == 0
    assert first.stdout.endswith("(4 bytes) starts ingest\n")
    assert first.stderr == ""
    again = typed("drop", str(file), "--feed", "labels", "--json")
    assert "warning: electricity/labels/may.csv is there already (4 bytes of " in again.stderr
    assert "good rows take the place of the earlier ones; another name keeps both" in again.stderr
    assert json.loads(again.stdout)["ended"] == []
    file.write_text("")
    with_nothing = refused("drop", str(file), "--feed", "labels")
    assert with_nothing.startswith("FILE: expected 1 byte to 512 MiB")
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 2
    file.write_text("a\n2\n")
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(take_in, cloud, claims, bucket, ran, machine("ingest", {"A": PASS}))
        waited = typed("drop", str(file), "--feed", "training", "--name", "north/may.csv", "--wait")
        taken.result()
    assert waited.exit_code == 0, waited.exception
    assert "electricity/training/north/may.csv?versionId=" in waited.stdout
    assert "SUCCEEDED" in waited.stderr


@pytest.mark.usefixtures("claims")
def test_drops_that_wait_are_told(tmp_path: Path, cloud: Any, landing: str) -> None:
    """To score before the first release: `runs` has nothing of it, and says why."""
    file, queue = tmp_path / "rows.csv", NAMES.queue("drops")
    file.write_text("class\n1\n")
    found = typed("drop", str(file), "--feed", "scoring")
    assert found.stdout.endswith("` lists its run once that has started\n")
    assert " starts score once a model is live, and none is yet; until then it waits, tried again after" in found.stdout
    assert found.stderr.startswith("warning: the file has the label, class, which no file to score has: its ")
    assert json.loads(told("drop", str(file), "--feed", "scoring", "--json"))["waits_for_model"]
    before = len(cloud.client("s3").list_object_versions(Bucket=landing)["Versions"])
    wants_model = refused("drop", str(file), "--feed", "scoring", "--wait")
    assert wants_model.startswith("electricity: expected a live version, or a run that brings one, got neither: drop ")
    assert len(cloud.client("s3").list_object_versions(Bucket=landing)["Versions"]) == before
    assert typed("runs", "--machine", "score").stderr == ""
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName=queue)["QueueUrl"]
    for delay_s in (0, 600):
        sqs.send_message(QueueUrl=url, MessageBody="drop", DelaySeconds=delay_s)
    listed = typed("runs")
    waits = f"at least two drops wait in {queue} for a free slot or, of the feed scoring, a live model, and none is yet"
    assert listed.stderr.strip().startswith(waits)
    assert typed("runs", "--status", "failed").stderr == typed("runs", "--machine", "train").stderr == ""
    version = Version(package_arn="p/1", version="1", model_name="m", run="r", baseline_uri="")
    ReleasePointers(StateTable(cloud.client("dynamodb"), NAMES)).move(Pointers(champion=version))
    assert (
        f"at least two drops wait in {queue} for a free slot: tried again" in typed("runs", "--machine", "score").stderr
    )
    assert typed("drop", str(file), "--feed", "scoring").stdout.endswith(" starts score\n")
    sqs.delete_queue(QueueUrl=url)


def take_in(cloud: Any, claims: Claims, bucket: str, ran: Callable[..., str], machine: str) -> None:
    """What the intake does, when the object is there."""
    key = "electricity/training/north/may.csv"
    s3 = cloud.client("s3")
    found = until(lambda: s3.list_object_versions(Bucket=bucket, Prefix=key).get("Versions"))
    drop_id = drop_id_of(bucket, key, found[0]["VersionId"])
    start = Start(machine="ingest", pool="ingest-training", name="together", input="{}")
    assert claims.take(start, [drop_id, "another"], now=datetime.now(UTC))
    ran(machine, name=start.name)


def test_the_id_of_a_drop_stands_for_the_run_that_has_it(
    claims: Claims, machine: Callable[..., str], ran: Callable[..., str]
) -> None:
    """`show` says what came of this drop; a rerun is one of the whole run."""
    ids = {name: name * 64 for name in "abc"}
    drops = [{**COMMITTED, "drop_id": ids["a"], "rows_quarantined": 0}]
    drops.append({**COMMITTED, "drop_id": ids["b"], "rows_accepted": 7, "rows_quarantined": 0})
    objects = [{"key": f"electricity/training/{name}.csv", "drop_id": ids[name]} for name in "ab"]
    given = {"cause": "c", "as_of": "1997-05-02T00:00:00Z", "detail": {"feed": "training", "objects": objects}}
    step = {**PASS, "Result": {"answer": {"drops": drops}}, "ResultPath": "$.validation"}
    start = Start(machine="ingest", pool="ingest-training", name="a-group", input=json.dumps(given))
    assert claims.take(start, [ids["a"], ids["b"]], now=datetime.now(UTC))
    assert "expected an execution that is there" in refused("show", ids["a"])
    ran(machine("ingest", {"Commit": step}), given, name=start.name)
    assert "\ntwo drops: 8 accepted\n" in told("show", start.name)
    assert "\n7 accepted\n" in (shown := told("show", ids["b"]))
    assert shown.startswith("ingest a-group  SUCCEEDED\n")
    assert ", training/b.csv\n" in shown
    document = json.loads(told("show", ids["a"], "--json"))
    assert (document["run"]["name"], document["outcome"]["text"]) == ("a-group", "1 accepted")
    again = json.loads(told("rerun", ids["b"], "--new", "--json"))
    assert json.loads(told("show", again["arn"], "--json"))["input"] == given
    assert "or the id of a drop of the last 30 days, got" in refused("show", ids["c"])
    assert "or the id of a drop" in refused("show", ids["a"][:8])
