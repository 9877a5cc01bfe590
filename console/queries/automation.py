"""What of a workload's decisions is automated now: by its policy, its live version and its switch."""

from __future__ import annotations

from dataclasses import dataclass

from console.environment import Environment
from console.queries.versions import state_of
from millrace.decisions.standing import threshold_of
from millrace.names import WorkloadNames
from millrace.state.automation import Automation, AutomationSwitch
from millrace.state.floor import FloorState, FloorStates
from millrace.state.kept_promise import KeptPromises
from millrace.state.pointers import Version
from millrace.workload.load import load_workload, workloads_folder
from millrace.workload.policy import Policy


@dataclass(frozen=True, kw_only=True)
class Automates:
    """What of the decisions of a workload with a policy acts by itself."""

    policy: Policy
    threshold: float | None
    """The least confidence that acts, with costs the largest expected cost; None if none does or none is asked for."""
    is_live: bool
    """Whether any version is live."""
    switch: Automation
    floor: FloorState | None
    """How the live version and the naive rule compared last; None without a floor or before any labels."""

    @property
    def words(self) -> str:
        """For people: "from a confidence of 0.831 on", "nothing: paused since … by …: complaints"."""
        if self.switch.is_paused:
            person, why = self.switch.by.rpartition(":")[2], f": {self.switch.reason}" if self.switch.reason else ""
            return f"nothing: paused since {self.switch.since:%Y-%m-%d %H:%M} by {person}{why}"
        if not self.is_live:
            return "nothing: no version is live yet"
        if self.floor and self.floor.below:
            why = "until labels decide" if self.floor.awaits_labels else "as it does better"
            return f"nothing: the naive rule answers since {self.floor.since:%Y-%m-%d %H:%M}, {why}"
        if self.policy.automate is None:
            return "every answer within the policy's bounds"
        if costs := self.policy.costs:
            if self.threshold is None:
                return "nothing: the live version was evaluated with other costs"
            return f"up to an expected cost of {costs.review:g} {costs.currency}"
        if self.threshold is not None:
            return f"from a confidence of {self.threshold:.3f} on"
        return f"nothing: the live version has no confidence for an error of {self.policy.promised_error:.1%}"


def find_automates(environment: Environment, names: WorkloadNames, champion: Version | None) -> Automates | None:
    """What of the workload's decisions is automated; None if it has no policy, or no folder here."""
    folder = workloads_folder() / names.workload
    policy = load_workload(folder).policy if (folder / "workload.yaml").exists() else None
    if policy is None:
        return None
    state = state_of(environment, names)
    kept = KeptPromises(state).read(champion.version) if champion else None
    threshold = threshold_of(policy.automate, champion, kept)
    floor = FloorStates(state).read(champion.version) if policy.floor and champion else None
    is_live, switch = champion is not None, AutomationSwitch(state).read()
    return Automates(policy=policy, threshold=threshold, is_live=is_live, switch=switch, floor=floor)
