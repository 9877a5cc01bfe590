"""The rungs that a release climbs, and the verdict on a rung. Nothing here calls AWS or reads a clock.

    shadow     the challenger answers copies of requests; labels of pairs that differ decide
    assisted   people see its answers, a share of them after their own; their agreement decides
    canary     it answers a share of the requests; errors, latency and changed answers decide
    live       it answers all requests; the version before answers copies, and late labels may bring it back

A verdict is `go_on`, `stop` or `not_yet`. No data is never a pass: a rung that ends without evidence is a `stop`. Only
a version that is live already stays so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

from millrace.evaluation.sequential import ERROR, Label, Plan, evidence_above, judge_labels, log_mean

STOP_ERROR = 0.01
"""The largest probability that errors or changed answers at their very bars stop a canary."""
LATENCY_ERROR = 0.005
"""The largest probability that a canary as fast as the live version is stopped, over all levels together."""
LEVELS = (0.5, 0.9, 0.95, 0.99)
"""The quantiles of the live version's latency, as known when the rung began, beyond which a request is slow."""
MORE_OFTEN = ((1.5, 0.1), (2.5, 0.6), (5.0, 0.1), (20.0, 0.1), (400.0, 0.1))
"""How many times a bar's odds a bad canary may have, and the weight of that guess."""
SLOWER = ((1.15, 0.25), (1.5, 0.25), (2.5, 0.25), (8.0, 0.25))
"""The same for how many times as often its requests are slow."""
AGREEMENT = ((1.2, 0.25), (1.5, 0.25), (2.5, 0.25), (5.0, 0.25))
"""The same for people who agree more, or less, often than asked."""
INTERVAL = 1.96
"""Standard errors on either side of a difference in its 95 % interval."""


@dataclass(frozen=True, kw_only=True)
class Rung:
    """A step of a release."""

    name: str
    reviewed: bool = False
    """People get its answers before they act."""
    share: bool = False
    """It answers a part of the requests."""
    look_s: int = 7200
    """Seconds between two looks at the evidence."""


RUNGS = (
    Rung(name="shadow"),
    Rung(name="assisted", reviewed=True),
    Rung(name="canary", share=True, look_s=900),
    Rung(name="live"),
)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What became of a version's requests in a rung, as counts."""

    requests: int = 0
    errors: int = 0
    changed: int = 0
    """Requests that the other version would have answered otherwise, of those that it answered too (`compared`)."""
    compared: int = 0
    timed: int | None = None
    """Requests whose latency is compared; None for all."""
    slow: Mapping[float, int] = field(default_factory=dict)
    """By level how many were slower than that quantile of the live version, as known when the rung began."""


@dataclass(frozen=True, kw_only=True)
class Bars:
    """What a workload asks of a rung. A share is a share of the requests."""

    max_errors: float = 0.02
    max_changed: float | None = None
    """None: churn is shown and not judged."""
    requests: int = 3000
    """How many requests a canary answers before it goes on."""
    least_agreement: float = 0.9
    """The share of blind reviews in which people decide as the challenger answers."""
    limit_days: float = 90.0
    """The most days a rung takes."""


@dataclass(frozen=True, kw_only=True)
class ReviewCounts:
    """How often people decided as the challenger had answered."""

    blind: int = 0
    """Items that they decided before they saw its answer."""
    blind_agreed: int = 0
    shown: int = 0
    """Items that they decided beside its answer."""
    shown_agreed: int = 0

    @property
    def anchoring(self) -> tuple[float, float, float] | None:
        """How much more often people agree if they see the answer first: the difference and its 95 % interval.

        None without both kinds. Each share has one agreement and one override added (Agresti and Caffo 2000)."""
        if not self.blind or not self.shown:
            return None
        shown, blind = (self.shown_agreed + 1) / (self.shown + 2), (self.blind_agreed + 1) / (self.blind + 2)
        spread = math.sqrt(shown * (1 - shown) / (self.shown + 2) + blind * (1 - blind) / (self.blind + 2))
        difference = self.shown_agreed / self.shown - self.blind_agreed / self.blind
        return difference, shown - blind - INTERVAL * spread, shown - blind + INTERVAL * spread


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of a rung at one moment; the caller's clock stands in `days`."""

    days: float
    """Since the rung began."""
    bars: Bars
    plan: Plan | None = None
    """As stated at the start of the release. None if no version was live to be compared with."""
    labels: tuple[Label, ...] = ()
    """The labels of pairs that differ, in the order of their blocks of time."""
    challenger: Traffic = Traffic()
    live: Traffic = Traffic()
    """The live version in the same time."""
    reviews: ReviewCounts = ReviewCounts()


@dataclass(frozen=True, kw_only=True)
class PhaseVerdict:
    """What is to be done with a challenger."""

    answer: Literal["go_on", "stop", "not_yet"]
    because: str
    labels: int = 0
    """How many more a `not_yet` wants: at most those of the plan, but of blind reviews at least so many."""
    days: float = 0.0
    """How many days more, at the pace so far; infinite if nothing has come."""


def judge(rung: Rung, evidence: Evidence) -> PhaseVerdict:
    """The verdict on a challenger that stands on this rung."""
    verdict = _judge_of(rung)(evidence)
    if verdict.answer == "not_yet" and evidence.days >= evidence.bars.limit_days:
        return PhaseVerdict(answer="stop", because=f"{rung.name} ends after {evidence.days:g} days: {verdict.because}")
    return verdict


def _judge_of(rung: Rung) -> Callable[[Evidence], PhaseVerdict]:
    if rung.name == "shadow":
        return _judge_quality
    if rung.name == "live":
        return _judge_live
    return _judge_agreement if rung.reviewed else _judge_traffic


def _judge_quality(evidence: Evidence) -> PhaseVerdict:
    """By the labels of pairs that differ."""
    plan, come = evidence.plan, sum(label is not None for label in evidence.labels)
    if plan is None:
        return PhaseVerdict(answer="not_yet", because="too few rows to plan with", days=math.inf)
    found = judge_labels(evidence.labels, plan, ended=evidence.days >= evidence.bars.limit_days)
    if found is not None:
        than = "better" if not plan.margin else f"not worse by {plan.margin:g}"
        shown = than if found == "better" else "worse"
        return PhaseVerdict(answer="go_on" if found == "better" else "stop", because=f"{shown} by {come} labels")
    # Beyond the horizon nobody can say how many more: the bet may never end.
    wanted = max(plan.horizon - come, 0)
    because = f"{come} of {plan.horizon} labels show nothing yet" if come else "no label has come"
    return _not_yet(because, evidence, come=come, wanted=wanted)


def _judge_live(evidence: Evidence) -> PhaseVerdict:
    """By the labels too; a version about which they show nothing stays live."""
    verdict = _judge_quality(evidence)
    if verdict.answer == "not_yet" and evidence.days >= evidence.bars.limit_days:
        because = f"no labels decided it in {evidence.days:g} days: {verdict.because}"
        return PhaseVerdict(answer="go_on", because=because)
    return verdict


def _judge_agreement(evidence: Evidence) -> PhaseVerdict:
    """By the people who decided before they saw the challenger's answer; labels that say worse stop it too."""
    if evidence.plan and judge_labels(evidence.labels, evidence.plan) == "worse":
        return _judge_quality(evidence)
    reviews, bar = evidence.reviews, evidence.bars.least_agreement
    needed, share = -math.log(ERROR), f"{reviews.blind_agreed} of {reviews.blind} blind reviews agree"
    if evidence_above(reviews.blind_agreed, reviews.blind, null=bar, ratios=AGREEMENT) >= needed:
        return PhaseVerdict(answer="go_on", because=f"{share}, more than {bar:g}")
    if evidence_above(reviews.blind - reviews.blind_agreed, reviews.blind, null=1 - bar, ratios=AGREEMENT) >= needed:
        return PhaseVerdict(answer="stop", because=f"{share}, fewer than {bar:g}")
    wanted = next(
        more
        for more in count(1)
        if evidence_above(reviews.blind_agreed + more, reviews.blind + more, null=bar, ratios=AGREEMENT) >= needed
    )
    because = f"{share}; it goes on after {wanted} more that do"
    return _not_yet(because, evidence, come=reviews.blind, wanted=wanted)


def _judge_traffic(evidence: Evidence) -> PhaseVerdict:
    """By what became of requests, and by labels that say that the challenger is worse."""
    if evidence.plan and judge_labels(evidence.labels, evidence.plan) == "worse":
        return _judge_quality(evidence)
    challenger, bars = evidence.challenger, evidence.bars
    for name, hits, trials, bar in (
        ("failed", challenger.errors, challenger.requests, bars.max_errors),
        ("changed", challenger.changed, challenger.compared, bars.max_changed),
    ):
        if bar is not None and evidence_above(hits, trials, null=bar, ratios=MORE_OFTEN) >= -math.log(STOP_ERROR):
            return PhaseVerdict(answer="stop", because=f"{hits} of {trials} requests {name}, more than {bar:g}")
    if slowness(challenger, evidence.live) >= -math.log(LATENCY_ERROR):
        counts = ", ".join(f"{challenger.slow.get(level, 0)} beyond p{level * 100:g}" for level in LEVELS)
        return PhaseVerdict(answer="stop", because=f"of {challenger.requests} requests {counts} of the live version")
    if challenger.requests >= bars.requests:
        return PhaseVerdict(answer="go_on", because=f"{challenger.requests} requests without a finding")
    because = f"{challenger.requests} of {bars.requests} requests"
    days = _days(evidence.days, come=challenger.requests, wanted=bars.requests - challenger.requests)
    return PhaseVerdict(answer="not_yet", because=because, days=days)


def slowness(challenger: Traffic, live: Traffic) -> float:
    """The logarithm of the evidence that the challenger's requests are slow more often than the live version's.

    Of the slow requests of a level, whoever answered them, the challenger has its share of all requests if both are as
    fast. Load that slows both down changes nothing."""
    own_requests, others = (one.requests if one.timed is None else one.timed for one in (challenger, live))
    if not own_requests or not others:
        return 0.0
    share = own_requests / (own_requests + others)
    logs = []
    for level in LEVELS:
        own = challenger.slow.get(level, 0)
        logs.append(evidence_above(own, own + live.slow.get(level, 0), null=share, ratios=SLOWER))
    return log_mean(logs, [1 / len(LEVELS)] * len(LEVELS))


def _not_yet(because: str, evidence: Evidence, *, come: int, wanted: int) -> PhaseVerdict:
    days = _days(evidence.days, come=come, wanted=wanted)
    return PhaseVerdict(answer="not_yet", because=because, labels=wanted, days=days)


def _days(days: float, *, come: int, wanted: int) -> float:
    return wanted * days / come if come else math.inf
