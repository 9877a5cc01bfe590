"""What the state table says of answers: the switch, the floor, and the versions. Read every ten seconds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from millrace.decisions.policy import Acting
from millrace.state.automation import AutomationSwitch
from millrace.state.floor import FloorStates
from millrace.state.kept_promise import KeptPromise, KeptPromises
from millrace.state.pointers import Pointers, ReleasePointers, Version
from millrace.state.table import StateTable
from millrace.workload.policy import Automate, Policy

CACHED_S = 10.0
"""How old the state may be that a decision rests on, in seconds."""


class Standing:
    """The versions of one workload and its policy as they stand now."""

    def __init__(
        self, policy: Policy | None, table: StateTable, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` gives seconds that never go back."""
        self._policy, self._clock = policy, clock
        self._table = table
        self._read_at: float | None = None
        self._stopped: Literal["paused", "state_unknown"] | None = None
        # What was read last counts as long as nothing newer can be read.
        self._pointers, self._below = Pointers(), ""
        self._kept: KeptPromise | None = None

    def acting(self, model_version: str | None) -> Acting | None:
        """What holds for an answer of this version; None without a policy.

        If the state cannot be read, nothing is automated. Only the live version and the one before it have a threshold.
        A version that has just gone live gets its own when the pointers are read again."""
        if self._policy is None:
            return None
        self._refresh()
        versions = [one for one in (self._pointers.champion, self._pointers.previous) if one]
        version = next((one for one in versions if one.version == model_version), None)
        return Acting(
            policy=self._policy,
            threshold=threshold_of(self._policy.automate, version, self._kept),
            below_floor=bool(self._below) and self._below == model_version,
            stopped=self._stopped,
        )

    def rule_answer(self) -> Mapping[str, Any] | None:
        """What the naive rule answers to every row, by the live version's evaluation; None if not known."""
        self._refresh()
        champion = self._pointers.champion
        return json.loads(champion.rule_answer) if champion and champion.rule_answer else None

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
        policy, table = self._policy, self._table
        pointers = ReleasePointers(table).read()
        if policy:
            paused = AutomationSwitch(table).read().is_paused
            kept = KeptPromises(table).read() if policy.promised_error else None
            live = pointers.champion if policy.floor else None
            floor = FloorStates(table).read(live.version) if live else None
            self._stopped, self._kept = "paused" if paused else None, kept
            self._below = floor.version if floor and floor.below else ""
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
    return now.threshold if now and now.version == version.version else float(version.automate_from)
