"""Planted bad models are refused, each by the gate that is there for it; truly better ones are let through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from onnx import helper

from millrace.evaluation.gates.catalogue import judge_all
from millrace.evaluation.gates.gate import Verdict
from millrace.evaluation.gates.value import ValueEvidence
from tests.jobs.evaluation.planted import (
    EDGE,
    GATES,
    Graph,
    far_rows,
    good,
    linear,
    model,
    with_column,
    write_judged_plant,
)
from tests.jobs.processing import evaluated, plant_snapshot
from tests.millrace.evaluation.gates.test_catalogue import MEASURED
from tests.plant import plant_label

Rows = pa.Table
BETTER_SEEDS = range(5)


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What is wrong, and which gate says so."""

    gate: str
    graph: Callable[[Rows], Graph] = lambda _: good("binary")
    rows: Callable[[Rows], Rows] = lambda rows: rows
    task: str = "binary"
    run: Mapping[str, Any] = field(default_factory=dict)
    bars: Mapping[str, Any] = field(default_factory=dict)
    """Of gates that are declared otherwise here."""
    alone: bool = False
    """Whether no other gate refuses it."""


def flipped(rows: Rows, share: float, *, since: float = 0.0) -> Rows:
    """With a share of the labels turned round, of the rows after the part `since` of all."""
    turn = np.random.default_rng(1).random(len(rows)) < share
    turn[: round(since * len(rows))] = False
    labels = [
        ("off" if one == "on" else "on") if is_turned else one
        for one, is_turned in zip(rows["truth"].to_pylist(), turn, strict=True)
    ]
    return with_column(rows, "truth", labels)


def leaked(rows: Rows) -> Rows:
    """`extra` is the label with a little noise."""
    label = np.array([one == "on" for one in rows["truth"].to_pylist()], float)
    return with_column(rows, "extra", label + np.random.default_rng(1).normal(0, 0.05, len(rows)))


def bad_for_fans(rows: Rows) -> Rows:
    """One row in eight is a fan, whose label is the other one."""
    fan = np.random.default_rng(1).random(len(rows)) < 0.125
    pairs = zip(rows["truth"].to_pylist(), fan, strict=True)
    other = [("off" if one == "on" else "on") if is_fan else one for one, is_fan in pairs]
    return with_column(with_column(rows, "truth", other), "kind", np.where(fan, "fan", "pump").tolist())


def rarely_far_in_b(rows: Rows) -> Rows:
    """The loads of site b are nearer to 0, and so is its share of positive answers."""
    scale = np.array([0.6 if site == "b" else 1.0 for site in rows["site"].to_pylist()])
    load = rows["load"].to_numpy() * scale
    seen = np.abs(load) + np.random.default_rng(1).normal(0, 0.1, len(rows))
    return with_column(with_column(rows, "load", load), "truth", np.where(seen > EDGE, "on", "off").tolist())


def only_extra(_: Rows) -> Graph:
    """Weights that nobody trained: it follows a number that means nothing."""
    nodes = (
        helper.make_node("Gather", ["numbers", "second"], ["extra"], axis=1),
        helper.make_node("Sub", ["extra", "five"], ["centred"]),
        helper.make_node("MatMul", ["centred", "weights"], ["raw"]),
    )
    constants = {"weights": np.array([[2.0]], np.float32), "five": np.array([5.0], np.float32)}
    return Graph(nodes=nodes, constants={**constants, "second": np.array([1], np.int64)})


def exchanged(task: str) -> Graph:
    """The first two classes have each other's place."""
    weights, bias = plant_label(task).weights
    order = [1, 0, *range(2, len(bias))]
    return linear([weights[place] for place in order], [bias[place] for place in order])


BAD = {
    "random": Planted(gate="baseline", graph=only_extra),
    "constant": Planted(gate="baseline", graph=lambda _: linear([0], [1.0])),
    "infinite weights": Planted(gate="finite_weights", graph=lambda _: linear([np.inf], [0])),
    "leaked label": Planted(gate="leakage", rows=leaked),
    "worse on one slice": Planted(gate="slices", rows=bad_for_fans),
    "wrong class order": Planted(gate="baseline", graph=lambda _: linear([-8.0], [0])),
    "wrong order of several classes": Planted(
        gate="recall", task="multiclass", graph=lambda _: exchanged("multiclass")
    ),
    "worth nothing": Planted(gate="value", graph=only_extra),
    "no better than a line": Planted(gate="simple", graph=only_extra),
    "off at full load": Planted(gate="cases", graph=lambda _: linear([-8.0], [0])),
    "never sure enough": Planted(gate="selective", rows=lambda rows: flipped(rows, 0.25)),
    "worse on later rows": Planted(gate="memorisation", rows=lambda rows: flipped(rows, 0.4, since=0.8)),
    "breaks under noise": Planted(
        gate="robustness", bars={"robustness": {"noise": 1.0, "missing": 0.1, "max_rise": 0.1}}, alone=True
    ),
    "finds few": Planted(gate="recall", graph=lambda _: linear([8.0], [-16.0])),
    "cries wolf": Planted(gate="precision", graph=lambda _: linear([8.0], [16.0])),
    "ranks backwards": Planted(gate="auc", graph=lambda _: linear([-8.0], [8 * EDGE])),
    "stale data": Planted(gate="freshness", run={"as_of": "2026-07-01T00:00:00Z"}, alone=True),
    "unfair": Planted(gate="fairness", rows=rarely_far_in_b, alone=True),
    "overconfident": Planted(
        gate="calibration", rows=lambda rows: flipped(rows, 0.2), graph=lambda _: linear([800.0], [0])
    ),
    "wrong unit": Planted(
        gate="baseline", task="regression", graph=lambda _: linear(*plant_label("regression").weights, times=1000)
    ),
}


def refused(verdicts: tuple[Verdict, ...]) -> dict[str, str]:
    return {verdict.name: verdict.sentence for verdict in verdicts if not verdict.passed}


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_good_model_passes_every_gate(tmp_path: Path, task: str) -> None:
    """Without this, whatever is refused below says nothing."""
    plant, rows = write_judged_plant(tmp_path, task), far_rows(task)
    report = evaluated(tmp_path, plant_snapshot(tmp_path, plant, rows), model(plant, rows, good(task)))
    verdicts = judge_all(report, plant.workload.gates, against="baseline")
    assert refused(verdicts) == {}
    assert [one.who for one in report.contenders] == ["candidate", "naive", "simple"]


def test_every_gate_that_has_a_measure_refuses_a_planted_model() -> None:
    assert set(MEASURED) <= {planted.gate for planted in BAD.values()} & set(GATES)


@pytest.mark.parametrize("case", BAD)
def test_a_planted_bad_model_is_refused(tmp_path: Path, case: str) -> None:
    planted = BAD[case]
    plant = write_judged_plant(tmp_path, planted.task, **planted.bars)
    rows = planted.rows(far_rows(planted.task))
    snapshot = plant_snapshot(tmp_path, plant, rows, **planted.run)
    report = evaluated(tmp_path, snapshot, model(plant, rows, planted.graph(rows)))
    found = refused(judge_all(report, plant.workload.gates, against="baseline"))
    assert planted.gate in found
    if planted.alone:
        assert list(found) == [planted.gate], found


@pytest.mark.parametrize(
    "task",
    [
        "binary",
        *(
            pytest.param(one, marks=pytest.mark.night("by day models of two classes are judged, by the same gates"))
            for one in ("multiclass", "regression")
        ),
    ],
)
def test_truly_better_models_are_let_through(tmp_path: Path, task: str) -> None:
    """Five times a champion that sees less well, and a challenger that has understood; four must pass every gate."""
    found = []
    for seed in BETTER_SEEDS:
        root = tmp_path / str(seed)
        plant, rows = write_judged_plant(root, task), far_rows(task, seed=seed)
        weights, bias = plant_label(task).weights
        weak = linear([one * 0.5 for one in weights], [one - 0.3 for one in bias])
        snapshot = plant_snapshot(root, plant, rows)
        report = evaluated(root, snapshot, model(plant, rows, good(task)), model(plant, rows, weak))
        verdicts = judge_all(report, plant.workload.gates, against="non_inferiority")
        value = report.of(ValueEvidence)
        assert value.today == "version 1"
        found.append(refused(verdicts))
    assert sum(not one for one in found) >= 4, found
