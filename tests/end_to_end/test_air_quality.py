"""A number a day ahead from a history, from the dropped files to a retraining: real hours of Beijing, in a cloud of its
own. The months are those of the demo, shortened: two files to learn from, January, and the alarm that it raises."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from pyiceberg.catalog.glue import GlueCatalog

from millrace.aws.objects import keys_below, read_object
from millrace.console.demo.air_quality import DAY, LIVE, STORY, Hours
from millrace.console.demo.driver import Driver
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import SECRET_VARIABLE, LocalCloud, started
from millrace.console.queries.decisions import explain_decision, find_days
from millrace.console.queries.drops import find_rows
from millrace.console.queries.replay import archived
from millrace.console.queries.report import WorkloadReport, read_report
from millrace.decisions.store import find_decision
from millrace.errors import EnvironmentNotFoundError
from millrace.messages.ingest import Staging
from millrace.messages.monitor import WindowReport
from millrace.messages.score import DeliveredDrops
from tests import builders
from tests.end_to_end.callers import typed
from tests.end_to_end.conftest import control
from tests.mails import mails

[JANUARY, FEBRUARY, _] = LIVE
NAMES = STORY.names
HOURS = Hours()
OURS = ("--workload", NAMES.workload)
CALENDAR = {"name": "when", "calendar": "timestamp"}


pytestmark = pytest.mark.night("by day a forecast lives through the story of all kinds")


@dataclass(frozen=True, kw_only=True)
class Lived:
    """The cloud after a month, what its function answered and what is on its page."""

    cloud: LocalCloud
    answers: list[dict[str, Any]]
    report: WorkloadReport

    def outputs(self, machine: str) -> list[dict[str, Any]]:
        """Of the machine's executions, all of which succeeded; the oldest first."""
        assert {run.status for run in self.report.of(machine)} == {"SUCCEEDED"}
        return [run.output for run in self.report.of(machine)]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    folder = tmp_path_factory.mktemp("air")
    shutil.copytree(STORY.folder, folder / "workloads" / STORY.workload)
    declared = folder / "workloads" / STORY.workload / "workload.yaml"
    document = yaml.safe_load(declared.read_text())
    # A small recurrent network on fewer features errs more than the recipe that is shipped: it alarms in January, which
    # keeps this test to one month. The recipe itself alarms in March.
    small = {"units": 32, "hidden": 32, "epochs": 2, "batch_size": 256, "learning_rate": 0.003, "weight_decay": 0.01}
    document["training"] |= {"family": "gru", "parameters": small | {"dropout": 0.1, "patience": 2, "seed": 7}}
    document["prediction"]["features"] = [one for one in document["prediction"]["features"] if one != CALENDAR]
    document["prediction"]["huber"] = 1.0
    declared.write_text(yaml.safe_dump(document))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MILLRACE_WORKLOADS", str(folder / "workloads"))
        with started(folder / "build", clock=STORY.start, workloads=[STORY.workload]) as cloud:
            driver = Driver(cloud=cloud, names=NAMES, said=print)
            answers = list(live(driver))
            report = read_report(local_environment(cloud), NAMES, question="?")
            yield Lived(cloud=cloud, answers=answers, report=report)


def live(driver: Driver) -> Iterator[dict[str, Any]]:
    """Two years in two files, two drops to score, January with its measurements; the answers of January."""
    years = [datetime(2011, 1, 1), datetime(2012, 1, 1), JANUARY]  # noqa: DTZ001 as the contract has them
    for first, end in pairwise(years):
        driver.put("training", f"{first:%Y}.parquet", HOURS.parquet(first, end))
    driver.cloud.wait(timeout_s=200)
    names, *rows = HOURS.to_score(JANUARY, JANUARY + 2 * DAY).decode().splitlines()
    damp = dict(zip(names.split(","), rows[-1].split(","), strict=True)) | {"DEWP": "40"}
    driver.put("scoring", "first.csv", "\n".join([names, *rows, ",".join(damp.values())]).encode())
    driver.put("scoring", "gap.csv", HOURS.to_score(JANUARY + 9 * DAY, JANUARY + 11 * DAY))
    yield from driver.predict("2013-01", "January", HOURS.requests(JANUARY, FEBRUARY))
    driver.clock(datetime.fromisoformat("2013-01-15T06:00:00+00:00"))
    driver.cloud.wait(timeout_s=90)
    driver.put("labels", "2013-01.csv", HOURS.measured(JANUARY, FEBRUARY))
    driver.cloud.wait(timeout_s=90)
    driver.clock(datetime.fromisoformat("2013-02-01T06:00:00+00:00"))
    driver.cloud.wait(timeout_s=200)


def test_two_years_become_a_model_that_beats_as_it_is_now(lived: Lived) -> None:
    first, *_ = lived.outputs("train")
    verdicts = {one["name"]: one for one in first["gating"]["answer"]["verdicts"]}
    assert verdicts["baseline"]["passed"]
    assert 0.5 * verdicts["baseline"]["bound"] < verdicts["baseline"]["measured"], "no future was read"
    assert lived.report.models[0].evaluation.error.unit == "µg/m³"  # type: ignore[union-attr]


def test_every_hour_is_answered_by_the_model(lived: Lived) -> None:
    found = [one for said in lived.answers for one in said["predictions"]]
    assert len(found) == 31 * 24
    assert {(one["model_version"], one["fallback"]) for one in found} == {("1", False)}
    assert found[0]["predicted_for"] == "2013-01-02T00:00:00Z", "a day after its row"
    assert not any(said["rejected"] for said in lived.answers)


def test_a_drop_has_its_past_from_itself_and_from_the_table(lived: Lived) -> None:
    """The batch says what the function says of the same hours; hours whose past is too short are quarantined."""
    answers = [DeliveredDrops.model_validate(one["delivery"]["answer"]) for one in lived.outputs("score")]
    delivered = [drop for answer in answers for drop in answer.drops]
    assert sorted((one.rows, one.quarantined) for one in delivered) == [(25, 23), (48, 1)]
    s3 = lived.cloud.client("s3")
    asked = np.array([one["value"] for said in lived.answers for one in said["predictions"]])
    for one in delivered:
        table = pq.read_table(io.BytesIO(read_object(s3, one.uri)))
        a_day_later = [f"{(at + DAY).isoformat()}Z" for at in table["timestamp"].to_pylist()]
        assert table["predicted_for"].to_pylist() == a_day_later
        places = [(at - JANUARY) // timedelta(hours=1) for at in table["timestamp"].to_pylist()]
        known = np.array(table["value"].to_pylist())
        whole = slice(None) if one.quarantined == 1 else slice(1, None)  # the first hour after the gap knew 23 of 24
        np.testing.assert_allclose(known[whole], asked[places][whole], rtol=1e-5)
    environment = local_environment(lived.cloud)
    refused = {(row.reason, row.column) for row in find_rows(environment, NAMES)}
    assert refused == {("history", "history"), ("comparison", "DEWP, TEMP")}


def test_the_error_is_judged_by_the_hours_a_day_later(lived: Lived) -> None:
    value = {
        row["timestamp"]: one["value"]
        for day, said in zip(HOURS.requests(JANUARY, FEBRUARY), lived.answers, strict=True)
        for row, one in zip(day, said["predictions"], strict=True)
    }
    windows = [window for window in lived.report.monitor_runs[-1].report.windows if window.error]
    assert [window.start.day for window in windows] == [1, 8, 15, 22]
    for window in windows:
        # Of the few hours whose dust nobody measured the error is expected, not counted.
        assert (window.error and window.error.error) == pytest.approx(expected_error(window, value), rel=1e-2)


def expected_error(window: WindowReport, value: dict[str, float]) -> float:
    first = window.start.replace(tzinfo=None)
    hours = HOURS.between(first + DAY, first + 8 * DAY)
    return float(
        np.mean([
            abs(value[(row["timestamp"] - DAY).isoformat()] - row["pm2.5"]) for row in hours if row["pm2.5"] is not None
        ])
    )  # fmt: skip


def test_the_worst_air_alarms_and_a_model_with_its_hours_is_trained(lived: Lived) -> None:
    """January 2013, as it was: three weeks in a row the error is above all that two years led to expect."""
    [alarm] = lived.report.alarms
    assert alarm.name == "error"
    [retrained] = lived.outputs("retrain")
    assert retrained["guard"]["answer"]["reason"] == "accepted"
    _, second = lived.outputs("train")
    pinned = second["snapshot"]["answer"]
    assert (pinned["joined"], pinned["unmatched"], pinned["refused"]) == (739, 0, 0)
    assert pinned["rows"] == 17_544 + 739
    judged = {one["name"] for one in second["gating"]["answer"]["verdicts"]}
    assert "non_inferiority" in judged
    versions = [model.version.version for model in lived.report.models]
    assert versions == (["1", "2"] if second["gating"]["answer"]["passed"] else ["1", None])


def test_a_decision_is_answered_again_with_its_past(lived: Lived, catalog: GlueCatalog) -> None:
    """A request has brought its past; that of a file's row is in the shard, and missing without it."""
    place = local_environment(lived.cloud)
    client, bucket = place.client("s3"), NAMES.platform.bucket("lake")
    day = list(find_days(place, NAMES, first=JANUARY.date(), last=JANUARY.date()))
    some = {one.source: one for found in day for one in found.decisions}
    # No file and no request has the derived column: table, files to score and requests hold the same number.
    rows = catalog.load_table((NAMES.platform.database, NAMES.table("rows"))).scan().to_arrow()
    assert rows["dew_spread"].equals(pc.subtract(rows["TEMP"], rows["DEWP"]))
    for cells in (json.loads(one.input) for one in some.values()):
        assert cells["dew_spread"] == cells["TEMP"] - cells["DEWP"]
    kept = [find_decision(client, bucket, NAMES.workload, one.id, [JANUARY.date()]) for one in some.values()]
    assert some.keys() == {"api", "batch"}
    with archived(place, NAMES, "1") as version:
        assert [one.differences for one in version.replay([one for one in kept if one])] == [(), ()]
        [scored] = [one for one in kept if one and one.scored]
        explained = explain_decision(place, NAMES, scored.decision.id)
        assert sum(one["contribution"] for one in explained["contributions"]) != 0
        assert "pm2.5" in {one["column"] for one in explained["contributions"]}
        assert scored.scored is not None
        shards = Staging(names=NAMES, of=scored.scored.run).shards
        for key in list(keys_below(client, bucket, shards)):
            client.delete_object(Bucket=bucket, Key=key)
        with pytest.raises(EnvironmentNotFoundError, match=r"expected its past in s3://.*got no such object"):
            version.replay([scored])
        with pytest.raises(EnvironmentNotFoundError, match=r"expected its past in s3://.*got no such object"):
            explain_decision(place, NAMES, scored.decision.id)


def act_in(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """Who drops and asks there; commands are about it, too."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", lived.cloud.endpoint_url)
    monkeypatch.setenv(SECRET_VARIABLE, lived.cloud.secret)
    return Driver(cloud=lived.cloud, names=NAMES, said=print)


def test_a_request_without_its_past_has_the_same_answer(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hours of a drop are known when its execution has ended; those of a withdrawn drop no longer are."""
    driver = act_in(lived, monkeypatch)
    first, end = FEBRUARY + 10 * DAY, FEBRUARY + 12 * DAY
    [whole, *_] = HOURS.requests(end, end + DAY)[0]
    bare = {name: cell for name, cell in whole.items() if name != "history"}
    damp = whole | {"DEWP": whole["TEMP"] + 0.5}
    unknown, wrong = driver.predict("2013-02", "before", [[bare, damp]])[0]["rejected"]
    assert (unknown["reason"], unknown["column"]) == ("history", "history")
    assert (wrong["reason"], wrong["column"]) == ("comparison", "DEWP, TEMP")
    driver.put("training", "2013-02.parquet", HOURS.parquet(first, end))
    lived.cloud.wait(timeout_s=90)
    [answer] = driver.predict("2013-02", "after", [[whole, bare]])
    [with_past, without] = answer["predictions"]
    assert with_past["value"] == without["value"]
    assert without["fallback"] is False
    [newest] = typed("data", "log", "--limit", "1", *OURS)
    typed("data", "revert", newest["version"], "--reason", "t", *OURS)
    [gone] = driver.predict("2013-02", "withdrawn", [[bare]])[0]["rejected"]
    assert gone["reason"] == "history"


def test_a_file_in_milligrams_waits_until_a_person_decides(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its dust is within the contract's range, a thousandth of what it was, and no model may learn from it."""
    driver = act_in(lived, monkeypatch)
    known = pq.read_table(io.BytesIO(HOURS.parquet(FEBRUARY + 14 * DAY, FEBRUARY + 24 * DAY)))
    wrong = known.set_column(known.column_names.index("pm2.5"), "pm2.5", pc.multiply(known["pm2.5"], 0.001))
    for name, table in {"wrong": wrong.slice(0, 120), "false-alarm": wrong.slice(120)}.items():
        driver.put("training", f"{name}.parquet", builders.parquet(table))
    lived.cloud.wait(timeout_s=90)
    told = [mail for mail in mails(lived.cloud) if mail.startswith("HELD: training of air_quality")]
    assert ["mean of pm2.5 must be between 1 and 900, came 0." in mail for mail in told] == [True, True]
    # What is right goes in meanwhile, with hours of the files that wait.
    driver.put("training", "right.parquet", HOURS.parquet(FEBRUARY + 14 * DAY, FEBRUARY + 18 * DAY))
    lived.cloud.wait(timeout_s=90)
    assert {one["status"] for one in typed("held", *OURS)} == {"waiting"}
    assert added("wrong", "false-alarm", "right") == {"right": 96}
    typed("held", "--refuse", "wrong.parquet", "--reason", "in milligrams", *OURS)
    typed("held", "--accept", "false-alarm.parquet", "--reason", "to see it taken", *OURS)
    lived.cloud.wait(timeout_s=90)
    assert added("wrong", "false-alarm", "right") == {"right": 96, "false-alarm": 120}
    assert {one["status"]: one["reason"] for one in typed("held", *OURS)} == {
        "accepted": "to see it taken",
        "refused": "in milligrams",
    }
    events = {one["event"] for one in typed("audit", "list", *OURS)}
    assert {"rows.accepted", "rows.refused"} <= events
    refused = {row.drop.rpartition("/")[2] for row in find_rows(local_environment(lived.cloud), NAMES)}
    assert not refused & {"wrong.parquet", "false-alarm.parquet"}, "nothing is quarantined as if it were bad"
    assert control(lived.cloud, "denials") == []


def added(*names: str) -> dict[str, int]:
    """How many rows of these files are in the table."""
    log = {one["what"].partition("/")[2].removesuffix(".parquet"): one["added"] for one in typed("data", "log", *OURS)}
    return {name: log[name] for name in names if log.get(name)}
