"""What people have answered, the newest first: the partitions `review#<workload>#…` of the table `state`.

    said#<person>#<at>#<id>    one answer of this person; its item has what was said
    two#<at>#<guideline>#<id>  what two people have said of one decision, and under which version of the guideline

They are noted when an answer can no longer be taken back, and kept as long as the items of `reviews`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from millrace.decisions.review import LabelValue, ReviewAnswer, ReviewItem, value_from_json, value_to_json
from millrace.names import WorkloadNames
from millrace.state.reviews import KEPT, SPREAD
from millrace.state.table import StateTable, delete_after
from millrace.timestamps import format_utc

SAID, TWO = "said#", "two#"
SEVERAL = "several"
"""In place of the version of a guideline: the two have seen different ones."""


class AnswerNotes:
    """The answers to one workload's queue. `client` is boto3's DynamoDB client."""

    def __init__(self, client: Any, names: WorkloadNames) -> None:
        self._table = StateTable(client, names, spread=SPREAD)

    def note(self, item: ReviewItem, *, first: ReviewAnswer | None) -> None:
        """Note the item's answer; beside `first`, what another person has said of the decision."""
        assert item.answer
        at, until = format_utc(item.answer.at), delete_after(item.answer.at + KEPT)
        self._table.put(f"{SAID}{item.answer.by}#{at}#{item.id}", until)
        if first:
            said = {"first": value_to_json(first.value), "second": value_to_json(item.answer.value)}
            guideline = first.guideline if first.guideline == item.answer.guideline else SEVERAL
            self._table.put(f"{TWO}{at}#{guideline}#{item.id}", {**said, **until})

    def of(self, person: str, *, most: int) -> Sequence[str]:
        """The ids of the items that this person has answered last."""
        found = self._table.in_order(f"{SAID}{person}#", page=most, is_newest_first=True)
        return [sort.rpartition("#")[2] for sort, _ in islice(found, most)]

    def pairs(self, *, most: int) -> Sequence[tuple[str, tuple[LabelValue, LabelValue]]]:
        """What two people have said of the decisions that a second one has answered last.

        Before each pair the version of the guideline that both have seen, or SEVERAL."""
        found = islice(self._table.in_order(TWO, page=most, is_newest_first=True), most)
        return [
            (sort.split("#")[2], (value_from_json(item["first"]["S"]), value_from_json(item["second"]["S"])))
            for sort, item in found
        ]
