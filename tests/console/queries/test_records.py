"""Decisions, quarantined rows, versions and cost on moto: what wins, what is filtered, what is told of odd things."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from millrace.console.demo.electricity import STORY
from millrace.console.environment import Environment
from millrace.console.queries.decisions import find_days, find_decision
from millrace.console.queries.drops import Row, read_file, scored_rows
from millrace.console.queries.lineage import trace
from millrace.console.queries.versions import decision_on, status_of
from millrace.contract.load import load_contract
from millrace.contract.reasons import Reason
from millrace.contract.schema import LINE
from millrace.contract.violation import QuarantinedRow, RuleViolation
from millrace.datasets.quarantine import QuarantineFile
from millrace.decisions.record import object_key, to_line
from millrace.errors import EnvironmentNotFoundError
from millrace.files.catalogue import read_drop
from millrace.messages.audit import AuditEvent, PhaseEnded, VersionDecided
from millrace.release.registry import WAS_LIVE, Package
from millrace.state.pointers import Pointers
from millrace.timestamps import parse_utc
from tests import builders
from tests.console.conftest import make_stores, stage_of

NAMES = STORY.names
LAKE = NAMES.platform.bucket("lake")
DAY = date(1997, 5, 1)
DECISION = builders.decision(
    event_time=datetime(1997, 5, 1, 6, tzinfo=UTC),
    key={"timestamp": "1997-05-01T06:00:00"},
    input='{"nswprice":0.05}',
    latency_ms=1.5,
    inferred_at=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.fixture
def environment(account: None) -> Environment:
    found = stage_of(NAMES.platform)
    make_stores(found, "lake")
    found.client("sagemaker").create_model_package_group(ModelPackageGroupName=NAMES.package_group)
    return found


def put(environment: Environment, key: str, lines: list[str]) -> None:
    environment.client("s3").put_object(Bucket=LAKE, Key=key, Body="\n".join(lines).encode())


def test_days_are_asked_from_the_newest_and_both_ends_count(environment: Environment) -> None:
    for number in (1, 2, 3, 4):
        day = DAY.replace(day=number)
        decision = replace(DECISION, id=f"of-{number}", event_time=DECISION.event_time.replace(day=number))
        put(environment, object_key("electricity", day, [str(number)]), [to_line(decision)])
    found = [day.day.day for day in find_days(environment, NAMES, first=DAY.replace(day=2), last=DAY.replace(day=3))]
    assert found == [3, 2]
    assert find_decision(environment, NAMES, "of-4", last=DAY.replace(day=3)) is None
    assert find_decision(environment, NAMES, "of-4") is not None
    assert find_decision(environment, NAMES, "of-") is None


def test_a_chain_says_what_it_cannot_read_and_ends_at_a_version_without_a_registry(environment: Environment) -> None:
    decision = replace(DECISION, id="call-0.intents", source="workload")
    put(environment, object_key("undeclared", DAY, ["m"]), [to_line(decision)])
    *links, last = trace(environment, replace(NAMES, workload="undeclared"), "call-0.intents")
    assert [link.what for link in links] == ["decision", "decision before", "decision after", "label"]
    assert links[1].detail == "of intents: millrace why call-0 --workload intents"
    assert (last.what, last.state) == ("model version", "broken")


def test_an_id_that_no_decision_has_is_an_error(environment: Environment) -> None:
    with pytest.raises(EnvironmentNotFoundError, match="ID: expected the id of a decision"):
        list(trace(environment, NAMES, "no-such-id"))


def quarantined(tmp_path: Path, refused: list[QuarantinedRow], *, source: str) -> bytes:
    path = tmp_path / "rows"
    with QuarantineFile(path, drop_id="run-1", source=source, as_of=parse_utc("1997-05-02T00:00:00Z")) as file:
        file.add(refused)
    return path.read_bytes()


def violation(reason: Reason, column: str | None, expected: str, got: str) -> RuleViolation:
    return RuleViolation(reason=reason, column=column, expected=expected, got=got)


@pytest.mark.parametrize(
    ("violations", "also", "detail"),
    [
        ([violation(Reason.RANGE, "nswdemand", "<= 1", "17.5")], "", "nswdemand: expected <= 1, got 17.5"),
        (
            [violation(Reason.RANGE, "a", ">= 0", "-1"), violation(Reason.REQUIRED, "b", "a value", "nothing")],
            "required b",
            "a: expected >= 0, got -1; b: expected a value, got nothing",
        ),
        ([violation(Reason.PATTERN, "a: b", "x, got y; z", "'; c: expected'")], "", None),
        ([violation(Reason.COLUMNS, None, "8 cells", "7")], "", "expected 8 cells, got 7"),
    ],
)
def test_a_violation_is_read_as_it_was_written(
    tmp_path: Path, violations: list[RuleViolation], also: str, detail: str | None
) -> None:
    """Whatever words and signs a pattern or a cell has: nothing is taken out of a sentence."""
    refused = [QuarantinedRow(line=3, violations=tuple(violations), raw="{}")]
    content = quarantined(tmp_path, refused, source="s3://landing/electricity/training/a.csv")
    (row,) = read_file(content, feed="training")
    first = violations[0]
    assert (row.reason, row.column, row.expected, row.got) == (first.reason, first.column, first.expected, first.got)
    assert (row.also, row.detail, row.line, row.drop) == (also, detail or row.detail, 3, "electricity/training/a.csv")
    (stored,) = pq.read_table(io.BytesIO(content)).to_pylist()
    fields = [(one["reason"], one["column_name"], one["expected"], one["got"]) for one in stored["violations"]]
    assert fields == [(one.reason, one.column, one.expected, one.got) for one in violations]


def package(number: int, approval: str, *, was_live: bool = False, changed_by: str = "") -> Package:
    own = {"arn": NAMES.package_arn(str(number)), "said": "no", "metadata": {WAS_LIVE: "r"} if was_live else {}}
    return builders.package(number, approval=approval, changed_by=changed_by, **own)


def test_where_a_version_stands() -> None:
    live, before = (builders.version(number, package_arn=NAMES.package_arn(str(number))) for number in (3, 2))
    pointers = Pointers(champion=live, previous=before)
    new = (package(4, "PendingManualApproval"), package(5, "Rejected"), package(6, "Approved"))
    old = (package(number, "Approved", was_live=True) for number in (3, 2, 1))
    found = [status_of(one, pointers, needs_person=True) for one in (*new, *old)]
    assert found == ["waits", "refused", "registered", "live", "previous", "retired"]
    assert status_of(new[0], pointers, needs_person=False) == "registered"
    newer = replace(live, version="5")
    assert status_of(new[0], Pointers(champion=newer, previous=before), needs_person=True) == "registered"


def test_an_approval_comes_last_of_a_version_that_went_live() -> None:
    """A refusal and an approval of one second have no order in the audit."""
    records = [
        builders.record(
            event, VersionDecided(version="3", by=f"arn:aws:iam::123456789012:user/{by}", reason="r"), cause=""
        )
        for event, by in ((AuditEvent.RELEASE_APPROVED, "ann"), (AuditEvent.RELEASE_REFUSED, "bob"))
    ]
    ended = PhaseEnded(
        version="3", champion="2", phase="shadow", because="worse by 127 labels", pairs=130, differing=127, labels=127,
        since=datetime(1997, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    records.append(replace(records[0], event=AuditEvent.PHASE_STOPPED, details=ended))
    own = f"{NAMES.sessions}release/judge_phase"
    assert decision_on(package(3, "Approved", was_live=True), records, own_roles=NAMES.sessions) == "approved by ann: r"
    assert decision_on(package(3, "Rejected", was_live=True), records, own_roles=NAMES.sessions) == "approved by ann: r"
    for by, said in (("x/cho", "refused by cho: no"), (own, "the shadow refused it: worse by 127 labels")):
        assert decision_on(package(3, "Rejected", changed_by=by), records, own_roles=NAMES.sessions) == said
    assert decision_on(package(4, "PendingManualApproval"), records, own_roles=NAMES.sessions) == ""


CONTRACT = load_contract(Path(__file__).resolve().parents[3] / "workloads" / "reviews")
QUOTED = '"two\n""lines"""'
CELLS: list[dict[str, Any]] = [
    {"id": "a", "title": 'two\n"lines"', "age": "31"},
    {"id": "b", "title": "plain", "age": "old"},
    {"id": "c", "title": "last", "age": "50"},
]


def answered(*lines: int) -> pa.Table:
    rows = [{"id": f"{line}", "value": 1, "probability": line / 10, "row_number": line} for line in lines]
    return pa.Table.from_pylist(rows)


def refused(line: int | None) -> Row:
    given = dict.fromkeys(("drop", "source", "key", "expected", "got", "also", "raw", "run"), "")
    at = datetime(2026, 11, 25, tzinfo=UTC)
    return Row(
        **given, feed="scoring", line=line, column="age", reason="type", detail="age: no number", quarantined_at=at
    )


def written(folder: Path, ending: str) -> tuple[Path, list[int]]:
    """The file of CELLS, and the lines in which its rows begin by the reader of drops."""
    path = folder / f"sent.{ending}"
    if ending == "csv":
        path.write_text(f"id,title,age\na,{QUOTED},31\nb,plain,old\nc,last,50\n")
        return path, [2, 4, 5]
    if ending == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in CELLS))
    else:
        pq.write_table(pa.Table.from_pylist(CELLS), path)
    return path, [1, 2, 3]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_row_keeps_its_own_cells_and_its_place(tmp_path: Path, ending: str) -> None:
    path, (first, second, third) = written(tmp_path, ending)
    found = scored_rows(path, CONTRACT, answered(first, third), [refused(second)])
    assert [{name: row[name] for name in CELLS[0]} for row in found] == CELLS
    assert [row["probability"] for row in found] == [first / 10, None, third / 10]
    assert [(row["refused"], row["refused_because"]) for row in found] == [
        (None, None), ("type", "age: no number"), (None, None),
    ]  # fmt: skip


def test_the_lines_are_those_of_the_reader_of_drops(tmp_path: Path) -> None:
    path, lines = written(tmp_path, "csv")
    names = [column.name for column in CONTRACT.table("scoring").columns]
    empty = "," * (len(names) - 2)
    path.write_text(f"{','.join(names)}\na,{QUOTED}{empty}\nb,plain{empty}\n")
    parts = list(read_drop(path, CONTRACT.table("scoring")))
    begun = [line for part in parts for line in (*part.rows[LINE].to_pylist(), *(row.line for row in part.unparsable))]
    assert sorted(begun) == lines[:2]


def test_a_column_of_the_file_named_as_an_answer_stays_as_it_was(tmp_path: Path) -> None:
    (path := tmp_path / "sent.csv").write_text("id,value\na,7\n")
    (row,) = scored_rows(path, CONTRACT, answered(2), [])
    assert (row["value"], row["value_answer"]) == ("7", 1)


@pytest.mark.parametrize(
    "text",
    ['{"id": "a"}\n{"id": \n', f'{{"id": "a"}}\n{"[" * 100_000}\n'],
    ids=["a cut object", "deep lists"],
)
def test_a_broken_record_has_what_could_be_read(text: str, tmp_path: Path) -> None:
    (path := tmp_path / "sent.jsonl").write_text(text)
    found = scored_rows(path, CONTRACT, answered(1), [refused(2)])
    assert [row["id"] for row in found] == ["a", None]


def test_a_record_that_cannot_be_read_costs_no_other(tmp_path: Path) -> None:
    (path := tmp_path / "sent.csv").write_bytes(b"id,title\na,first\n1,x\ry\n")
    found = scored_rows(path, CONTRACT, answered(2), [refused(3)])
    assert [(row["id"], row["refused"]) for row in found] == [("a", None), (None, "type")]
