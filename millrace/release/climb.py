"""What is known of a version that climbs: pairs of answers, the labels that were asked for, and the verdict on them.

    known decisions -> the challenger's answers -> TwoAnswers   the two answers to one row
    pairs that differ -> WantedLabel                            one of each block of time: its label decides
    labels -> WantedLabel.label                                 +1 the challenger was right, -1 the live version was
    wanted labels -> sequential.judge_labels

Nothing here calls AWS or reads a clock. A look may come late or twice: it starts from what the one before has kept.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from millrace.errors import FieldError
from millrace.evaluation.sequential import ERROR, evidence_above
from millrace.evaluation.sequential import plan as plan_of
from millrace.messages.climb import Climb, Look, TwoAnswers, WantedLabel
from millrace.names import LIVE
from millrace.release.ladder import AGREEMENT, RUNGS, Bars, Evidence, PhaseVerdict, Rung, judge
from millrace.release.requests import NO_REQUESTS, Requests
from millrace.workload.rollout import Rollout, Shadow

PLAN_PAIRS = 100
"""So many pairs say how often the two answer otherwise, before the first label is asked for."""
MOST_GAIN = 0.8
"""The most of the rows with two answers that a plan expects the version to win, or lets it lose, more than it loses."""
LEAST_GAIN = 0.1
"""The same share that the plan for a live version looks for at least: some 670 labels show it."""
ALIKE = 0.025
"""How far a replacement's confidences may be from those of the pair whose label never came.

At 0.1 replacements are surer than those they stand for: 8 to 9 % of equal versions went on."""
GIVEN_UP = 2
"""After so many replacements whose labels never came a label counts against either verdict."""
DAY = timedelta(days=1)


def differ(pair: TwoAnswers) -> bool:
    """Whether the two versions say something else. Numbers that are equal to six digits are not."""
    one, other = pair.champion["value"], pair.challenger["value"]
    if isinstance(one, float) and isinstance(other, int | float):
        return not math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
    return bool(one != other)


def look(
    climb: Climb,
    pairs: Sequence[TwoAnswers],
    errors: Mapping[str, tuple[float, float]],
    *,
    rollout: Rollout,
    now: datetime,
    requests: Requests = NO_REQUESTS,
    refused: str = "",
) -> tuple[Climb, PhaseVerdict]:
    """The climb after this look, and the verdict.

    `errors` are the live version's and the challenger's by the decision's id, of pairs whose labels have come.
    `requests` are what became of them in a canary. `refused` is what a person has said who refuses the version."""
    asked, rung = rollout.shadow, rung_of(climb.phase)
    try:
        climb = _planned(climb, pairs, asked, now)
    except FieldError as error:
        # A canary is judged without labels too.
        refused = refused or ("" if rung.share else str(error))
    if refused:
        verdict = PhaseVerdict(answer="stop", because=refused)
        return noted(climb, pairs, verdict, now), verdict
    climb = climb.model_copy(update=_labelled(climb, errors, asked, now))
    if climb.plan:
        find = _by_blocks if asked.block_days else _one_by_one
        climb = climb.model_copy(update={"places": tuple(find(climb, pairs, asked, now))})
    if rung.name == "shadow" and not asked.block_days and is_alike(pairs, asked.margin):
        differing = sum(map(differ, pairs))
        verdict = PhaseVerdict(
            answer="go_on", because=f"{differing} of {len(pairs)} answers differ, less than the margin"
        )
        return noted(climb, pairs, verdict, now), verdict
    evidence = Evidence(
        days=(now - climb.since) / DAY,
        bars=_bars(rung, rollout),
        plan=climb.plan,
        labels=tuple(place.label for place in climb.places),
        challenger=replace(requests.challenger, changed=sum(map(differ, pairs)), compared=len(pairs)),
        live=requests.live,
    )
    verdict = judge(rung, evidence)
    if not rung.share and climb.plan is None and verdict.answer == "not_yet":
        because = f"{len(pairs)} of {PLAN_PAIRS} rows that say how often the two differ"
        verdict = PhaseVerdict(answer="not_yet", because=because)
    return noted(climb, pairs, verdict, now), verdict


def rung_of(phase: str) -> Rung:
    """The rung of a phase."""
    return next(rung for rung in RUNGS if rung.name == phase)


def _bars(rung: Rung, rollout: Rollout) -> Bars:
    if not rung.share:
        return Bars(limit_days=rollout.warm_hours / 24 if rung.name == LIVE else rollout.shadow.limit_days)
    return Bars(**rollout.canary.model_dump(exclude={"share"}))


def is_alike(pairs: Sequence[TwoAnswers], margin: float) -> bool:
    """Whether the two differ so rarely that the version cannot be worse by the margin, whatever the labels say.

    It takes the pairs as independent of each other."""
    if not margin:
        return False
    alike = len(pairs) - sum(map(differ, pairs))
    return evidence_above(alike, len(pairs), null=1 - margin, ratios=AGREEMENT) >= -math.log(ERROR)


def wanted(climb: Climb) -> Iterator[WantedLabel]:
    """The places whose labels may still come."""
    return (place for place in climb.places if place.label is None)


def _planned(climb: Climb, pairs: Sequence[TwoAnswers], asked: Shadow, now: datetime) -> Climb:
    """The climb with its plan, once enough pairs are known. Raises FieldError if no number of labels can show it."""
    if climb.plan or len(pairs) < PLAN_PAIRS:
        return climb
    # One more of each kind: versions that never differed so far may still do so.
    disagreement = (sum(map(differ, pairs)) + 1) / (len(pairs) + 2)
    # A live version is watched for hours: what only thousands of labels show is not looked for.
    gain = max(asked.gain, LEAST_GAIN * disagreement) if climb.phase == LIVE else asked.gain
    # A version cannot be better on more rows than it answers otherwise.
    stated = plan_of(
        disagreement=disagreement,
        gain=min(gain, MOST_GAIN * disagreement),
        margin=min(asked.margin, MOST_GAIN * disagreement),
        requests_a_day=len(pairs) / max((now - climb.since) / DAY, 1 / 24),
        block_days=asked.block_days,
    )
    return climb.model_copy(update={"plan": stated})


def _labelled(
    climb: Climb, errors: Mapping[str, tuple[float, float]], asked: Shadow, now: datetime
) -> dict[str, tuple[object, ...]]:
    """The places with the labels that have come, and the pairs that say nothing, since both are as wrong."""
    places, ties = [], list(climb.ties)
    for place in climb.places:
        champion, challenger = errors.get(place.id, (0.0, 0.0))
        if place.label is not None or place.id not in errors:
            gives_up = place.label is None and _is_late(place, asked, now) and not _may_be_replaced(place, asked)
            places.append(place.model_copy(update={"label": 0}) if gives_up else place)
        elif champion == challenger:
            ties.append(place.id)  # its block gets another pair
        else:
            places.append(place.model_copy(update={"label": 1 if challenger < champion else -1}))
    return {"places": tuple(places), "ties": tuple(ties)}


def _one_by_one(climb: Climb, pairs: Sequence[TwoAnswers], _asked: Shadow, now: datetime) -> list[WantedLabel]:
    """The places if no row depends on another: each row that is answered otherwise, in the order of time, up to the
    horizon. A row that is asked again has the same label, which counts once."""
    assert climb.plan is not None
    places, fresh_of = list(climb.places), {_row(pair): pair for pair in reversed(_fresh(climb, pairs))}
    taken = {place.id for place in places} | set(climb.ties)
    known = {_row(pair) for pair in pairs if pair.id in taken}
    last = max((place.block for place in places), default=-1) + 1
    rows = sorted(fresh_of.keys() - known)[: max(climb.plan.horizon - len(places), 0)]
    fresh = [fresh_of[row] for row in rows]
    return places + [_place(pair, last + number, now) for number, pair in enumerate(fresh)]


def _by_blocks(climb: Climb, pairs: Sequence[TwoAnswers], asked: Shadow, now: datetime) -> list[WantedLabel]:
    """The places, one of each block that is over.

    A block may instead replace an earlier pair whose label has not come in its days, by one of like confidences."""
    places = {place.block: place for place in climb.places}
    used = set(places).union(*(place.replaced_in for place in climb.places))
    of_block: dict[int, list[TwoAnswers]] = defaultdict(list)
    block_s = asked.block_days * DAY.total_seconds()
    for pair in _fresh(climb, pairs):
        of_block[math.floor(pair.event_time.timestamp() / block_s)].append(pair)
    for block in sorted(set(of_block) - used):
        if (block + 1) * block_s > now.timestamp():
            break
        drawn, salt = {pair.id: pair for pair in of_block[block]}.values(), f"{climb.version} {block}"
        late = (place for place in places.values() if _is_late(place, asked, now) and _may_be_replaced(place, asked))
        owed = next(late, None)
        found = choose(drawn, salt=salt, owed=owed) if owed else None
        if owed and found:
            changed = {"id": found.id, "asked_at": now, "replaced_in": (*owed.replaced_in, block)}
            places[owed.block] = owed.model_copy(update=changed)
        elif found := choose(drawn, salt=salt):
            places[block] = _place(found, block, now)
    return [places[block] for block in sorted(places)]


def choose(pairs: Iterable[TwoAnswers], *, salt: str, owed: WantedLabel | None = None) -> TwoAnswers | None:
    """The pair of answers of a block whose label is asked for: our own draw, the same for one `salt`. None without any.

    `owed` is the pair of this block or an earlier one whose label never came: then the draw is among pairs of like
    confidences, and its label stands in the other's place."""
    alike = (
        pair
        for pair in pairs
        if owed is None
        or (
            all(abs(a - b) <= ALIKE for a, b in zip(pair.confidences, owed.confidences, strict=True))
            and pair.id != owed.id
        )
    )
    return min(alike, key=lambda pair: hashlib.sha256(f"{salt} {pair.id}".encode()).digest(), default=None)


def _fresh(climb: Climb, pairs: Iterable[TwoAnswers]) -> list[TwoAnswers]:
    """The pairs that differ and have not been asked for, in the order of time."""
    taken = {place.id for place in climb.places} | set(climb.ties)
    found = (pair for pair in pairs if pair.id not in taken and differ(pair))
    return sorted(found, key=lambda pair: (pair.event_time, pair.id))


def noted(climb: Climb, pairs: Sequence[TwoAnswers], verdict: PhaseVerdict, now: datetime) -> Climb:
    """The climb with this look in place of the last one, unless that had less to look at."""
    come = sum(place.label is not None for place in climb.places) + sum(one.agreed is not None for one in climb.asked)
    seen = Look(
        at=now,
        answer=verdict.answer,
        because=verdict.because,
        pairs=len(pairs),
        differing=sum(map(differ, pairs)),
        labels=come,
    )
    kept = climb.looks[:-1] if climb.looks and climb.looks[-1].labels == come else climb.looks
    return climb.model_copy(update={"looks": (*kept, seen)})


def _place(pair: TwoAnswers, block: int, now: datetime) -> WantedLabel:
    return WantedLabel(id=pair.id, block=block, asked_at=now, confidences=pair.confidences)


def _row(pair: TwoAnswers) -> tuple[datetime, str]:
    """What labels find a row by."""
    return pair.event_time, json.dumps(pair.key, sort_keys=True)


def _is_late(place: WantedLabel, asked: Shadow, now: datetime) -> bool:
    return place.label is None and now - place.asked_at >= asked.label_days * DAY


def _may_be_replaced(place: WantedLabel, asked: Shadow) -> bool:
    return bool(asked.block_days) and len(place.replaced_in) < GIVEN_UP
