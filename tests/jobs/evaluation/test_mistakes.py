"""The table of mistakes against a plain count."""

from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import Any

import numpy as np

from millrace.jobs.evaluation.mistakes import MOST, find_mistakes
from millrace.tasks.binary import Binary
from millrace.tasks.multiclass import Multiclass

RNG = np.random.default_rng(0)


def case(task: Any, output_TW: Any, target_T: Any) -> Any:
    return SimpleNamespace(task=task, output_TW=output_TW, test_targets=target_T)


def test_of_several_classes_the_most_frequent_pairs_are_named() -> None:
    words = tuple("abcdefg")
    target_T = RNG.integers(0, 7, 3000)
    output_TW = RNG.random((3000, 7)).astype(np.float32)
    output_TW[np.arange(3000), target_T] += 0.5
    output_TW[target_T == 2, 4] += 0.7
    found = find_mistakes(case(Multiclass(classes=words), output_TW, target_T))
    answered = [words[place] for place in output_TW.argmax(axis=1)]
    counts = Counter((words[true], said) for true, said in zip(target_T, answered, strict=True) if words[true] != said)
    assert [one.rows for one in found] == [rows for _, rows in counts.most_common(MOST)]
    assert all(counts[one.truth, one.answered] == one.rows for one in found)
    assert (found[0].truth, found[0].answered) == ("c", "e")
    assert found[0].of == int((target_T == 2).sum())


def test_of_two_classes_the_threshold_counts() -> None:
    output_TW = np.array([[0.4], [0.4], [0.2], [0.9]], np.float32)
    target_T = np.array([1, 0, 1, 0], np.float32)
    found = find_mistakes(case(Binary(positive="yes", threshold=0.3), output_TW, target_T))
    assert {(one.truth, one.answered, one.rows, one.of) for one in found} == {
        ("not yes", "yes", 2, 2),
        ("yes", "not yes", 1, 2),
    }
