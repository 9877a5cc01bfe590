"""A decision keeps what it says through its line."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.decisions.captured import LongCells, references
from millrace.decisions.chain import Instead, answer_instead, answerers
from millrace.decisions.record import Decision, Withheld, canonical, from_line, lines_by_date, to_line
from millrace.errors import DecisionError
from millrace.tasks.answer import empty_answer
from millrace.tasks.catalogue import TASKS
from millrace.workload.predicted_label import ConstantAnswer
from tests import builders
from tests.plant import plant_label, write_plant

DECISION = builders.decision(
    id="8f507cfc-7",
    event_time=datetime(1997, 1, 2, 23, 30, tzinfo=UTC),
    key={"timestamp": "1997-01-02T23:30:00"},
    input=canonical({"timestamp": "1997-01-02T23:30:00", "nswprice": 0.05}),
    model_version="3",
    latency_ms=12.5,
    inferred_at=datetime(2026, 11, 20, 7, 30, tzinfo=UTC),
    watched={"scan.brightness": 145.5},
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=3)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers()


def times(days: int) -> st.SearchStrategy[datetime]:
    """Any times of the first days of 1997."""
    first = datetime(1997, 1, 1, tzinfo=UTC)
    return st.integers(0, days * 86_400_000_000 - 1).map(lambda us: first + timedelta(microseconds=us))


DECISIONS = st.builds(
    Decision,
    id=st.sampled_from(["a", "b", 'q"\\', "é", "\u2028x"]),
    workload=st.just("electricity"),
    event_time=times(1),
    key=st.dictionaries(TEXTS, st.none() | NUMBERS | TEXTS),
    input=st.sampled_from(
        ["{}", '{"a":"\\n\\u2028","b":[1,2]}', '{"timestamp":"1997-01-01T12:00:00","nswprice":0.056443}']
    ),
    output=st.fixed_dictionaries({"value": NUMBERS | st.sampled_from([None, "x\ny", [1.5, 2.5]]), "a": TEXTS}),
    predicted_for=st.sampled_from([None, "1997-01-02T12:00:00Z", ["1997-01-01T13:00:00Z", "1997-01-02T12:00:00Z"]]),
    model_version=st.sampled_from([None, "1"]),
    phase=st.sampled_from(["live", "canary"]),
    fallback=st.booleans(),
    latency_ms=st.floats(0, 1e6) | st.integers(0, 9),
    inferred_at=times(9),
    watched=st.dictionaries(st.sampled_from(["x.y", "a"]), st.floats(allow_nan=False, allow_infinity=False)),
    action=st.sampled_from(["automated", "review"]),
    reason=st.sampled_from(["sure", "no_policy"]),
    source=st.sampled_from(["api", "batch"]),
    answered_by=st.sampled_from([None, "rule"]),
    withheld=st.sampled_from([None, Withheld(model_version="3", output={"value": 1, "a": 0.5})]),
    caller=st.sampled_from([None, "arn:aws:iam::123456789012:user/ann"]),
)


@given(DECISIONS)
def test_a_line_is_a_document_with_sorted_keys_and_says_all_of_the_decision(decision: Decision) -> None:
    """The bytes are those of Python's encoder: equal decisions are equal lines."""
    line = to_line(decision)
    assert json.dumps(json.loads(line), sort_keys=True, separators=(",", ":")) == line
    assert from_line(line) == decision
    assert list(from_line(line).output) == list(decision.output), "answers keep the order of their fields"


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_cannot_hold_is_no_line(number: float) -> None:
    for field in ({"latency_ms": number}, {"output": {"value": number}}, {"key": {"a": number}}):
        with pytest.raises(ValueError, match="JSON compliant"):
            to_line(replace(DECISION, **field))
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical({"nswprice": number})


def test_has_the_shape_of_data_capture() -> None:
    document = json.loads(to_line(DECISION))
    assert set(document) == {"captureData", "eventMetadata", "millrace", "eventVersion"}
    side = document["captureData"]["endpointInput"]
    assert set(side) == {"observedContentType", "mode", "data", "encoding"}
    assert side["mode"] == "INPUT"
    assert json.loads(document["captureData"]["endpointOutput"]["data"])["value"] == 1
    assert document["eventMetadata"]["eventId"] == document["eventMetadata"]["inferenceId"] == DECISION.id
    assert "\n" not in to_line(DECISION)


def change(path: str, value: object) -> str:
    document = json.loads(to_line(DECISION))
    part = document
    *parents, last = path.split(".")
    for name in parents:
        part = part[name]
    if value is ...:
        del part[last]
    else:
        part[last] = value
    return json.dumps(document)


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("captureData.endpointInput.data", "{}", "input_digest"),
        ("captureData.endpointOutput.data", "no", "endpointOutput.data"),
        ("captureData.endpointOutput.data", '{"value": [1, NaN]}', "value"),
        ("captureData.endpointOutput.data", '{"probability": 0.5}', "endpointOutput.data"),
        ("captureData.endpointOutput.data", '{"value": 1, "probability": NaN}', "probability"),
        ("eventMetadata", ..., "eventMetadata"),
        ("eventMetadata.inferenceTime", "2026-11-20", "inferenceTime"),
        ("millrace.phase", "lively", "phase"),
        ("millrace.fallback", 0, "fallback"),
        ("millrace.latency_ms", float("nan"), "latency_ms"),
        ("millrace.event_time", 5, "event_time"),
    ],
)
def test_a_wrong_line_says_which_field(path: str, value: object, field: str) -> None:
    with pytest.raises(DecisionError) as caught:
        from_line(change(path, value))
    assert caught.value.field == field


@pytest.mark.parametrize("line", ["", "{", "[]", "null"])
def test_what_is_no_object_is_no_decision(line: str) -> None:
    with pytest.raises(DecisionError):
        from_line(line)


def filed(*lines: str) -> dict[date, list[str]]:
    """The lines alone, by date; each has its own decision beside it."""
    found = lines_by_date(lines)
    assert all(to_line(decision) == line for pairs in found.values() for line, decision in pairs)
    return {day: [line for line, _ in pairs] for day, pairs in found.items()}


@pytest.mark.parametrize("text", ["no", "[1]"])
def test_an_input_is_parsed_by_readers_and_not_by_whoever_files_the_line(text: str) -> None:
    line = to_line(replace(DECISION, input=text))
    assert filed(line) == {date(1997, 1, 2): [line]}
    with pytest.raises(DecisionError) as caught:
        from_line(line)
    assert caught.value.field == "endpointInput.data"
    wrong = change("captureData.endpointInput.data", "{}")
    with pytest.raises(DecisionError, match="input_digest"):
        lines_by_date([wrong])


CELLS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
DOCUMENTS = st.recursive(CELLS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


@given(document=DOCUMENTS)
def test_canonical_is_what_the_standard_encoder_writes(document: object) -> None:
    assert canonical(document) == json.dumps(document, separators=(",", ":"), sort_keys=True)


LONG = LongCells(columns=("scan", "view"), under="s3://lake/xray/captured/")


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def uri(content: bytes) -> str:
    return f"s3://lake/xray/captured/{hashlib.sha256(content).hexdigest()}"


def test_rows_refer_to_their_long_cells_whose_bytes_are_held_once() -> None:
    rows: list[dict[str, Any]] = [
        {"id": "a", "scan": text(b"one"), "view": text(b"two")},
        {"id": "b", "scan": text(b"two"), "view": text(b"two")},
        {"id": "c", "scan": None},
    ]
    short, contents = LONG.split(rows)
    assert short == [
        {"id": "a", "scan": {"uri": uri(b"one")}, "view": {"uri": uri(b"two")}},
        {"id": "b", "scan": {"uri": uri(b"two")}, "view": {"uri": uri(b"two")}},
        {"id": "c", "scan": None},
    ]
    assert contents == {uri(b"one"): b"one", uri(b"two"): b"two"}
    assert references(short[0], LONG) == {"scan": uri(b"one"), "view": uri(b"two")}


@pytest.mark.parametrize("kind", TASKS)
def test_the_rule_comes_before_the_constant_and_nobody_after(kind: str, tmp_path: Path) -> None:
    plant = write_plant(tmp_path, kind)
    prediction, task, expected = plant.workload.prediction, plant.task, plant_label(kind).fallback_answer
    constant = ConstantAnswer(constant=prediction.constant)  # type: ignore[arg-type]
    rule = {field.name: 7 for field in task.answer}

    def answer(*declared: object, known: bool = True) -> Instead:
        asked = prediction.model_copy(update={"fallback": declared})
        [found] = answer_instead([{}], answerers(asked, task, rule=rule if known else None), task)
        return found

    assert answer("rule", constant) == Instead(output=rule, answered_by="rule")
    assert answer("rule", constant, known=False) == Instead(output=expected, answered_by="constant")
    assert answer(constant) == Instead(output=expected, answered_by="constant")
    for nobody in (answer(), answer("rule", known=False)):
        assert nobody == Instead(output=empty_answer(task.answer), answered_by=None)


ROOT = Path(__file__).resolve().parents[3]
AFTER = '    caller: str | None = in_line(_TEXT, default=None, needs="called", api=TEXT)\n'
DEVICE = '    device: str | None = in_line(_TEXT, default=None, column="cell", api=TEXT)\n'
ASKED = """

from dataclasses import replace
from millrace.decisions import absorbed, record
from millrace.infra.stacks.serving import decision_columns
from tests.millrace.decisions.test_record import DECISION
line = record.to_line(replace(DECISION, device="edge-7"))
assert '"device":"edge-7",' in line and '"device"' not in record.to_line(DECISION)
assert record.from_line(line).device == "edge-7"
assert absorbed._OURS.search(line.encode()) and absorbed.COLUMNS["device"] == "string"
assert "device:string" in decision_columns()["millrace"]
assert ["action:" in decision_columns(**has)["millrace"] for has in ({}, {"acted": True})] == [False, True]
assert record.to_document(record.from_line(line), acts=False)["device"] == "edge-7"
assert [one.name for one in record.api_fields(acts=False)][-1] == "device"
"""


def test_a_new_field_is_one_line(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "millrace", tmp_path / "millrace", ignore=shutil.ignore_patterns("__pycache__"))
    record = tmp_path / "millrace" / "decisions" / "record.py"
    record.write_text(record.read_text().replace(AFTER, AFTER + DEVICE))
    subprocess.run([sys.executable, "-P", "-c", ASKED], env={"PYTHONPATH": f"{tmp_path}:{ROOT}"}, check=True)
