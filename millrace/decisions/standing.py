"""What the state table says of answers: the switch, the floor, and the versions. Read every ten seconds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from millrace.decisions.policy import Acting
from millrace.state.automation import Automation
from millrace.state.own_secrets import HELD_OUT, own_secret
from millrace.state.pointers import CanaryVersion, Pointers, ReleasePointers, Version
from millrace.state.table import StateTable
from millrace.state.versions import FloorState, KeptPromise
from millrace.workload.policy import Automate, Policy

CACHED_S = 10.0
"""How old the state may be that a decision rests on, in seconds."""
Stopped = Literal["paused", "state_unknown"]


class Switch:
    """Whether a person has stopped the automation of one workload, for what acts on decisions and makes none."""

    def __init__(self, table: StateTable, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds that never go back."""
        self._table, self._clock = table, clock
        self._read_at: float | None = None
        self._stopped: Stopped | None = None

    def stopped(self) -> Stopped | None:
        """Why nothing may act now; None if it may."""
        self._refresh()
        return self._stopped

    def _refresh(self) -> None:
        now = self._clock()
        if self._read_at is not None and now - self._read_at < CACHED_S:
            return
        self._read_at = now
        try:
            self._read()
        except (BotoCoreError, ClientError):
            self._stopped = "state_unknown"

    def _read(self) -> None:
        self._stopped = "paused" if Automation.read(self._table).is_paused else None


class Standing(Switch):
    """The versions of one workload and its policy as they stand now."""

    def __init__(
        self,
        policy: Policy | None,
        table: StateTable,
        *,
        float_keys: Iterable[str] = (),
        is_timeless: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`float_keys` and `is_timeless` as `Acting` has them."""
        super().__init__(table, clock=clock)
        self._policy, floats = policy, frozenset(float_keys)
        self._acting = Acting(policy=policy, float_keys=floats, is_timeless=is_timeless) if policy else None
        # What was read last counts as long as nothing newer can be read.
        self._pointers, self._secret = Pointers(), ""
        self._kept: dict[str, KeptPromise | None] = {}
        self._below: dict[str, bool] = {}

    def acting(self, model_version: str | None) -> Acting | None:
        """What holds for an answer of this version; None without a policy.

        If the state cannot be read, nothing is automated. Only the live version, the one before it and a canary have a
        threshold. A version that has just gone live gets its own when the pointers are read again."""
        if self._acting is None:
            return None
        self._refresh()
        version = next((one for one in self._pointers.answering if one.version == model_version), None)
        kept = self._kept.get(version.version) if version else None
        return replace(
            self._acting,
            threshold=threshold_of(self._acting.policy.automate, version, kept),
            below_floor=self._below.get(model_version or "", False),
            stopped=self._stopped,
            secret=self._secret,
        )

    def canary(self) -> CanaryVersion | None:
        """The version that answers a share of the requests; None if there is none."""
        return self.pointers().canary

    def pointers(self) -> Pointers:
        """Which versions there are."""
        self._refresh()
        return self._pointers

    def warm(self) -> Version | None:
        """The version before the live one, if it stands at the challenger's endpoint; None if it does not."""
        found, previous = self.canary(), self._pointers.previous
        return previous if found and found.version == previous else None

    def rule_answer(self) -> Mapping[str, Any] | None:
        """What the naive rule answers to every row, by the live version's evaluation; None if not known."""
        champion = self.pointers().champion
        return json.loads(champion.rule_answer) if champion and champion.rule_answer else None

    def _read(self) -> None:
        policy, table = self._policy, self._table
        pointers = ReleasePointers(table).read()
        if policy:
            super()._read()
            self._secret = self._secret or (own_secret(table, HELD_OUT) if policy.held_out else "")
            versions = [one.version for one in pointers.answering]
            floors = {one: FloorState.find(table, one) for one in versions if policy.floor}
            self._kept = {one: KeptPromise.find(table, one) for one in versions if policy.promised_error}
            self._below = {one: floor is not None and floor.below for one, floor in floors.items()}
        self._pointers = pointers


def threshold_of(automate: Automate | None, version: Version | None, now: KeptPromise | None) -> float | None:
    """The least confidence with which an answer of the version acts; None if nothing of it may act.

    With costs it is the largest expected cost, and none for a version that was evaluated with other costs. Else it is
    `now` if late labels have moved the version's threshold, or the one that its evaluation found. That counts only if
    it was not found for a weaker promise than the declared one."""
    if automate and (costs := automate.costs):
        return costs.review if version and version.costs_digest == costs.digest else None
    if automate is None or automate.promised_error is None:
        return automate.confidence if automate else None
    if version is None or not version.automate_from:
        return None
    if float(version.promised_error) > automate.promised_error:
        return None
    return now.threshold if now else float(version.automate_from)
