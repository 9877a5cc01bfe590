"""Lines become files by night: whatever dies or comes late, readers find each line, and find it once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from millrace.decisions import absorption
from millrace.decisions.absorbed import file_of, read_file, table_of
from millrace.decisions.absorption import FEWEST, KEPT, Absorption, absorb
from millrace.decisions.columns import ColumnShape, of_decisions, read_folder, read_parts
from millrace.decisions.record import Decision, object_key, prefix, to_line
from millrace.decisions.store import (
    StoredObjects,
    find_decision,
    find_unreadable,
    read_days,
    read_lines,
    stored_days,
    stored_objects,
)
from millrace.tasks.binary import Binary
from tests import builders
from tests.millrace.decisions.test_record import DECISIONS
from tests.turns import Turns

BUCKET, WORKLOAD = "lake", "electricity"
DAYS = (date(1997, 1, 1), date(1997, 1, 2))
NOON = datetime(1997, 1, 1, 12, tzinfo=UTC)
NIGHT = datetime(1997, 1, 3, 3, 30, tzinfo=UTC)
"""The first night on which both days are over."""
FIRST = builders.decision(
    id="r-0",
    workload=WORKLOAD,
    event_time=NOON,
    key={"timestamp": "1997-01-01T12:00:00"},
    input='{"period":0.5}',
    output={"value": 1, "probability": 0.5, "confidence": 0.5},
    latency_ms=1.0,
)


class Lake:
    """A bucket, and the lines that were ever put into it."""

    def __init__(self) -> None:
        self.client = boto3.client("s3", region_name="us-east-1")
        self.client.create_bucket(Bucket=BUCKET)
        self.lines: dict[str, list[str]] = {}

    def put(self, name: str, *decisions: Decision, day: date = DAYS[0]) -> str:
        key = object_key(WORKLOAD, day, [name])
        self.lines[key] = [to_line(one) for one in decisions]
        self.redeliver(key)
        return key

    def redeliver(self, key: str) -> None:
        body = "".join(f"{line}\n" for line in self.lines[key])
        self.client.put_object(Bucket=BUCKET, Key=key, Body=body.encode())

    def night(self, number: int = 0) -> Absorption:
        return absorb(self.client, BUCKET, WORKLOAD, as_of=NIGHT + timedelta(days=number))

    @property
    def stored(self) -> StoredObjects:
        return stored_objects(self.client, BUCKET, WORKLOAD, DAYS)

    def listed(self) -> list[str]:
        return [one["Key"] for one in self.client.list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def read(self, key: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return body

    def found(self, folder: Path) -> list[str]:
        """Every line that readers look at."""
        lines = [line for key in self.stored.lines for line in self.read(key).decode().splitlines()]
        for key in map(file_of, self.stored.absorbed):
            path = folder / "file.parquet"
            path.write_bytes(self.read(key))
            lines += read_file(str(path))
        return sorted(lines)

    def check(self, folder: Path) -> None:
        """Readers find what was put, each line once."""
        every = sorted(line for lines in self.lines.values() for line in lines)
        assert self.found(folder) == every
        assert read_days(self.client, BUCKET, WORKLOAD, DAYS) == read_lines(every)


@pytest.fixture
def lake() -> Iterator[Lake]:
    with mock_aws():
        yield Lake()


def several(lake: Lake, prefix: str, *, objects: int = FEWEST, day: date = DAYS[0], lines: int = 2) -> list[str]:
    at = NOON + timedelta(days=(day - DAYS[0]).days)
    return [
        lake.put(
            f"{prefix}{number}",
            *(replace(FIRST, id=f"{prefix}{number}-{line}", event_time=at) for line in range(lines)),
            day=day,
        )
        for number in range(objects)
    ]


class Killed(BaseException):
    """The function's process is gone."""


def at_write(client: Any, number: int, do: Callable[[], None], *, done: bool) -> Callable[[], None]:
    """Call `do` at the client's write with this number, when it is `done` or before. Returns what ends that."""
    seen = 0

    def look(**_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == number + 1:
            do()

    events = [f"{'after' if done else 'before'}-call.s3.{name}" for name in ("PutObject", "DeleteObjects")]
    for event in events:
        client.meta.events.register(event, look)
    return lambda: [client.meta.events.unregister(event, look) for event in events] and None


def kill() -> None:
    raise Killed


def test_the_lines_of_finished_days_become_a_file_and_are_deleted_a_night_later(lake: Lake, tmp_path: Path) -> None:
    several(lake, "a")
    few = several(lake, "b", objects=FEWEST - 1, day=DAYS[1])
    assert lake.night(-1).files == 1, "the second day was not over"
    assert lake.night(0) == Absorption(deleted=FEWEST), "and then has too few objects"
    lake.check(tmp_path)
    reference = f"{prefix(WORKLOAD, DAYS[0])}_0000.absorbed"
    assert lake.listed() == sorted([*few, reference, f"{WORKLOAD}/decisions/absorbed/date=1997-01-01/0000.parquet"])
    assert list(stored_days(lake.client, BUCKET, WORKLOAD)) == list(DAYS)
    several(lake, "c", day=NIGHT.date())
    assert lake.night(0) == Absorption(), "today is not over"


def test_lines_stay_until_a_night_has_passed(lake: Lake, tmp_path: Path) -> None:
    """A reader that listed them just before reads them still; and the call of a night may be repeated."""
    keys = several(lake, "a")
    assert (lake.night().rows, lake.night().deleted) == (2 * FEWEST, 0)
    soon = absorb(lake.client, BUCKET, WORKLOAD, as_of=NIGHT + KEPT - timedelta(seconds=1))
    assert soon.deleted == 0
    assert set(keys) <= set(lake.listed())
    assert lake.stored.lines == ()
    lake.check(tmp_path)


@pytest.mark.parametrize("seed", range(40))
def test_runs_at_once_beside_late_lines_lose_none_and_double_none(lake: Lake, tmp_path: Path, seed: int) -> None:
    """Also where one has listed before another, or dies."""
    several(lake, "a")
    Turns(lake.client).run([lake.night, lake.night, lambda: several(lake, "late", objects=1)], random.Random(seed))
    lake.check(tmp_path)
    for night in (1, 2):
        lake.night(night)
        lake.check(tmp_path)


def test_a_night_reads_so_many_bytes_and_the_rest_waits(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = several(lake, "a", objects=3 * FEWEST)
    size = len(lake.read(keys[0]))
    monkeypatch.setattr(absorption, "FILE_BYTES", FEWEST * (size + 9))
    monkeypatch.setattr(absorption, "GROUP_BYTES", 2 * (size + 9))
    monkeypatch.setattr(absorption, "MOST_BYTES", 2 * FEWEST * (size + 9))
    first = lake.night()
    assert (first.files, first.rows) == (2, 4 * FEWEST)
    assert first.waiting_bytes == sum(len(lake.read(key)) for key in lake.stored.lines) > 0
    lake.check(tmp_path)
    second = lake.night(1)
    assert (second.files, second.waiting_bytes, second.deleted) == (1, 0, 2 * FEWEST)
    lake.check(tmp_path)


def test_an_object_that_is_no_lines_stays_and_a_line_without_its_digest_is_counted(lake: Lake) -> None:
    several(lake, "a")
    key = f"{prefix(WORKLOAD, DAYS[0])}stranger.jsonl"
    lake.client.put_object(Bucket=BUCKET, Key=key, Body=b"no decision\n")
    changed = to_line(FIRST).replace("0.5}", "0.6}").encode()
    lake.client.put_object(Bucket=BUCKET, Key=f"{prefix(WORKLOAD, DAYS[0])}changed.jsonl", Body=changed)
    assert [lake.night(night).files for night in range(3)] == [1, 0, 0]
    assert lake.stored.lines == (key,)
    (reference,) = lake.stored.absorbed
    assert find_unreadable(lake.client, BUCKET, WORKLOAD, DAYS[0]) == {key: 1, file_of(reference): 1}
    assert read_days(lake.client, BUCKET, WORKLOAD, DAYS).unreadable == 2


def test_an_absorbed_decision_is_found_by_its_id_and_the_greatest_line_counts(lake: Lake) -> None:
    several(lake, "a")
    later = replace(FIRST, id="a1-0", inferred_at=NOON + timedelta(seconds=3), latency_ms=7.0)
    lake.put("later", later)
    lake.night()
    (reference,) = lake.stored.absorbed
    kept = find_decision(lake.client, BUCKET, WORKLOAD, "a1-0", DAYS)
    assert kept is not None
    assert (kept.decision, kept.uri) == (later, f"s3://{BUCKET}/{file_of(reference)}")
    lake.night(1)
    latest = replace(later, latency_ms=9.0)
    key = lake.put("latest", latest)
    kept = find_decision(lake.client, BUCKET, WORKLOAD, "a1-0", DAYS)
    assert kept is not None
    assert (kept.decision, kept.uri) == (latest, f"s3://{BUCKET}/{key}")
    assert find_decision(lake.client, BUCKET, WORKLOAD, "a1-", DAYS) is None
    assert find_decision(lake.client, BUCKET, WORKLOAD, "a1-0", DAYS[1:]) is None


def test_a_job_reads_absorbed_lines_by_its_manifest(lake: Lake, tmp_path: Path) -> None:
    several(lake, "a")
    lake.night()
    several(lake, "b", objects=1)
    for key in [*lake.stored.keys, *lake.stored.files(WORKLOAD)]:
        path = tmp_path / key.removeprefix(f"{WORKLOAD}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lake.read(key))
    assert len(list(tmp_path.rglob("*.jsonl"))) == 1, "no absorbed line, which a night may delete before the job starts"
    kept = read_days(lake.client, BUCKET, WORKLOAD, DAYS)
    shape = ColumnShape(cells={"period": "float64"}, answer=Binary().answer)
    found = read_folder(tmp_path, workload=WORKLOAD, shape=shape)
    assert found.table.equals(of_decisions(kept.decisions, shape))
    assert found.unreadable == kept.unreadable


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"no json\n",
        b"\xff\n",
        b"{}\n",
        to_line(FIRST).encode() + b"\n{}\n",
        to_line(FIRST).encode() + b"\n\n",
        to_line(FIRST).encode() * 2 + b"\n",
        to_line(FIRST).replace('"eventId":"r-0"', '"eventId":0').encode(),
        to_line(FIRST).replace('"eventId":"r-0"', '"eventId":"\\ud800"').encode(),
        to_line(FIRST).replace('"eventId":"r-0"', '"eventId":"a","eventId":"b"').encode(),
        to_line(FIRST).replace('"fallback":false', '"fallback":1').encode(),
    ],
)
def test_what_is_not_a_decision_to_each_line_is_no_table(body: bytes) -> None:
    assert table_of(body) is None


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 7), st.lists(DECISIONS, min_size=1, max_size=3)),
        st.tuples(st.just("redeliver"), st.integers(0, 7), st.none()),
        st.tuples(st.just("night"), st.integers(0, 9), st.sampled_from([None, False, True])),
    ),
    min_size=3,
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_readers_find_each_line_once_whatever_happens(tmp_path: Path, steps: list[tuple[str, int, Any]]) -> None:
    """Objects come, with repeated ids, and are written again; nights pass, and some die before or at a write."""
    with mock_aws():
        lake, number = Lake(), 0
        for name in "abcd":
            lake.put(name, replace(FIRST, id=name))
        for what, which, more in steps:
            if what == "put":
                lake.put(f"{which}", *more) if object_key(WORKLOAD, DAYS[0], [f"{which}"]) not in lake.lines else None
            elif what == "redeliver":
                lake.redeliver(sorted(lake.lines)[which % len(lake.lines)])
            else:
                end = at_write(lake.client, which, kill, done=bool(more)) if more is not None else lambda: None
                try:
                    lake.night(number := number + 1)
                except Killed:
                    pass
                finally:
                    end()
            lake.check(tmp_path)
        for _ in range(2):
            lake.night(number := number + 1)
        lake.check(tmp_path)
        left = [key for key in lake.listed() if key.endswith(".jsonl")]
        assert len(left) < FEWEST or not lake.stored.absorbed


def test_a_reader_of_some_minutes_reads_their_part_of_a_file(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The times of the objects overlap, and a line was not written by `to_line`: only its parser knows its time."""
    every = [replace(FIRST, id=f"m{at}", event_time=NOON + timedelta(minutes=at)) for at in range(60)]
    for number in range(FEWEST):
        lake.put(f"{number}", *every[number::FEWEST])
    size = sum(len(lake.read(key)) for key in lake.lines)
    body = to_line(replace(FIRST, id="foreign")).replace('"millrace":{', '"millrace": {').encode()
    lake.client.put_object(Bucket=BUCKET, Key=f"{prefix(WORKLOAD, DAYS[0])}foreign.jsonl", Body=body)
    monkeypatch.setattr(absorption, "GROUP_BYTES", size // 10)
    assert lake.night().files == 1
    shape, asked = ColumnShape(cells={}, answer=()), Counter[str]()
    lake.client.meta.events.register("before-call.s3.GetObject", lambda **_: asked.update([within]))
    found = dict[str, set[str]]()
    for within, bounds in {"all": None, "few": (every[20].event_time, every[24].event_time)}.items():
        parts = read_parts(lake.client, BUCKET, WORKLOAD, DAYS, shape=shape, within=bounds)
        found[within] = {name for part in parts for name in part.column("id").to_pylist()}
    assert found["all"] == {one.id for one in every} | {"foreign"}
    assert found["few"] == {f"m{at}" for at in range(20, 25)} | {"foreign"}
    assert asked["few"] <= asked["all"] - 7, "of ten row groups"
