"""How often a release is judged falsely, and what a right verdict costs, on candidates of known quality.

`python -m benchmarks.ladder` takes 2,000 candidates a cell; `--candidates 200` is a quick look. The last line is
JSON. The streams are in `streams/pairs.py`.

Labels are 1 to 30 days late, the challenger's wins soonest. In some cells a fifth never comes: any, or those of
pairs in which the challenger is less sure. Verdicts are asked for after each label. No bound was chosen on these
streams."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import conclude
from benchmarks.streams.pairs import A_DAY, DIFFER, Day, Pair, Stream, real_days
from millrace.evaluation.sequential import (
    BETS,
    ERROR,
    WITHIN,
    Bounds,
    Plan,
    evidence_above,
    first_crossing,
    judge_labels,
    plan,
)
from millrace.release.climb import GIVEN_UP, choose
from millrace.release.ladder import LATENCY_ERROR, LEVELS, MORE_OFTEN, SLOWER, STOP_ERROR, Bars

LATEST = 30
POWER, LABELS, REQUESTS, LABELS_TWO = 0.8, 170, 3400, 42
MEDIAN, MOST, SLOW_WITHIN, CLEAN = 330, 850, 3000, 0.01
CONTROL = "one a day, each alone"
"""Labels of a week that are taken for independent: this has to promote too often, else the streams prove nothing."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Candidates of one quality on one kind of stream, judged in one way."""

    name: str
    stream_days: int
    """How many days one coin decides; 0: each pair has its own."""
    block_days: int
    gain: float = 0.0
    stated: float = 0.01
    missing: str = "none"
    horizons: int = 1
    """For how many horizons somebody goes on to look."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What became of a cell's candidates."""

    cell: Cell
    horizon: int
    promoted: float
    stopped: float
    mean_labels: float
    median_days: float
    requests: float
    """The mean, in traffic in which each pair that differs may be labelled."""


@dataclass(kw_only=True)
class Asked:
    """A label that was asked for: the pair, what came, and the day on which that is known."""

    pair: Pair
    label: int
    known: int
    tries: int = 0


def asked(stream: Stream, cell: Cell, count: int, number: int) -> list[Asked]:
    """The labels of one candidate in the order of their blocks, each with its replacement in its place."""
    every, found, owed = cell.block_days or 1, [], []  # type: ignore[var-annotated]
    pairs: list[Pair] = []
    outcome: dict[int, tuple[bool, bool]] = {}
    for today, (fresh, won, labelled, _) in enumerate(stream):
        if len(found) == count and not owed:
            return found
        # Ids are the day's own; the draw needs them unique within the block.
        for pair, *of in zip(fresh, won, labelled, strict=True):
            outcome[len(pairs)] = (of[0], of[1])
            pairs.append(Pair(id=str(len(pairs)), confidences=pair.confidences))
        if (today + 1) % every or not pairs:
            continue
        salt, place, pair = f"{number} {today}", None, None
        for place in [one for one in owed if one.known <= today]:
            if (pair := choose(pairs, salt=salt, owed=Pair(id="", confidences=place.pair.confidences))) is not None:
                break
        if pair is None and len(found) < count:
            place, pair = None, choose(pairs, salt=salt)
        if pair is not None:
            wins, comes = outcome[int(pair.id)]
            label = (1 if wins else -1) if comes else 0
            late = 1 + (today * 7 + number) % (LATEST // 2) + (0 if wins else LATEST // 2 - 1) if comes else LATEST
            if place is None:
                place = Asked(pair=pair, label=label, known=today + late)
                found.append(place)
            else:
                place.label, place.known, place.tries = label, today + late, place.tries + 1
                owed.remove(place)
            if not label and place.tries < GIVEN_UP:
                owed.append(place)
        owed = [one for one in owed if today - one.known < 2 * LATEST]
        pairs, outcome = [], {}
    raise AssertionError("a stream has no end")


def _stream(days: list[Day], keep: float, cell: Cell, rng: np.random.Generator) -> Stream:
    return Stream(days, rng, keep=keep, coin_days=cell.stream_days, gain=cell.gain, missing=cell.missing)


def stated(cell: Cell) -> Plan:
    return plan(disagreement=DIFFER, gain=cell.stated, requests_a_day=A_DAY, block_days=cell.block_days)


def crossings(labels: npt.NDArray[np.int64], horizon: int) -> npt.NDArray[np.int64]:
    """`first_crossing` of many candidates (a row each); the number of labels if none is."""
    bounds = Bounds(horizon)
    bound = np.array([bounds.after(n) for n in range(1, horizon + 1)])
    bound = np.concatenate([bound, np.full(labels.shape[1] - horizon, np.inf)])
    total, n = labels.cumsum(1), np.arange(1, labels.shape[1] + 1)
    wins, capital = (n + total) / 2, np.zeros(labels.shape)
    for share in BETS:
        capital += np.exp(wins * np.log1p(share) + (n - wins) * np.log1p(-share)) / len(BETS)
    reached = (total >= bound) | (capital >= 1 / (ERROR * (1 - WITHIN)))
    return np.where(reached.any(1), reached.argmax(1), labels.shape[1])


def judged(cell: Cell, days: list[Day], keep: float, candidates: int, seed: int) -> Judged:
    rng, of_plan = np.random.default_rng(seed), stated(cell)
    count = of_plan.horizon * cell.horizons
    found = [asked(_stream(days, keep, cell, rng), cell, count, number) for number in range(candidates)]
    labels, known = (np.array([[getattr(one, of) for one in row] for row in found]) for of in ("label", "known"))
    better, worse = np.where(labels == 0, -1, labels), np.where(labels == 0, -1, -labels)
    come = rng.binomial(REQUESTS, DIFFER, candidates)
    if not cell.block_days:
        # The requests are limited too: with fewer pairs that differ than the horizon, the last label ends it.
        up, down = (
            np.array(
                [_crossing(row[: min(int(of), count)], of_plan) for row, of in zip(sides.tolist(), come, strict=True)]
            )
            for sides in (better, worse)
        )
    else:
        up, down = crossings(better, of_plan.horizon), crossings(worse, of_plan.horizon)
    promoted, stopped = (up < count) & (up <= down), (down < count) & (down < up)
    if cell.block_days:
        _check_by_the_product(labels[:20], promoted, stopped, of_plan)
    last = np.minimum(np.minimum(up, down), count - 1)
    days_of = np.maximum.accumulate(known, 1)[np.arange(candidates), last]
    return Judged(
        cell=cell, horizon=of_plan.horizon, promoted=float(promoted.mean()), stopped=float(stopped.mean()),
        mean_labels=float((last + 1).mean()), median_days=float(np.median(days_of)),
        requests=float((last + 1).mean() / DIFFER),
    )  # fmt: skip


def _crossing(labels: list[int], of_plan: Plan) -> int:
    """The labels before the one that shows something, if the last one ends them; the horizon if none does."""
    place = first_crossing(labels, of_plan.horizon, ended=True)
    return of_plan.horizon if place is None else place


def _check_by_the_product(labels: npt.NDArray[np.int64], promoted: Any, stopped: Any, of_plan: Plan) -> None:
    """The first candidates have the verdict that the product gives on their labels."""
    for row, up, down in zip(labels.tolist(), promoted, stopped, strict=False):
        expected = "better" if up else "worse" if down else None
        assert judge_labels(row, of_plan) == expected, (expected, row)


def cells() -> list[Cell]:
    kinds = ("none", "at random", "by confidence")
    nulls = [
        Cell(name="one a block", stream_days=block, block_days=block, missing=kind)
        for block in (1, 3, 7)
        for kind in kinds
    ]
    return [
        *nulls,
        Cell(name=CONTROL, stream_days=7, block_days=1),
        Cell(name="three horizons", stream_days=1, block_days=1, horizons=3),
        Cell(name="single requests", stream_days=0, block_days=0, gain=0.01),
        Cell(name="single requests", stream_days=0, block_days=0, gain=0.02, stated=0.02),
        Cell(name="one a block", stream_days=1, block_days=1, gain=0.01),
        Cell(name="one a block", stream_days=1, block_days=1, gain=0.01, missing="by confidence"),
        Cell(name="one a block", stream_days=1, block_days=1, gain=-0.01),
    ]


def grown(hits: Any, trials: Any, null: Any, ratios: Any) -> Floats:
    """`evidence_above` for arrays."""
    total = np.full(np.broadcast(hits, trials).shape, -np.inf)
    for ratio, weight in ratios:
        share = ratio * null / (1 - null + ratio * null)
        log = hits * np.log(share / null) + (trials - hits) * np.log((1 - share) / (1 - null))
        total = np.logaddexp(total, np.log(weight) + log)
    return total


def canaries(candidates: int, share: float = 1 / 3) -> dict[str, float]:
    """Requests of its own until a canary is stopped: errors at each request, latency at every tenth.

    Latencies are log-normal (p95 is 2.3 times the median) with a load that both versions feel, with a memory of about a
    hundred requests. A third of the requests goes to the canary."""
    rng, bars = np.random.default_rng(11), Bars()
    n = np.arange(1, bars.requests + 1)
    hits = (rng.random((candidates, bars.requests)) < 0.05).cumsum(1)
    grew = grown(hits, n, bars.max_errors, MORE_OFTEN)
    at = evidence_above(int(hits[0, 99]), 100, null=bars.max_errors, ratios=MORE_OFTEN)
    assert np.isclose(grew[0, 99], at), (grew[0, 99], at)
    out = np.where((grew >= -np.log(STOP_ERROR)).any(1), (grew >= -np.log(STOP_ERROR)).argmax(1) + 1, np.inf)
    clean = grown((rng.random((candidates, bars.requests)) < 0.01).cumsum(1), n, bars.max_errors, MORE_OFTEN)
    stopped = (clean >= -np.log(STOP_ERROR)).any(1)
    slow, even, tail = (_slow(rng, candidates, share, *way) for way in ((1.2, False), (1.0, False), (1.2, True)))
    return {
        "bad_median": float(np.median(out)), "bad_95": float(np.quantile(out, 0.95)),
        "slow_median": float(np.median(slow)), "slow_95": float(np.quantile(slow, 0.95)),
        "slow_tail_median": float(np.median(tail)), "slow_tail_95": float(np.quantile(tail, 0.95)),
        "clean_stopped": float((stopped | np.isfinite(even)).mean()),
    }  # fmt: skip


def _slow(rng: np.random.Generator, candidates: int, share: float, times: float, only_tail: bool) -> Floats:
    """The canary's requests until its latency stops it, infinite if nothing does."""
    requests, spread, load_spread, memory = round(3000 / share), 0.45, 0.22, 0.99
    whole = float(np.hypot(spread, load_spread))
    bound = [whole * z for z in (0.0, 1.2816, 1.6449, 2.3263)]
    out = []
    for _ in range(0, candidates, 100):
        own, jump = rng.random((100, requests)) < share, rng.normal(size=(100, requests))
        load, state = np.empty_like(jump), rng.normal(size=100)
        for place in range(requests):
            state = memory * state + np.sqrt(1 - memory**2) * jump[:, place]
            load[:, place] = state
        taken = spread * rng.normal(size=(100, requests)) + load_spread * load
        taken += np.where(own & ((taken > bound[1]) | (not only_tail)), np.log(times), 0)
        looks = np.arange(9, requests, 10)
        mine = own.cumsum(1)[:, looks]
        part, total = np.clip(mine / (looks + 1), 1e-3, 1 - 1e-3), np.full(mine.shape, -np.inf)
        for one in bound:
            slow = taken > one
            grew = grown((slow & own).cumsum(1)[:, looks], slow.cumsum(1)[:, looks], part, SLOWER)
            total = np.logaddexp(total, grew - np.log(len(LEVELS)))
        reached = total >= -np.log(LATENCY_ERROR)
        out.append(np.where(reached.any(1), mine[np.arange(100), reached.argmax(1)], np.inf))
    return np.concatenate(out)[:candidates]


def verdict(found: list[Judged], canary: dict[str, float], candidates: int) -> dict[str, Any]:
    """The bars. A false verdict may be two standard errors of the simulation more frequent than promised."""
    most = ERROR + 2 * (ERROR * (1 - ERROR) / candidates) ** 0.5
    rows = []
    for one in found:
        cell, holds = one.cell, True
        if cell.name == CONTROL:
            rows.append(_row(one, holds=one.promoted > most))
            continue
        if cell.gain <= 0:
            holds = one.promoted <= most
        if cell.gain >= 0:
            holds = holds and one.stopped <= most
        if cell.name == "single requests":
            holds = holds and one.promoted >= POWER and one.horizon <= (LABELS if cell.gain < 0.02 else LABELS_TWO)
        rows.append(_row(one, holds=holds))
    within = (
        canary["bad_median"] <= MEDIAN and canary["bad_95"] <= MOST
        and canary["slow_95"] <= SLOW_WITHIN and canary["clean_stopped"] <= CLEAN
    )  # fmt: skip
    holds = within and all(row["holds"] for row in rows)
    return {"name": "ladder", "holds": holds, "cells": rows, "canary": canary}


def _row(one: Judged, *, holds: bool) -> dict[str, Any]:
    return vars(one.cell) | {key: value for key, value in vars(one).items() if key != "cell"} | {"holds": holds}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--candidates", type=int, default=2000)
    candidates = parser.parse_args().candidates
    days, differ = real_days()
    keep, found = DIFFER / differ, []
    for seed, cell in enumerate(cells()):
        found.append(judged(cell, days, keep, candidates, seed))
        one = found[-1]
        print(
            f"{cell.name:20} stream {cell.stream_days} d, gain {cell.gain:+.2f}, missing {cell.missing:14}"
            f" promoted {one.promoted:.3f}, stopped {one.stopped:.3f},"
            f" labels {one.mean_labels:.0f} of {one.horizon}, {one.median_days:.0f} days",
            flush=True,
        )
    conclude(verdict(found, canaries(candidates), candidates))


if __name__ == "__main__":
    main()
