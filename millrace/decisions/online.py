"""Decides rows by the live version or a canary, for each way in that sends rows to it: requests, a stream, jobs.

    rows -> complete -> decide -> Decided -> keep -> the queue of decisions

If no model answers, or the live version is below its floor, the declared fallback does."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from millrace.aws import queues
from millrace.aws.metrics import publish
from millrace.aws.queues import MESSAGE_BYTES
from millrace.contract.future import up_to
from millrace.contract.kinds import FLOATS
from millrace.contract.load import load_contract
from millrace.contract.reasons import Reason
from millrace.decisions import captured, endpoint, road
from millrace.decisions.chain import Instead, answer_instead, answerers
from millrace.decisions.hosted import HostedModels
from millrace.decisions.known_pasts import KeyLookup
from millrace.decisions.portion import ConsumerQueues
from millrace.decisions.record import Decision, Source, canonical, iso, to_line
from millrace.decisions.road import Admitted, Answers, Refusal, Rejected
from millrace.decisions.standing import Standing
from millrace.errors import EndpointRefusedError, RefusedError, RequestRefusedError
from millrace.features import catalogue as encoders
from millrace.features.known_ahead import requiring_known
from millrace.operations.alarms import REFUSED_CALLS
from millrace.settings.prediction import RoadSettings
from millrace.state.known_keys import StoredKeys
from millrace.state.pointers import ReleasePointers, Version
from millrace.state.table import StateTable
from millrace.tasks import catalogue as tasks
from millrace.workload.load import load_workload, other_columns

STATE_CONFIG = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 2})
"""A caller does not wait for a state table that does not answer."""
MOST_SAID = 400
"""The most characters of why a row was refused: a column may have any name."""
NO_PASTS = Refusal(
    error="no past",
    expected="the state table, which knows the past of rows that come without it",
    came="no answer of it",
    where="rows",
    status=503,
    retry_after_s=1,
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Rows to decide, as `OnlineRoad.complete` has made them. If it `tells`, consumers hear of refused rows."""

    rows: Sequence[Mapping[str, Any]]
    ids: Sequence[str]
    """The id of the decision on each row."""
    at: datetime
    """When they came (UTC)."""
    source: Source
    caller: str | None = None
    explain: bool = False
    tells: bool = False


@dataclass(frozen=True, kw_only=True)
class Written:
    """The decision on a row and its line."""

    row: Admitted
    decision: Decision
    line: str


@dataclass(frozen=True, kw_only=True)
class Decided:
    """What became of the rows. The decisions are not kept yet."""

    written: Sequence[Written]
    rejected: Sequence[Rejected]
    """In the order of the rows."""
    acts: bool
    """Whether the workload has a policy."""
    warnings: Sequence[Mapping[str, Any]] = ()
    explanations: Mapping[int, Mapping[str, Any] | None] | None = None
    """By row; None if they are not wanted."""
    contents: Mapping[str, bytes] = field(default_factory=dict)
    """The long cells that the decisions refer to, by URI."""

    def document(self) -> dict[str, Any]:
        """The answer, as its caller reads it."""
        kept = [(one.row, one.decision) for one in self.written]
        found = document(kept, self.rejected, self.explanations, acts=self.acts)
        return found | ({"warnings": list(self.warnings)} if self.warnings else {})


class OnlineRoad:
    """The contract, the endpoint, the policy and the queue of decisions of one workload."""

    def __init__(self, settings: RoadSettings, logger: Logger) -> None:
        self.workload = workload = load_workload(settings.folder)
        self._settings, self._logger, self._spec = settings, logger, workload.prediction
        contract = load_contract(settings.folder).read_by_models(self._spec.tensor_columns)
        self._table = requiring_known(contract.table("scoring"))
        self._others = other_columns(self._spec, self._table)
        self.task = tasks.declare(self._spec, contract.label)
        self._histories = encoders.histories(encoders.declare(self._spec.features, self._table))
        under = settings.names.lake_uri(captured.FOLDER, "")
        self._long = captured.LongCells(columns=captured.long_columns(self._table), under=under)
        self._s3 = boto3.client("s3") if self._long.columns else None
        self.sqs = boto3.client("sqs")
        self.consumers = ConsumerQueues.of(settings.names, workload.consumers, boto3.client)
        dynamodb = boto3.client("dynamodb", config=STATE_CONFIG)
        self.state = StateTable(dynamodb, settings.names)
        self._pointers = ReleasePointers(self.state)
        float_keys = (name for name in self._spec.key if self._table.column(name).kind in FLOATS)
        is_timeless = bool(self._table.column(self._spec.event_time).generated)
        self._standing = Standing(workload.policy, self.state, float_keys=float_keys, is_timeless=is_timeless)
        rollout = workload.rollout
        self.models = HostedModels(boto3.client("s3"), memory_mb=rollout.memory_mb) if rollout.has_no_endpoint else None
        if self.models:
            self.invoke = self.models.connect(self.task, lambda: self._standing.pointers().champion)
        else:
            self.invoke = endpoint.connect(settings, self.task)
        self._invoke_canary = endpoint.connect(settings, self.task, canary=True) if rollout.asks_challenger else None
        given = StoredKeys(dynamodb, settings.names), workload, self._table, self._histories, self.task
        self._known = KeyLookup(*given) if workload.known_keys else None

    def complete(
        self, rows: Sequence[Mapping[str, Any]], ids: Sequence[str], at: datetime
    ) -> tuple[Mapping[str, Any], ...]:
        """The rows as the contract has them. One moment is the arrival of all: it fills generated times."""
        return road.complete(rows, self._table, self._histories, at=at, ids=ids)

    def decide(self, asked: Asked) -> Decided:
        """The decision on each row, or why there is none. Raises RefusedError if nobody may answer."""
        # Each row by the contract; event times are bounded by the arrival.
        table = up_to(self._table, self._spec, arrived=asked.at)
        if (rows := self._with_pasts(asked.rows)) is None:
            self.count("Unavailable", len(asked.rows))
            raise RefusedError(NO_PASTS)
        admitted, rejected = road.check_rows(rows, table, self._histories)
        # The model's answer to the rows that keep the contract. It may reject some of them too.
        started = time.perf_counter()
        canary = self._canary(asked.ids)
        answer = self._ask(admitted, asked, canary=canary)
        call = road.Call(
            ids=asked.ids,
            workload=self._settings.workload,
            phase="canary" if canary else "live",
            latency_ms=round((time.perf_counter() - started) * 1000, 3),
            at=asked.at,
            source=asked.source,
            caller=asked.caller,
        )
        answered, untaken = endpoint.split_rejected(admitted, answer, self._table)
        acting = self._standing.acting(answer.model_version)
        if acting and acting.below_floor:
            # A row that the rule cannot answer keeps the version's answer: with nobody else was it compared.
            instead = tuple(one if one.answered_by == "rule" else None for one in self._instead(answered))
            answer = replace(answer, instead=instead, explanations=())
        inputs: Sequence[Mapping[str, Any]] = [row.cells for row in answered]
        contents: Mapping[str, bytes] = {}
        if self._s3 is not None:
            inputs, contents = self._long.split(inputs)
        decided = road.decide(answered, answer, inputs=inputs, prediction_spec=self._spec, call=call, acting=acting)
        written, too_long = write_lines(answered, decided)
        if (refused := [*rejected, *untaken, *too_long]) and not written:
            self._logger.warning("no row was taken", extra=asdict(refused[0]) | {"caller": asked.caller})
            self.count(REFUSED_CALLS, 1)
        # Explanations are answered and not kept: the model of a decision gives them again (`millrace why --explain`).
        found = zip((row.number for row in answered), answer.explanations, strict=False)
        return Decided(
            written=written,
            rejected=sorted(refused, key=lambda row: row.row),
            acts=acting is not None,
            warnings=road.warnings([one.row for one in written], self._table, self._histories),
            explanations=dict(found) if asked.explain else None,
            contents=contents,
        )

    def keep(self, decided: Decided) -> None:
        """Put the decisions on the queue, behind the images that they refer to, and count them."""
        if self._s3 is not None:
            captured.keep(self._s3, decided.contents)
        queues.send_lines(self.sqs, self._settings.decisions_queue_url, [one.line for one in decided.written])
        if decided.rejected:
            self.count("RejectedRows", len(decided.rejected))
        if decided.acts:
            for action, rows in Counter(one.decision.action for one in decided.written).items():
                if action != "fallback":
                    self.count(action.capitalize(), rows)
        if unlisted := sum(one["reason"] == Reason.ALLOWED for one in decided.warnings):
            self.count("UnlistedValues", unlisted)

    def tell_refused(self, refused: Iterable[tuple[str, Rejected]], asked: Asked) -> None:
        """Tell the consumers of rows without a decision, by its id: of those for which no caller waits."""
        told = {"reason": "refused", "source": asked.source, "decided_at": iso(asked.at)}
        self.consumers.send_unanswered(told | {"id": name, "because": _because(one)} for name, one in refused)

    def count(self, metric: str, rows: int) -> None:
        """Publish a count of rows of this workload. Good calls publish nothing and cost nothing."""
        publish({metric: rows}, unit=MetricUnit.Count, Workload=self._settings.workload)

    def _with_pasts(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]] | None:
        """The rows with what is known of their keys; None if that cannot be read."""
        try:
            return self._known.fill(rows) if self._known else rows
        except (BotoCoreError, ClientError) as error:
            self._logger.error("what is known of the keys cannot be read", extra={"reason": str(error)})
            return None

    def _canary(self, ids: Sequence[str]) -> Version | None:
        """The version that answers the call in place of the live one; None if it is not drawn."""
        found = self._standing.canary() if (self._invoke_canary or self.models) and ids else None
        return found.version if found and found.draws(ids[0]) else None

    def _ask(self, rows: list[Admitted], asked: Asked, *, canary: Version | None) -> Answers:
        """The canary's answer if it is drawn; else, or if it fails, the champion's; without any what the fallback says.

        The first of that may be the version before, while it is warm.

        Once a model has been live, an endpoint that is missing or may not be called is a fault that does not pass by
        itself: an alarm calls a person. Meanwhile a request has the declared fallback; without one it raises
        RefusedError, and what can wait waits."""
        if not rows:
            return Answers(model_version=None, outputs=())
        body = endpoint.request_body(rows, self._spec.inputs, self._others, explain=asked.explain)
        if canary and (answer := self._ask_challenger(body, len(rows), canary)):
            return answer
        try:
            return self.invoke(body, len(rows))
        except (*endpoint.FAILURES, EndpointRefusedError, RequestRefusedError) as error:
            reason = {"error": type(error).__name__, "reason": str(error)}
            self._logger.error("the endpoint gave no answer", extra=reason)
            previous = None
            if "previous" in self._spec.fallback:
                previous = self._standing.pointers().previous if self.models else self._standing.warm()
            if previous and (answer := self._ask_challenger(body, len(rows), previous)):
                self.count("Fallbacks", len(rows))
                return replace(answer, answered_by="previous")
            if isinstance(error, EndpointRefusedError) and self._was_live():
                self.count("Unavailable", len(rows))
                if asked.source != "api" or not self._spec.fallback:
                    raise RefusedError(endpoint.UNAVAILABLE) from error
            self.count("Fallbacks", len(rows))
            others = self._instead(rows)
            return Answers(model_version=None, outputs=tuple(one.output for one in others), instead=others)

    def _ask_challenger(self, body: bytes, rows: int, version: Version) -> Answers | None:
        """The answer of this version, here or at the challenger's endpoint; None if it gives none."""
        invoke = self.models.connect(self.task, lambda: version) if self.models else self._invoke_canary
        if invoke is None:
            return None
        try:
            answer = invoke(body, rows)
        except (*endpoint.FAILURES, EndpointRefusedError, RequestRefusedError) as error:
            said = {"version": version.version, "reason": str(error)}
            self._logger.warning("the challenger gave no answer", extra=said)
            return None
        return answer if answer.model_version == version.version else None

    def _instead(self, rows: list[Admitted]) -> tuple[Instead, ...]:
        """What `prediction.fallback` answers to the rows in place of a model."""
        cells = [row.cells for row in rows]
        rule, of_row = self._standing.rule_answer() if "rule" in self._spec.fallback else None, None
        try:
            of_row = self._known.rule(cells) if self._known else None
        except (BotoCoreError, ClientError) as error:
            self._logger.error("the labels of the keys cannot be read", extra={"reason": str(error)})
        return tuple(answer_instead(cells, answerers(self._spec, self.task, rule=rule, of_row=of_row), self.task))

    def _was_live(self) -> bool:
        """Whether a model is or was live; also True if the table cannot be read, a fault of configuration too."""
        try:
            return self._pointers.read().newest > 0
        except (BotoCoreError, ClientError) as error:
            self._logger.error("the release pointers cannot be read", extra={"reason": str(error)})
            return True


def document(
    decided: Sequence[tuple[Admitted, Decision]],
    rejected: Sequence[Rejected],
    explanations: Mapping[int, Mapping[str, Any] | None] | None = None,
    *,
    acts: bool = False,
) -> dict[str, list[dict[str, Any]]]:
    """The answer: `predictions` of good rows, in the order of the request, and `rejected` for the others.

    `row` counts from 0. `explanations` are by row; None if they are not wanted. `acts` says whether the workload has a
    policy: each prediction then has its action and the reason."""
    return {
        "predictions": [
            {
                "id": decision.id,
                "row": row.number,
                **decision.told,
                "model_version": decision.model_version,
                "phase": decision.phase,
                "fallback": decision.fallback,
                **({"answered_by": decision.answered_by} if decision.answered_by else {}),
                **({"action": decision.action, "reason": decision.reason} if acts else {}),
                **({} if explanations is None else {"explanation": _explained(decision, explanations.get(row.number))}),
            }
            for row, decision in decided
        ],
        "rejected": [
            {
                "row": found.row,
                "reason": found.reason,
                "column": _named(found.column),
                "expected": found.expected,
                "came": found.came,
            }
            for found in rejected
        ],
    }


def _named(column: str) -> str:
    # A caller's own word may hold half a surrogate pair, which is no UTF-8.
    return column.encode(errors="backslashreplace").decode()


def _because(refused: Rejected) -> str:
    where = f"{_named(refused.column)}: " if refused.column else ""
    return f"{where}expected {refused.expected}, got {refused.came}"[:MOST_SAID]


def _explained(decision: Decision, explanation: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return None if decision.reason == "held_out" else explanation


def write_lines(
    rows: Sequence[Admitted], decided: Sequence[Decision], *, limit: int = MESSAGE_BYTES
) -> tuple[list[Written], list[Rejected]]:
    """The decisions with their lines, and the rows with a line that is too long for a message.

    A row with too long a line is not answered, since its decision cannot be kept. The others are answered."""
    written = [
        Written(row=row, decision=decision, line=to_line(decision)) for row, decision in zip(rows, decided, strict=True)
    ]
    # A line is ASCII, so its length is its bytes. A letter beyond ASCII takes seven: `\\u00e9`, as JSON inside JSON.
    fitting = [one for one in written if len(one.line) <= limit]
    if len(fitting) == len(written):
        return written, []
    return fitting, [_too_long(one, limit) for one in written if len(one.line) > limit]


def _too_long(one: Written, limit: int) -> Rejected:
    cells = json.loads(one.decision.input)
    return Rejected(
        row=one.row.number,
        reason=Reason.TOO_LARGE,
        column=max(cells, key=lambda name: len(canonical({name: cells[name]}))),
        expected=f"a row whose decision takes {limit} bytes at most",
        came=f"{len(one.line)} bytes, most of them in this column",
    )
