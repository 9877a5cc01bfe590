"""Decisions that wait for a person: how many, which ones, and one as the person sees it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from millrace.console.environment import Environment
from millrace.console.queries.decisions import explain_decision
from millrace.console.queries.runs import list_runs
from millrace.console.stages import command
from millrace.console.words import count
from millrace.contract.kinds import NUMBERS
from millrace.contract.load import load_contract
from millrace.contract.schema import Column, Table
from millrace.decisions import captured, scored, store
from millrace.decisions.answered import Reviews
from millrace.decisions.record import Answered
from millrace.decisions.review import LabelValue, ReviewItem
from millrace.errors import ArtefactError, EnvironmentNotFoundError, RunError, WorkloadError
from millrace.names import STARTING_QUEUES, WorkloadNames
from millrace.state.pointers import ReleasePointers
from millrace.state.table import StateTable
from millrace.tasks.answer import in_words
from millrace.tasks.catalogue import declare
from millrace.tasks.task import Task
from millrace.workload.declaration import Prediction
from millrace.workload.load import load_workload, workloads_folder
from millrace.workload.policy import Guideline, Policy

COUNTED = 10_000
"""Waiting items are counted up to this number."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """How many items wait."""

    count: int
    is_exact: bool
    """False: there are `count` at least."""
    oldest: datetime | None = None
    """When the one was opened that waits for longest; None if none waits, or if it was not asked for."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a person is asked: the label of a decision of this workload."""

    prediction: Prediction
    task: Task
    labels: Table
    """The contract's table of the labels."""
    policy: Policy
    guideline: Guideline

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the values that an answer has; () for a single value.

        They are the columns of several labels, or hours of several horizons (`24 h`)."""
        if self.prediction.labels:
            return self.prediction.labels
        return tuple(f"{hours:g} h" for hours in self.prediction.horizons_hours)

    @property
    def label(self) -> Column:
        """The column of the label, which names its classes; of several labels the first."""
        return self.labels.column(self.prediction.label_columns[0])

    @property
    def tolerance(self) -> float | None:
        """By how much two people may differ who agree: 0 but for numbers; None for numbers that are not compared."""
        return self.policy.review.tolerance if (not self.label.classes and self.label.kind in NUMBERS) else 0

    @property
    def keys(self) -> Mapping[str, LabelValue]:
        """The classes by the number that picks each: a number itself, 0 for no and 1 for yes, a place for a word."""
        placed = enumerate(self.label.classes, start=1)
        return {str(place if isinstance(choice, str) else int(choice)): choice for place, choice in placed}


@dataclass(frozen=True, kw_only=True)
class ShownItem:
    """An item as a person sees it. Of a blind one nothing here tells the model's answer."""

    item: ReviewItem
    question: Question
    row: Mapping[str, Any]
    """The input by column, in the contract's order, without images."""
    images: Mapping[str, bytes]
    """By column the bytes of an image, as they came: PNG, JPEG or raw."""
    answer: Mapping[str, Answered] | None
    """The model's answer; None for a blind item."""

    @property
    def answer_in_words(self) -> str:
        """The model's answer for people; empty for a blind item."""
        return in_words(self.answer, self.question.task.words) if self.answer else ""

    @property
    def suggestion(self) -> LabelValue | None:
        """The label that the model's answer stands for, where it is one of the choices; None else."""
        if self.answer is None or self.question.parts:
            return None
        value, task = self.answer["value"], self.question.task
        return next((one for one in self.question.label.classes if task.error(value, one) == 0), None)


def reviews_of(environment: Environment, names: WorkloadNames) -> Reviews:
    """The queue of the workload's decisions that wait for a person."""
    return Reviews(dynamodb=environment.client("dynamodb"), s3=environment.client("s3"), names=names)


def question_of(names: WorkloadNames) -> Question:
    """What is asked about decisions of this workload. Raises WorkloadError if it has no policy."""
    folder = workloads_folder() / names.workload
    workload = load_workload(folder)
    if workload.policy is None:
        where, expected = f"{names.workload}/workload.yaml", "which answers a person decides: automate or others"
        raise WorkloadError(where=where, field="policy", expected=expected, came="nothing")
    contract, prediction, policy = load_contract(folder), workload.prediction, workload.policy
    task, guideline = declare(prediction, contract.label), policy.review.read_guideline(folder)
    return Question(prediction=prediction, task=task, labels=contract.labels, policy=policy, guideline=guideline)


def count_waiting(environment: Environment, names: WorkloadNames, *, most: int = COUNTED) -> Waiting:
    """How many items wait, those that somebody has now among them."""
    found = reviews_of(environment, names).queue.count(most=most, now=environment.now())
    return Waiting(count=min(found, most), is_exact=found < most)


def find_waiting_reviews(environment: Environment, names: WorkloadNames, *, most: int) -> Waiting:
    """How many items wait, and since when the oldest does."""
    found = count_waiting(environment, names, most=most)
    queue = reviews_of(environment, names).queue
    return replace(found, oldest=queue.oldest(now=environment.now())) if found.count else found


def list_waiting(environment: Environment, names: WorkloadNames, *, limit: int) -> list[ReviewItem]:
    """The first `limit` items that wait, in the order in which they are given out."""
    return reviews_of(environment, names).queue.waiting(most=limit, now=environment.now())


def find_items(environment: Environment, names: WorkloadNames, ids: Sequence[str]) -> Mapping[str, ReviewItem]:
    """The items of these decisions, by id: those that wait, and those that a person has answered or nobody has."""
    return reviews_of(environment, names).queue.find(ids)


def show_item(environment: Environment, names: WorkloadNames, item: ReviewItem) -> ShownItem:
    """The item with its row and its images, as the person may see it."""
    question = question_of(names)
    table = load_contract(workloads_folder() / names.workload).table("scoring")
    cells = json.loads(item.input) if item.input else _cells_of_lake(environment, names, item)
    images = dict(_images(environment, names, item, cells, captured.long_columns(table)))
    ordered = dict.fromkeys([*(name for name in table.names if name in cells), *cells])
    return ShownItem(
        item=item,
        question=question,
        row={name: cells[name] for name in ordered if name not in images},
        images=images,
        answer=None if item.is_blind else item.output,
    )


def explain_item(environment: Environment, names: WorkloadNames, item: ReviewItem) -> dict[str, Any] | None:
    """What each column added to the model's answer, as `millrace why --explain` has it.

    None for a blind item, for an answer that no model gave, and for a model without explanations."""
    if item.is_blind or item.model_version is None:
        return None
    try:
        return explain_decision(environment, names, item.id, version=item.model_version)
    except (ArtefactError, EnvironmentNotFoundError):
        return None


def _cells_of_lake(environment: Environment, names: WorkloadNames, item: ReviewItem) -> dict[str, Any]:
    """The input of an item that is too long to be kept in the queue."""
    bucket, day = names.platform.bucket("lake"), item.event_time.astimezone(UTC).date()
    found = store.find_decision(environment.client("s3"), bucket, names.workload, item.decision, [day])
    if found is None:
        raise EnvironmentNotFoundError(f"{item.id}: expected its decision in s3://{bucket}, got none")
    cells: dict[str, Any] = json.loads(found.decision.input)
    return cells


def _images(
    environment: Environment, names: WorkloadNames, item: ReviewItem, cells: Mapping[str, Any], long: Sequence[str]
) -> Mapping[str, bytes]:
    """The bytes of the long cells: from the objects that the row names, or from the delivered file."""
    if not long:
        return {}
    client = environment.client("s3")
    kept = captured.LongCells(columns=tuple(long), under=names.lake_uri(captured.FOLDER, ""))
    uris = captured.references(cells, kept)
    if uris or item.source == "api":
        contents = captured.read_all(client, uris.values())
        return {name: contents[uri] for name, uri in uris.items() if uri in contents}
    return _images_of_file(client, names, item, long)


def _images_of_file(client: Any, names: WorkloadNames, item: ReviewItem, long: Sequence[str]) -> Mapping[str, bytes]:
    drop, _, number = item.decision.rpartition("-")
    with store.delivered_file(client, names.platform.bucket("lake"), names.workload, drop) as file:
        rows = scored.read_row(file, int(number)).to_pylist() if file else []
    return {name: row[name] for row in rows for name in long if isinstance(row.get(name), bytes)}


BRING_MODEL = ("ingest", "train", "release", "retrain")
"""The machines at whose end a first model may go live."""
COUNTERS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesDelayed",
    "ApproximateNumberOfMessagesNotVisible",
)
"""The attributes that count messages: to be received, delayed, and received but not deleted yet.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html"""


@dataclass(frozen=True, kw_only=True)
class WaitingDrops:
    """The drops that wait in the workload's queue."""

    names: WorkloadNames
    drops: int
    """At least so many: SQS counts with a delay of a minute, and small drops that wait together are one message."""
    has_model: bool
    """Whether a model is live."""

    @property
    def sentence(self) -> str:
        """For example `at least two drops wait in millrace-local-mine-drops for a free slot: …`."""
        verb = "waits" if self.drops == 1 else "wait"
        # The messages are not read, so their feeds are not known: without a model both reasons are given.
        why = "a free slot" if self.has_model else "a free slot or, of the feed scoring, a live model, and none is yet"
        queue = self.names.queue("drops")
        return f"at least {count(self.drops, 'drop')} {verb} in {queue} for {why}: {tried_again(self.names)}"


def tried_again(names: WorkloadNames) -> str:
    """How often a waiting drop is tried again, and which command shows its run."""
    return (
        "tried again after some 2 seconds, then ever less often, at last about every 5 minutes, and never given up; "
        f"`{command(names, 'runs')}` lists its run once that has started"
    )


def read_waiting(environment: Environment, names: WorkloadNames) -> WaitingDrops | None:
    """The drops that wait; None if none does. Raises ClientError if the queue cannot be read."""
    sqs = environment.client("sqs")
    drops = queue_length(sqs, sqs.get_queue_url(QueueName=names.queue("drops"))["QueueUrl"])
    return WaitingDrops(names=names, drops=drops, has_model=not lacks_model(environment, names)) if drops else None


def lacks_model(environment: Environment, names: WorkloadNames) -> bool:
    """Whether no model is live; False if that cannot be read."""
    try:
        return ReleasePointers(StateTable(environment.client("dynamodb"), names)).champion() is None
    except ClientError:
        return False


def check_model(environment: Environment, names: WorkloadNames) -> None:
    """Raise RunError if no model is live, and no run is on its way to one: a drop to score would wait without end."""
    states = environment.client("stepfunctions")
    if not lacks_model(environment, names) or any(
        list_runs(states, names, machine=machine, status="RUNNING", limit=1) for machine in BRING_MODEL
    ):
        return
    learn = command(names, "drop", "FILE", "--feed", "training", "--wait")
    raise RunError(
        f"{names.workload}: expected a live version, or a run that brings one, got neither: drop rows with labels "
        f"(`{learn}`), or see which gate refused the model (`{command(names, 'versions')}`); nothing was dropped"
    )


def queue_length(sqs: Any, url: str) -> int:
    """The approximate number of messages: SQS counts with a delay of a minute. `sqs` is boto3's client."""
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=COUNTERS)["Attributes"]
    return sum(int(found.get(name, 0)) for name in COUNTERS)


def is_switched_off(environment: Environment, names: WorkloadNames) -> bool:
    """Whether nothing reads a queue whose messages start machines."""
    for queue in STARTING_QUEUES:
        source = {"EventSourceArn": names.queue_arn(queue)}
        found = environment.listed("lambda", "list_event_source_mappings", "EventSourceMappings", **source)
        states = [one["State"] for one in found]
        # Without any mapping the workload is not deployed, which is another matter.
        if states and all(state in {"Disabling", "Disabled"} for state in states):
            return True
    return False


def switched_on_by(names: WorkloadNames) -> str:
    """The command that switches everything on again that the templates want on."""
    return f"cdk deploy --all --revert-drift -c stage={names.platform.stage} -c workloads={names.workload}"


def check_taken(environment: Environment, names: WorkloadNames) -> None:
    """Raise RunError if a drop would start nothing."""
    if is_switched_off(environment, names):
        raise RunError(
            f"{names.workload}: expected drops to be taken, but rules, schedules and the queue of drops are switched "
            f"off, by a teardown or by hand; the way back: {switched_on_by(names)}"
        )
