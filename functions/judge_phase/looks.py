"""One look at a version on a phase: gathers what has come since the last one, asks people, and has it judged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from millrace.contract.load import load_contract
from millrace.datasets.label_rows import labels_between
from millrace.datasets.tables import Lake
from millrace.decisions.hosted import Stored
from millrace.decisions.record import Decision
from millrace.decisions.review import ReviewItem, ReviewReason, item_of
from millrace.functions.judge_phase.copies import ClimbStore, Copies
from millrace.functions.room import WorkloadRoom
from millrace.messages.climb import Climb, ClimbAsked, LookInput, Role, TwoAnswers
from millrace.names import LIVE
from millrace.release import assisted
from millrace.release.assisted import agrees, is_blind
from millrace.release.challenger import asker
from millrace.release.climb import look, rung_of, wanted
from millrace.release.ladder import PhaseVerdict
from millrace.release.promotion import version_of
from millrace.release.requests import NO_REQUESTS, newest, of_climb
from millrace.settings.environment import Environment
from millrace.state.reviews import ReviewQueue
from millrace.tasks.task import Task
from millrace.workload.declaration import Workload


class Looks:
    """The looks at the versions of one workload. `s3` is boto3's client."""

    def __init__(self, room: WorkloadRoom[Environment], s3: Any) -> None:
        self._room, self._workload = room, room.workload
        self._lake = Lake(room.names, load_contract(room.settings.folder))
        self._queue = ReviewQueue(room.dynamodb, room.names)
        self._copies = Copies(s3, asker(room.names, room.workload.rollout), room.settings)
        self._people = People(self._queue, self._workload, self._copies.task)

    def with_people(
        self, call: LookInput, store: ClimbStore, climb: Climb, pairs: Sequence[TwoAnswers], *, refused: str
    ) -> tuple[Climb, PhaseVerdict]:
        """The climb after this look and the verdict, by what people have decided with and without its answers."""
        asked = self._workload.rollout.assisted
        climb = self._people.read(climb, pairs)
        most = assisted.room(climb, asked, call.at)
        decided = self._copies.decided(climb, now=call.at, most=most) if most else ()
        drawn = self._copies.find(decided, climb, (one.id for one in pairs), most=most, reviewed=True)
        came, failed = self._copies.ask(self._challenger(call), drawn, climb)
        climb = climb.model_copy(update={"failed": climb.failed + failed})
        climb, verdict = assisted.look(climb, [*pairs, *came], asked=asked, now=call.at, refused=refused)
        if verdict.answer == "not_yet":
            climb = self._people.ask(climb, drawn, came, now=call.at)
        # Behind the queue: a look that dies before has asked about rows that the next one draws again, and finds there.
        store.add(came, at=call.at)
        return climb, verdict

    def with_labels(
        self, call: LookInput, store: ClimbStore, climb: Climb, pairs: Sequence[TwoAnswers], *, refused: str
    ) -> tuple[Climb, PhaseVerdict]:
        """The climb after this look and the verdict, by the labels of pairs that were asked for, and by requests."""
        is_canary, most = rung_of(call.phase).share, self._workload.rollout.shadow.copies
        decided = self._copies.decided(climb, now=call.at, most=most, whole=is_canary)
        if is_canary and store.is_new:
            climb = climb.model_copy(update={"decided_before": newest(decided)})
            # Kept before it answers: a look that dies behind this line is repeated, and counts its first requests.
            store.write(climb)
        self._answer_requests(call)
        # 1. The answers of the challenger to rows that the live version has answered since.
        drawn = self._copies.find(decided, climb, (one.id for one in pairs), most=most)
        came, failed = self._copies.ask(self._challenger(call), drawn, climb)
        store.add(came, at=call.at)
        climb, pairs = climb.model_copy(update={"failed": climb.failed + failed}), [*pairs, *came]
        # 2. The labels of pairs that were asked for, and the verdict. A person's word goes before all labels.
        requests = of_climb(decided, climb) if is_canary else NO_REQUESTS
        errors, rollout = self._errors(climb, pairs), self._workload.rollout
        climb, verdict = look(climb, pairs, errors, rollout=rollout, now=call.at, requests=requests, refused=refused)
        if verdict.answer == "not_yet" and not is_canary:
            self._ask(climb, pairs, call)
        return climb, verdict

    def _challenger(self, call: LookInput) -> Stored:
        """The version that answers copies: the one under release, and once it is live the one before it."""
        previous = self._room.pointers.read().previous if call.phase == LIVE else None
        return previous or call.state.start_release.answer

    def _answer_requests(self, call: LookInput) -> None:
        """Let a canary answer its share of the requests; once it is live, the one before it none. Unless it does so.

        No other release moves the pointers meanwhile, since this one has the lease."""
        pointers = self._room.pointers.read()
        is_own = pointers.canary is not None and pointers.canary.execution == call.execution_arn
        if rung_of(call.phase).share and not is_own:
            version, share = version_of(call.state, self._room.names), self._workload.rollout.canary.share
            self._room.pointers.put_canary(version, share=share, execution=call.execution_arn)
        if call.phase == LIVE and pointers.canary is None and pointers.previous:
            self._room.pointers.put_canary(pointers.previous, share=0.0, execution=call.execution_arn)

    def _ask(self, climb: Climb, pairs: Sequence[TwoAnswers], call: LookInput) -> None:
        """Put the pairs whose labels are asked for at this look into the queue, where a person may decide them.

        Labels of the feed `labels` count too. Without a policy nobody answers a queue, and they alone do."""
        if self._workload.policy is None:
            return
        by_id = {pair.id: pair for pair in pairs}
        for place in wanted(climb):
            if place.asked_at == call.at:
                decision = self._decision(by_id[place.id], climb.live_role, climb)
                item = item_of(decision, self._workload.policy.review, opened_at=call.at, reason="labels_wanted")
                self._queue.open(item)

    def _errors(self, climb: Climb, pairs: Sequence[TwoAnswers]) -> dict[str, tuple[float, float]]:
        """How wrong the two answers to each pair were whose label was wanted and has come."""
        from millrace.decisions.columns import ColumnShape, of_decisions
        from millrace.decisions.outcome_columns import join

        names, spec, contract = {place.id for place in wanted(climb)}, self._workload.prediction, self._lake.contract
        asked = [pair for pair in pairs if pair.id in names]
        if not asked:
            return {}
        times = [pair.event_time for pair in asked]
        labels = labels_between(self._lake, spec, min(times), max(times) + timedelta(seconds=1))
        if labels is None:
            return {}
        task = self._copies.task
        shape = ColumnShape(cells={}, answer=task.answer)

        def errors(role: Role) -> dict[str, float]:
            decisions = of_decisions([self._decision(pair, role, climb) for pair in asked], shape)
            outcomes = join(decisions, labels, prediction_spec=spec, table=contract.labels, task=task)
            known = outcomes.take(outcomes.known)
            return dict(zip(known.column("id").to_pylist(), known.errors.tolist(), strict=True))

        champion, challenger = errors("champion"), errors("challenger")
        return {name: (champion[name], challenger[name]) for name in champion.keys() & challenger.keys()}

    def _decision(self, pair: TwoAnswers, role: Role, climb: Climb) -> Decision:
        """The answer of one of the two as a decision, which labels are joined with."""
        return Decision(
            id=pair.id,
            workload=self._room.names.workload,
            event_time=pair.event_time,
            key=pair.key,
            input=pair.input,
            output=getattr(pair, role),
            model_version=climb.version_of(role),
            phase="live" if role == "champion" else climb.phase,
            fallback=False,
            latency_ms=0.0,
            inferred_at=pair.inferred_at,
            source=pair.source,
        )


class People:
    """The people who answer the review queue of a workload."""

    def __init__(self, queue: ReviewQueue, workload: Workload, task: Task) -> None:
        self._queue, self._task, self._workload = queue, task, workload
        self._asked = workload.rollout.assisted

    def ask(self, climb: Climb, decisions: Iterable[Decision], pairs: Iterable[TwoAnswers], *, now: datetime) -> Climb:
        """The climb with what people are asked now: each of these pairs that nobody has decided or looks at."""
        kept = {one.id: one for one in decisions}
        items = [self._item(climb, kept[pair.id], pair, now) for pair in pairs]
        new = tuple(
            ClimbAsked(id=item.id, blind=item.is_blind, asked_at=now)
            for item in items
            if self._queue.open(item) or self._queue.exchange(item, now=now)
        )
        return climb.model_copy(update={"asked": (*climb.asked, *new)})

    def read(self, climb: Climb, pairs: Sequence[TwoAnswers]) -> Climb:
        """The climb with what people have decided since. An answer that can still be taken back does not count."""
        by_id = {pair.id: pair for pair in pairs}
        items = self._queue.find([one.id for one in climb.asked if one.agreed is None])
        return climb.model_copy(update={"asked": tuple(self._read(climb.asked, by_id, items))})

    def _read(
        self, asked: Iterable[ClimbAsked], pairs: dict[str, TwoAnswers], items: dict[str, ReviewItem]
    ) -> Iterator[ClimbAsked]:
        for one in asked:
            item, pair = items.get(one.id), pairs.get(one.id)
            if item and pair and item.answer and item.dropped_at:
                spec = self._workload.prediction
                agreed = agrees(pair, item.answer.value, task=self._task, labels=spec.labels, within=self._asked.within)
                yield one.model_copy(update={"agreed": agreed, "answered_at": item.answer.at})
            else:
                yield one

    def _item(self, climb: Climb, decision: Decision, pair: TwoAnswers, now: datetime) -> ReviewItem:
        assert self._workload.policy
        reason: ReviewReason = "assisted_blind" if is_blind(climb, decision.id, self._asked.blind) else "assisted"
        said = replace(decision, output=pair.challenger, model_version=climb.version)
        return item_of(said, self._workload.policy.review, opened_at=now, reason=reason)
