"""The queue of decisions that wait for a person: the partitions `review#<workload>#…` of the table `state`.

    item#<id>                          the decision, its status, and the answer
    wait#<priority>#<opened>#<id>      its place in the queue, with the lease of whoever has it now
    done#<id>                          it has an answer whose label was not dropped yet
    drop#<landing key>                 the ids of the decisions whose labels are that object

All of one decision lie in one partition, by the digest of its id. The queue is in order across them: a look at it reads
the first page of each.

A place holds no truth: it only leads to the item, whose status decides. So every step is one conditional write, and
whatever dies between two of them is mended by whoever meets the place next:

    open      put item#, then wait#           dies between: the event comes again, and the place is put then
    answer    put done#, item# answered, delete wait#
                                              dies before `answered`: the item waits on, the lease ends
                                              dies after it: the place leads to an answered item, and is deleted
    drop      item# gets `dropped_at`, put drop#, label, audit, delete done#
                                              dies between: done# is met again, and the same label is dropped again
    escalate  item# names its new place, put it, delete the old one
                                              dies between: the old place is met, and the new one is put
    withdraw  item# withdrawn, delete wait#   dies between: the place leads to an item that waits no more

A lease is one conditional write on the place, so two people never have one item, and `answered` is one on the item.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import uuid4

from millrace.decisions.review import (
    ESCALATED,
    PRIORITIES,
    ReviewAnswer,
    ReviewItem,
    Status,
    answer_to_json,
)
from millrace.names import WorkloadNames
from millrace.state.item import NEW
from millrace.state.table import DELETE_AFTER, Attribute, Spread, StateTable, Value, attribute
from millrace.timestamps import format_utc, parse_utc

ITEM, WAIT, DONE, DROP = ReviewItem.sort_key(), "wait#", "done#", "drop#"
LEASE = timedelta(minutes=15)
"""For so long a person has an item without an answer."""
STALE = timedelta(hours=1)
"""A `done#` whose item still waits after this time is of an answer that was never written."""
KEPT = timedelta(days=400)
"""An item that no longer waits is kept for a year and a month."""
PAGE = 25
"""Places of a partition that one call reads. Together the first pages have more places than people have items at once,
so mostly a free one."""
SPREAD = Spread(kind="review", partitions=4, name_of=lambda sort: sort.rpartition("#")[2])
"""An opened item takes two writes, together 2.5 units: four partitions take 1,600 items a second."""

WAITS, IS_ANSWERED = "#status = :waiting", "#status = :answered AND answer = :answer"


@dataclass(frozen=True, kw_only=True)
class Held:
    """An item that one person has, until `ends_at`."""

    item: ReviewItem
    by: str
    """Identity of the person."""
    lease: str
    """The lease's own id: of two windows of one person, too, one alone has the item."""
    ends_at: datetime
    place: str
    """The sort key of its place in the queue."""


class ReviewQueue:
    """The queue of one workload. `now` is an argument, never the wall clock.

    `ended` is called for each item whose time is over: again, if it may not have been called before. Whoever has none
    leaves its place to one who has."""

    def __init__(
        self, client: Any, names: WorkloadNames, *, ended: Callable[[ReviewItem], object] | None = None
    ) -> None:
        """`client` is boto3's DynamoDB client."""
        self._table = StateTable(client, names, spread=SPREAD)
        self._ended = ended

    def open(self, item: ReviewItem) -> bool:
        """Whether the item was opened now. A decision is opened once, whatever has become of it since."""
        place = _place(item)
        if self._table.put(f"{ITEM}{item.id}", item.attributes | {"place": attribute(place)}, NEW):
            return self._put_place(place, item)
        known = self._table.get(f"{ITEM}{item.id}")
        if known.get("status") == {"S": "waiting"}:
            self._put_place(known["place"]["S"], ReviewItem.parse(known, item.id))
        return False

    def exchange(self, item: ReviewItem, *, now: datetime) -> bool:
        """Whether the item of this decision, which waited and which nobody had, has this reason and answer now."""
        waiting = self.find([item.id]).get(item.id)
        if waiting is None or waiting.status != "waiting" or waiting.expires_at <= now:
            return False  # the end of an item is recorded by others
        held = self.take(item.id, by="", now=now)
        if held is None:
            return False
        is_new = self._show(held, item)
        self.release(held)
        return is_new

    def withdraw(self, decision_id: str, *, now: datetime) -> bool:
        """Whether nobody is asked about this item now: it waited, and nobody had it.

        An item that has waited for another reason before an `exchange` waits on for that reason."""
        held = self.take(decision_id, by="", now=now)
        if held is None:
            return False
        if former := self._table.get(f"{ITEM}{decision_id}").get("former"):
            is_former = self._show(held, replace(held.item, **json.loads(former["S"])))
            self.release(held)
            return is_former
        is_withdrawn = self._leave(decision_id, "withdrawn", now)
        self._remove(held.place)
        return is_withdrawn

    def _show(self, held: Held, item: ReviewItem) -> bool:
        """Let the item that is held have reason and answer of `item`, if it still waits.

        One of the phase `assisted` notes what it had before; with that it has nothing to note."""
        fields = item.attributes
        values: dict[str, Value] = {
            name: fields[name] for name in ("reason", "model_version", "output") if name in fields
        }
        sets, removes = ["#reason = :reason", "#model_version = :model_version"], list[str]()
        if item.output is None:
            removes.append("#output")
        else:
            sets.append("#output = :output")
        if not item.is_challengers:
            removes.append("former")
        elif not held.item.is_challengers:
            former = {name: getattr(held.item, name) for name in ("reason", "model_version", "output")}
            sets.append("former = :former")
            values["former"] = json.dumps(former)
        return self._table.update(
            f"{ITEM}{item.id}",
            f"SET {', '.join(sets)}" + (f" REMOVE {', '.join(removes)}" if removes else ""),
            WAITS,
            **values,
            waiting="waiting",
        )

    def find(self, ids: Sequence[str]) -> dict[str, ReviewItem]:
        """The items of these decisions, by id. A decision that was never opened, or is long over, has none."""
        return {name: ReviewItem.parse(item, name) for name, item in self._table.find(ITEM, ids).items()}

    def count(self, *, most: int, now: datetime, has_opinions: bool = True) -> int:
        """How many items wait, those that people have among them; at least `most` if there are so many.

        Like `oldest` and `waiting` it leaves out those whose time is over and which nobody has ended yet; without
        `has_opinions` also second and third opinions, whose ids begin with a sign that comes before all others."""
        after = {"expires_at": format_utc(now)} | ({} if has_opinions else {"id": "-"})
        return self._table.count(WAIT, most=most, after=after)

    def oldest(self, *, now: datetime) -> datetime | None:
        """When the item was opened that waits for longest; None if none waits. For an opinion nobody waits."""
        places = (self._waiting(f"{WAIT}{one}#", PAGE, now) for one in range(ESCALATED, PRIORITIES))
        firsts = (next((sort for sort, _ in those if "#+" not in sort), "") for those in places)
        return min((parse_utc(first.split("#")[2]) for first in firsts if first), default=None)

    def waiting(self, *, most: int, now: datetime) -> list[ReviewItem]:
        """The first items in order, those that people have among them."""
        ids = [place["id"]["S"] for _, place in islice(self._waiting(WAIT, min(most, 1000), now), most)]
        found = self.find(ids)
        return [found[each] for each in ids if each in found and found[each].status == "waiting"]

    def _waiting(self, prefix: str, page: int, now: datetime) -> Iterator[tuple[str, dict[str, Attribute]]]:
        """The places of items whose time is not over, in order."""
        places = self._table.in_order(prefix, page=page)
        return ((sort, place) for sort, place in places if place["expires_at"]["S"] > format_utc(now))

    def next(self, *, by: str, now: datetime) -> Held | None:
        """The first item that nobody has and that this person has not passed on; None if there is none."""
        for sort, place in self._table.in_order(WAIT, page=PAGE):
            is_passed = by in place.get("passed", {"SS": []})["SS"]
            if is_passed and place["expires_at"]["S"] > format_utc(now):
                continue
            if (held := self._lease(sort, place, by=by, now=now)) and not is_passed:
                return held
        return None

    def take(self, decision_id: str, *, by: str, now: datetime) -> Held | None:
        """This item, if it waits, nobody has it, and this person has not decided the same before; None else."""
        known = self._table.get(f"{ITEM}{decision_id}")
        sort = known["place"]["S"] if known and by not in known.get("before", {"SS": []})["SS"] else ""
        place = self._table.get(sort) if sort else {}
        return self._lease(sort, place, by=by, now=now) if place else None

    def answer(self, held: Held, answer: ReviewAnswer, *, label: str) -> bool:
        """Whether this is the item's answer now: it waits, and `held` still has it. `label` is the body of its label.

        From now on until its label is dropped the answer can be taken back."""
        # The lease is renewed first, so that nobody else can take the item while its answer is written.
        if not self._renew(held, answer.at):
            return False
        self._table.put(f"{DONE}{held.item.id}", {"id": held.item.id, "at": answer.at})
        is_answered = self._table.update(
            f"{ITEM}{held.item.id}",
            f"SET #status = :status, answer = :answer, label = :label, {DELETE_AFTER} = :until",
            WAITS,
            status="answered",
            waiting="waiting",
            answer=answer_to_json(answer),
            label=label,
            until=_until(answer.at),
        )
        self._remove(held.place)
        return is_answered

    def skip(self, held: Held) -> bool:
        """Give the item back; this person is not asked again. False if `held` has it no longer."""
        passed = "ADD passed :by REMOVE lease, ends_at"
        return self._table.update(held.place, passed, "lease = :lease", by=[held.by], lease=held.lease)

    def release(self, held: Held) -> bool:
        """Give the item back as it was. False if `held` has it no longer."""
        return self._table.update(held.place, "REMOVE lease, ends_at", "lease = :lease", lease=held.lease)

    def escalate(self, held: Held, *, note: str, now: datetime) -> bool:
        """Put the item before all others, for another person. False if `held` has it no longer."""
        if not self._renew(held, now):
            return False
        place = _place(held.item, priority=ESCALATED)
        moved = self._table.update(
            f"{ITEM}{held.item.id}",
            "SET #place = :place, priority = :priority, note = :note",
            WAITS,
            place=place,
            priority=ESCALATED,
            note=note,
            waiting="waiting",
        )
        if moved and place == held.place:  # it was escalated before
            return self.skip(held)
        if moved:
            self._put_place(place, held.item, passed=held.by)
        self._remove(held.place)
        return moved

    def undo(self, decision_id: str, *, by: str, now: datetime) -> Held | None:
        """The item again, its answer taken back; None unless the answer is this person's and not dropped yet."""
        known, item = self._find(decision_id)
        if item is None or item.answer is None or item.answer.by != by:
            return None
        # The place first, leased: whoever meets it before the answer is taken back finds nothing that waits.
        lease, sort = uuid4().hex, known["place"]["S"]
        held = Held(item=item, by=by, lease=lease, ends_at=now + LEASE, place=sort)
        if not self._put_place(sort, item, held=held):
            return None
        taken = self._table.update(
            f"{ITEM}{decision_id}",
            f"SET #status = :waiting REMOVE answer, label, {DELETE_AFTER}",
            f"{IS_ANSWERED} AND attribute_not_exists(dropped_at)",
            waiting="waiting",
            answered="answered",
            answer=known["answer"],
        )
        if not taken:
            self._remove(sort)
            return None
        return replace(held, item=replace(item, status="waiting", answer=None))

    def answered(self) -> Iterator[tuple[ReviewItem, str]]:
        """Each item with an answer whose label was not dropped for certain, and the body of its label."""
        for _, done in self._table.in_order(DONE, page=1000):
            known, item = self._find(done["id"]["S"])
            if item and "label" in known:
                yield item, known["label"]["S"]

    def begin_drop(self, item: ReviewItem, *, drop: str, now: datetime) -> str:
        """The drop that has the label of this answer; empty if it may not be dropped: taken back, or in another drop.

        From now on the answer cannot be taken back. Whoever takes over from one who has died goes on with his drop."""
        if item.answer is None:
            return ""
        # A condition of its own for one who takes over: of two who begin, one has the item.
        is_begun = "#drop = :drop" if item.drop else "attribute_not_exists(#drop)"
        can_drop = self._table.update(
            f"{ITEM}{item.id}",
            "SET dropped_at = :now, #drop = :drop",
            f"{IS_ANSWERED} AND {is_begun}",
            answered="answered",
            answer=answer_to_json(item.answer),
            drop=item.drop or drop,
            now=item.dropped_at or now,
        )
        return item.drop or drop if can_drop else ""

    def note_drop(self, key: str, ids: Sequence[str], *, now: datetime) -> None:
        """Note which decisions the labels are of that will lie at this landing key."""
        self._table.put(f"{DROP}{key}", {"ids": ids, DELETE_AFTER: _until(now)})

    def dropped(self, key: str) -> list[ReviewItem]:
        """The items whose labels are the object at this landing key; none of an object that others have put there."""
        items = self.find(self._table.get(f"{DROP}{key}").get("ids", {"SS": []})["SS"]).values()
        return [item for item in items if item.answer and item.dropped_at]

    def end_drop(self, item: ReviewItem) -> None:
        """The label of the item has been dropped and recorded."""
        self._remove(f"{DONE}{item.id}")

    def end_expired(self, *, now: datetime, most: int) -> int:
        """End items whose time is over, `most` of them. Returns how many places were looked at for it."""
        # Within a priority, places are in order of the time when they were opened, and so of the time when they end.
        looked = 0
        for priority in range(ESCALATED, PRIORITIES):
            for sort, place in self._table.in_order(f"{WAIT}{priority}#", page=PAGE):
                if looked >= most or place["expires_at"]["S"] > format_utc(now):
                    break
                self._lease(sort, place, by="", now=now)
                looked += 1
        for sort, done in self._table.in_order(DONE, page=1000):
            known = self._table.get(f"{ITEM}{done['id']['S']}")
            if known.get("status") != {"S": "answered"} and parse_utc(done["at"]["S"]) + STALE < now:
                # Not one that a new answer has just put in its place: its label would never be dropped.
                self._table.delete(sort, "#at = :at", at=done["at"])
        return looked

    def _lease(self, sort: str, place: dict[str, Attribute], *, by: str, now: datetime) -> Held | None:
        """The item of this place, if it still waits there and nobody has it. Mends a place that leads nowhere."""
        if self._ended is None and place["expires_at"]["S"] <= format_utc(now):
            return None  # a lease would keep those from it who end it
        if "ends_at" in place and place["ends_at"]["S"] > format_utc(now):
            return None
        lease, ends_at = uuid4().hex, now + LEASE
        leased = self._table.update(
            sort,
            "SET lease = :lease, ends_at = :end",
            "attribute_exists(pk) AND (attribute_not_exists(lease) OR ends_at <= :now)",
            lease=lease,
            end=ends_at,
            now=now,
        )
        if not leased:
            return None
        known, item = self._find(place["id"]["S"])
        if item and item.status == "waiting" and item.expires_at <= now:
            self._leave(item.id, "unanswered", now)
            item = self._find(item.id)[1] or item
        if item and item.status == "waiting" and known["place"]["S"] == sort:
            return Held(item=item, by=by, lease=lease, ends_at=ends_at, place=sort)
        if item and item.status == "waiting":
            self._put_place(known["place"]["S"], item)
        if item and item.status == "unanswered":
            if self._ended is None:
                return None
            self._ended(item)
        self._remove(sort)
        return None

    def _find(self, decision_id: str) -> tuple[dict[str, Attribute], ReviewItem | None]:
        """The item's attributes, `place` and `label` among them, and the item."""
        known = self._table.get(f"{ITEM}{decision_id}")
        return known, ReviewItem.parse(known, decision_id) if known else None

    def _leave(self, decision_id: str, status: Status, now: datetime) -> bool:
        """Whether the item has this status now and no longer waits."""
        left = f"SET #status = :status, {DELETE_AFTER} = :until"
        values: dict[str, Value] = {"status": status, "waiting": "waiting", "until": _until(now)}
        return self._table.update(f"{ITEM}{decision_id}", left, WAITS, **values)

    def _renew(self, held: Held, now: datetime) -> bool:
        return self._table.update(held.place, "SET ends_at = :end", "lease = :lease", end=now + LEASE, lease=held.lease)

    def _put_place(self, sort: str, item: ReviewItem, *, passed: str = "", held: Held | None = None) -> bool:
        place: dict[str, Value] = {"id": item.id, "expires_at": item.expires_at}
        if held:
            place |= {"lease": held.lease, "ends_at": held.ends_at}
        if left_out := {passed, *(item.before or ())} - {""}:
            place["passed"] = [*left_out]
        return self._table.put(sort, place, NEW)

    def _remove(self, sort: str) -> None:
        self._table.delete(sort, "attribute_exists(pk)")


def _place(item: ReviewItem, *, priority: int | None = None) -> str:
    return f"{WAIT}{item.priority if priority is None else priority}#{format_utc(item.opened_at)}#{item.id}"


def _until(now: datetime) -> int:
    return int((now + KEPT).timestamp())
