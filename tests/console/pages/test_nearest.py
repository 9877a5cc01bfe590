"""The nearest training rows as a table: text is escaped, pictures are shown, raw pixels are counted."""

from __future__ import annotations

import base64

from console.pages.nearest import nearest
from console.queries.nearest_examples import NearestExample, NearestExamples

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(9)).decode()
RAW = base64.b64encode(bytes(16)).decode()


def found(image: str) -> NearestExamples:
    row = {"note": "<b>late</b>", "scan": image}
    example = NearestExample(distance=0.25, label="bad & worse", row=row, apart={"note": 0.5, "scan": 0.0})
    return NearestExamples(
        decision="d-1",
        version="3",
        answer="bad",
        row=row,
        weights={"note": 0.5, "scan": 0.5},
        hidden=("age",),
        images=("scan",),
        compared=1200,
        examples=(example,),
    )


def test_a_column_for_the_decision_and_one_for_each_row() -> None:
    page = str(nearest(found(PNG)))
    assert page.count('scope="col"') == 3
    assert "<b>" not in page
    assert "&lt;b&gt;late&lt;/b&gt; (0.5 apart)" in page
    assert "bad &amp; worse" in page
    assert page.count(f'<img src="data:image/png;base64,{PNG}"') == 2
    assert "1,200 training rows of version 3; weights: note 50%, scan 50%." in page
    assert "protects them: age." in page


def test_raw_pixels_are_counted() -> None:
    page = str(nearest(found(RAW)))
    assert "<img" not in page
    assert page.count("16 bytes") == 2


def test_nothing_without_them() -> None:
    assert nearest(None) == ""
