"""What the state table says to a policy: the switch, and the threshold of each version. Read every ten seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from botocore.exceptions import BotoCoreError, ClientError

from millrace.decisions.policy import Acting
from millrace.state.automation import AutomationSwitch
from millrace.state.kept_promise import KeptPromise, KeptPromises
from millrace.state.pointers import ReleasePointers, Version
from millrace.state.table import StateTable
from millrace.workload.policy import Automate, Policy

CACHED_S = 10.0
"""How old the state may be that a decision rests on, in seconds."""


class Standing:
    """The policy of one workload as it stands now."""

    def __init__(self, policy: Policy, table: StateTable, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds that never go back."""
        self._policy, self._clock = policy, clock
        self._pointers, self._switch = ReleasePointers(table), AutomationSwitch(table)
        self._kept = KeptPromises(table)
        self._now: KeptPromise | None = None
        self._read_at: float | None = None
        self._stands = Acting(policy=policy)
        self._versions: Mapping[str, Version] = {}

    def acting(self, model_version: str | None) -> Acting:
        """What holds for an answer of this version. If the state cannot be read, nothing is automated.

        Only the live version and the one before it have a threshold. A version that has just gone live gets its own
        when the pointers are read again."""
        now = self._clock()
        if self._read_at is None or now - self._read_at >= CACHED_S:
            self._stands, self._read_at = self._read(), now
        version = self._versions.get(model_version or "")
        return replace(self._stands, threshold=threshold_of(self._policy.automate, version, self._now))

    def _read(self) -> Acting:
        try:
            switch, pointers = self._switch.read(), self._pointers.read()
            self._now = self._kept.read() if self._policy.promised_error else None
        except (BotoCoreError, ClientError):
            return Acting(policy=self._policy, stopped="state_unknown")
        self._versions = {one.version: one for one in (pointers.previous, pointers.champion) if one}
        return Acting(policy=self._policy, stopped="paused" if switch.is_paused else None)


def threshold_of(automate: Automate | None, version: Version | None, now: KeptPromise | None) -> float | None:
    """The least confidence with which an answer of the version acts; None if nothing of it may act.

    It is `now` if late labels have moved the version's threshold, else the one that its evaluation found. That counts
    only if it was not found for a weaker promise than the declared one."""
    if automate is None or automate.promised_error is None:
        return automate.confidence if automate else None
    if version is None or not version.automate_from:
        return None
    if float(version.promised_error) > automate.promised_error:
        return None
    return now.threshold if now and now.version == version.version else float(version.automate_from)
