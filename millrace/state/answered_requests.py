"""Requests that a caller may repeat: the answer by the key that he gave. Items `request#<digest>`.

    request#9c1e… = {"body": {"S": "sha256 of the body"}, "due": {"N": "1795600030"},      it is being answered
                     "answer": {"B": …}, "delete_after": {"N": "1795686400"}}             it is answered

A key belongs to its caller: the digest is of both. While an answer is being made, nobody else makes one. A copy of the
function that dies leaves the key to whoever repeats the request after `due`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from millrace.state.table import DELETE_AFTER, StateTable, delete_after

KEPT = timedelta(days=1)
"""How long an answer is kept."""
ANSWER_S = 30
"""Seconds that an answer may take: the function's own limit."""
MOST_BYTES = 390_000
"""The most bytes of an answer; an item has 400 KB:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""


@dataclass(frozen=True, kw_only=True)
class KeyedRequest:
    """A request with a key."""

    caller: str
    key: str
    body: str
    """The SHA-256 of the body."""

    @property
    def id(self) -> str:
        """The id of caller and key, 32 hexadecimal digits."""
        return hashlib.sha256(f"{self.caller}\n{self.key}".encode()).hexdigest()[:32]

    @property
    def call_id(self) -> str:
        """The id of caller, key and body, 32 hexadecimal digits: a key is free again after a day, and what it then
        decides takes no earlier decision's place."""
        return hashlib.sha256(f"{self.caller}\n{self.key}\n{self.body}".encode()).hexdigest()[:32]


Begun = Literal["begun", "under way", "another body"]


class AnsweredRequests:
    """The answered requests of a workload."""

    def __init__(self, table: StateTable) -> None:
        self._table = table

    def begin(self, request: KeyedRequest, now: datetime) -> bytes | Begun:
        """The kept answer, or `begun` if the caller of this method is the one to make it.

        Else `under way`, while another one makes it, or `another body` for a key that was given with one."""
        own, seconds = _sort(request), int(now.timestamp())
        begun = self._table.put(
            own,
            {"body": request.body, "due": seconds + ANSWER_S, **delete_after(now + KEPT)},
            f"attribute_not_exists(pk) OR {DELETE_AFTER} < :now "
            "OR (attribute_not_exists(answer) AND due < :now AND body = :body)",
            now=seconds,
            body=request.body,
        )
        if begun:
            return "begun"
        item = self._table.get(own)
        if item.get("body", {}).get("S") != request.body:
            return "another body"
        return bytes(item["answer"]["B"]) if "answer" in item else "under way"

    def finish(self, request: KeyedRequest, packed: bytes, now: datetime) -> None:
        """Keep the answer, of MOST_BYTES at most. `begin` returns it as it is given here."""
        self._table.put(_sort(request), {"body": request.body, "answer": packed, **delete_after(now + KEPT)})

    def give_up(self, request: KeyedRequest, now: datetime) -> None:
        """Leave the key to whoever repeats the request, since there is no answer to keep."""
        self._table.put(_sort(request), {"body": request.body, "due": 0, **delete_after(now + KEPT)})


def _sort(request: KeyedRequest) -> str:
    return f"request#{request.id}"
