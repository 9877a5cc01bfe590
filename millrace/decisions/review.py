"""What a person decides: an item for each decision with the action `review`, and the answer to it.

The answers that a person gave one after the other become a file of the feed `labels`, named by the decisions' ids:

    electricity/labels/review/5d0f….jsonl    {"class":1,"prediction_id":"r-0-17","timestamp":"1997-05-01T00:00:00Z"}
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

from millrace.contract.schema import PREDICTION_ID, Column, Table
from millrace.decisions.record import ActionReason, Answered, Decision, Scalar, Source, canonical
from millrace.errors import ReviewError
from millrace.messages.asked_labels import INPUT_BYTES, LabelAsked
from millrace.state.item import TEXT, TEXT_IF_ANY, Form, Item
from millrace.tasks.answer import CONFIDENCE
from millrace.timestamps import format_utc, parse_utc
from millrace.workload.policy import Action, Review

if TYPE_CHECKING:
    from millrace.tasks.task import Task
    from millrace.workload.declaration import Prediction

Status = Literal["waiting", "answered", "unanswered", "withdrawn"]
"""`unanswered`: nobody has answered within the hours of the policy. `withdrawn`: the phase that asked has ended."""
ESCALATED = 0
"""The priority of an item that a person has passed on to another one."""
ReviewReason = (
    ActionReason
    | Literal["labels_wanted", "label_error", "assisted", "assisted_blind", "second_opinion", "third_opinion"]
)
"""Why a person is asked: the reason of the decision's action; or `labels_wanted`: the label decides between two
versions that answer otherwise, or it tells most about the error of the live one; or `no_model`: the label is of a row
from which the first version learns, and no decision was made; or `label_error`: a label has come
that the model contradicts; or `assisted` and `assisted_blind`: what people say with and without a version's answer
decides on it; or `second_opinion`: another person has answered, and whether people agree is measured; or
`third_opinion`: two people have answered otherwise."""
ASSISTED: frozenset[ReviewReason] = frozenset({"assisted", "assisted_blind"})
"""The reasons whose item has the answer of a version that is not live."""
OPINIONS: Mapping[str, ReviewReason] = {"+2+": "second_opinion", "+3+": "third_opinion"}
"""The reasons whose person is not the first one who is asked, by what the item's id has before that of the decision."""
BLIND: frozenset[ReviewReason] = frozenset(
    {"no_model", "held_out", "labels_wanted", "label_error", "assisted_blind", *OPINIONS.values()}
)
"""The reasons with which the person must not know an answer."""
PRIORITY: Mapping[ReviewReason, int] = {
    "labels_wanted": 1,
    "assisted_blind": 1,
    "assisted": 1,
    "above_bound": 1,
    "unlike": 1,
    "third_opinion": 1,
    "unsure": 2,
    "held_out": 2,
    "label_error": 2,
    "no_model": 2,
    "second_opinion": 2,
    "no_threshold": 3,
    "paused": 3,
    "state_unknown": 3,
}
"""The smallest goes first. What sends every row to a person, such as a pause, comes after what is about single rows."""
PRIORITIES = 1 + max(PRIORITY.values())
"""How many there are, ESCALATED among them."""
LabelValue = Scalar | Mapping[str, Scalar] | tuple[Scalar, ...]
"""The label that a person gives: one value; by column if a row has several labels; one for each of several horizons."""


@dataclass(frozen=True, kw_only=True)
class ReviewAnswer:
    """What a person has decided."""

    value: LabelValue
    by: str
    """Identity of the person."""
    at: datetime
    seconds: float
    """How long the person has looked at the item."""
    source: str
    """With what it was given: `terminal`, `web`."""
    agrees: bool | None = None
    """Of a second opinion: whether it is the first one; None of any other, and of a number without a tolerance."""
    guideline: str = ""
    """The version of the guideline under which it was given; empty where none was declared."""


def _answer_from_json(text: str) -> ReviewAnswer:
    fields = json.loads(text)
    return ReviewAnswer(**fields | {"value": value_from_json(fields["value"]), "at": parse_utc(fields["at"])})


def answer_to_json(answer: ReviewAnswer) -> str:
    """The answer as its item has it; conditions of writes compare it."""
    fields = vars(answer) | {"value": value_to_json(answer.value), "at": format_utc(answer.at)}
    return json.dumps(fields, sort_keys=True)


WORD, JSON = {"form": TEXT}, {"form": Form(json.loads, json.dumps)}


@dataclass(frozen=True, kw_only=True)
class ReviewItem(Item, key="item#{id}"):
    """A decision that waits for a person, or has waited."""

    id: str
    """The decision's id; that of an opinion with one of OPINIONS before it."""
    reason: ReviewReason = field(metadata=WORD)
    action: Action = field(default="automated", metadata=WORD)
    """What was done with the decision: of `review` nobody acts before the person has answered."""
    priority: int
    opened_at: datetime
    event_time: datetime = field(metadata={"form": Form(parse_utc, datetime.isoformat)})
    expires_at: datetime
    key: Mapping[str, Scalar] = field(metadata=JSON)
    input: str
    """The row as canonical JSON; empty if it is longer than INPUT_BYTES."""
    output: Mapping[str, Answered] | None = field(default=None, metadata=JSON)
    """The model's answer; None if the person must not know it."""
    model_version: str | None = None
    source: Source = field(metadata=WORD)
    note: str = field(default="", metadata={"form": TEXT_IF_ANY})
    """What a person has said who passed it on."""
    is_twice: bool = False
    """Whether a second person is asked about the same decision."""
    before: tuple[str, ...] | None = None
    """Who has answered the same decision, and does not get this item."""
    status: Status = field(default="waiting", metadata=WORD)
    answer: ReviewAnswer | None = field(default=None, metadata={"form": Form(_answer_from_json, answer_to_json)})
    dropped_at: datetime | None = None
    """When the answer's label was dropped; None before."""
    drop: str = field(default="", metadata={"form": TEXT_IF_ANY})
    """The drop that has the label, with those of other answers."""

    @property
    def decision(self) -> str:
        """The decision's id, one for all who are asked about it."""
        return self.id.rpartition("+")[2]

    @property
    def is_blind(self) -> bool:
        """Whether the person must not know the model's answer."""
        return self.reason in BLIND

    @property
    def is_challengers(self) -> bool:
        """Whether it has the answer of `model_version` on the phase `assisted`, and not what callers were told."""
        return self.reason in ASSISTED

    @property
    def confidence(self) -> float | None:
        found = (self.output or {}).get(CONFIDENCE)
        return found if isinstance(found, float) else None

    def outcome(self, label: Column) -> str:
        """For people: `waits`, `unanswered`, `late by assumed-role/Operators/ann`."""
        if self.answer is None:
            return "waits" if self.status == "waiting" else self.status
        under = f", guideline {self.answer.guideline}" if self.answer.guideline else ""
        value = self.answer.value
        said = value_to_json(value) if isinstance(value, Mapping | tuple) else label.word(value)
        return f"{said} by {self.answer.by.rpartition(':')[2]}{under}"


def item_of(
    of: Decision | LabelAsked,
    review: Review,
    *,
    opened_at: datetime,
    reason: ReviewReason | None = None,
    version: str | None = None,
) -> ReviewItem:
    """The item by which a person is asked about a decision, or for a label. Time begins at `opened_at`, to the second.

    `reason` is why; None: the decision's own, whose action is `review`. `version` has answered the row whose label is
    wanted; None: none has."""
    output: Mapping[str, Answered] | None = None
    if isinstance(of, Decision):
        reason, version, output = reason or of.reason, of.model_version, of.output
    assert reason
    return ReviewItem(
        id=of.id,
        reason=reason,
        action=of.action if isinstance(of, Decision) else "automated",
        priority=PRIORITY[reason],
        opened_at=opened_at.replace(microsecond=0),
        event_time=of.event_time,
        expires_at=opened_at.replace(microsecond=0) + timedelta(hours=review.hours),
        key=of.key,
        input=of.input if len(of.input.encode()) <= INPUT_BYTES else "",
        output=None if reason in BLIND else output,
        model_version=version,
        source=of.source,
        # A label that is doubted has been given once already.
        is_twice=reason != "label_error" and is_drawn(f"twice {canonical(of.key)}", review.twice),
    )


def opinion_item(item: ReviewItem, *, now: datetime) -> ReviewItem | None:
    """The item by which another person is asked about the decision of this answered one; None if nobody is.

    A second person is asked about the declared share, and a third one where the two have answered otherwise."""
    answer = item.answer
    if answer is None or not (item.is_twice or answer.agrees is False):
        return None
    which = "+2+" if item.is_twice else "+3+"
    # Its action is `automated`: the first answer goes to those who wait for it.
    return ReviewItem(
        id=f"{which}{item.decision}",
        reason=OPINIONS[which],
        priority=PRIORITY[OPINIONS[which]],
        opened_at=now.replace(microsecond=0),
        event_time=item.event_time,
        expires_at=now.replace(microsecond=0) + (item.expires_at - item.opened_at),
        key=item.key,
        input=item.input,
        model_version=item.model_version,
        source=item.source,
        before=(*(item.before or ()), answer.by),
    )


def agree(one: LabelValue, other: LabelValue, tolerance: float) -> bool:
    """Whether two people say the same: of several values each, of numbers what differs by no more than `tolerance`."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(agree(one[name], other[name], tolerance) for name in one)
    if isinstance(one, tuple) and isinstance(other, tuple):
        return len(one) == len(other) and all(agree(*pair, tolerance) for pair in zip(one, other, strict=True))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= tolerance
    return one == other


def middle(said: Sequence[Any]) -> LabelValue:
    """The median of three numbers; of several horizons one for each."""
    return tuple(map(median, zip(*said, strict=True))) if isinstance(said[0], tuple) else median(said)


def is_drawn(text: str, share: float) -> bool:
    """Whether what this text names belongs to the share, by its digest: so it does everywhere, and always."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6]) < share * 2**48


def label_rows(
    item: ReviewItem, value: LabelValue, *, prediction_spec: Prediction, labels: Table
) -> list[dict[str, Any]]:
    """The rows of the feed `labels` that say so: one, or one for each of several horizons.

    Raises ReviewError for a value of another form, and for one that the contract refuses. `labels` is the contract's
    table of the labels."""
    from millrace.contract.row import check_row

    spec = prediction_spec
    rows: list[dict[str, Any]] = []
    for hours, cells in zip(spec.horizons, _cells(value, spec), strict=True):
        at = item.event_time + timedelta(hours=hours)
        zoned = labels.column(spec.event_time).kind == "timestamp_utc"
        time = at.isoformat() if zoned else at.replace(tzinfo=None).isoformat()
        row: dict[str, Any] = {**item.key, spec.event_time: time, **cells}
        row |= {PREDICTION_ID: item.decision} if PREDICTION_ID in labels.names else {}
        if problems := check_row(row, labels):
            first = problems[0]
            raise ReviewError(f"answer to {item.id}: {first.column}: expected {first.expected}, got {first.got}")
        rows.append(row)
    return rows


def _cells(value: LabelValue, spec: Prediction) -> list[Mapping[str, Scalar]]:
    """The label's cells, for each horizon."""
    if spec.labels:
        if not isinstance(value, Mapping) or set(value) != set(spec.labels):
            raise ReviewError(f"answer: expected a value for each of {', '.join(spec.labels)}, got {value!r}")
        return [value]
    parts = value if isinstance(value, tuple) and spec.horizons_hours else (value,)
    if len(parts) != len(spec.horizons) or isinstance(value, Mapping):
        expected = f"a list of {len(spec.horizons)} values" if spec.horizons_hours else "one value"
        raise ReviewError(f"answer: expected {expected}, got {value!r}")
    return [{spec.label: part} for part in parts if not isinstance(part, tuple | Mapping)]


def answer_of(item: ReviewItem, value: LabelValue, spec: Prediction, task: Task) -> dict[str, Any]:
    """What a person has said as an answer of the task: `{"value": 1, "probability": None, "confidence": None}`.

    What a model alone can say is None."""
    said: Any = value
    if isinstance(value, Mapping):
        said = [int(bool(value[name])) for name in spec.labels]
    elif spec.horizons_hours:
        said = [*value] if isinstance(value, tuple) else [value]
    elif task.class_names:  # of two classes the answer is 1 or 0, of several their name
        said = str(value) if task.answer[0].kind == "text" else 1 - int(task.error(1, value))
    known = {"value": said, "label": [*spec.labels], "horizon_hours": [*spec.horizons_hours]}
    dated = {field.name: spec.predicted_for(item.event_time) for field in spec.dates}
    return {field.name: known.get(field.name) for field in task.answer} | dated


def label_folder(workload: str, item: ReviewItem) -> str:
    """The landing folder of the label that a person gives to the item."""
    return doubted_labels(workload) if item.reason == "label_error" else f"{workload}/labels/review/"


def label_key(folder: str, ids: Iterable[str]) -> str:
    """The landing key of the labels that a person gives to these decisions; their order does not count."""
    return f"{folder}{hashlib.sha256(json.dumps(sorted(ids)).encode()).hexdigest()[:32]}.jsonl"


def doubted_labels(workload: str) -> str:
    """The landing folder of the labels that people have given where the model contradicted one."""
    return f"{workload}/labels/review/doubted/"


def label_body(rows: Iterable[Mapping[str, Any]]) -> str:
    """The rows as JSON lines."""
    return "".join(f"{canonical(row)}\n" for row in rows)


def value_to_json(value: LabelValue) -> str:
    """The value as JSON: `1`, `{"damp": true, "mould": false}`, `[61.0, 64.5]`."""
    return json.dumps(value if not isinstance(value, Mapping) else dict(value), sort_keys=True)


def value_from_json(text: str) -> LabelValue:
    """The value that `value_to_json` has written."""
    value: Any = json.loads(text)
    return tuple(value) if isinstance(value, list) else value
