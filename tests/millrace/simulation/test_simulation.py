"""Policies on histories that are small enough to follow by hand, and the oracle against every possible course."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from millrace.evaluation.comparison import compare
from millrace.evaluation.gates.catalogue import judge_all
from millrace.simulation.history import LivedHistory
from millrace.simulation.simulation import Replay, RetrainingPolicy, Terms, oracle, simulate
from millrace.workload.declaration import Budget, Retraining
from millrace.workload.load import load_workload
from tests.millrace.evaluation.gates.test_catalogue import DECLARED, report
from tests.shipped import SHIPPED

TERMS = Terms(
    usd_per_error=1, usd_per_training=5, budget=Budget(monthly_usd=50),
    retraining=Retraining(cool_down_days=0, minimum_new_labels=0, maximum_runs_per_month=31),
)  # fmt: skip


def history(errors_KVD, *, step=1, test_days=1):
    errors = np.array(errors_KVD, float)
    lengths = (None, 28, 7)[: errors.shape[0]]
    return LivedHistory(first="2026-01-01", step_days=step, test_days=test_days, train_days=lengths,
                   rows_D=np.full(errors.shape[2], 10.0), errors_KVD=errors, costs_KVD=None, seconds=1.0)  # fmt: skip


def aging(days=12):
    """A version has an error a day more for each day of its age."""
    return history([[[max(day - version, 0) for day in range(days)] for version in range(days)]])


def course(policy, terms=TERMS, of=None):
    return simulate(Replay(history=of or aging(), terms=terms), policy)


def test_a_policy_is_followed_day_by_day():
    """Version 0 answers from day 1 on. At decision 3 its last known day has 3 errors of 10."""
    found = course(RetrainingPolicy(error_bound=0.25))
    assert found.retrainings == (3, 6, 9)
    assert found.version_V.tolist() == [0, 0, 0, 3, 3, 3, 6, 6, 6, 9, 9]
    errors = [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2]
    assert found.error == pytest.approx(sum(errors) / 110)
    assert found.usd == sum(errors) + 3 * 5


def test_late_labels_delay_the_alarm_and_the_version():
    found = course(RetrainingPolicy(error_bound=0.25), replace(TERMS, label_delay_days=2))
    assert found.retrainings[0] == 3
    assert found.version_V.tolist()[:4] == [0, 0, 0, 3]
    # The version of day 3 answers from day 6 on; until its own windows are known, nothing is asked for.
    assert found.retrainings[1] - found.retrainings[0] > 2


@pytest.mark.parametrize(
    ("policy", "declared", "usd", "expected"),
    [
        (RetrainingPolicy(every_days=2), {}, 0, (2, 4, 6, 8, 10)),
        (RetrainingPolicy(every_days=2, cool_down_days=3), {}, 0, (2, 6, 10)),
        (RetrainingPolicy(every_days=2), {"maximum_runs_per_month": 1}, 0, (2,)),
        (RetrainingPolicy(every_days=2), {}, 20, (2, 4)),
        (RetrainingPolicy(every_days=2), {"minimum_new_labels": 40}, 0, (4, 8)),
        (RetrainingPolicy(error_bound=0.25), {"minimum_drifted_labels": 30}, 0, (5, 10)),
        (RetrainingPolicy(), {}, 0, ()),
        (RetrainingPolicy(error_bound=0.25, error_windows=2), {}, 0, (4, 8)),
    ],
)
def test_the_guard_holds_a_retraining_back(policy, declared, usd, expected):
    """A first retraining is held by no cool-down. The 30 labels are those from the day on that is above the bound."""
    retraining = TERMS.retraining.model_copy(update=declared)
    assert course(policy, replace(TERMS, reserved_usd=usd, retraining=retraining)).retrainings == expected


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_a_version_is_paid_for_and_released_by_the_bound_of_the_gate(folder):
    """As `gating` judges the rows of its test days, for each number of candidates on them."""
    gate, rng, days = load_workload(folder).gates.non_inferiority, np.random.default_rng(7), 28
    gates, day_N = DECLARED.model_copy(update={"non_inferiority": gate}), np.sort(rng.integers(0, days, 2000))
    lived = replace(history(np.zeros((1, 4, days + 3)), test_days=days), rows_D=np.bincount(day_N + 3).astype(float))
    replay, verdicts = Replay(history=lived, terms=replace(TERMS, gate=gate)), []
    for worse, candidates in itertools.product(np.linspace(-0.05, gate.margin, 6), (2, 3, 4)):
        error_2N = rng.random((2, 2000)) < [[0.2], [0.2 + worse]]
        lived.errors_KVD[0, (0, 3)] = [np.bincount(day_N + 3, one) for one in error_2N]
        compared = compare(*error_2N.astype(float), day_N, confidence=gate.confidence)
        seen = report(changes={"champion": compared.model_dump() | {"measure": gate.measure}})
        judged = judge_all(seen, gates, against="non_inferiority", candidates=candidates)
        verdicts += [one.passed for one in judged if one.name == "non_inferiority"]
        assert replay.passes(0, 0, 3, range(1, candidates - 1)) == verdicts[-1]
    assert {True, False} == {*verdicts}


def test_the_oracle_is_the_cheapest_of_all_courses():
    rng = np.random.default_rng(0)
    for price in (0.5, 3.0, 30.0):
        replay = Replay(history=history(rng.integers(0, 10, (2, 6, 6))), terms=replace(TERMS, usd_per_training=price))
        count = replay.decisions
        every = []
        # At each decision nothing, or a training with one of the lengths.
        for start, *moves in itertools.product((0, 1), *[(None, 0, 1)] * (count - 1)):
            lengths, versions, trained = [start], [0], []
            for decision, move in enumerate(moves, start=1):
                lengths.append(lengths[-1] if move is None else move)
                versions.append(versions[-1] if move is None else decision)
                trained += [] if move is None else [decision]
            every.append(replay.course(np.array(lengths), np.array(versions), trained).usd)
        assert oracle(replay).usd == pytest.approx(min(every))


def test_a_part_begins_with_a_version_of_its_own():
    part = aging().part(4, 12)
    assert (part.first, part.days, part.versions) == ("2026-01-05", 8, 8)
    assert part.errors_KVD[0, 0].tolist() == list(range(8))


def test_a_history_is_read_as_it_was_written(tmp_path):
    made = replace(aging(), costs_KVD=np.ones((1, 12, 12)))
    made.write(tmp_path / "history.npz")
    found = LivedHistory.read(tmp_path / "history.npz")
    assert (found.first, found.train_days, found.seconds) == (made.first, made.train_days, made.seconds)
    assert np.array_equal(found.errors_KVD, made.errors_KVD)
    assert np.array_equal(found.costs_KVD, made.costs_KVD)
