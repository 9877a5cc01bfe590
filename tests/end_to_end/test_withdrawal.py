"""What was dropped by mistake: an operator takes a drop out again, and labels that invert the rows train nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyiceberg.catalog.glue import GlueCatalog

from millrace.aws.objects import read_object
from millrace.console.demo.months import HISTORY, SAMPLE, Month, months
from millrace.console.environment import local_environment
from millrace.console.queries.stored import read_metadata
from millrace.console.queries.versions import audit_of, state_of
from millrace.datasets.journal import Journal
from millrace.errors import RunError, WithdrawalError
from millrace.messages.audit import AuditEvent, HeldDropDecided
from millrace.messages.train import BudgetRefusal, Corrections
from millrace.state.pointers import ReleasePointers
from tests.end_to_end.callers import typed
from tests.end_to_end.conftest import Lived, control
from tests.mails import mails

HEADER = b"timestamp,day_of_week,period,nswprice,nswdemand,vicprice,vicdemand,transfer,class\n"
ROW = HEADER + b"%b,1,0.5,0.1,0.2,0.1,0.2,0.3,1\n"
MISTAKE = "1996-05-07T00:07:00"
"""Between two half hours, which no other row is."""


@pytest.fixture
def rows(lived: Lived, catalog: GlueCatalog) -> Callable[..., list[dict[str, Any]]]:
    """The rows of a moment in the table as it is now."""

    def found(at: str = MISTAKE) -> list[dict[str, Any]]:
        table = catalog.load_table((lived.names.platform.database, lived.names.table("rows")))
        return table.scan(row_filter=f"timestamp = '{at}'").to_arrow().to_pylist()  # type: ignore[no-any-return]

    return found


def test_a_drop_is_undone_by_its_version_and_the_file_before_it_comes_back(
    lived: Lived, rows: Callable[..., list[dict[str, Any]]]
) -> None:
    right, wrong = (ROW % MISTAKE.encode()).replace(b"0.3", b"0.4"), ROW % MISTAKE.replace("07:00", "08:00").encode()
    for body in (right, wrong):
        lived.put("training", "meter.csv", body)
        lived.rest()
    assert rows() == []
    last, first, *others = typed("data", "log", "--limit", "0")
    assert (last["what"], first["what"]) == ("training/meter.csv",) * 2
    assert (last["added"], last["left"], first["left_with"]) == (1, 1, last["version"])
    with pytest.raises(WithdrawalError):
        typed("data", "revert", first["version"], "--reason", "it is gone already")
    with pytest.raises(WithdrawalError, match="a column of texts"):
        typed("erase", "--key", f"timestamp={MISTAKE}", "--reason", "times name nobody")
    undone = typed("data", "revert", last["version"], "--reason", "of another meter")
    assert undone == {"rows": 1, "labels": 0, "relabelled": 0, "learnt_by": []}
    lived.rest()
    assert [row["transfer"] for row in rows()] == [pytest.approx(0.4)]
    again, gone = typed("data", "log", "--limit", "2")
    assert (again["what"], gone["what"]) == ("training/meter.csv", "withdrawal of training/meter.csv")
    assert gone["by"]
    history = next(one for one in others if one["source"] and one["learnt_by"])
    told = typed("data", "revert", history["version"], "--reason", "what if", "--preview")
    assert (told["rows"], told["learnt_by"]) == (history["added"], history["learnt_by"])


def test_refused_rows_are_mended_and_dropped_again_and_each_is_there_once(
    lived: Lived, rows: Callable[..., list[dict[str, Any]]], tmp_path: Path
) -> None:
    first, other, at = (MISTAKE.replace("07:00", minute) for minute in ("09:00", "10:00", "11:00"))
    good, far, text = (ROW % each.encode() for each in (first, other, at))
    body = good + far.replace(HEADER, b"").replace(b"0.2", b"17.5") + text.replace(HEADER, b"").replace(b"0.3", b"much")
    lived.put("training", "meters.csv", body)
    lived.rest()
    told = typed("quarantine", "--drop", "meters.csv")
    assert (told["reasons"], told["repaired"]) == ({"range": 1, "type": 1}, {})
    assert {row["line"]: (row["reason"], row["column"], row["got"]) for row in told["rows"]} == {
        3: ("range", "nswdemand", "17.5"),
        4: ("type", "transfer", "'much'"),
    }

    # One row is mended, and one is still wrong: it is refused again.
    mended = tmp_path / "mended.csv"
    typed("quarantine", "--drop", "meters.csv", "--rows", str(mended))
    mended.write_bytes(mended.read_bytes().replace(b"much", b"0.3").replace(b"17.5", b"18.5"))
    drop = ("drop", str(mended), "--feed", "training", "--repairs", "meters.csv", "--wait")
    typed(*drop)
    assert [row["_source"] for row in rows(at)] == ["electricity/training/mended.csv"]
    told = typed("quarantine", "--drop", "meters.csv")
    assert {row["line"]: row["repaired"] for row in told["rows"]} == {3: "", 4: "electricity/training/mended.csv:3"}
    (again,) = typed("quarantine", "--drop", "mended.csv")["rows"]
    assert (again["line"], again["reason"], again["got"], again["repaired"]) == (2, "range", "18.5", "")

    # What is mended is there once: under another name it is no repair, and as plain rows its key is known.
    with pytest.raises(RunError, match="has repaired"):
        typed(*drop, "--name", "once-more.csv")
    lived.put("training", "twice.csv", text)
    lived.rest()
    assert [row["_source"] for row in rows(at)] == ["electricity/training/mended.csv"]

    # The rest, out of the repair's own quarantine, is a repair of the first file too.
    rest = tmp_path / "rest.csv"
    typed("quarantine", "--drop", "mended.csv", "--rows", str(rest))
    rest.write_bytes(rest.read_bytes().replace(b"18.5", b"0.2"))
    typed("drop", str(rest), "--feed", "training", "--repairs", "mended.csv", "--wait")
    told = typed("quarantine", "--drop", "meters.csv")
    assert told["repaired"] == told["reasons"]
    newest, *_ = typed("data", "log", "--limit", "1")
    assert (newest["what"], bool(newest["by"])) == ("training/rest.csv, repairs training/meters.csv", True)


def test_labels_that_invert_the_training_rows_train_nothing_until_a_person_accepts_them(lived: Lived) -> None:
    known = pa.concat_tables([month.rows for month in months(SAMPLE, *HISTORY)])
    inverted = known.set_column(known.schema.get_field_index("class"), "class", pc.subtract(1, known["class"]))
    place = local_environment(lived.cloud)
    pointers, before = ReleasePointers(state_of(place, lived.names)), new_labels(lived)
    live = pointers.champion()
    lived.put("labels", "flip.csv", Month(name="all", rows=inverted).labels())
    lived.rest()
    assert new_labels(lived) == before

    # They are held: nothing of them is in the table of labels until a person says so.
    (held,) = typed("held")
    assert (held["key"], held["status"], held["rows"]) == ("electricity/labels/flip.csv", "waiting", known.num_rows)
    assert f"{known.num_rows} of {known.num_rows} labels contradict known ones" in held["because"]
    assert len([mail for mail in mails(lived.cloud) if mail.startswith("HELD: labels of")]) == 1
    assert "electricity/labels/flip.csv" not in sources(lived)
    typed("held", "--accept", "flip.csv", "--reason", "to see what the training says")
    lived.rest()
    assert "electricity/labels/flip.csv" in sources(lived)
    (decided,) = [one for one in audit_of(place, lived.names) if one.event is AuditEvent.LABELS_ACCEPTED]
    assert isinstance(decided.details, HeldDropDecided)
    assert (decided.details.rows, decided.details.reason) == (known.num_rows, "to see what the training says")
    assert typed("held")[0]["by"] == decided.details.by
    with pytest.raises(RunError, match="none waits"):
        typed("held", "--refuse", "flip.csv", "--reason", "too late")
    assert new_labels(lived) == before

    with pytest.raises(RunError):
        typed("train", "--wait")
    corrections, refusal = judged()
    assert (corrections.rows, corrections.is_held, refusal) == (known.num_rows, True, BudgetRefusal.CORRECTIONS)
    (record,) = [one for one in audit_of(place, lived.names) if one.event is AuditEvent.LABELS_CORRECTED]
    assert record.details == corrections
    assert len([mail for mail in mails(lived.cloud) if mail.startswith("HELD: a training")]) == 1
    assert pointers.champion() == live

    # The accepted run trains; of labels of which two thirds are inverted the gates take no model.
    with pytest.raises(RunError):
        typed("train", "--accept-corrections", "--wait")
    corrections, refusal = judged()
    assert (corrections.rows, corrections.is_held, refusal) == (known.num_rows, False, None)
    newest, *_ = typed("runs", "--machine", "train")
    assert not typed("show", newest["arn"])["output"]["gating"]["answer"]["passed"]
    assert pointers.champion() == live

    # Taken back, all rows have their labels again, and the record says who wanted it.
    (flipped,) = [one for one in typed("data", "log", "--limit", "0") if one["what"] == "labels/flip.csv"]
    undone = typed("data", "revert", flipped["version"], "--reason", "inverted")
    assert (undone["rows"], undone["labels"], undone["relabelled"]) == (0, known.num_rows, known.num_rows)
    (record,) = [one for one in audit_of(place, lived.names) if getattr(one.details, "reason", "") == "inverted"]
    details = {"drop": "electricity/labels/flip.csv", "by": decided.details.by, "reason": "inverted"}
    assert record.event is AuditEvent.ROWS_WITHDRAWN
    assert record.details.model_dump() | {"learnt_by": undone["learnt_by"]} == undone | details
    assert control(lived.cloud, "denials") == lived.denials


def sources(lived: Lived) -> set[str]:
    """The landing keys of the labels that are in the table."""
    metadata = read_metadata(local_environment(lived.cloud), lived.names, "labels")
    assert metadata is not None
    s3 = lived.cloud.client("s3")
    return {entry.key for entry in Journal.of_metadata(metadata, partial(read_object, s3)) if entry.rows_added}


def new_labels(lived: Lived) -> int:
    """How many new labels a retraining of the schedule would count."""
    states, detail = lived.cloud.client("stepfunctions"), {"workload": lived.names.workload, "schedule": "retrain"}
    arn = states.start_execution(
        stateMachineArn=lived.names.machine_arn("retrain"), input=json.dumps({"detail": detail})
    )["executionArn"]
    lived.rest()
    answer = json.loads(states.describe_execution(executionArn=arn)["output"])["guard"]["answer"]
    assert not answer["accepted"]
    return int(answer["evidence"]["new_labels"])


def judged() -> tuple[Corrections, BudgetRefusal | None]:
    """What the newest training found corrected, and why it did not start."""
    newest, *_ = typed("runs", "--machine", "train")
    output = typed("show", newest["arn"])["output"]
    reason = output["budget"]["answer"]["reason"]
    found = Corrections.model_validate(output["snapshot"]["answer"]["corrections"])
    return found, BudgetRefusal(reason) if reason else None
