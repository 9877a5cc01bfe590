"""What an operator reads after the fourteen months, by the commands themselves."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from math import nextafter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from millrace.aws.objects import split_uri
from millrace.console.cli.app import app
from millrace.console.demo.months import SAMPLE, months
from millrace.console.environment import Environment, local_environment
from millrace.console.local_cloud.local_cloud import PLATFORM, SECRET_VARIABLE
from millrace.console.queries.decisions import find_days
from millrace.console.queries.lineage import trace
from millrace.console.queries.link import Link
from millrace.console.queries.replay import archived
from millrace.console.queries.versions import state_of
from millrace.decisions.store import find_decision
from millrace.errors import ArtefactError, EnvironmentNotFoundError
from millrace.state.unanswered import UnansweredAlarms
from millrace.workload.prices import usd_per_hour
from tests.end_to_end.conftest import Lived

Run = Callable[..., Result]


@pytest.fixture
def run(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("versions", "--json")`: the command's result."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", lived.cloud.endpoint_url)
    monkeypatch.setenv(SECRET_VARIABLE, lived.cloud.secret)
    monkeypatch.setenv("COLUMNS", "250")
    return lambda *words: CliRunner().invoke(app, words, catch_exceptions=False)


@pytest.fixture(scope="module")
def place(lived: Lived) -> Environment:
    return local_environment(lived.cloud)


@pytest.fixture(scope="module")
def last_decision(lived: Lived, place: Environment) -> str:
    day = next(find_days(place, lived.names))
    return day.decisions[-1].id


def test_versions(run: Run, lived: Lived) -> None:
    """Two versions and the model that was refused, as the story tells them."""
    found = json.loads(run("versions", "--json").stdout)
    assert [(one["version"], one["status"], one["reason"]) for one in found] == [
        (None, "refused", "alarm"),
        ("2", "live", "alarm"),
        ("1", "previous", "first"),
    ]
    refused, second, first = found
    assert (first["trained_at"][:10], second["trained_at"][:10]) == ("1997-01-01", "1997-05-15")
    assert second["live_at"] is not None
    assert first["rows"] == 11_472
    for one in (first, second):
        package = f"arn:aws:sagemaker:eu-west-1:123456789012:model-package/{lived.names.package_group}/{one['version']}"
        known = lived.cloud.client("sagemaker").describe_model_package(ModelPackageName=package)
        metadata = known["CustomerMetadataProperties"]
        assert one["digests"] == {name: metadata[f"{name}_digest"] for name in one["digests"]}
        assert len(one["digests"]) == 9
        assert one["snapshot_id"] == metadata["snapshot_id"]
        assert all(gate["passed"] for gate in one["gates"])
    broken = [gate for gate in refused["gates"] if not gate["passed"]]
    assert "calibration" in [gate["name"] for gate in broken]
    assert all(gate["measured"] > gate["bound"] for gate in broken if gate["name"] == "calibration")
    table = run("versions").stdout
    assert "non_inferiority" in table
    assert "✗ calibration: expected calibration error 0." in table
    assert "% right" in table


def test_alarms_and_windows(run: Run) -> None:
    """The alarm that stays, the error below its bound, and the windows behind them."""
    told = json.loads(run("alarms", "--json").stdout)
    found = {alarm["name"]: alarm for alarm in told["alarms"]}
    assert (found["input-drift"]["state"], found["input-drift"]["figure"]) == ("ALARM", 224)
    assert (found["error"]["state"], found["error"]["figure"] < found["error"]["bound"]) == ("OK", True)
    windows = json.loads(run("monitor", "--json", "--limit", "0").stdout)["windows"]
    assert max(window["ratios"]["input-drift"] for window in windows) == 224
    assert any(window["labelled"] for window in windows)
    table = run("monitor", "--limit", "3").stdout
    assert table.split()[:5] == ["from", "to", "version", "decisions", "labelled"]
    assert run("alarms").stdout.split()[:4] == ["alarm", "state", "severity", "since"]


def test_alarms_show_what_somebody_has_acknowledged(lived: Lived, place: Environment, run: Run) -> None:
    known = UnansweredAlarms(state_of(place, lived.names))
    before = known.find().get("input-drift")
    for alarm in ("input-drift", "error"):  # the latter is not raised
        known.acknowledge(alarm, by="arn:ann", as_of=place.now())
    try:
        table, told = run("alarms").stdout, json.loads(run("alarms", "--json").stdout)
    finally:
        known.end("error")
        known.end("input-drift")
        if before:
            known.begin("input-drift", as_of=before.since)
    assert table.count("acknowledged") == 1
    assert re.search(r"^input-drift +ALARM, acknowledged ", table, re.MULTILINE)
    assert told["acknowledged"] == {"input-drift": "arn:ann"}


def test_decisions_that_cannot_be_read_are_named_with_their_object(lived: Lived, run: Run) -> None:
    bucket, key = split_uri(lived.names.lake_uri("decisions", "date=1997-05-04", "stranger.jsonl"))
    s3 = lived.cloud.client("s3")
    s3.put_object(Bucket=bucket, Key=key, Body=b"no decision\n")
    try:
        said = run("decisions", "--from", "1997-05-04", "--to", "1997-05-04").stderr
    finally:
        s3.delete_object(Bucket=bucket, Key=key)
    assert said.startswith(f"s3://{bucket}/{key}: one line of it cannot be read as decisions\n")


def test_quarantine(run: Run, tmp_path: Path) -> None:
    """The label file with a day twice, and the one row out of range; nothing else was refused."""
    told = json.loads(run("quarantine", "--json", "--limit", "0").stdout)
    assert told["reasons"] == {"duplicate_key": 48, "range": 1}
    assert len(told["rows"]) == 49
    (row,) = json.loads(run("quarantine", "--json", "--reason", "range").stdout)["rows"]
    wanted = {"feed": "scoring", "drop": "electricity/scoring/week.csv", "column": "nswdemand", "expected": "<= 1"}
    assert {name: row[name] for name in wanted} == wanted
    assert (row["got"], row["line"]) == ("17.5", 102)
    assert [row["line"] for row in told["rows"] if row["reason"] == "duplicate_key"] == list(range(194, 242))
    nothing = json.loads(run("quarantine", "--json", "--drop", "eek.csv").stdout)
    assert nothing == {"reasons": {}, "rows": []}
    for ending, read in ((".parquet", _parquet), (".csv", _csv)):
        assert run("quarantine", "--drop", "week.csv", "--export", str(tmp_path / f"r{ending}")).exit_code == 0
        (kept,) = read(tmp_path / f"r{ending}")
        assert json.loads(kept["raw"])["nswdemand"] == 17.5
    assert "No row was refused" in run("quarantine", "--reason", "pattern").stdout
    assert "and 29 more" in run("quarantine").stderr


def _parquet(path: Path) -> list[dict[str, Any]]:
    return list(pq.read_table(path).to_pylist())


def _csv(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_decisions(run: Run, lived: Lived, last_decision: str) -> None:
    day = "1997-05-14"
    found = [json.loads(line) for line in run("decisions", "--from", day, "--to", day, "--json").stdout.splitlines()]
    assert len(found) == 48 == len({one["id"] for one in found})
    assert {one["event_time"][:10] for one in found} == {day}
    assert {one["model_version"] for one in found} == {"1"}
    assert [one["event_time"] for one in found] == sorted((one["event_time"] for one in found), reverse=True)
    newest = [json.loads(line) for line in run("decisions", "--limit", "3", "--json").stdout.splitlines()]
    assert newest[0]["id"] == last_decision
    assert len(newest) == 3
    (one,) = map(json.loads, run("decisions", "--id", last_decision, "--json").stdout.splitlines())
    assert (one["id"], one["model_version"]) == (last_decision, "2")
    assert last_decision in run("decisions", "--limit", "1").stdout
    assert "No decision" in run("decisions", "--from", "2001-01-01").stdout


def test_cost(run: Run) -> None:
    """One run in May, for whose version the month's money was reserved."""
    may = json.loads(run("cost", "--month", "1997-05", "--json").stdout)
    lines = {line["what"]: line for line in may["lines"] if line["billed"] == "once"}
    assert set(lines) == {"training", "processing", "preflight", "functions", "endpoint"}, (
        "nothing was scored by file in May"
    )
    spent, endpoint = lines["training"], lines["endpoint"]
    assert spent["which"].endswith(", version 2")
    assert may["reserved_usd"] == pytest.approx(spent["reserved_usd"], abs=0.01)
    assert may["budget_usd"] == 50
    assert 0 < spent["usd"] == pytest.approx(spent["count"] / 3600 * usd_per_hour("ml.m5.large"))
    assert spent["usd"] < spent["reserved_usd"]
    assert (endpoint["count"], endpoint["unit"]) == (31 * 24, "instance hours")
    traffic = may["traffic"]
    assert traffic["predictions"] == months(SAMPLE, "1997-05", "1997-05")[0].rows.num_rows
    assert may["usd_per_1000"] == pytest.approx(endpoint["usd"] / traffic["predictions"] * 1000)
    assert (traffic["calls"], traffic["repeated"]) == (98, 0)
    assert 0 < may["use"]["busy"] <= may["use"]["busiest"] < 1
    # Version 2 was trained in May; its evaluation has the errors of both on the same labels.
    (gain,) = may["gains"]
    assert gain.startswith("version 2: error ")
    assert lines["processing"]["which"] == "2 jobs on ml.m5.large"
    assert all(line["count"] and line["usd"] > 0 for line in lines.values())
    assert json.loads(run("cost", "--json").stdout)["month"] == "1997-07"
    none = json.loads(run("cost", "--month", "1996-12", "--json").stdout)
    assert {line["what"] for line in none["lines"] if line["billed"] == "once"} == {"functions"}
    assert none["reserved_usd"] == 0


def test_report(run: Run, lived: Lived, tmp_path: Path) -> None:
    """The command's page is the demo's but for what the driver measured; each link of the lineage holds."""
    path = tmp_path / "report.html"
    assert run("report", "--output", str(path)).stdout.strip() == str(path)
    parts = [re.findall(r'<section id="(\w+)"', page.read_text()) for page in (path, lived.build / "report.html")]
    assert parts[0] == parts[1] == ["monitoring", "timeline", "drops", "models", "runs", "lineage", "cost", "money"]
    html = path.read_text()
    assert "✗ broken" not in html
    assert re.findall(r"<strong>(Version \d|Refused model)</strong>", html) == [
        "Version 1",
        "Version 2",
        "Refused model",
    ]
    assert "3 jobs" in html
    assert "48 × duplicate_key" in html


def test_why(run: Run, last_decision: str) -> None:
    """From the last decision to the eight files and the labels of the months before."""
    result = run("why", last_decision, "--json")
    links = json.loads(result.stdout)
    assert result.exit_code == 0
    assert {link["state"] for link in links} == {"checked", "recorded"}
    assert [link["what"] for link in links if link["state"] == "recorded"] == ["label", "rows from labels", "code"]
    assert len([link for link in links if link["what"] == "drop"]) == 8
    learnt = [link for link in links if link["what"] == "labels"]
    assert {link["what"] for link in links} == {
        "decision", "label", "model version", "endpoint configuration", "model", "training run", "dataset version",
        "data files", "drop",
        "labels", "rows from labels", "contract", "config", "code", "evaluation", "gate",
    }  # fmt: skip
    assert [len(link["digest"]) for link in links if link["digest"]] == [64] * (16 + len(learnt))
    assert "✓" in run("why", last_decision).stdout


def test_live(run: Run, lived: Lived) -> None:
    """Version 1 until the alarm's version came, which is live still; nothing before the first release."""
    may, now = (json.loads(run("live", *at, "--json").stdout) for at in (("--at", "1997-05-01"), ()))
    assert (may["version"], may["until"], may["approved_by"], may["revision"]) == ("1", now["since"], "", 1)
    assert (now["version"], now["until"], now["since"][:10]) == ("2", None, "1997-05-17")
    endpoint = lived.cloud.client("sagemaker").describe_endpoint(EndpointName=lived.names.endpoint)
    assert now["endpoint_config"] == endpoint["EndpointConfigName"] != may["endpoint_config"]
    with pytest.raises(EnvironmentNotFoundError, match=r"got 1996-05-01T00:00:00Z: the first went live 1997-01-01"):
        run("live", "--at", "1996-05-01")


def test_why_names_what_answered(lived: Lived, place: Environment) -> None:
    """Each version by its configuration, which of the one before is kept for a rollback; a file's row by its run."""
    days = [day for day in find_days(place, lived.names) if day.decisions[0].model_version]
    some = {(one.source, one.model_version): one.id for day in days for one in day.decisions if one.value is not None}
    chains = {of: {link.what: link for link in trace(place, lived.names, one)} for of, one in some.items()}
    assert chains.keys() >= {("api", "1"), ("api", "2"), ("batch", "1")}
    for (source, version), links in chains.items():
        if source == "batch":
            assert "endpoint configuration" not in links
            link = links["scoring run"]
        else:
            assert "scoring run" not in links
            link = links["endpoint configuration"]
            assert f"-v{version}-" in link.identity
        assert link.state == "checked", link


def test_why_explained(run: Run, last_decision: str) -> None:
    """What each column added to the answer, from the reference's score to the decision's own."""
    found = json.loads(run("why", last_decision, "--explain", "--json").stdout)
    added = sum(one["contribution"] for one in found["contributions"]) + found["others"]
    assert found["base"] + added == pytest.approx(found["output"], abs=1e-5)
    columns = [one["column"] for one in found["contributions"]]
    assert columns[0] == "nswprice"
    shown = run("why", last_decision, "--explain").stdout.splitlines()
    assert [line.split()[0] for line in shown[2 : 2 + len(columns)]] == columns


def test_why_replayed(run: Run, lived: Lived, place: Environment, last_decision: str) -> None:
    """Decisions of requests, and of a file's rows, by the archived version: the same bits; a changed bit is told."""
    found = json.loads(run("why", last_decision, "--replay", "--json").stdout)
    assert (found["version"], found["differences"]) == ("2", [])
    assert found["kept"] == found["again"]
    assert found["kept"].keys() >= {"value", "probability", "confidence"}
    assert "signed: the same bits" in run("why", last_decision, "--replay").stdout
    client, bucket = place.client("s3"), lived.names.platform.bucket("lake")
    days = [day for day in find_days(place, lived.names) if day.decisions[0].model_version]
    some = {one.source: one for day in days for one in day.decisions if one.model_version == "1" and one.value}
    kept = [find_decision(client, bucket, lived.names.workload, one.id, [one.event_time.date()])
            for one in some.values()]  # fmt: skip
    assert {one.decision.source for one in kept if one} == {"api", "batch"}
    with archived(place, lived.names, "1") as version:
        for one in kept:
            assert one is not None
            [again] = version.replay([one])
            assert again.differences == ()
            wrong = one.decision.output | {"probability": nextafter(one.decision.output["probability"], 0)}
            [altered] = version.replay([replace(one, decision=replace(one.decision, output=wrong))])
            [difference] = altered.differences
            assert (difference.cell, difference.kept) == ("probability", wrong["probability"])
            assert difference.bit is not None


def test_a_replay_says_what_is_missing(run: Run, lived: Lived, last_decision: str) -> None:
    s3, [uri] = lived.cloud.client("s3"), [
        one["model_data_url"] for one in json.loads(run("versions", "--json").stdout) if one["version"] == "2"
    ]  # fmt: skip
    bucket, key = split_uri(uri)
    content = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    s3.delete_object(Bucket=bucket, Key=key)
    try:
        with pytest.raises(EnvironmentNotFoundError, match="version 2: expected it in the registry and its archive"):
            run("why", last_decision, "--replay")
        s3.put_object(Bucket=bucket, Key=key, Body=content + b"\0")
        with pytest.raises(ArtefactError, match="as it was signed"):
            run("why", last_decision, "--replay")
    finally:
        s3.put_object(Bucket=bucket, Key=key, Body=content)


class Tampered:
    """S3 as it would answer if somebody had changed the objects whose key ends so."""

    def __init__(self, client: Any, ending: str) -> None:
        self._client, self._ending = client, ending

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_object(self, *, Key: str, **named: Any) -> Any:
        answer = self._client.get_object(Key=Key, **named)
        if Key.endswith(self._ending):
            content = answer["Body"].read()
            answer["Body"] = type("Body", (), {"read": lambda _: content + b"\n# x: 1\nx: 1\n"})()
        return answer


@pytest.mark.parametrize(
    ("ending", "broken"),
    [
        ("1996-08.parquet", {"drop"}),
        ("config/contract.yaml", {"contract"}),
        ("output/model.tar.gz", {"model"}),
    ],
)
def test_why_says_where_the_chain_breaks(
    lived: Lived, place: Environment, last_decision: str, ending: str, broken: set[str]
) -> None:
    s3 = Tampered(lived.cloud.client("s3"), ending)
    changed = Environment(platform=PLATFORM, client=lambda name: s3 if name == "s3" else lived.cloud.client(name))
    links: list[Link] = list(trace(changed, lived.names, last_decision))
    assert {link.what for link in links if link.state == "broken"} == broken
    assert len([link for link in links if link.state == "broken"]) == 1


def test_doctor(run: Run) -> None:
    """Everything that the local cloud needs is here; of quotas it says that they are not."""
    result = run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(result.stdout)}
    assert [name for name, check in checks.items() if check["verdict"] == "missing"] == []
    assert result.exit_code == 0
    assert checks["platform stack"]["verdict"] == "ok"
    assert checks["stacks of electricity"]["found"].endswith("stacks")
    assert (checks["quotas"]["verdict"], checks["quotas"]["found"]) == ("unknown", "not covered here")


def test_the_audit_of_the_fourteen_months_is_whole(run: Run, lived: Lived) -> None:
    """What the functions recorded in the story is in the locked bucket, link by link."""
    lived.rest()
    done = run("audit", "verify", "--json")
    assert done.exit_code == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert found["workload"] == lived.names.workload
    assert found["records"] == found["links"] > 4
    assert run("audit", "verify", "--workload", lived.names.workload, "--head", found["head"]).exit_code == 0
