"""The mean of answers is compared as scipy's F distribution says, and rows like the held-out ones keep the rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from millrace.monitoring.answers import FEWEST, HeldAnswers, held_answers, quantile
from millrace.monitoring.sketch import allowed, constant


def held(rows: int, seed: int = 0, rate: float = 0.0025) -> HeldAnswers:
    found = held_answers(*numbers(rows, seed), np.arange(rows), rate=rate)
    assert found is not None
    return found


def numbers(rows: int, seed: int, moved: float = 0.0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A skewed confidence, its class, and three measures that hang together."""
    random = np.random.default_rng(seed)
    common_N = random.normal(size=rows)
    confidence_N = random.beta(8, 1, rows)
    measured = {f"embedding.{k}": common_N + random.normal(moved, 1, rows) for k in range(3)}
    return {"value": np.where(confidence_N > 0.9, "fan", "pump").astype(object), "confidence": confidence_N}, measured


def window(known: HeldAnswers, rows: int, seed: int, moved: float = 0.0) -> np.ndarray:
    answers, measured = numbers(rows, seed, moved)
    found = {f"value = {name}": (answers["value"] == name).astype(float) for name in ("fan", "pump")}
    return np.stack([{**found, **answers, **measured}[name] for name in known.columns], axis=1)


@pytest.mark.parametrize(("directions", "rows"), [(1, 50), (5, 262), (12, 2_000)])
def test_the_bound_is_the_quantile_of_hotellings_distribution(directions: int, rows: int) -> None:
    exact = stats.f.ppf(0.9975, directions, rows - directions) * directions * (rows - 1) / (rows - directions)
    assert quantile(directions, rows, 0.0025) == pytest.approx(exact, rel=0.02)


@pytest.fixture(scope="module")
def known() -> list[HeldAnswers]:
    return [held(260, seed, rate=0.05) for seed in range(20)]


@pytest.mark.parametrize("rows", [FEWEST, 30, 200, 5_000])
def test_rows_like_the_held_out_ones_exceed_the_bound_at_the_declared_rate(rows: int, known: list[HeldAnswers]) -> None:
    ratios = []
    for seed in range(400):
        one = known[seed % len(known)]
        shift = one.shift(window(one, rows, 10_000 + seed))
        assert shift is not None
        ratios.append(shift.value / shift.bound)
    assert np.mean(np.array(ratios) > 1) == pytest.approx(0.05, abs=0.035)


def test_a_move_that_no_column_shows_alone_is_seen_and_its_column_named() -> None:
    known = held(400)
    shift = known.shift(window(known, 200, 7, moved=0.5))
    assert shift is not None
    assert shift.value > shift.bound
    assert shift.column.startswith("embedding.")


def test_another_mix_of_classes_is_seen_by_the_answers_alone() -> None:
    known = held(400)
    rows_NA = window(known, 400, 7)
    fans_NA = rows_NA[rows_NA[:, known.columns.index("value = pump")] == 0]
    more_NA = np.concatenate([rows_NA, fans_NA[:200]])
    shift, together = known.shift(more_NA), replace(known, answered=0).shift(more_NA)
    assert shift is not None
    assert together is not None
    assert shift.value > shift.bound
    assert together.value < together.bound
    assert shift.column.startswith("value = ")


def test_rows_of_an_entity_are_alike_and_do_not_alarm_for_it() -> None:
    """Twenty rows an entity, all equal: windows of them are worth a twentieth of their rows."""
    few, entities = numbers(100, 1), np.repeat(np.arange(100), 20)
    answers, measured = ({name: np.repeat(one, 20) for name, one in part.items()} for part in few)
    alike = held_answers(answers, measured, entities, rate=0.05)
    torn = held_answers(answers, measured, np.arange(2_000), rate=0.05)
    assert alike is not None
    assert torn is not None
    alarms = {}
    for name, known in (("alike", alike), ("torn", torn)):
        shifts = [known.shift(np.repeat(window(known, 20, 50_000 + seed), 20, axis=0)) for seed in range(200)]
        alarms[name] = np.mean([shift is not None and shift.value > shift.bound for shift in shifts])
    assert alarms["alike"] < 0.12
    assert alarms["torn"] > 0.9


@pytest.mark.parametrize(("history", "window", "rate"), [(11_472, 336, 0.0017), (500, 500, 0.01), (100_000, 48, 0.01)])
def test_allowed_rows_are_the_beta_binomial_quantile(history: int, window: int, rate: float) -> None:
    found = allowed(history=history, window=window, rate=rate)
    law = stats.betabinom(window, 1, history + 1)
    assert law.sf(found) <= rate < (law.sf(found - 1) if found else 1)


def column(*cells: object) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(list(cells))])


def test_what_is_constant() -> None:
    assert constant(column(2.5, 2.5)) is not None
    assert constant(column(None, None).cast(pa.float64())) is not None
    assert constant(column(2.5, 2.6)) is None
    assert constant(column(2.5, None)) is None
    assert constant(column(2.5, float("nan"))) is None


def test_differing_rows_are_counted_exactly() -> None:
    found = constant(column(0.003467, 0.003467))
    assert found is not None
    assert found.differing(column(0.003467, 0.0034670001, None, float("nan"), 7.0)) == 2
    empty = constant(column(None, None).cast(pa.string()))
    assert empty is not None
    assert empty.differing(column("x", None)) == 1
    yes = constant(column(True, True))
    assert yes is not None
    assert yes.differing(column(True, False)) == yes.differing(column("true", "false")) == 1
