"""A team has rows and no labels: people label rows that are drawn, and the first version learns from their answers."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from millrace.console.actions.reviews import Reviewer
from millrace.console.environment import local_environment
from millrace.console.local_cloud.local_cloud import PLATFORM, SECRET_VARIABLE, started
from millrace.names import WorkloadNames
from tests.end_to_end.callers import typed
from tests.kinds import CLOCK, UNTIMED, adults, merged
from tests.live import Live

NAMES = WorkloadNames(platform=PLATFORM, workload="married")
AT_A_TIME, FIRST = 80, 160
FEWER = {"policy": {"labels_before_model": AT_A_TIME}, "training": {"first_rows": FIRST}}
GATES = {"gates": {"latency": {"max_p99_ms": 500}}}


def married() -> pa.Table:
    """Whether people are married, which their relationship mostly says."""
    rows = adults()
    is_married = pc.starts_with(rows["marital_status"], "Married")
    return rows.select(["id", "relationship", "education_num", "hours_per_week"]).append_column("married", is_married)


def propose(folder: Path) -> None:
    """Write the workload of a file in which no row has the label, but for how many labels are asked for."""
    home, file = folder / "workloads" / NAMES.workload / "workload.yaml", folder / "married.parquet"
    pq.write_table(married().drop_columns(["married"]), file)
    words = ("--label", "married", "--classes", "true,false", "--keep", "relationship", *UNTIMED)
    typed("new", NAMES.workload, "--from", str(file), *words, "--build", str(folder / "build"))
    home.write_text(yaml.safe_dump(merged(yaml.safe_load(home.read_text()), FEWER | GATES)))


def answer(cloud: Live, count: int) -> set[str]:
    """A person labels so many rows that wait. Their ids."""
    truth = {row["id"]: row["married"] for row in married().to_pylist()}
    person, ids = Reviewer.of(local_environment(cloud), NAMES, source="terminal"), set[str]()
    while len(ids) < count and (held := person.next()):
        assert (held.item.reason, held.item.output) == ("no_model", None)
        person.answer(held, truth[held.item.key["id"]], seconds=2)
        ids.add(held.item.id)
    person.finish()
    cloud.rest()
    return ids


def waiting() -> set[str]:
    return {one["id"] for one in typed("review", "--list", "--limit", "1000", "--workload", NAMES.workload)}


def test_people_label_drawn_rows_until_the_first_version_is_trained_and_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(tmp_path / "workloads"))
    propose(tmp_path)
    with started(tmp_path / "build", clock=CLOCK, workloads=[NAMES.workload]) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.endpoint_url)
        monkeypatch.setenv(SECRET_VARIABLE, found.secret)
        cloud, rows = Live(**vars(found), names=NAMES), married().drop_columns(["married"])
        cloud.drop("training/one", rows.slice(0, 1500))
        first = waiting()
        cloud.drop("training/two", rows.slice(1500))
        assert (len(first), waiting()) == (AT_A_TIME, first), "so many wait at a time"
        assert answer(cloud, AT_A_TIME) == first
        trained = typed("runs", "--machine", "train", "--workload", NAMES.workload)
        assert (len(waiting()), waiting() & first, trained) == (AT_A_TIME, set(), [])
        answer(cloud, FIRST - AT_A_TIME)
        assert (cloud.champion().version, waiting() & first) == ("1", set())
        answer(cloud, 10)
        assert len(waiting()) == AT_A_TIME - 10, "nobody is asked beside a version"
        assert len(typed("runs", "--machine", "train", "--workload", NAMES.workload)) == 1
