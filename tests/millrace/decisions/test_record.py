"""A decision keeps what it says through its line."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millrace.decisions.record import Decision, Withheld, canonical, from_line, lines_by_date, to_line
from millrace.errors import DecisionError
from tests import builders

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
        ("captureData.endpointOutput.data", '{"value": [[1]]}', "value"),
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
