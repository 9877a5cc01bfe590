"""One decision: a prediction as it was made, one JSON line each in the shape of Model Monitor's data capture.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html (the line),
with what Millrace adds under "millrace". `store` reads the lines: one may come twice.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from millrace.errors import DecisionError
from millrace.workload.rollout import PHASES, Phase

Scalar = str | int | float | bool | None
Answered = Scalar | Sequence[Scalar]
"""One field of an answer; a list where the answer has parts."""

# Lines have sorted keys, so that equal decisions are equal texts; the answer keeps its fields' order, `value` first.
_IN_ORDER = json.JSONEncoder(separators=(",", ":"), allow_nan=False)
_ENCODER = json.JSONEncoder(separators=(",", ":"), allow_nan=False, sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One prediction for one row."""

    id: str
    workload: str
    event_time: datetime
    """UTC; the contract's event time of the row, which says where the decision is kept."""
    key: Mapping[str, Scalar]
    """The contract's entity key: labels join by it when they carry no prediction id."""
    input: str
    """The row as canonical JSON, as it was sent to the model; a reference in place of each long cell
    (`millrace.decisions.captured`)."""
    output: Mapping[str, Answered]
    """The fields of the task's answer, `value` first; all None where the fallback declares nothing."""
    model_version: str | None
    """None when no model answered."""
    phase: Phase
    fallback: bool
    latency_ms: float
    """Of the whole call that carried the row."""
    inferred_at: datetime
    """UTC, wall clock."""
    watched: Mapping[str, float] = field(default_factory=dict)
    """What the monitors watch and the input does not show, measured by the model's container: `scan.brightness`."""

    @property
    def value(self) -> Answered:
        return self.output["value"]

    @property
    def input_digest(self) -> str:
        return digest(self.input)


def canonical(row: Mapping[str, Any]) -> str:
    """The row as JSON with sorted keys and no spaces; ValueError for a number that is not finite."""
    return _ENCODER.encode(row)


def digest(text: str) -> str:
    """The SHA-256 of the canonical input, 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def to_line(decision: Decision) -> str:
    """The decision as one JSON line, without its line feed."""
    return _ENCODER.encode(
        {
            "captureData": {
                "endpointInput": _capture("INPUT", decision.input),
                "endpointOutput": _capture("OUTPUT", _IN_ORDER.encode(decision.output)),
            },
            "eventMetadata": {
                "eventId": decision.id,
                "inferenceTime": _iso(decision.inferred_at),
                "inferenceId": decision.id,
            },
            "millrace": {
                "workload": decision.workload,
                "event_time": _iso(decision.event_time),
                "key": decision.key,
                "input_digest": decision.input_digest,
                "model_version": decision.model_version,
                "phase": decision.phase,
                "fallback": decision.fallback,
                "latency_ms": decision.latency_ms,
                **({"watched": decision.watched} if decision.watched else {}),
            },
            "eventVersion": "0",
        }
    )


def from_line(line: str | bytes) -> Decision:
    """The decision of one line.

    Raises DecisionError that names the field, what was expected and what came; also when the input does not
    match its digest."""
    with _decision_errors():
        decision = _decision(line)
        if not isinstance(row := _parsed(decision.input, "endpointInput"), dict):
            raise DecisionError(field="endpointInput.data", expected="an object", came=row)
        return decision


@contextmanager
def _decision_errors() -> Iterator[None]:
    """DecisionError for every cell that JSON can write and Python cannot hold: a value too deep, a number or a time
    beyond the range, half a surrogate pair."""
    try:
        yield
    except (ValueError, OverflowError, RecursionError) as error:
        raise DecisionError(field="(line)", expected="JSON with cells of a decision", came=str(error)) from None


def _decision(line: str | bytes) -> Decision:
    """As `from_line`; the input is compared with its digest and not parsed."""
    document: Any = json.loads(line)
    ours = _Part(document).part("millrace")
    decision = Decision(
        id=_Part(document).part("eventMetadata").text("eventId"),
        workload=ours.text("workload"),
        event_time=ours.moment("event_time"),
        key=ours.mapping("key"),
        input=_data(document, "endpointInput"),
        output=_answer(_parsed(_data(document, "endpointOutput"), "endpointOutput")),
        model_version=ours.text_or_none("model_version"),
        phase=ours.phase("phase"),
        fallback=ours.truth("fallback"),
        latency_ms=ours.number("latency_ms"),
        inferred_at=_Part(document).part("eventMetadata").moment("inferenceTime"),
        watched=ours.numbers("watched"),
    )
    if decision.input_digest != ours.text("input_digest"):
        raise DecisionError(field="input_digest", expected=decision.input_digest, came=ours.text("input_digest"))
    return decision


def lines_by_date(lines: Iterable[str]) -> dict[date, list[str]]:
    """The lines under the date of their event time, order kept; DecisionError as `from_line`.

    Their inputs are not parsed: by its digest an input is what the prediction function wrote."""
    grouped: dict[date, list[str]] = defaultdict(list)
    for line in lines:
        with _decision_errors():
            line.encode()  # as it is stored
            grouped[_decision(line).event_time.date()].append(line)
    return dict(grouped)


def prefix(workload: str, day: date) -> str:
    """The key prefix in the lake under which the decisions of one event date lie."""
    return f"{workload}/decisions/date={day.isoformat()}/"


def object_key(workload: str, day: date, messages: Iterable[str]) -> str:
    """The key of the object that these queue messages become: the same messages always give the same key."""
    name = hashlib.sha256("\n".join(sorted(messages)).encode()).hexdigest()[:32]
    return f"{prefix(workload, day)}{name}.jsonl"


def _capture(mode: str, data: str) -> dict[str, str]:
    return {"observedContentType": "application/json", "mode": mode, "data": data, "encoding": "JSON"}


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _data(document: Any, side: str) -> str:
    return _Part(document).part("captureData").part(side).text("data")


def _parsed(text: str, side: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise DecisionError(field=f"{side}.data", expected="JSON", came=str(error)) from None


def _answer(document: Any) -> dict[str, Answered]:
    """Which fields there are depends on the task of the model that answered; `value` is always one."""
    if not isinstance(document, dict) or "value" not in document:
        raise DecisionError(field="endpointOutput.data", expected="an object with a value", came=document)
    for name, value in document.items():
        if not all(map(_is_scalar, value if isinstance(value, list) else [value])):
            expected = "text, a finite number, true, false or null, or a list of them"
            raise DecisionError(field=name, expected=expected, came=value)
    return document


def _is_scalar(value: object) -> bool:
    return isinstance(value, Scalar) and not (isinstance(value, float) and not math.isfinite(value))


class _Part:
    """One object of a line, read field by field."""

    def __init__(self, document: Any, name: str = "(line)") -> None:
        if not isinstance(document, dict):
            raise DecisionError(field=name, expected="an object", came=document)
        self._document = document

    def _take(self, field: str, expected: str, kinds: type | tuple[type, ...]) -> Any:
        # True is an int in Python: a number must not be a truth value.
        value = self._document.get(field)
        if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
            raise DecisionError(field=field, expected=expected, came=value)
        return value

    def part(self, field: str) -> _Part:
        return _Part(self._document.get(field), field)

    def mapping(self, field: str) -> Mapping[str, Scalar]:
        return dict(self._take(field, "an object", dict))

    def text(self, field: str) -> str:
        return str(self._take(field, "text", str))

    def text_or_none(self, field: str) -> str | None:
        return None if self._document.get(field) is None else self.text(field)

    def truth(self, field: str) -> bool:
        return bool(self._take(field, "true or false", bool))

    def number(self, field: str) -> float:
        value = float(self._take(field, "a finite number", (int, float)))
        if not math.isfinite(value):
            raise DecisionError(field=field, expected="a finite number", came=value)
        return value

    def numbers(self, field: str) -> Mapping[str, float]:
        """Finite numbers by name; none where the field is not there."""
        part = _Part(self._document.get(field) or {}, field)
        return {name: part.number(name) for name in part._document}

    def phase(self, field: str) -> Phase:
        value = self.text(field)
        for phase in PHASES:
            if value == phase:
                return phase
        raise DecisionError(field=field, expected=f"one of {', '.join(PHASES)}", came=value)

    def moment(self, field: str) -> datetime:
        text = self.text(field)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise DecisionError(field=field, expected="an ISO time with its zone", came=text)
        return moment.astimezone(UTC)
