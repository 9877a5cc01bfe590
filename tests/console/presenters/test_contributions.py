from millrace.console.presenters.contributions import contribution_rows

WHY = {
    "explains": "log odds of fan",
    "base": -1.0,
    "output": 2.0,
    "others": 0.25,
    "contributions": [
        {"column": "demand", "place": "-3 h", "value": "0.41", "contribution": 2.0},
        {"column": "note", "place": "late", "contribution": -1.25},
        {"column": "open", "value": "true", "contribution": 1.5},
        {"column": "load", "value": "7", "contribution": 0.5},
    ],
}


def test_a_table_goes_from_the_reference_to_the_row() -> None:
    rows = contribution_rows(WHY)
    assert [(row["what"], row["adds"]) for row in rows] == [
        ("the reference", "-1"),
        ("demand", "+2"),
        ("note", "-1.25"),
        ("open", "+1.5"),
        ("load", "+0.5"),
        ("all others", "+0.25"),
        ("the row: log odds of fan", "2"),
    ]
    assert len({tuple(row) for row in rows}) == 1
