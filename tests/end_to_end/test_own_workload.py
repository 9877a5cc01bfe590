"""From a file of somebody's own to predictions, labels and monitoring, beside another workload in one local cloud."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from mcp import StdioServerParameters
from sklearn.datasets import load_breast_cancer

from localcloud.deploy import deploy
from millrace.client import Client
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import PLATFORM, SECRET_VARIABLE, LocalCloud, started
from millrace.console.queries.decisions import explain_decision
from millrace.console.queries.lineage import trace
from millrace.infra.app import build
from millrace.infra.settings import settings_for
from millrace.names import WorkloadNames
from millrace.workload.load import workloads_folder
from tests.console.cli.test_assistant import ask
from tests.documentation import pages
from tests.end_to_end.callers import typed

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "workloads" / "electricity" / "sample" / "elec2.parquet"
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
KNOWN, LIVE = 70 * 48, 14 * 48
"""Rows of the file; rows that come after it."""
CLOCK = datetime.fromisoformat("1996-07-31T08:00:00+00:00")
REST_S = 300.0
NAMES = WorkloadNames(platform=PLATFORM, workload="market")
OWN = ("--workload", "market")
NOTED = """\
      - {name: note, logicalType: string}
      - {name: serial, logicalType: integer}
"""


@dataclass(frozen=True, kw_only=True)
class Own:
    """The cloud, and what `new` said."""

    cloud: LocalCloud
    said: dict[str, Any]

    @property
    def client(self) -> Client:
        return Client(workload="market", client=self.cloud.client)

    def put(self, feed: str, name: str, body: bytes) -> None:
        key = f"{NAMES.workload}/{feed}/{name}"
        self.cloud.client("s3").put_object(Bucket=PLATFORM.bucket("landing"), Key=key, Body=body)
        self.cloud.wait(timeout_s=REST_S)

    def executions(self, workload: str, machine: str) -> list[dict[str, Any]]:
        names = WorkloadNames(platform=PLATFORM, workload=workload)
        states = self.cloud.client("stepfunctions")
        found = states.list_executions(stateMachineArn=names.machine_arn(machine))["executions"]
        return [states.describe_execution(executionArn=one["executionArn"]) for one in found]

    def outputs(self, machine: str) -> list[dict[str, Any]]:
        """Of the workload's executions, all of which succeeded; the oldest first."""
        found = sorted(self.executions("market", machine), key=lambda one: one["startDate"])
        assert {one["status"] for one in found} <= {"SUCCEEDED"}
        return [json.loads(one["output"]) for one in found]


def market(first: int, count: int) -> list[dict[str, Any]]:
    """Half hours as somebody else keeps them: names with blanks and dots, days by name, words for the classes."""
    return [
        {
            "Half hour": row["timestamp"].isoformat(),
            "Day.of week": DAYS[row["day_of_week"]],
            "Weekend?": row["day_of_week"] > 4,
            "Time of day": row["period"],
            "NSW price": None if at % 50 == 3 else row["nswprice"],
            "NSW demand": row["nswdemand"],
            "Trend": "up" if row["class"] else "down",
        }
        for at, row in enumerate(pq.read_table(SAMPLE).slice(first, count).to_pylist(), first)
    ]


def as_written(cell: Any) -> Any:
    """A cell as a spreadsheet in Germany exports it."""
    if isinstance(cell, float):
        return str(cell).replace(".", ",")
    if isinstance(cell, str) and cell[4:5] == "-":
        return f"{datetime.fromisoformat(cell):%d.%m.%Y %H:%M}"
    return "NA" if cell is None else cell


def as_csv(rows: list[dict[str, Any]]) -> str:
    """The rows as that spreadsheet writes them into a file."""
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
    writer.writeheader()
    writer.writerows({name: as_written(cell) for name, cell in row.items()} for row in rows)
    return file.getvalue()


def without_label(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: cell for name, cell in row.items() if name != "Trend"} for row in rows]


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(ROOT / "workloads" / "electricity", folder / "workloads" / "electricity")
    (folder / "market.csv.gz").write_bytes(gzip.compress(as_csv(market(0, KNOWN)).encode()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_WORKLOADS", str(folder / "workloads"))
        asked = ["new", "market", "--from", str(folder / "market.csv.gz"), "--build", str(folder), "--label", "Trend"]
        asked += ["--minutes", "0"]
        said = typed(*asked)
        # A team with ten labels a day waits for no 168 of them.
        declared = folder / "workloads" / "market" / "workload.yaml"
        few = "  minimum_drifted_labels: 30\n  minimum_new_labels:"
        declared.write_text(declared.read_text().replace("  minimum_new_labels:", few))
        # No file has them yet.
        contract, first = declared.with_name("contract.yaml"), "    properties:\n"
        contract.write_text(contract.read_text().replace(first, f"{first}{NOTED}", 1))
        with started(folder / "build", clock=CLOCK) as cloud:
            patch.setenv("AWS_ENDPOINT_URL", cloud.endpoint_url)
            patch.setenv(SECRET_VARIABLE, cloud.secret)
            for path in said["drops"]:
                key = f"market/training/{Path(path).name}"
                cloud.client("s3").put_object(Bucket=PLATFORM.bucket("landing"), Key=key, Body=Path(path).read_bytes())
            cloud.wait(timeout_s=REST_S)
            yield Own(cloud=cloud, said=said)


def test_the_first_model_trains_passes_its_gates_and_goes_live(own: Own) -> None:
    assert own.said["accepted"] == KNOWN
    [trained] = own.outputs("train")
    assert trained["gating"]["answer"]["passed"], trained["gating"]["answer"]["sentences"]
    assert len(own.outputs("release")) == 1


def test_the_live_model_is_better_than_the_class_of_most_rows(own: Own) -> None:
    to_predict = [json.loads(line) for line in Path(own.said["to_predict"]).read_text().splitlines()]
    rows = [*market(KNOWN, 48), *market(KNOWN + 96, LIVE - 96)]
    answers = own.client.predict([*to_predict, *without_label(rows)])
    assert all(one.id and one.refused is None and one.output["model_version"] == "1" for one in answers)
    judged = zip(rows, answers[len(to_predict) :], strict=True)
    right = sum((row["Trend"] == "up") == bool(one.output["value"]) for row, one in judged)
    usual = max(sum(row["Trend"] == trend for row in rows) for trend in ("up", "down"))
    assert right > usual + 0.03 * len(rows)


def test_a_file_is_scored(own: Own, tmp_path: Path) -> None:
    """The second day, which nobody asks about in any other way."""
    rows = without_label(market(KNOWN + 48, 48))
    (path := tmp_path / "day.jsonl").write_text("\n".join(map(json.dumps, rows)))
    drop = own.client.drop(path, feed="scoring")
    answers = own.client.answers(drop, timeout_s=REST_S)
    assert answers["row_number"].to_pylist() == list(range(1, 49))
    own.cloud.wait(timeout_s=REST_S)
    [scored] = own.outputs("score")
    (delivered,) = scored["delivery"]["answer"]["drops"]
    assert (delivered["rows"], delivered["quarantined"]) == (48, 0)
    with pytest.raises(TimeoutError, match=r"day\.jsonl"):
        own.client.answers(replace(drop, id="none"), timeout_s=0)


def test_late_labels_in_words_are_judged_by_the_monitor(own: Own) -> None:
    rows = market(KNOWN, LIVE)
    lines = ["Half hour;Trend", *(f"{as_written(row['Half hour'])};{row['Trend']}" for row in rows)]
    own.put("labels", "late.csv", "\n".join(lines).encode())
    own.cloud.move_clock(datetime.fromisoformat("1996-08-05T06:00:30+00:00"))
    own.cloud.wait(timeout_s=REST_S)
    [*_, watched] = own.outputs("monitor")
    assert watched, "the schedule's run"
    reports = _reports(own)
    assert len(reports) == 1
    first, *windows = reports[0]["windows"]
    assert first["error"]["labelled"] < first["error"]["answered"], "nobody sent the truth of the file's last rows"
    busy = [window for window in windows if window["decisions"]]
    assert len(busy) == LIVE // 48 // own.said["spans"]["window_days"]
    errors = [window["error"]["error"] for window in busy]
    assert 0.05 < sum(errors) / len(errors) < 0.45, "labels in words meet decisions that are 0 and 1"
    for window in busy:
        assert window["input"]["rows"] == window["decisions"] >= 48
        assert window["error"]["labelled"] == window["error"]["answered"]


def test_a_row_of_the_file_is_explained_with_its_label(own: Own) -> None:
    environment = local_environment(own.cloud)
    [scored] = own.outputs("score")
    wanted = f"{scored['delivery']['answer']['drops'][0]['drop_id']}-1"
    links = {link.what: link for link in trace(environment, NAMES, wanted)}
    assert [link for link in links.values() if link.state == "broken"] == []
    assert (links["scored file"].state, "scoring/day.jsonl" in links["scored file"].identity) == ("checked", True)
    assert links["label"].identity == market(KNOWN + 48, 1)[0]["Trend"]
    explained = explain_decision(environment, NAMES, wanted)
    added = sum(one["contribution"] for one in explained["contributions"]) + explained["others"]
    assert explained["base"] + added == pytest.approx(explained["output"], abs=1e-5)


def _reports(own: Own) -> list[dict[str, Any]]:
    s3, bucket = own.cloud.client("s3"), PLATFORM.bucket("lake")
    found = s3.list_objects_v2(Bucket=bucket, Prefix="market/monitor/").get("Contents", [])
    bodies = [s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read() for entry in found]
    return [json.loads(body) for body in bodies]


def test_swapped_labels_raise_the_alarm_whose_retraining_learns_them(own: Own) -> None:
    """Ten labels a day of one window, and far fewer windows than a bound of the history needs. The training joins them
    a portion a call."""
    functions, name = own.cloud.client("lambda"), NAMES.function("snapshot")
    variables = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    few = {"Variables": variables | {"MILLRACE_PORTION_ROWS": "200"}}
    functions.update_function_configuration(FunctionName=name, Environment=few)
    (report,) = _reports(own)
    figures = [window["error"]["ratio"] for window in report["windows"] if window["error"]["labelled"]]
    assert max(figures) < 1, "the labels that came are true"
    assert own.executions("market", "retrain") == []
    # The window that follows those that were judged.
    start = report["windows"][-1]["end"]
    later = [row for row in market(KNOWN + LIVE, LIVE) if row["Half hour"] >= start[:10]]
    rows = later[: own.said["spans"]["window_days"] * 48]
    own.cloud.move_clock(datetime.fromisoformat("1996-08-11T06:00:00+00:00"))
    own.client.predict(without_label(rows))
    own.cloud.wait(timeout_s=REST_S)
    swapped = {row["Half hour"]: "down" if row["Trend"] == "up" else "up" for row in rows[:: 48 // 12]}
    lines = ["Half hour;Trend", *(f"{as_written(at)};{trend}" for at, trend in swapped.items())]
    own.put("labels", "swapped.csv", "\n".join(lines).encode())
    for held in [one for one in typed("held", *OWN) if one["status"] == "waiting"]:
        typed("held", "--accept", held["drop"], "--reason", "the world has turned", *OWN)
        own.cloud.wait(timeout_s=REST_S)
    own.cloud.move_clock(datetime.fromisoformat("1996-08-12T06:00:30+00:00"))
    own.cloud.wait(timeout_s=REST_S)
    errors = {window["start"]: window["error"] for found in _reports(own) for window in found["windows"]}
    assert (errors[start]["labelled"], errors[start]["ratio"] > 1) == (len(swapped), True)
    [retrained] = own.outputs("retrain")
    guarded = retrained["guard"]["answer"]
    assert (guarded["accepted"], guarded["trigger"]) == (True, "alarm"), guarded["sentence"]
    assert guarded["evidence"]["drifted_labels"] == len(swapped), "the drift began with this window"
    [*_, trained] = own.outputs("train")
    pinned = trained["snapshot"]["answer"]
    assert (pinned["joined"], pinned["rows"]) == (LIVE + len(swapped), KNOWN + LIVE + len(swapped)), (
        "labels become rows"
    )
    [run] = [one["executionArn"] for one in own.executions("market", "train") if one["name"] == pinned["run"]]
    events = own.cloud.client("stepfunctions").get_execution_history(executionArn=run)["events"]
    entered = [one.get("stateEnteredEventDetails", {}).get("name") for one in events]
    assert entered.count("Snapshot") == -(-(LIVE + len(swapped)) // 200)


def test_rows_are_rewritten_in_the_types_of_a_changed_contract(own: Own, tmp_path: Path) -> None:
    """A number becomes a text and a text a number; one of 48 is none."""
    noted, later = (
        [row | {"note": f"{n},5" if n else "none", "serial": n} for n, row in enumerate(market(first, 48))]
        for first in (KNOWN + 2 * LIVE, KNOWN + 2 * LIVE + 48)
    )
    own.put("training", "noted.csv", as_csv(noted).encode())
    path = workloads_folder() / "market" / "contract.yaml"
    now = NOTED.replace("string", "double").replace("integer", "string").replace("double", "number")
    path.write_text(path.read_text().replace(NOTED, now))
    settings = settings_for("local", account=PLATFORM.account, region=PLATFORM.region)
    build(settings, workloads=[path.parent], outdir=str(tmp_path)).synth()
    stacks = [NAMES.stack(room) for room in ("ingestion", "training")]
    deploy(own.cloud.endpoint_url, tmp_path, stacks, secret=own.cloud.secret)
    [newest] = typed("data", "log", "--limit", "1", *OWN)
    became = {"table": "rows", "columns": ["note", "serial"], "rows": newest["rows"] - 1, "reasons": [["type", 1]]}
    for more in (["--preview"], []):
        assert typed("contract", "rewrite", "--reason", "notes are numbers", *OWN, *more) == [became]
    [refused] = typed("quarantine", "--drop", "noted.csv", *OWN)["rows"]
    assert (refused["reason"], refused["column"], refused["got"]) == ("type", "note", "'none'")
    own.put("training", "later.csv", as_csv(later).encode())
    typed("train", *OWN)
    own.cloud.wait(timeout_s=REST_S)
    assert own.outputs("train")[-1]["snapshot"]["answer"]["rows"] == became["rows"] + 47
    [scored] = own.outputs("score")
    links = [*trace(local_environment(own.cloud), NAMES, f"{scored['delivery']['answer']['drops'][0]['drop_id']}-1")]
    states = {link.what: link.state for link in links}
    assert states["dataset version"] == "checked", "of version 1, from before"
    assert "broken" not in states.values()


@pytest.mark.night("by day the first model of such a file goes live by the same commands")
def test_what_an_assistant_did_with_its_page_alone_is_done_again(tmp_path: Path) -> None:
    """In an empty folder, with a file that we do not ship: every line of AGENTS.md, and the tools that were asked."""
    tumours = load_breast_cancer(as_frame=True)
    tumours.data.assign(outcome=tumours.target_names[tumours.target]).to_csv(tmp_path / "rows.csv", index=False)
    done = yaml.safe_load(Path(__file__).with_name("assistant.yaml").read_text())
    elsewhere = {"MILLRACE_WORKLOADS": str(tmp_path / "workloads")}
    environment = {**os.environ, **elsewhere, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    server = StdioServerParameters(command="millrace", args=["mcp"], env=environment, cwd=tmp_path)

    def types(line: str) -> str:
        streams: dict[str, int] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        ended = subprocess.run(["bash", "-ec", line], cwd=tmp_path, env=environment, text=True, check=False, **streams)
        assert ended.returncode == 0, f"{line}\n{ended.stdout}"
        return str(ended.stdout)

    try:
        for part, beginning in (("live", "millrace new mine"), ("explained", "millrace decisions")):
            assert [*done[part]] == pages.typed(beginning, "AGENTS.md")
            assert [line for line, used in done[part].items() if used not in types(line)] == []
            noted = json.loads((tmp_path / "build" / "up.json").read_text())
            LocalCloud(endpoint_url=noted["endpoint_url"], secret=noted["secret"]).wait(timeout_s=REST_S)
        decision = ""
        for tool, given, used in done["asked"]:
            said, is_refused = ask(server, tool, given | ({"id": decision} if "id" in given else {}))
            assert (is_refused, used in said, "broken" in said) == (False, True, False), said
            decision = decision or (json.loads(said.splitlines()[0])["id"] if tool == "decisions" else "")
    finally:
        types("millrace down --yes")


def test_the_other_workload_has_seen_nothing_of_it(own: Own) -> None:
    assert [
        machine for machine in ("ingest", "train", "release", "score") if own.executions("electricity", machine)
    ] == []
    tables = own.cloud.client("glue").get_tables(DatabaseName=PLATFORM.database)["TableList"]
    made = {table["Name"] for table in tables if table["Parameters"].get("table_type") == "ICEBERG"}
    assert made == {"market_rows", "market_labels"}
