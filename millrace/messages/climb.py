"""The documents of a version that climbs, in the lake below `<workload>/climbs/<version>/<execution>/<phase>/`.

climb.json            Climb, written at each look
answered-<at>.jsonl   an TwoAnswers in each line, written by the look that has asked for them
"""

from __future__ import annotations

from typing import Any, Literal

from millrace.decisions.record import Source
from millrace.evaluation.sequential import Plan
from millrace.messages.envelope import Message, Moment, StepInput
from millrace.messages.release import ModelState
from millrace.tasks.answer import CONFIDENCE
from millrace.workload.rollout import Phase

Role = Literal["champion", "challenger"]
CLIMB_FILE = "climb.json"
FOLDER = "climbs"
"""The folder of these documents, below the workload's folder in the lake."""


class TwoAnswers(Message):
    """A row that both versions have answered.

    {"id": "r-0-17", "event_time": "1997-05-01T00:00:00Z", "inferred_at": "…", "key": {…},
     "champion": {"value": 1, "confidence": 0.81}, "challenger": {"value": 0, "confidence": 0.64}}"""

    id: str
    """Of the decision."""
    event_time: Moment
    inferred_at: Moment
    """When the live version answered."""
    key: dict[str, Any]
    source: Source = "api"
    input: str = ""
    """The row as the decision has it; only if the two answers differ, since a person may be asked then."""
    champion: dict[str, Any]
    """The fields of the live version's answer."""
    challenger: dict[str, Any]

    @property
    def confidences(self) -> tuple[float, float]:
        """The live version's and the challenger's; 0 for an answer without one."""
        one, other = (float(answer.get(CONFIDENCE) or 0) for answer in (self.champion, self.challenger))
        return one, other


class WantedLabel(Message):
    """A block of time and the pair whose label stands for it."""

    id: str
    """Of the decision."""
    block: int
    """The number of the block since 1970; the place among all pairs if no row depends on another."""
    asked_at: Moment
    confidences: tuple[float, float]
    label: Literal[-1, 0, 1] | None = None
    """+1: the challenger was right, -1: the live version was, 0: it never came, None: it may still come."""
    replaced_in: tuple[int, ...] = ()
    """The blocks that gave another pair for one whose label did not come."""


class ClimbAsked(Message):
    """A row that a person is asked about while a version is on the phase `assisted`.

    {"id": "r-0-17", "blind": true, "asked_at": "1997-05-01T06:00:00Z", "agreed": true, "answered_at": "…"}"""

    id: str
    """Of the decision."""
    blind: bool
    """Whether the person must not know the challenger's answer."""
    asked_at: Moment
    agreed: bool | None = None
    """Whether the person decided as the challenger answers; None before."""
    answered_at: Moment | None = None


class Look(Message):
    """One look at the evidence, and the verdict."""

    at: Moment
    answer: Literal["go_on", "stop", "not_yet"]
    because: str
    pairs: int
    differing: int
    labels: int
    """Labels that have come; on the phase `assisted` people's answers."""


class Climb(Message):
    """What is known of a version on a phase that watches it."""

    version: str
    champion: str
    """The version that it is compared with: the live one; in the phase `live` the one before it."""
    phase: Phase
    since: Moment
    decided_before: Moment | None = None
    """The newest decision that was kept when a canary began: only later ones are its requests, whatever the clock of
    `since` says of the wall clocks of functions. None for other phases, and if none was kept."""
    plan: Plan | None = None
    """Stated before the first label was asked for; None while too few pairs are known."""
    places: tuple[WantedLabel, ...] = ()
    ties: tuple[str, ...] = ()
    """Pairs of which both answers were as wrong."""
    asked: tuple[ClimbAsked, ...] = ()
    """What people are asked on the phase `assisted`, in the order of time."""
    failed: int = 0
    """Copies that the challenger has not answered."""
    looks: tuple[Look, ...] = ()
    """Those that found something new, and the last one."""

    @property
    def live_role(self) -> Role:
        """Which of the two callers hear. `copied_role` answers copies, at the challenger's endpoint."""
        return "challenger" if self.phase == "live" else "champion"

    @property
    def copied_role(self) -> Role:
        """The other one."""
        return "champion" if self.live_role == "challenger" else "challenger"

    def version_of(self, role: Role) -> str:
        return self.champion if role == "champion" else self.version


class LookInput(StepInput[ModelState]):
    """One call of `judge_phase`."""

    at: Moment
    """When the state was entered."""
    phase: Phase


class PhaseJudged(Message):
    """The verdict on a phase: {"answer": "not_yet", "because": "12 of 61 labels show nothing yet", "labels": 49, …}."""

    answer: Literal["go_on", "stop", "not_yet", "overtaken"]
    """`overtaken`: the version is live, and another release has begun, which has the challenger's endpoint now."""
    because: str
    labels: int = 0
    """How many labels more a `not_yet` wants at most."""
    days: float | None = None
    """How many days more that takes at the pace so far; None if nobody can say."""
