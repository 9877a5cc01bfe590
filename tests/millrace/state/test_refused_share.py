"""The share of refused rows against the usual one."""

import pytest

from millrace.state.refused_share import RefusedRows


def test_a_share_is_judged_by_the_declared_one_and_by_three_times_the_usual(table):
    refused = RefusedRows(table)
    assert refused.shares() == {}
    assert refused.ratio("labels", rows=1000, refused=40, declared=0.05) == pytest.approx(0.8)
    assert refused.shares() == {"labels": 0.04}
    assert refused.ratio("labels", rows=100, refused=30, declared=0.05) == pytest.approx(2.5)
    assert refused.ratio("training", rows=100, refused=30, declared=0.05) == pytest.approx(6)


def test_what_is_above_the_bound_does_not_become_usual(table):
    refused = RefusedRows(table)
    refused.ratio("labels", rows=1000, refused=10, declared=0.05)
    ratios = [refused.ratio("labels", rows=100, refused=100, declared=0.05) for _ in range(20)]
    assert ratios == pytest.approx([20] * 20)
    assert refused.shares() == {"labels": 0.01}


def test_a_few_rows_are_no_share(table):
    refused = RefusedRows(table)
    assert [refused.ratio("labels", rows=rows, refused=rows, declared=0.5) for rows in (0, 19, 20)] == [0, 0, 2]
    assert refused.shares() == {}
