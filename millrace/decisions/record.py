"""The record of a decision: a prediction as it was made, as one JSON line.

The line has the shape of Model Monitor's data capture, with what Millrace adds under "millrace":
https://docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-data-capture-endpoint.html

    {"captureData": {"endpointInput": {"data": "the row as JSON", …},
                     "endpointOutput": {"data": "the answer as JSON", …}},
     "eventMetadata": {"eventId": "r-0", "inferenceTime": "…", …}, "eventVersion": "0",
     "millrace": {"event_time": "…", "input_digest": "…", "model_version": "2", "phase": "live", …}}

A line has no `action` and `reason` if the workload has no policy, and no `source` if a caller asked for the prediction.
It has `answered_by` and `withheld` only if something else than a model answered.

`store` reads the lines. A line may come twice.
"""

from __future__ import annotations

import hashlib
import json
import math
from _json import make_encoder
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _text
from typing import Any, Literal, get_args

from millrace.errors import DecisionError
from millrace.tasks.answer import MOMENT
from millrace.workload.policy import Action
from millrace.workload.rollout import PHASES, Phase

Scalar = str | int | float | bool | None
Answered = Scalar | Sequence[Scalar]
"""One field of an answer; a list if the answer has parts."""
ActionReason = Literal[
    "no_policy",
    "sure",
    "unsure",
    "above_bound",
    "unlike",
    "held_out",
    "paused",
    "no_threshold",
    "within_bounds",
    "state_unknown",
    "no_model",
    "asleep",
    "below_floor",
]
"""Why an answer has its action: `millrace.decisions.policy` says what each reason means."""
AnsweredBy = Literal["previous", "rule", "constant"]
"""Who answered in place of a model: one of `prediction.fallback`."""
Source = Literal["api", "async", "batch", "stream"]
"""How the row came: in a caller's request, in a job, in a file, or as a record of the stream."""


def _encoder(*, sort_keys: bool) -> Callable[[Any], str]:
    """What `json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode` does, at less than half of its time.

    `encode` makes the C encoder anew at each call. This one is made once, and looks for no circles: JSON has none."""
    refuse, tokens = json.JSONEncoder().default, (":", ",")
    encode = make_encoder(None, refuse, _text, None, *tokens, sort_keys, False, False)
    return lambda value: "".join(encode(value, 0))


ACTIONS, REASONS, SOURCES = get_args(Action), get_args(ActionReason), get_args(Source)
ANSWERERS = get_args(AnsweredBy)
# Lines have sorted keys, so that equal decisions are equal texts. Answers keep the order of their fields.
_in_order, _sorted = _encoder(sort_keys=False), _encoder(sort_keys=True)


@dataclass(frozen=True, kw_only=True)
class Withheld:
    """What the live version said of a row that the naive rule answered, since the version was below its floor."""

    model_version: str
    output: Mapping[str, Answered]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One prediction for one row."""

    id: str
    workload: str
    event_time: datetime
    """The row's event time (UTC). Its date says where the decision is kept."""
    key: Mapping[str, Scalar]
    """The row's cells of the contract's key. Labels without a prediction id are joined by it."""
    input: str
    """The row as it was sent to the model, as canonical JSON. Long cells are references (`decisions.captured`)."""
    output: Mapping[str, Answered]
    """The fields of the task's answer, `value` first. All are None if nobody answered."""
    predicted_for: str | Sequence[str] | None = None
    """The moment that the answer is for, of several horizons a list; None for the label of the row itself."""
    model_version: str | None
    """None if no model answered."""
    phase: Phase
    fallback: bool
    """Whether something else than a model answered, or nobody."""
    latency_ms: float
    """The time of the whole call that carried the row; 0 for a row of a file."""
    inferred_at: datetime
    """When the prediction was made (UTC), by the wall clock."""
    watched: Mapping[str, float] = field(default_factory=dict)
    """What the monitors watch and the input does not show, such as `scan.brightness`. The container measured it."""
    action: Action = "automated"
    reason: ActionReason = "no_policy"
    source: Source = "api"
    answered_by: AnsweredBy | None = None
    """None: the live model or a canary answered, or for a fallback nobody. `previous`: the version before."""
    withheld: Withheld | None = None
    caller: str | None = None
    """The ARN of the identity that asked over HTTP; None for a row of a file, and for a call by Lambda's own API."""

    @property
    def value(self) -> Answered:
        return self.output["value"]

    @property
    def dated(self) -> Mapping[str, Answered]:
        """The moment that the answer is for, by its field's name; empty for an answer about the row itself."""
        return {MOMENT: self.predicted_for} if self.predicted_for else {}

    @property
    def told(self) -> Mapping[str, Answered]:
        """The answer as callers and consumers read it: empty fields where it must influence nobody (`held_out`)."""
        said = dict.fromkeys(self.output) if self.reason == "held_out" else self.output
        return {**said, **self.dated}

    @property
    def as_said(self) -> Decision:
        """The decision with what the model said, if the naive rule answered in its place; any other as it is."""
        if (said := self.withheld) is None:
            return self
        return replace(self, output=said.output, model_version=said.model_version, fallback=False, withheld=None)

    @property
    def has_policy(self) -> bool:
        """Whether the action says more than who answered: a policy gave it, or the endpoint was asleep."""
        return (self.action, self.reason) != _without_policy(fallback=self.fallback)

    @property
    def input_digest(self) -> str:
        return digest(self.input)


def canonical(cells: Mapping[str, Any] | Scalar) -> str:
    """The row or cell as JSON with sorted keys and no spaces. Raises ValueError for a number that is not finite."""
    return _sorted(cells)


def digest(text: str) -> str:
    """The SHA-256 of the canonical input, 64 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def to_line(decision: Decision) -> str:
    """The decision as one JSON line, without a line feed."""
    # Written by hand, since every answer waits for its line: a dictionary for the encoder takes twice the time.
    name = _text(decision.id)
    return (
        f'{{"captureData":{{"endpointInput":{_capture("INPUT", decision.input)},'
        f'"endpointOutput":{_capture("OUTPUT", _in_order(decision.output))}}},'
        f'"eventMetadata":{{"eventId":{name},"inferenceId":{name},"inferenceTime":"{iso(decision.inferred_at)}"}},'
        f'"eventVersion":"0","millrace":{{{_ours(decision)}}}}}'
    )


def _ours(decision: Decision) -> str:
    """The fields under "millrace" in their order, without those that the others say."""
    acted, one = decision.has_policy, decision
    dated = _if_any(MOMENT, one.predicted_for) if one.predicted_for else ""
    return (
        f"{_first(one.action if acted else None, one.answered_by, one.caller)}"
        f'"event_time":"{iso(one.event_time)}","fallback":{"true" if one.fallback else "false"},'
        f'"input_digest":"{one.input_digest}","key":{_sorted(one.key)},'
        f'"latency_ms":{_shared(one.latency_ms)},"model_version":{_shared(one.model_version)},'
        f"{_middle(one.phase, dated, one.reason if acted else None, one.source)}"
        f"{_if_any('watched', one.watched) if one.watched else ''}"
        f"{_if_any('withheld', vars(one.withheld)) if one.withheld else ''}"
        f'"workload":{_shared(one.workload)}'
    )


# What the rows of a call share is written once.
@lru_cache(maxsize=64)
def _first(action: str | None, answered_by: str | None, caller: str | None) -> str:
    return _if_any("action", action) + _if_any("answered_by", answered_by) + _if_any("caller", caller)


@lru_cache(maxsize=64)
def _middle(phase: str, dated: str, reason: str | None, source: str) -> str:
    acted = _if_any("reason", reason) + _if_any("source", "" if source == "api" else source)
    return f'"phase":{_text(phase)},{dated}{acted}'


@lru_cache(maxsize=64, typed=True)
def _shared(cell: Scalar) -> str:
    return canonical(cell)


def _if_any(field: str, value: Any) -> str:
    return f'"{field}":{canonical(value)},' if value else ""


def _withheld(document: Any) -> Withheld | None:
    if document is None:
        return None
    part = _Part(document, "withheld")
    return Withheld(model_version=part.text("model_version"), output=_answer(document.get("output")))


def _without_policy(*, fallback: bool) -> tuple[Action, ActionReason]:
    return ("fallback", "no_model") if fallback else ("automated", "no_policy")


def from_line(line: str | bytes) -> Decision:
    """The decision of one line.

    Raises DecisionError, which names the field, what was expected and what came, also if the input does not match its
    digest."""
    with _decision_errors():
        decision = _decision(line)
    check_input(decision)
    return decision


def check_input(decision: Decision) -> None:
    """Raise DecisionError unless the input is an object, as all readers expect. It stays text all the same."""
    with _decision_errors():
        if not isinstance(row := _parsed(decision.input, "endpointInput"), dict):
            raise DecisionError(field="endpointInput.data", expected="an object", came=row)


@contextmanager
def _decision_errors() -> Iterator[None]:
    """Turn errors of cells that JSON can write and Python cannot hold into DecisionError.

    Such cells are a value that is too deep, a number or a time beyond the range, and half a surrogate pair."""
    try:
        yield
    except (ValueError, OverflowError, RecursionError) as error:
        raise DecisionError(field="(line)", expected="JSON with cells of a decision", came=str(error)) from None


def _decision(line: str | bytes) -> Decision:
    """The same as `from_line`, but the input is only compared with its digest and not parsed."""
    document: Any = json.loads(line)
    ours = _Part(document).part("millrace")
    fallback = ours.truth("fallback")
    action, reason = _without_policy(fallback=fallback)
    decision = Decision(
        id=_Part(document).part("eventMetadata").text("eventId"),
        workload=ours.text("workload"),
        event_time=ours.moment("event_time"),
        key=ours.mapping("key"),
        input=_data(document, "endpointInput"),
        output=_answer(_parsed(_data(document, "endpointOutput"), "endpointOutput")),
        predicted_for=ours.texts_or_none(MOMENT),
        model_version=ours.text_or_none("model_version"),
        phase=ours.choice("phase", PHASES),
        fallback=fallback,
        latency_ms=ours.number("latency_ms"),
        inferred_at=_Part(document).part("eventMetadata").moment("inferenceTime"),
        watched=ours.numbers("watched"),
        action=ours.choice("action", ACTIONS, default=action),
        reason=ours.choice("reason", REASONS, default=reason),
        source=ours.choice("source", SOURCES, default="api"),
        answered_by=ours.choice("answered_by", ANSWERERS) if ours.has("answered_by") else None,
        withheld=_withheld(document["millrace"].get("withheld")),
        caller=ours.text_or_none("caller"),
    )
    if decision.input_digest != ours.text("input_digest"):
        raise DecisionError(field="input_digest", expected=decision.input_digest, came=ours.text("input_digest"))
    return decision


def lines_by_date(lines: Iterable[str]) -> dict[date, list[tuple[str, Decision]]]:
    """Each line with its decision, by the date of its event time, in order. Raises DecisionError as `from_line` does.

    Inputs are not parsed: their digests say that they are what the prediction function wrote."""
    grouped: dict[date, list[tuple[str, Decision]]] = defaultdict(list)
    for line in lines:
        with _decision_errors():
            line.encode()  # as it is stored
            decision = _decision(line)
            grouped[decision.event_time.date()].append((line, decision))
    return dict(grouped)


def prefix(workload: str, day: date) -> str:
    """The prefix of the keys of decisions with this event date: `electricity/decisions/date=1997-05-01/`."""
    return f"{workload}/decisions/date={day.isoformat()}/"


def day_of(key: str) -> date:
    """The day of event time in the key of an object with decisions."""
    return date.fromisoformat(key.partition("date=")[2].partition("/")[0])


def object_key(workload: str, day: date, messages: Iterable[str]) -> str:
    """The key of the object that these queue messages become. The same messages, in any order, have the same key."""
    name = hashlib.sha256("\n".join(sorted(messages)).encode()).hexdigest()[:32]
    return f"{prefix(workload, day)}{name}.jsonl"


def _capture(mode: str, data: str) -> str:
    return f'{{"data":{_text(data)},"encoding":"JSON","mode":"{mode}","observedContentType":"application/json"}}'


@lru_cache(maxsize=64)
def iso(moment: datetime) -> str:
    """The moment to the microsecond. The order of such texts is the order of the times."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _data(document: Any, side: str) -> str:
    return _Part(document).part("captureData").part(side).text("data")


def _parsed(text: str, side: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise DecisionError(field=f"{side}.data", expected="JSON", came=str(error)) from None


def _answer(document: Any) -> dict[str, Answered]:
    """The fields of an answer. The task of the model decides which they are; `value` is always one.

    Raises DecisionError for anything else."""
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
    """One object of a line, which is read field by field. Each method raises DecisionError for any other value."""

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

    def has(self, field: str) -> bool:
        return field in self._document

    def part(self, field: str) -> _Part:
        return _Part(self._document.get(field), field)

    def mapping(self, field: str) -> Mapping[str, Scalar]:
        return dict(self._take(field, "an object", dict))

    def text(self, field: str) -> str:
        return str(self._take(field, "text", str))

    def text_or_none(self, field: str) -> str | None:
        return None if self._document.get(field) is None else self.text(field)

    def texts_or_none(self, field: str) -> str | list[str] | None:
        value = self._document.get(field)
        if not all(isinstance(text, str) for text in (value if isinstance(value, list) else [value or ""])):
            raise DecisionError(field=field, expected="text, or a list of texts", came=value)
        return value

    def truth(self, field: str) -> bool:
        return bool(self._take(field, "true or false", bool))

    def number(self, field: str) -> float:
        value = float(self._take(field, "a finite number", (int, float)))
        if not math.isfinite(value):
            raise DecisionError(field=field, expected="a finite number", came=value)
        return value

    def numbers(self, field: str) -> Mapping[str, float]:
        """Finite numbers by name; empty if there is no such field."""
        part = _Part(self._document.get(field) or {}, field)
        return {name: part.number(name) for name in part._document}

    def choice(self, field: str, known: Sequence[Any], *, default: str | None = None) -> Any:
        """The text, which must be one of the known ones; `default` if there is no such field."""
        value = default if default and field not in self._document else self.text(field)
        if value not in known:
            raise DecisionError(field=field, expected=f"one of {', '.join(known)}", came=value)
        return value

    def moment(self, field: str) -> datetime:
        text = self.text(field)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise DecisionError(field=field, expected="an ISO time with its zone", came=text)
        return moment.astimezone(UTC)
