"""The page shows each horizon of a forecast, each of several labels, and forecasts beside what came."""

from __future__ import annotations

from dataclasses import replace

import pytest

from console.pages.evidence import evidence
from console.pages.fan import fan
from console.pages.page import page
from console.queries.report import WorkloadReport
from millrace.evaluation.evidence import ForecastExample, PartFigures
from millrace.evaluation.report import ErrorMeaning, Evaluation

EXAMPLE = ForecastExample(
    at="2026-05-01T06:00:00",
    entity="<north>",
    past_hours=(-2.0, -1.0, 0.0),
    past=(90.0, 95.0, 100.0),
    hours=(1.0, 2.0),
    value=(104.0, 106.0),
    lower=(100.0, 98.0),
    upper=(109.0, 118.0),
    truth=(103.0, 120.0),
)


@pytest.fixture
def evaluation(report: WorkloadReport) -> Evaluation:
    assert report.live is not None
    assert report.live.evaluation is not None
    return report.live.evaluation.model_copy(update={"contenders": ()})


def of_forecast(evaluation: Evaluation, horizons: int) -> Evaluation:
    parts = tuple(
        PartFigures(
            name=f"{hours} h",
            figures={"error": 10.0 + hours, "coverage": 0.912, "r2": 0.5},
            naive={"error": 20.0 + hours},
        )
        for hours in range(1, horizons + 1)
    )
    meaning = ErrorMeaning(name="mean absolute error", is_share=False, unit="MW")
    return evaluation.model_copy(update={"parts": parts, "error": meaning, "examples": (EXAMPLE,)})


def test_each_horizon_is_a_row_beside_the_naive_rule(evaluation: Evaluation) -> None:
    (table,) = evidence(of_forecast(evaluation, 12))
    error = "mean absolute error, MW"
    assert table.head == ("part of the answer", error, "coverage", f"{error} of the naive rule")
    assert (len(table.rows), table.rows[0]) == (12, ("1 h", "11", "91.2%", "21"))


def test_of_many_horizons_some_are_shown_and_both_ends(evaluation: Evaluation) -> None:
    (table,) = evidence(of_forecast(evaluation, 72))
    assert [row[0] for row in table.rows] == [f"{hours} h" for hours in (1, 7, 13, 20, 26, 33, 39, 46, 52, 59, 65, 72)]


def test_each_label_is_a_row_and_a_missing_figure_a_dash(evaluation: Evaluation) -> None:
    part = PartFigures(
        name="damp",
        figures={"error": 0.05, "log_loss": 0.123, "auc": None, "f1": 0.8, "regret": 2.0},
        naive={"log_loss": 0.3},
    )
    (table,) = evidence(evaluation.model_copy(update={"parts": (part,)}))
    assert table.head == (
        "part of the answer",
        evaluation.error.name,
        "log loss",
        "AUC",
        "F1",
        "regret",
        "log loss of the naive rule",
    )
    assert table.rows == (("damp", "0.05", "0.123", "–", "80.0%", "2", "0.3"),)


def test_a_forecast_is_drawn_with_its_past_its_interval_and_what_came() -> None:
    drawn = fan(EXAMPLE)
    assert drawn.count('class="came"') == 2
    assert (drawn.count("<polyline"), drawn.count("<polygon")) == (2, 1)
    assert "2026-05-01 06:00, &lt;north&gt;" in drawn
    assert "<title>2 h: 120</title>" in drawn
    assert fan(EXAMPLE.model_copy(update={"value": (float("nan"), 1.0)})) == ""


def test_it_stands_on_the_page(report: WorkloadReport, evaluation: Evaluation) -> None:
    live = report.live
    assert live is not None
    shown = replace(live, evaluation=of_forecast(evaluation, 2))
    html = page(replace(report, models=tuple(shown if model is live else model for model in report.models)))
    assert 'class="forecast"' in html
    assert "mean absolute error, MW of the naive rule" in html
    assert 'class="forecast"' not in page(report)
