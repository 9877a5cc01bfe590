"""Windows with few labels: which are asked for, what they say of the error, and how a shift is named."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import ArrayLike

from millrace.jobs.monitoring.labels import Answered, judge_errors, parts, wanted, weighted
from millrace.jobs.monitoring.shifts import shifts
from millrace.messages.asked_labels import AskedLabels
from millrace.messages.monitor import DriftFinding, Window
from millrace.monitoring.error import ErrorBound
from millrace.monitoring.expected_error import learn
from millrace.tasks.regression import Regression
from tests import builders
from tests.outcomes import outcomes_of

START, WEEK = datetime(1997, 1, 1, tzinfo=UTC), timedelta(days=7)
ROWS = 7 * 96


def answered(
    world: str = "calibrated", *, seed: int = 0, labelled: bool = True, number: int = 0, version: str = "1"
) -> Answered:
    """A window of a model that knows how sure it is, in a world that is as it was, or not."""
    random = np.random.default_rng(seed)
    start = START + number * WEEK
    positive_N = random.beta(0.6, 0.6, ROWS)
    column_N = random.random(ROWS)
    label_N = random.random(ROWS) < positive_N
    if world == "label shift":  # the odds of the class 1 are eight times as high
        odds_N = 8 * positive_N / (1 - positive_N)
        label_N = random.random(ROWS) < odds_N / (1 + odds_N)
    if world == "concept drift":
        label_N = np.where(column_N > 0.5, ~label_N, label_N)
    decisions, errors = [], []
    for row in range(ROWS):
        positive = float(positive_N[row])
        value = int(positive > 0.5)
        sure = max(positive, 1 - positive)
        decision = builders.decision(
            id=f"{number}-{row}",
            workload="w",
            event_time=start + row * WEEK / ROWS,
            key={"id": row},
            input=json.dumps({"a": float(column_N[row]), "b": row % 3}),
            output={"value": value, "probability": positive, "confidence": sure},
            action="review" if sure < 0.8 else "automated",
            reason=("held_out", "paused", "unsure")[min(row % 20, 2)] if sure < 0.8 else "sure",
            model_version=version,
            latency_ms=1.0,
            inferred_at=start,
        )
        decisions.append(decision)
        errors.append(float(value != label_N[row]) if labelled else None)
    outcomes = outcomes_of(decisions, label_N.astype(int).tolist(), errors)
    window = Window(start=start, end=start + WEEK, judge_input=not labelled, judge_error=True)
    return Answered(window=window, outcomes=outcomes, champion="1", is_share=True, is_in_time=False)


def asked(whole: Answered, *, a_day: int = 20) -> Answered:
    """The same window, of which only the labels have come that were asked for."""
    chances = {one.id: one.chance for one in wanted(erring(whole, [np.nan] * ROWS), [], a_day=a_day)}
    is_asked = [name in chances for name in whole.outcomes.column("id").to_pylist()]
    told = AskedLabels(until=whole.window.end + WEEK, chances=chances)
    return replace(
        erring(whole, np.where(is_asked, whole.outcomes.errors, np.nan)),
        window=whole.window.model_copy(update={"asked": told}),
    )


def erring(whole: Answered, errors: ArrayLike) -> Answered:
    return replace(whole, outcomes=replace(whole.outcomes, errors=np.asarray(errors, np.float64)))


def test_so_many_labels_of_each_day_are_wanted_and_the_same_again() -> None:
    window = answered(labelled=False)
    found = wanted(window, [], a_day=10)
    assert Counter(one.event_time.date() for one in found) == {
        (START + timedelta(days=day)).date(): 10 for day in range(7)
    }
    assert wanted(answered(labelled=False), [], a_day=10) == found
    assert all(0 < one.chance <= 1 and not one.is_known for one in found)
    assert wanted(answered(), [], a_day=10) == (), "all labels are there"
    assert wanted(answered(labelled=False, version="0"), [], a_day=10) == (), "another version's tell nothing"


def test_rows_are_chosen_by_what_the_labels_of_before_have_shown() -> None:
    """A model that is as often wrong where it is sure: each row is as good to ask about."""
    before = answered(seed=1)
    random = np.random.default_rng(0)
    wrong = erring(before, random.random(ROWS) < 0.3)
    even = wanted(answered(labelled=False, number=1), [wrong], a_day=10)
    chosen = wanted(answered(labelled=False, number=1), [before], a_day=10)

    def spread(found: tuple[object, ...]) -> float:
        return float(np.std([one.chance for one in found]))  # type: ignore[attr-defined]

    assert spread(even) < spread(chosen) / 3
    part = erring(wrong, np.where(np.arange(ROWS) < ROWS // 2, wrong.errors, np.nan))
    assert wanted(part, [part], a_day=10) == wanted(part, [], a_day=10), "not by labels of its own"


def test_the_labels_that_were_asked_for_stand_for_the_rest() -> None:
    whole = answered(seed=2)
    few = asked(whole)
    (report,) = judge_errors([few], None, as_of=whole.window.end, columns=("b",))
    assert report.low <= float(whole.errors.mean()) <= report.high
    assert (report.labelled, report.settled, report.contradicted) == (140, True, False)
    assert {(one.column, one.value) for one in report.slices} == {("b", "0"), ("b", "1"), ("b", "2")}
    assert all(one.low <= one.error <= one.high for one in report.slices)
    weights = weighted(few).weights
    assert np.mean(weights) == pytest.approx(1)
    assert max(weights) > 2
    assert set(weighted(whole).weights) == {1}


def test_a_window_waits_for_what_was_asked_until_nobody_is_asked() -> None:
    few = asked(answered(seed=2))
    none = erring(few, [np.nan] * ROWS)
    until = few.window.asked.until if few.window.asked else few.window.end
    ended = [judge_errors([none], None, as_of=at, columns=())[0].settled for at in (until - WEEK, until)]
    assert ended == [False, True]


def test_an_expectation_is_withdrawn_by_labels_and_comes_back_with_them() -> None:
    windows = [
        answered(seed=1),
        answered("concept drift", seed=2, number=1),
        answered(seed=3, number=2, labelled=False),
        answered(seed=4, number=3),
        answered(seed=5, number=4, labelled=False),
    ]
    found = judge_errors(windows, None, as_of=START, columns=())
    assert [one.contradicted for one in found] == [False, True, False, False, False]
    assert [one.expected is not None for one in found] == [True, False, False, True, True]
    assert found[4].expected == pytest.approx(float(answered(seed=5).expected.mean()), abs=0.01)


@pytest.mark.parametrize(
    ("world", "kinds"), [("calibrated", set()), ("label shift", {"label_shift"}), ("concept drift", {"concept_drift"})]
)
def test_labels_tell_label_shift_from_concept_drift(world: str, kinds: set[str]) -> None:
    right = 0
    for seed in range(20):
        found = shifts((), asked(answered(world, seed=seed), a_day=40), ["a", "b"])
        right += {one.kind for one in found} == kinds
        if world == "concept drift":
            assert [one.columns for one in found] in ([("a",)], [("a", "b")], [()])
    assert right >= 17
    clear = shifts((), answered(world, seed=0), ["a", "b"])
    assert {(one.kind, one.columns) for one in clear} == {
        (kind, ("a",) if kind == "concept_drift" else ()) for kind in kinds
    }


def test_the_input_tells_what_was_never_seen_from_another_mix() -> None:
    def finding(column: str, statistic: str, ratio: float) -> DriftFinding:
        return DriftFinding(column=column, statistic=statistic, value=ratio, bound=1, ratio=ratio)

    findings = [
        finding("vicprice", "differing_rows", 224),
        finding("period", "wasserstein", 3),
        finding("vicprice", "unseen", 2),
        finding("transfer", "unseen", 1.5),
        finding("nswprice", "wasserstein", 0.9),
    ]
    found = shifts(findings, answered(labelled=False), [])
    assert [(one.kind, one.columns) for one in found] == [
        ("out_of_support", ("vicprice", "transfer")),
        ("covariate_shift", ("period",)),
    ]


@pytest.mark.parametrize(("world", "least", "most"), [("calibrated", 0, 3), ("concept drift", 38, 40)])
def test_people_override_as_much_as_the_model_expects_of_what_they_review(world: str, least: int, most: int) -> None:
    """They were asked about unsure rows, not about those held out or in a pause: of all rows it expects far less."""
    ratios = []
    for seed in range(40):
        whole = answered(world, seed=seed)
        seen_N = whole.outcomes.says("action", "review") & (np.arange(ROWS) % 20 > 1)
        found = whole.overrides
        assert (found.reviewed, found.error) == (seen_N.sum(), pytest.approx(whole.errors[seen_N].mean()))
        assert found.expected > 1.5 * whole.expected.mean()
        ratios.append(found.ratio)
    assert least <= sum(one > 1 for one in ratios) <= most


def test_a_window_of_two_rows_has_no_figure_where_hundreds_are_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    """A single error of two is above any bound; where each window has a few rows, it is judged."""
    monkeypatch.setitem(globals(), "ROWS", 2)
    windows = [answered(seed=seed) for seed in range(20)]
    few = next(one for one in windows if one.error and one.error.error > 0)
    bound = ErrorBound(bound=0.4, windows=1, stretches=((0.3,), (0.4,)))
    for usual_rows, is_judged in ((300, False), (4, True)):
        (report,) = judge_errors([few], bound, as_of=few.window.end, columns=(), usual_rows=usual_rows)
        assert (report.ratio is not None and report.ratio > 1) is is_judged


def test_numbers_with_many_values_are_cut_into_quarters_and_other_values_are_parts_of_their_own() -> None:
    found = parts([*[None] * 5, *range(40)])
    assert {name: rows_N.sum() for name, rows_N in found.items()} == dict(zip(found, (10, 10, 10, 10, 5), strict=True))
    assert found[""].tolist() == [True] * 5 + [False] * 40
    few = {name: rows_N.tolist() for name, rows_N in parts(["a", None, "a"]).items()}
    assert few == {"": [False, True, False], "a": [True, False, True]}


def of_numbers(seed: int, *, number: int, times: float = 1.0, labelled: bool = True) -> Answered:
    """A window of amounts: of a large one the error is large, and in another world it is so many times as large."""
    random = np.random.default_rng(seed)
    start, value_N = START + number * WEEK, random.gamma(2.0, 10.0, ROWS)
    error_N = times * value_N * np.abs(random.normal(0, 0.2, ROWS))
    decisions = [
        builders.decision(id=f"{number}-{row}", event_time=start + row * WEEK / ROWS, output={"value": float(value)})
        for row, value in enumerate(value_N)
    ]
    outcomes = outcomes_of(
        decisions, (value_N + error_N).tolist(), error_N.tolist() if labelled else [None] * ROWS, task=Regression()
    )
    window = Window(start=start, end=start + WEEK, judge_input=not labelled, judge_error=True)
    held_N = random.gamma(2.0, 10.0, 4000)
    errors_N = held_N * np.abs(random.normal(0, 0.2, 4000))
    model = learn(pa.table({"output.value": held_N}), errors_N, np.arange(4000) // 100)
    return Answered(window=window, outcomes=outcomes, champion="1", is_share=False, is_in_time=True, error_model=model)


def test_the_error_of_amounts_is_expected_before_labels_until_they_contradict() -> None:
    known = of_numbers(1, number=2)
    found = judge_errors(
        [
            of_numbers(0, number=0, labelled=False),
            of_numbers(0, number=1),
            of_numbers(1, number=2, times=2.0),
            of_numbers(1, number=3, labelled=False),
        ],
        None,
        as_of=START + 4 * WEEK,
        columns=(),
    )
    assert [one.expected is None for one in found] == [False, False, True, True]
    assert [one.contradicted for one in found] == [False, False, True, False]
    early = found[0]
    assert early.error is None
    low, high = early.expected_interval
    assert low < found[1].error < high  # type: ignore[operator]
    assert (high - low) / early.expected < 0.3  # type: ignore[operator]
    chances = [one.chance for one in wanted(of_numbers(1, number=2, labelled=False), [known], a_day=10)]
    assert max(chances) > 3 * min(chances), "people are asked about the large amounts rather"
