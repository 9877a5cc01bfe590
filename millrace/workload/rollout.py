"""The part `rollout` of workload.yaml: on which instances a version goes live, in which phases, and who approves it.

    shadow   the version answers copies of kept decisions; labels of those that it answers otherwise decide
    assisted people decide rows, some of them beside its answer: how often they agree with it decides
    canary   it answers a share of the requests; errors, slow answers and changed ones decide
    live     a new fleet takes all traffic, watched by the release's alarms; every rollout ends with this phase

A rollout has any of the phases before `live`, in this order: `phases: [shadow, assisted, canary, live]`.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from millrace.errors import FieldError
from millrace.evaluation.gates.gate import Positive, Share
from millrace.workload.section import Section, Stage

Phase = Literal["shadow", "assisted", "canary", "live"]
PHASES: tuple[Phase, ...] = get_args(Phase)


def check_order(phases: tuple[Phase, ...]) -> tuple[Phase, ...]:
    """The phases. Raises ValueError unless they are some of PHASES, in their order, with `live` as the last."""
    if phases[-1:] != ("live",) or phases != tuple(phase for phase in PHASES if phase in phases):
        expected = f"some of {list(PHASES)} in this order, each at most once, that ends with 'live'"
        raise FieldError(expected=expected, came=list(phases))
    return phases


PRODUCTION_INSTANCES = 2
"""The least instances in production without a declaration. SageMaker spreads two over two availability zones.

https://docs.aws.amazon.com/sagemaker/latest/dg/deployment-best-practices.html"""
Host = Literal["endpoint", "function"]
"""Who runs the live version: instances day and night, or the prediction function, which costs by the call."""
OF_FLEETS = frozenset({"min_instances", "max_instances", "invocations_per_instance"})
"""The fields of a rollout that only an endpoint has."""
PART_OF_MEMORY = 8
"""An artefact may have this part of a function's memory: loading takes three times its size, and the live
version, the one before it and one under release stay loaded."""
Approval = Literal["none", "person"]
"""Who lets a version that has passed its gates be released: `none`, nobody is asked; `person`, a person by name."""
Phases = Annotated[tuple[Phase, ...], AfterValidator(check_order)]
"""The phases of one rollout."""


class Shadow(Section):
    """What the labels of a shadow have to show, and how long they may take."""

    gain: Share = 0.01
    """The improvement that labels find with a probability of four in five, as a share of all answers: 0.01 is a point.

    Numbers count as better if they are nearer to their labels."""
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """By how much the version may be worse and still goes on; 0: it has to be better."""
    block_days: Annotated[float, Field(ge=0)] = 1.0
    """The days whose rows depend on each other: one label of each is judged. 0: no row depends on another."""
    label_days: Positive = 30.0
    """After so many days without its label a pair counts as one whose label never comes."""
    limit_days: Annotated[float, Field(gt=0, le=35)] = 28.0
    """After so many days a version about which nothing is shown is refused."""
    copies: Annotated[int, Field(ge=1, le=5000)] = 500
    """The most decisions that are copied in two hours."""


class Assisted(Section):
    """What people who decide rows beside a version's answers have to show, and how long they may take."""

    reviews_a_day: Annotated[int, Field(ge=1, le=200)] = 20
    """The rows that people are asked about in a day."""
    blind: Share = 0.5
    """The share of them that people decide without the version's answer. These alone decide whether it goes on."""
    least_agreement: Share = 0.9
    """The share of the blind rows in which people have to decide as the version answers."""
    within: Annotated[float, Field(ge=0)] = 0.0
    """People agree with a number that is as near to theirs, in the label's unit. Classes need none."""
    limit_days: Annotated[float, Field(gt=0, le=35)] = 28.0
    """After so many days a version about which nothing is shown is refused."""


class Canary(Section):
    """What requests have to show in a canary. The bounds are shares of its requests."""

    share: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    """The share of the requests that the version answers, chosen by their ids."""
    requests: Annotated[int, Field(ge=30)] = 3000
    """After so many requests without a finding it goes on. 30 stop a version that fails one in three."""
    max_errors: Share = 0.02
    """Requests that it did not answer, so that the live version did."""
    max_changed: Share | None = None
    """Answers that the live version gives otherwise, of those that both gave. None: they are shown and not judged."""
    limit_days: Annotated[float, Field(gt=0, le=4)] = 3.0
    """After so many days a version with too few requests is refused."""


class Rollout(Section):
    """How a version goes live."""

    phases: Phases
    """The phases in their order; `[live]` is the least."""
    host: Host = "endpoint"
    """Who runs versions: an `endpoint`, or the prediction `function`, which costs nothing while idle."""
    memory_mb: Annotated[int, Field(ge=1024, le=10_240)] = 1024
    """The memory of functions that decide rows. Where they run versions an artefact may have an eighth of it."""
    shadow: Shadow = Shadow()
    """What a phase `shadow` asks for."""
    assisted: Assisted = Assisted()
    """What a phase `assisted` asks for."""
    canary: Canary = Canary()
    """What a phase `canary` asks for."""
    warm_hours: Annotated[float, Field(ge=0, le=24 * 14)] = 0
    """For so many hours after it went live the version before stays warm: late labels may bring it back. 0: none."""
    approval: Approval | None = None
    """Who approves a version: `none` or `person`. None: `person` in stages like `prod` and with `card.risk: high`."""
    approval_hours: Annotated[float, Field(gt=0, le=24 * 366)] = 168
    """After so many hours a version that nobody has approved is refused."""
    instance: dict[Stage, str]
    """By stage the instance type of the endpoint. The jobs of evaluation and monitoring run on it too."""
    min_instances: Annotated[int, Field(ge=1)] | None = None
    """The least instances that the endpoint has. None: 2 in stages like `prod` if the most allows it, 1 in others."""
    max_instances: Annotated[int, Field(ge=1)] = 1
    """The most instances to which the endpoint scales."""
    invocations_per_instance: Positive = 1000
    """The invocations per instance and minute that scaling aims at (target tracking)."""

    @property
    def has_no_endpoint(self) -> bool:
        """Whether the prediction function itself runs the versions."""
        return self.host == "function"

    @property
    def asks_challenger(self) -> bool:
        """Whether the challenger's endpoint may answer requests: a canary's, or the version before while it is warm."""
        return not self.has_no_endpoint and ("canary" in self.phases or self.warm_hours > 0)

    def least_instances(self, *, production: bool) -> int:
        """The least instances that the endpoint has in a stage like `prod`, or in another stage."""
        return self.min_instances or min(PRODUCTION_INSTANCES if production else 1, self.max_instances)
