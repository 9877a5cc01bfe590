"""How many turned labels are learnt before a batch of labels is held, and how many clean batches are held.

`python -m benchmarks.turned_labels`, with the package `scikit-learn` installed; the last line is JSON. The weeks
are the shipped ones of electricity, each with the answers of a model that was trained before it and is wrong on 21 %.

    files   nothing is known before; 1,600 turned labels in files of 12 to 100, one after another from a week on
    slow    10 clean weeks, then 40 of which a share is turned that grows by so much a week, up to a half: at random,
            where the model is least sure, in one part of the day, or one class only. A week that is held is left out
    clean   50 clean weeks drawn from all of them, and the stream in its order in files of a week, a day and 20 labels;
            a person accepts what is held

The bars: of the files at most 500 labels are learnt, in the median; of the drawn weeks at most 2 % are held."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import conclude
from millrace.monitoring.label_batch import LabelBatch
from millrace.workload.declaration import Monitors
from tests.millrace.monitoring.test_label_batch import DAY, WEEK, Bits, Weeks, judge

RUNS, CLEAN, POISONED, MOST = 20, 10, 40, 0.5
SIZES, TURNED = (12, 20, 40, 60, 100), 1600
STEPS, KINDS = (0.01, 0.02, 0.04), ("at random", "least sure", "one part", "one class")
LEARNT, HELD = 500, 0.02
RATE = Monitors.model_fields["held_labels"].default or 0.001


class Learner:
    """Learns the batches that are not held, and counts."""

    def __init__(self, weeks: Weeks) -> None:
        self.weeks, self.learnt, self.held = weeks, list[LabelBatch](), Counter[str]()
        self.batches = 0

    def learns(self, start: int, label: Bits, *, accepts: bool = False) -> bool:
        """Whether the labels are learnt at once. If a person `accepts` them, they are learnt behind that."""
        batch = self.weeks.batch(start, label)
        because = judge(batch, self.learnt, rate=RATE)
        self.batches += 1
        if because:
            self.held[because[0].partition(":")[0][:60].lstrip("0123456789 ")] += 1
        if not because or accepts:
            kept = replace(batch, accepted_by="ann" if because else "")
            self.learnt.append(LabelBatch.parse(kept.note()))
        return not because


def turn(weeks: Weeks, start: int, share: float, kind: str, random: np.random.Generator) -> Bits:
    """The labels of a week, of which about this share is turned."""
    label, chance = weeks.label[start : start + WEEK], weeks.chance[start : start + WEEK]
    rank = {
        "at random": random.random(WEEK),
        "least sure": np.abs(chance - 1 / 2),
        "one part": (np.arange(WEEK) % DAY) / DAY,
        "one class": np.where(label == 1, 0.0, 1.0) + random.random(WEEK) / 2,
    }[kind]
    wanted = round(share * WEEK)
    chosen = np.zeros(WEEK, bool)
    chosen[np.argsort(rank, kind="stable")[:wanted]] = True
    if kind == "one class":
        chosen &= label == 1
    turned: Bits = np.where(chosen, 1 - label, label)
    return turned


def files(weeks: Weeks, size: int) -> dict[str, int]:
    found = []
    for run in range(RUNS):
        first, learner = weeks.starts[run], Learner(weeks)
        learnt = sum(
            size
            for at in range(0, TURNED, size)
            if learner.learns(first + at, 1 - weeks.label[first + at : first + at + size])
        )
        found.append(learnt)
    return {"median": int(np.median(found)), "most": max(found), "least": min(found)}


def slow(weeks: Weeks, kind: str, step: float) -> dict[str, int]:
    never, found = 0, []
    for run in range(RUNS):
        random = np.random.default_rng(run)
        drawn = random.choice(weeks.starts, CLEAN + POISONED)
        learner, learnt = Learner(weeks), 0
        for start in drawn[:CLEAN]:
            learner.learns(start, weeks.label[start : start + WEEK])
        was = learner.held.total()
        for number, start in enumerate(drawn[CLEAN:], 1):
            label = turn(weeks, start, min(MOST, step * number), kind, random)
            if learner.learns(start, label):
                learnt += int((label != weeks.label[start : start + WEEK]).sum())
        never += learner.held.total() == was
        found.append(learnt)
    return {"never held": never, "learnt": int(np.median(found)), "most": max(found)}


def clean(weeks: Weeks) -> dict[str, Any]:
    reasons, batches = Counter[str](), 0
    for run in range(RUNS):
        learner = Learner(weeks)
        for start in np.random.default_rng(100 + run).choice(weeks.starts, CLEAN + POISONED):
            learner.learns(start, weeks.label[start : start + WEEK], accepts=True)
        reasons += learner.held
        batches += learner.batches
    told: dict[str, Any] = {"drawn": {"held": reasons.total(), "of": batches, "reasons": dict(reasons)}}
    for size in (WEEK, DAY, 20):
        learner = Learner(weeks)
        for start in range(weeks.starts[0], weeks.starts[-1], size):
            learner.learns(start, weeks.label[start : start + size], accepts=True)
        told[f"in order, {size}"] = {"held": learner.held.total(), "of": learner.batches, "reasons": dict(learner.held)}
    return told


def verdict(*, held: int, of: int, learnt: dict[str, int]) -> dict[str, Any]:
    """`held` of `of` clean weeks were held; `learnt` is the median by the size of the files."""
    holds = held <= HELD * of and max(learnt.values()) <= LEARNT
    return {"name": "turned_labels", "held": held, "of": of, "learnt": learnt, "holds": holds}


def main() -> None:
    weeks = Weeks()
    told: dict[str, Any] = {"clean": clean(weeks), "files": {str(size): files(weeks, size) for size in SIZES}}
    told["slow"] = {kind: {str(step): slow(weeks, kind, step) for step in STEPS} for kind in KINDS}
    for name, found in told.items():
        print(name)
        for key, value in found.items():
            print(f"  {key}: {value}")
    drawn, learnt = told["clean"]["drawn"], {size: one["median"] for size, one in told["files"].items()}
    conclude(verdict(held=drawn["held"], of=drawn["of"], learnt=learnt))


if __name__ == "__main__":
    main()
