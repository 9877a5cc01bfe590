"""The pictures of explanations: each kind of part is drawn, text is escaped."""

from __future__ import annotations

from millrace.console.pages.explanations import explanations
from millrace.evaluation.evidence import (
    ColumnImportance,
    Estimate,
    ExampleContribution,
    ExampleExplanation,
    ExplanationEvidence,
    PlaceImportance,
)


def shown(*contributions: ExampleContribution, image: str = "", places: tuple[PlaceImportance, ...] = ()) -> str:
    rise = Estimate(value=0.302, low=0.2, high=0.4)
    none = Estimate(value=3e-7, low=-1e-4, high=1e-4)
    columns = [
        ColumnImportance(column="flag", mean=75.6, rise=none),
        ColumnImportance(column="<price>", mean=1.5, rise=rise),
    ]
    example = ExampleExplanation(
        explains="value", output=8.66404, answer="8.664", contributions=contributions, image=image, size=(8, 4)
    )
    evidence = ExplanationEvidence(
        method="integrated gradients",
        rows=32,
        completeness_error=0.01,
        columns=tuple(columns[1 if places else 0 :]),
        places=places,
        endpoint_difference=0.1,
        endpoint_standard_error=0.0,
        endpoint_ms=3.0,
        example=example if contributions else None,
    )
    return str(explanations(evidence))


def part(kind: str, contribution: float, **words: object) -> ExampleContribution:
    given = {"column": "x", "place": "", "value": "", "kind": kind, "contribution": contribution} | words
    return ExampleContribution.model_validate(given)


def test_the_column_that_removes_most_error_is_first() -> None:
    """`flag` nearly never varies: its contributions are large, and its cells can be exchanged."""
    page = shown()
    assert "&lt;price&gt;" in page
    assert "<price>" not in page
    assert "+0.302" in page
    assert page.index("&lt;price&gt;") < page.index("flag")
    assert page.count("<rect") == 2
    assert explanations(None) == ""


def test_what_takes_away_is_drawn_to_the_other_side() -> None:
    page = shown(part("cell", 2.0, value="7"), part("cell", -1.0, column="y", value="red"))
    assert page.count('class="takes"') == 1
    assert "one row, answered 8.664" in page
    assert "y red" in page


def test_words_are_marked_by_what_they_add() -> None:
    page = shown(part("word", 2.0, place="go<od"), part("word", -1.0, place="late"), part("word", 0.0, place="the"))
    assert "go&lt;od" in page
    assert page.count("<mark") == 3
    assert (page.count('class="adds"'), page.count('class="takes"'), page.count('class="none"')) == (3, 1, 1)


def test_hours_are_summed_over_their_columns() -> None:
    page = shown(part("hours", 2.0, place="-1 h"), part("hours", 1.0, place="0 h"), part("hours", -2.5, place="0 h"))
    assert "-1 h: +2<" in page
    assert "0 h: -1.5<" in page


def test_patches_cover_the_image() -> None:
    patches = [
        part("patch", 3.0, box=(0, 0, 4, 4)),
        part("patch", -1.0, box=(4, 0, 4, 4)),
        part("patch", 0.01, box=(0, 4, 4, 4)),
    ]
    page = shown(*patches, image="iVBORw0KGgo=")
    assert 'href="data:image/png;base64,iVBORw0KGgo="' in page
    assert 'viewBox="0 0 8 4"' in page
    assert 'x="4" y="0" width="4" height="4"' in page
    assert page.count("opacity=") == 2


def test_the_words_of_a_lone_text_are_the_bars() -> None:
    page = shown(places=(PlaceImportance(column="note", place="late", mean=0.5),))
    assert "mean contribution within note" in page
    assert "late" in page
