"""AWS's own tables of missing data: 0 does not breach, X breaches, - is missing."""

from __future__ import annotations

import pytest

from localcloud.cloudwatch.alarm_evaluation import Rule, judge

THREE_OF_THREE = [
    ("0-X-X", ["OK", "OK", "OK", "OK"]),
    ("----0", ["OK", "OK", "OK", "OK"]),
    ("-----", ["INSUFFICIENT_DATA", "kept", "ALARM", "OK"]),
    ("0XX-X", ["ALARM", "ALARM", "ALARM", "ALARM"]),
    ("--X--", ["ALARM", "kept", "ALARM", "OK"]),
]
TWO_OF_THREE = [
    ("0-X-X", ["ALARM", "ALARM", "ALARM", "ALARM"]),
    ("00X0X", ["ALARM", "ALARM", "ALARM", "ALARM"]),
    ("0-X--", ["OK", "OK", "ALARM", "OK"]),
    ("----0", ["OK", "OK", "ALARM", "OK"]),
    ("---X-", ["ALARM", "kept", "ALARM", "OK"]),
]
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")


@pytest.mark.parametrize(
    ("needed", "drawn", "treatment", "expected"),
    [
        (needed, drawn, treatment, state)
        for needed, table in ((3, THREE_OF_THREE), (2, TWO_OF_THREE))
        for drawn, states in table
        for treatment, state in zip(TREATMENTS, states, strict=True)
    ],
)
def test_the_tables_of_the_user_guide(needed: int, drawn: str, treatment: str, expected: str) -> None:
    rule = Rule(
        comparison="GreaterThanThreshold",
        threshold=0.5,
        evaluation_periods=3,
        datapoints_to_alarm=needed,
        missing=treatment,
    )
    values = {"0": 0.0, "X": 1.0, "-": None}
    periods = [(60.0 * n, values[mark]) for n, mark in enumerate(drawn)]
    assert judge(rule, periods, "kept").state == expected


def test_the_sentence_is_cloudwatchs() -> None:
    rule = Rule(comparison="GreaterThanThreshold", threshold=50.0, evaluation_periods=1, datapoints_to_alarm=1)
    at = 1570035540.0
    assert judge(rule, [(at, 99.50160229693434)], "OK").reason == (
        "Threshold Crossed: 1 out of the last 1 datapoint [99.50160229693434 (02/10/19 16:59:00)] was greater than "
        "the threshold (50.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    assert judge(rule, [(at, 1.0)], "ALARM").reason == (
        "Threshold Crossed: 1 out of the last 1 datapoint [1.0 (02/10/19 16:59:00)] was not greater than "
        "the threshold (50.0) (minimum 1 datapoint for ALARM -> OK transition)."
    )
    assert judge(rule, [(at, None)], "OK").reason == "Insufficient Data: 1 datapoint was unknown."
