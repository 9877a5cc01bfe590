"""How many requests each caller may send: a token bucket for each. Items `caller#<digest>`.

    caller#3f2a… = {"full_at": {"N": "1795600000.25"}, "delete_after": {"N": "1795600060"}}

`full_at` is the time at which the bucket is full again, in seconds since 1970. A bucket of 200 tokens that gets 100 a
second is empty when `full_at` is two seconds ahead, and full when it is past. So one number is the whole bucket, and a
conditional update takes tokens without a read (the generic cell rate algorithm, ITU-T I.371).

A copy of the function takes several tokens at once and spends them within LEASE_S. So in any T seconds a caller gets at
most `burst + requests_per_s * (T + LEASE_S)` requests through, however many copies answer him.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from functools import lru_cache

from millrace.state.table import DELETE_AFTER, StateTable

LEASE_S = 1.0
"""Seconds after which leased tokens that nobody has spent are void."""
SHARE = 4
"""A lease takes this part of a full bucket at most."""
TRIES = 8
"""So often a lease is tried anew if other copies take tokens meanwhile."""
MOST_LEASES = 1000
"""A copy of the function that has met more callers forgets them all."""
_SESSION = re.compile(r"(arn:[^:]+:sts::\d+:assumed-role/[^/]+)/.*")


@dataclass(kw_only=True)
class _Lease:
    size: int
    left: int
    ends: float
    next_at: float
    """Of a lease of no tokens: when there is one again. Until then the table is not asked."""


@lru_cache(maxsize=MOST_LEASES)
def owner_of(caller: str) -> str:
    """The role of a role's session, any other identity as it is."""
    return _SESSION.sub(r"\1", caller)


class CallerBuckets:
    """The buckets of a workload's callers, and the tokens that this copy of the function has leased."""

    def __init__(self, table: StateTable, *, requests_per_s: int, burst: int) -> None:
        self._table = table
        self._token_s = 1 / requests_per_s
        self._full_s = burst / requests_per_s
        self._most = max(1, burst // SHARE)
        self._leases: dict[str, _Lease] = {}

    def take(self, caller: str, now: float) -> float:
        """Take one token of the caller at `now`, in seconds since 1970: 0.0, or the seconds until there is one.

        All sessions of a role share a bucket: whoever takes a role names his sessions himself."""
        key = owner_of(caller)
        lease = self._leases.get(key)
        if lease and lease.left and now < lease.ends:
            lease.left -= 1
            return 0.0
        if lease and now < lease.next_at:
            return lease.next_at - now
        # Who spends a lease before its end gets one of twice the size, so that a busy caller seldom waits for the
        # table. Who does not gets one of what he has spent, so that few tokens become void.
        spent = lease.size - lease.left if lease else 0
        size = min(self._most, max(1, spent * 2 if lease and now < lease.ends else spent))
        sort = f"caller#{hashlib.sha256(key.encode()).hexdigest()[:32]}"
        taken, wait_s = self._lease(sort, size, now)
        if len(self._leases) >= MOST_LEASES:
            self._leases.clear()
        self._leases[key] = _Lease(size=taken, left=max(0, taken - 1), ends=now + LEASE_S, next_at=now + wait_s)
        return wait_s

    def _lease(self, sort: str, size: int, now: float) -> tuple[int, float]:
        """How many tokens were taken, `size` at most; for none, the seconds until there is one."""
        for _ in range(TRIES):
            if self._take_from_part(sort, size, now) or self._take_from_full(sort, size, now):
                return size, 0.0
            full_at = float(self._table.get(sort).get("full_at", {"N": "0"})["N"])
            left = math.floor((now + self._full_s - full_at) / self._token_s + 1e-6)
            if left < 1:
                return 0, full_at + self._token_s - now - self._full_s
            size = min(size, left)
        return 0, self._token_s

    def _take_from_part(self, sort: str, size: int, now: float) -> bool:
        """Take from a bucket that is not full and has so many tokens."""
        cost = size * self._token_s
        return self._table.update(
            sort,
            f"SET full_at = full_at + :cost, {DELETE_AFTER} = :until",
            "full_at >= :now AND full_at <= :latest",
            cost=_number(cost),
            now=_number(now),
            latest=_number(now + self._full_s - cost + 1e-6 * self._token_s),
            until=self._until(now),
        )

    def _take_from_full(self, sort: str, size: int, now: float) -> bool:
        return self._table.update(
            sort,
            f"SET full_at = :full_at, {DELETE_AFTER} = :until",
            "attribute_not_exists(full_at) OR full_at < :now",
            full_at=_number(now + size * self._token_s),
            now=_number(now),
            until=self._until(now),
        )

    def _until(self, now: float) -> int:
        return math.ceil(now + self._full_s + 60)


def _number(seconds: float) -> dict[str, str]:
    return {"N": f"{seconds:.6f}"}
