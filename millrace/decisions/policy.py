"""Which action an answer leads to, and why: for a row, and for a table. The first reason that holds counts:

    held_out        the row belongs to the share that no model influences        review
    paused          a person has stopped all automation                          review
    state_unknown   nobody knows whether it is stopped: the state cannot be read  review
    above_bound     the number that `review_above` names is too large            review
    no_model        no model answered                                            fallback
    below_floor     the version does worse than the naive rule on recent labels  fallback
    unlike          too few held-out rows are as far from the training rows      review
    within_bounds   the policy asks for no confidence                            automated
    no_threshold    the version has no confidence that keeps the promised error, or was
                    evaluated with other costs                                   review
    unsure          the answer's confidence is below the threshold, or its expected
                    cost above that of a person                                  review
    sure                                                                         automated

Of a policy that is `shadowed`, what `above_bound`, `unlike`, `no_threshold` or `unsure` would put before a person is
automated, with the reason `would_wait`; if something else than the model answers, its reason counts.

Without a policy every answer of a model is automated (`no_policy`).

Whether a row is held out goes by what it is about, its key and its event time, under a secret of the workload. So every
way of a row says the same, and nobody who sends rows can say which are.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from ctypes import c_float
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal

from millrace.artefact.batch import LIKENESS
from millrace.contract.kinds import to_float
from millrace.decisions.record import ActionReason
from millrace.tasks.answer import CONFIDENCE, EXPECTED_COST
from millrace.timestamps import micros, parse_utc
from millrace.workload.policy import Action, Policy

if TYPE_CHECKING:
    import pyarrow as pa


WORD = 8
"""The bytes of the number that says whether a row is held out."""
REASONS: Mapping[Action, tuple[ActionReason, ...]] = {
    "automated": ("no_policy", "sure", "within_bounds", "would_wait"),
    "review": ("held_out", "paused", "state_unknown", "above_bound", "unlike", "no_threshold", "unsure"),
    "fallback": ("no_model", "below_floor"),
}
"""The reasons of each action."""
SHADOWED = ("above_bound", "unlike", "no_threshold", "unsure")
"""The reasons that put nothing before a person while the policy is shadowed."""


@dataclass(frozen=True, kw_only=True)
class Acting:
    """A workload's policy, and what holds now for the version that answered."""

    policy: Policy
    threshold: float | None = None
    """The least confidence that acts, with costs the largest expected cost; None if the version has none."""
    below_floor: bool = False
    """Whether the version does worse than the naive rule, so that `prediction.fallback` answers in its place."""
    stopped: Literal["paused", "state_unknown"] | None = None
    """Why nothing is automated now. None: what the policy lets act, acts."""
    secret: str = ""
    """Draws the held-out share, see `own_secrets`; empty while the state was never read: nothing is drawn."""
    float_keys: frozenset[str] = frozenset()
    """The key's columns of floats. A request may write their cells as whole numbers, a file holds floats."""
    is_timeless: bool = False
    """Whether rows get the time at which they come: one that comes again, in any way, is held out by its key alone."""


@dataclass(frozen=True, kw_only=True)
class Acted:
    """What is done with an answer."""

    action: Action
    reason: ActionReason


ACTED: Mapping[ActionReason, Acted] = {
    reason: Acted(action=action, reason=reason) for action, reasons in REASONS.items() for reason in reasons
}
"""The action of each reason. Each is made once: a call may have a thousand rows."""


def act(
    acting: Acting | None,
    *,
    output: Mapping[str, Any],
    cells: Mapping[str, Any],
    event_time: datetime,
    key: Mapping[str, object],
    watched: Mapping[str, float],
    fallback: bool = False,
) -> Acted:
    """The action of one answer. `acting` is None for a workload without a policy.

    `cells` are the row as it came, `key` those of its key, `watched` is what the model measured of it. `fallback` says
    whether no model answered."""
    if acting is None:
        return ACTED["no_model" if fallback else "no_policy"]
    policy, above = acting.policy, acting.policy.review_above
    waits = ACTED["would_wait"] if policy.shadowed else None
    if policy.held_out and acting.secret:
        typed = (to_float(one) if name in acting.float_keys else one for name, one in key.items())  # type: ignore[arg-type]
        if is_held_out(_about(acting, micros(event_time), typed), policy.held_out, acting.secret):
            return ACTED["held_out"]
    if acting.stopped:
        return ACTED[acting.stopped]
    is_above = above is not None and not _is_within(cells.get(above.column), above.bound)
    if is_above and not waits:
        return ACTED["above_bound"]
    if fallback or acting.below_floor:
        return ACTED["no_model" if fallback else "below_floor"]
    # A version that measures no likeness knows no row: it was trained without this part of the policy.
    if is_above or (policy.unlike_training and not watched.get(LIKENESS, 0.0) >= policy.unlike_training):
        return waits or ACTED["unlike"]
    if policy.automate is None:
        return ACTED["within_bounds"]
    if acting.threshold is None:
        return waits or ACTED["no_threshold"]
    measured = output.get(EXPECTED_COST if policy.costs else CONFIDENCE)
    is_sure = measured is not None and (operator.le if policy.costs else operator.ge)(measured, acting.threshold)
    return ACTED["sure"] if is_sure else waits or ACTED["unsure"]


def act_all(
    acting: Acting | None,
    *,
    answers: pa.Table,
    cells: pa.Table,
    event_time: str,
    key: Sequence[str],
    below_floor: Sequence[bool] = (),
) -> pa.Table:
    """The same as `act` for many answers of a model: a table of the texts `action` and `reason`, in their order.

    `answers` has a column for each field of the task's answer, and LIKENESS if the model measures it; `cells` has the
    contract's columns, `event_time` and `key` among them."""
    import pyarrow as pa
    import pyarrow.compute as pc

    def every(value: object) -> pa.Array:
        return pa.repeat(value, len(cells))

    if acting is None:
        return pa.table({"action": every("automated"), "reason": every("no_policy")})
    policy, above, threshold = acting.policy, acting.policy.review_above, acting.threshold
    # One column of truth values for each reason, in the order in which `act` looks at them.
    holds: dict[str, Any] = {"held_out": every(False)}
    if policy.held_out and acting.secret:
        times = cells[event_time].cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_pylist()
        keys = zip(*(cells[name].to_pylist() for name in key), strict=True) if key else [()] * len(times)
        abouts = (_about(acting, *one) for one in zip(times, keys, strict=True))
        holds["held_out"] = pa.array([is_held_out(one, policy.held_out, acting.secret) for one in abouts], pa.bool_())
    if acting.stopped:
        holds[acting.stopped] = every(True)
    if above:
        numbers = cells[above.column].cast(pa.float64(), safe=False).cast(pa.float32(), safe=False)
        within = pc.less_equal(numbers, pa.scalar(c_float(above.bound).value, pa.float32()))
        holds["above_bound"] = pc.invert(pc.fill_null(within, False))
    if acting.below_floor:
        holds["below_floor"] = pa.array(below_floor, pa.bool_()) if below_floor else every(True)
    if policy.unlike_training:
        likeness = answers[LIKENESS] if LIKENESS in answers.column_names else pa.nulls(len(cells), pa.float64())
        like = pc.greater_equal(likeness, policy.unlike_training)
        holds["unlike"] = pc.invert(pc.fill_null(like, False))
    if policy.automate is None:
        holds["within_bounds"] = every(True)
    elif threshold is None:
        holds["no_threshold"] = every(True)
    else:
        name, keeps = (EXPECTED_COST, pc.less_equal) if policy.costs else (CONFIDENCE, pc.greater_equal)
        sure = keeps(answers[name], threshold)
        holds["unsure"] = pc.invert(pc.fill_null(sure, False))
    columns = [one if isinstance(one, pa.Array) else one.combine_chunks() for one in holds.values()]
    reason = pc.case_when(pa.StructArray.from_arrays(columns, [*holds]), *holds, "sure")
    if policy.shadowed:
        instead = pc.if_else(holds.get("below_floor", False), "below_floor", "would_wait")
        reason = pc.if_else(pc.is_in(reason, pa.array(SHADOWED)), instead, reason)
    automated, fallback = (pc.is_in(reason, pa.array(REASONS[action])) for action in ("automated", "fallback"))
    action = pc.if_else(automated, "automated", pc.if_else(fallback, "fallback", "review"))
    return pa.table({"action": action, "reason": reason})


def _about(acting: Acting, moment: int | None, key: Iterable[object]) -> str:
    """What a row is about, as one text however JSON or Arrow wrote its cells."""
    return "\n".join([str(None if acting.is_timeless else moment), *(str(_plain(cell)) for cell in key)])


def _plain(cell: object) -> object:
    if isinstance(cell, bool):
        return int(cell)
    if isinstance(cell, float):  # a float32 has fewer digits in a file than in a request, and 1 may be 1.0
        rounded = c_float(cell).value
        return int(rounded) if rounded.is_integer() else rounded
    if isinstance(cell, str) and cell[4:5] == "-":
        with suppress(ValueError):
            return micros(parse_utc(cell))
    if isinstance(cell, date):
        return micros(parse_utc(cell.isoformat()))
    return cell


def _is_within(cell: Any, bound: float) -> bool:
    # A float32 column has fewer digits in a file than in a request: both are compared as float32.
    return cell is not None and c_float(float(cell)).value <= c_float(bound).value


def is_held_out(about: str, share: float, secret: str) -> bool:
    """Whether the row that is about this belongs to the share: by its digest under the secret of 64 bytes at most."""
    content = about.encode(errors="surrogatepass")
    digest = hashlib.blake2b(content, key=secret.encode(), digest_size=WORD).digest()
    return int.from_bytes(digest) < share * 2**64
