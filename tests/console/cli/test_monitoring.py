"""The table of `millrace monitor`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.cli.monitoring import _row
from console.queries.report import WorkloadReport


@pytest.mark.parametrize(
    ("decisions", "answered", "labelled", "said"),
    [(158, 79, 79, "79 of 79"), (79, 79, 70, "70"), (79, None, None, "not looked at")],
    ids=["asked twice", "asked once", "too early"],
)
def test_rows_that_were_asked_about_twice_have_one_label(
    report: WorkloadReport, decisions: int, answered: int | None, labelled: int | None, said: str
) -> None:
    window = replace(report.windows[0], decisions=decisions, answered=answered, labelled=labelled)
    row = _row(window, None)
    assert (row["decisions"], row["labelled"]) == (decisions, said)
