"""Asks the challenger for its answers to rows that the live version answered, and keeps what is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from millrace.aws.objects import at_once, keys_below, read_object
from millrace.contract.kinds import to_base64
from millrace.contract.load import load_contract
from millrace.decisions import captured, endpoint
from millrace.decisions.hosted import Stored
from millrace.decisions.record import Decision
from millrace.decisions.review import BLIND
from millrace.decisions.road import Admitted
from millrace.decisions.store import read_days
from millrace.errors import AnswerError
from millrace.messages.climb import CLIMB_FILE, FOLDER, Climb, TwoAnswers
from millrace.names import WorkloadNames
from millrace.release.climb import differ
from millrace.settings.environment import Environment
from millrace.tasks import catalogue as tasks
from millrace.timestamps import format_utc
from millrace.workload.load import load_workload, other_columns

ROWS = 50
"""The rows of one request."""
BEHIND, AHEAD = timedelta(days=2), timedelta(days=1)
"""How far the event time of a row may be behind the last look or ahead of this one. Others are not copied."""


class Copies:
    """Copies of decisions for the challenger. `s3` is boto3's client, `ask` of `millrace.release.challenger`."""

    def __init__(self, s3: Any, ask: Callable[[Stored, bytes], bytes], settings: Environment) -> None:
        self._s3, self._ask, self._names = s3, ask, settings.names
        workload = load_workload(settings.folder)
        contract = load_contract(settings.folder).read_by_models(workload.prediction.tensor_columns)
        table = contract.table("scoring")
        self._spec, self._others = workload.prediction, other_columns(workload.prediction, table)
        self.task = tasks.declare(workload.prediction, contract.label)
        under = self._names.lake_uri(captured.FOLDER, "")
        self._long = captured.LongCells(columns=captured.long_columns(table), under=under)

    def decided(self, climb: Climb, *, now: datetime, most: int, whole: bool = False) -> Sequence[Decision]:
        """Decisions on rows since the last look, of each scored file about `most`; `whole`: since the climb began."""
        first, last = climb.since - BEHIND if whole else _first(climb), now + AHEAD
        days = [first.date() + timedelta(days=number) for number in range((last.date() - first.date()).days + 1)]
        bucket = self._names.platform.bucket("lake")
        return read_days(self._s3, bucket, self._names.workload, days, most_scored=most).decisions

    def find(
        self,
        decided: Iterable[Decision],
        climb: Climb,
        known: Iterable[str],
        *,
        most: int,
        reviewed: bool = False,
    ) -> list[Decision]:
        """So many of the live version's decisions since the climb began that have no copy yet: our own draw.

        `reviewed`: also those that a person decides beside the live version's answer. Their labels judge no shadow."""
        first, have = _first(climb).date(), set(known)
        found = [
            said
            for said in (one.as_said for one in decided)
            if said.model_version == climb.version_of(climb.live_role)
            and said.inferred_at >= climb.since
            and said.event_time.date() >= first
            and said.id not in have
            and (reviewed or said.action != "review" or said.reason in BLIND)
        ]
        return sorted(found, key=lambda one: hashlib.sha256(f"{climb.version} {one.id}".encode()).digest())[:most]

    def ask(self, model: Stored, decisions: Sequence[Decision], climb: Climb) -> tuple[list[TwoAnswers], int]:
        """The pairs of answers, and how many rows got none. The challenger may fail: nobody waits for it."""
        found: list[TwoAnswers] = []
        for at in range(0, len(decisions), ROWS):
            found += self._answered(model, decisions[at : at + ROWS], climb)
        return found, len(decisions) - len(found)

    def _answered(self, model: Stored, asked: Sequence[Decision], climb: Climb) -> Iterator[TwoAnswers]:
        known = [(one, cells) for one, cells in zip(asked, self._cells(asked), strict=True) if cells is not None]
        decisions = [one for one, _ in known]
        rows = [Admitted(number=number, cells=cells) for number, (_, cells) in enumerate(known)]
        if not rows:
            return
        try:
            said = self._ask(model, endpoint.request_body(rows, self._spec.inputs, self._others))
            answers = endpoint.read_response(said, rows=len(rows), task=self.task)
        except (AnswerError, BotoCoreError, ClientError):
            return
        if answers.model_version != climb.version_of(climb.copied_role):
            return
        taken = [one for place, one in enumerate(decisions) if place not in answers.rejected]
        for one, output in zip(taken, answers.outputs, strict=True):
            pair = TwoAnswers(
                id=one.id,
                event_time=one.event_time,
                inferred_at=one.inferred_at,
                key=dict(one.key),
                source=one.source,
                **{climb.live_role: dict(one.output), climb.copied_role: dict(output)},
            )
            yield pair.model_copy(update={"input": one.input}) if differ(pair) else pair

    def _cells(self, decisions: Sequence[Decision]) -> Iterator[dict[str, Any] | None]:
        """The rows as they were sent, long cells in their places; None for one with a cell that is gone."""
        rows: list[dict[str, Any]] = [json.loads(one.input) for one in decisions]
        uris = [captured.references(row, self._long) for row in rows]
        contents = captured.read_all(self._s3, [uri for one in uris for uri in one.values()])
        for row, own in zip(rows, uris, strict=True):
            found = {name: contents[uri] for name, uri in own.items() if uri in contents}
            cells = row | {name: to_base64(content) for name, content in found.items()}
            yield cells if len(found) == len(own) else None


def _first(climb: Climb) -> datetime:
    """From this day on rows are copied at a look."""
    return (climb.looks[-1].at if climb.looks else climb.since) - BEHIND


class ClimbStore:
    """The documents of one phase of a release. `s3` is boto3's client."""

    def __init__(self, s3: Any, names: WorkloadNames, *, version: str, run: str, phase: str) -> None:
        self._s3, self._bucket = s3, names.platform.bucket("lake")
        self._under = f"{names.workload}/{FOLDER}/{version}/{run}/{phase}/"
        self.is_new = True
        """Whether `read` has found no climb."""

    def read(self) -> tuple[Climb | None, list[TwoAnswers]]:
        """The climb as the last look has left it, None before the first; and all pairs, each once."""
        # Listed first: for an object that does not exist, S3 asks for a right to list the whole bucket.
        keys = list(keys_below(self._s3, self._bucket, self._under))
        found: dict[str, TwoAnswers] = {}

        def read(key: str) -> None:
            for line in read_object(self._s3, f"s3://{self._bucket}/{key}").splitlines():
                pair = TwoAnswers.model_validate_json(line)
                found[pair.id] = pair

        at_once(read, [key for key in keys if key.endswith(".jsonl")])
        if (key := f"{self._under}{CLIMB_FILE}") not in keys:
            return None, list(found.values())
        self.is_new = False
        climb = Climb.model_validate_json(read_object(self._s3, f"s3://{self._bucket}/{key}"))
        return climb, list(found.values())

    def write(self, climb: Climb) -> None:
        self._put(CLIMB_FILE, climb.model_dump_json())

    def add(self, pairs: Sequence[TwoAnswers], *, at: datetime) -> None:
        """Keep the pairs of one look."""
        if pairs:
            # Named by what it holds too: a look that is repeated copies others.
            ids = hashlib.sha256(" ".join(one.id for one in pairs).encode()).hexdigest()[:8]
            self._put(f"answered-{format_utc(at)}-{ids}.jsonl", "".join(f"{one.model_dump_json()}\n" for one in pairs))

    def _put(self, name: str, body: str) -> None:
        self._s3.put_object(Bucket=self._bucket, Key=f"{self._under}{name}", Body=body.encode())
