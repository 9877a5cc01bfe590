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
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _text
from operator import attrgetter
from typing import Any, Literal, get_args

from millrace.decisions.fields import A_NUMBER, A_TEXT, CellKind, LineField, LineObject, declared, in_line, one_of
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
    "would_wait",
    "state_unknown",
    "no_model",
    "below_floor",
]
"""Why an answer has its action: `millrace.decisions.policy` says what each reason means."""
AnsweredBy = Literal["previous", "rule", "constant"]
"""Who answered in place of a model: one of `prediction.fallback`."""
Source = Literal["api", "async", "batch", "stream", "workload"]
"""How the row came: in a caller's request, in a job, in a file, in the stream, as another workload's decision."""


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


def _output(part: LineObject, name: str) -> dict[str, Answered]:
    return _answer(_parsed(part.text(name), "endpointOutput"))


def _withheld(part: LineObject, name: str) -> Withheld:
    said = part.part(name)
    return Withheld(model_version=said.text("model_version"), output=_answer(said.document.get("output")))


@lru_cache(maxsize=64)
def _moment(at: datetime) -> str:
    return f'"{iso(at)}"'


TEXT: dict[str, Any] = {"type": "string"}
TIME: dict[str, Any] = {**TEXT, "format": "date-time"}
VERSION: dict[str, Any] = {**TEXT, "nullable": True, "description": "null for a fallback"}
_TEXT = CellKind(read=LineObject.text, pattern=A_TEXT)
_TIME = CellKind(read=LineObject.moment, pattern=r'"[^"\\]*"', write=_moment)
_KEY = CellKind(read=LineObject.mapping, pattern=r"(\{.*\})", athena="map<string,string>", write=_sorted)
_TEXTS = CellKind(read=LineObject.texts, pattern=rf"(?:{A_TEXT}|\[{A_TEXT}(?:,{A_TEXT})*\])", athena="", write=_sorted)
_NUMBERS = CellKind(
    read=LineObject.numbers,
    pattern=rf"(\{{{A_TEXT}:{A_NUMBER}(?:,{A_TEXT}:{A_NUMBER})*\}})",
    athena="map<string,double>",
    write=_sorted,
)
_WITHHELD = CellKind(
    read=_withheld,
    pattern=_KEY.pattern,
    athena="struct<model_version:string,output:map<string,string>>",
    write=lambda said: _sorted(vars(said)),
)
_DIGEST = CellKind(read=LineObject.text, pattern='"[0-9a-f]{64}"', write='"%s"'.__mod__)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One prediction for one row."""

    workload: str = in_line(_TEXT)
    id: str = in_line(_TEXT, under="eventMetadata", leaf="eventId", column="cell", api=TEXT)
    event_time: datetime = in_line(_TIME, column="cell", api=TIME)
    """The row's event time (UTC). Its date says where the decision is kept."""
    inferred_at: datetime = in_line(_TIME, under="eventMetadata", leaf="inferenceTime", column="cell", api=TIME)
    """When the prediction was made (UTC), by the wall clock."""
    key: Mapping[str, Scalar] = in_line(_KEY, column="object", api={"type": "object"})
    """The row's cells of the contract's key. Labels without a prediction id are joined by it."""
    input: str = in_line(_TEXT, under="captureData.endpointInput", leaf="data", column="cell")
    """The row as it was sent to the model, as canonical JSON. Long cells are references (`decisions.captured`)."""
    output: Mapping[str, Answered] = in_line(
        CellKind(read=_output), under="captureData.endpointOutput", leaf="data", column="cell", api={}
    )
    """The fields of the task's answer, `value` first. All are None if nobody answered."""
    predicted_for: str | Sequence[str] | None = in_line(_TEXTS, default=None)
    """The moment that the answer is for, of several horizons a list; None for the label of the row itself."""
    model_version: str | None = in_line(
        CellKind(read=LineObject.text_or_none, pattern=f"(?:null|{A_TEXT})"), column="cell", api=VERSION
    )
    """None if no model answered."""
    phase: Phase = in_line(one_of(PHASES), column="cell")
    fallback: bool = in_line(CellKind(read=LineObject.truth, pattern="(?:true|false)", athena="boolean"), column="cell")
    """Whether something else than a model answered, or nobody."""
    latency_ms: float = in_line(CellKind(read=LineObject.number, pattern=A_NUMBER, athena="double"), column="cell")
    """The time of the whole call that carried the row; 0 for a row of a file."""
    watched: Mapping[str, float] = in_line(_NUMBERS, default={}, column="object")
    """What the monitors watch and the input does not show, such as `scan.brightness`. The container measured it."""
    action: Action = in_line(one_of(ACTIONS), default="automated", needs="acted", column="cell", api=TEXT)
    reason: ActionReason = in_line(one_of(REASONS), default="no_policy", needs="acted", column="cell", api=TEXT)
    source: Source = in_line(
        one_of(SOURCES), default="api", needs="acted", column="cell", api={**TEXT, "enum": [*SOURCES]}
    )
    answered_by: AnsweredBy | None = in_line(
        one_of(ANSWERERS), default=None, needs="chain", api={**TEXT, "nullable": True, "enum": [*ANSWERERS, None]}
    )
    """None: the live model or a canary answered, or for a fallback nobody. `previous`: the version before."""
    withheld: Withheld | None = in_line(_WITHHELD, default=None, needs="floor", column="object")
    caller: str | None = in_line(_TEXT, default=None, needs="called", api=TEXT)
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
        """Whether a policy gave the action. False also for a fallback, which needs none."""
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
    name, ours = _text(decision.id), _with_own_cells(decision, _texts(*_shared_cells(decision)))
    return (
        f'{{"captureData":{{"endpointInput":{_capture("INPUT", decision.input)},'
        f'"endpointOutput":{_capture("OUTPUT", _in_order(decision.output))}}},'
        f'"eventMetadata":{{"eventId":{name},"inferenceId":{name},"inferenceTime":"{iso(decision.inferred_at)}"}},'
        f'"eventVersion":"0","millrace":{{{ours}}}}}'
    )


def _fields() -> Iterator[LineField]:
    for one in declared(Decision):
        yield one
        if one.name == "input":
            yield LineField(name="input_digest", leaf="input_digest", kind=_DIGEST, column="cell")


FIELDS = tuple(_fields())
"""The one table of the fields. A line has those of WRITTEN under "millrace"."""
WRITTEN = tuple(sorted((one for one in FIELDS if one.under == "millrace"), key=lambda one: one.name))
_SHARED = tuple(one.name for one in WRITTEN if not one.kind.write)
_shared_cells = attrgetter(*_SHARED)


def _compiled() -> Callable[[Decision, Sequence[str]], str]:
    """Puts the cells of a row between the texts that its call shares. A loop takes half as long again."""
    own = [one for one in WRITTEN if one.kind.write]
    cells = [f"w{n}(one.{x.name})" + f' if one.{x.name} else ""' * x.is_optional for n, x in enumerate(own)]
    texts = "".join(f"{{{cell}}}{{texts[{number}]}}" for number, cell in enumerate(cells, 1))
    writers = {f"w{n}": x.write if x.is_optional else x.kind.write for n, x in enumerate(own)}
    made: Callable[[Decision, Sequence[str]], str]
    made = eval(f"lambda one, texts: f'{{texts[0]}}{texts}'", writers)  # noqa: S307 # nosec B307 # of the table alone
    return made


_with_own_cells = _compiled()


@lru_cache(maxsize=64, typed=True)
def _texts(*shared: Any) -> list[str]:
    """What the rows of a call share under "millrace", without the cells that they do not, nor what others say."""
    cells = dict(zip(_SHARED, shared, strict=True))
    acted, unsaid = (cells["action"], cells["reason"]), _without_policy(fallback=cells["fallback"])
    left_out = dict(zip(("action", "reason"), unsaid if acted == unsaid else (None, None), strict=True))
    parts = []
    for one in WRITTEN:
        if one.kind.write:
            parts.append("\0" if one.is_optional else f'"{one.name}":\0,')
        elif not one.is_optional or cells[one.name] != left_out.get(one.name, getattr(Decision, one.name)):
            parts.append(f'"{one.name}":{canonical(cells[one.name])},')
    return "".join(parts)[:-1].split("\0")


def _without_policy(*, fallback: bool) -> tuple[Action, ActionReason]:
    return ("fallback", "no_model") if fallback else ("automated", "no_policy")


def api_fields(*, acts: bool) -> list[LineField]:
    """The fields of a decision in the REST API. `acts` says whether the workload has a policy."""
    return [one for one in FIELDS if one.api is not None and (acts or one.name not in ("action", "reason"))]


def to_document(decision: Decision, *, acts: bool) -> dict[str, Any]:
    """The decision as the REST API tells it; the fields of the answer stand beside the others."""
    found: dict[str, Any] = {}
    for one in api_fields(acts=acts):
        cell = getattr(decision, one.name)
        told = {one.name: iso(cell) if isinstance(cell, datetime) else cell}
        found |= decision.told if one.name == "output" else told
    return found


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


_PARTS = [
    (path.split("."), [(one.name, one.leaf, one.kind.read, one.is_optional) for one in FIELDS if one.under == path])
    for path in dict.fromkeys(one.under for one in FIELDS)
]


def _decision(line: str | bytes) -> Decision:
    """The same as `from_line`, but the input is only compared with its digest and not parsed."""
    document, given = LineObject(json.loads(line)), dict[str, Any]()
    for path, told in _PARTS:
        part = document
        for name in path:
            part = part.part(name)
        for name, leaf, read, is_optional in told:
            if not is_optional or part.document.get(leaf) is not None:
                given[name] = read(part, leaf)
    came = given.pop("input_digest")
    for name, cell in zip(("action", "reason"), _without_policy(fallback=given["fallback"]), strict=True):
        given.setdefault(name, cell)
    decision = Decision(**given)
    if decision.input_digest != came:
        raise DecisionError(field="input_digest", expected=decision.input_digest, came=came)
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
