"""The page of one item for each kind of answer and of cell."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from millrace.console.pages.review import review_page
from millrace.console.queries.reviews import Question, ShownItem, Waiting
from millrace.console.queries.stored import Unread
from millrace.console.web.session import text_of
from millrace.contract.load import load_contract
from millrace.contract.schema import Column
from millrace.names import WorkloadNames
from millrace.workload.load import load_workload
from millrace.workload.policy import Policy
from tests.console.conftest import NAMES
from tests.console.web.queue_of_items import item

WORKLOADS = Path(__file__).resolve().parents[3] / "workloads"
POLICY = Policy(held_out=0.1)
PNG = b"\x89PNG\r\n\x1a\n"


def question(workload: str, **prediction: Any) -> Question:
    folder = WORKLOADS / workload
    asked = load_workload(folder).prediction.model_copy(update=prediction)
    return Question(prediction=asked, labels=load_contract(folder).labels, policy=POLICY)


def html(
    workload: str, asked: Question, *, answer: dict[str, Any] | None = None, images: Any = None, **row: Any
) -> str:
    one = replace(item(1), output=answer)
    shown = ShownItem(item=one, question=asked, row=row, images=images or {}, answer=answer)
    return written(workload, asked, shown)


def written(workload: str, asked: Question, shown: ShownItem | Unread) -> str:
    return review_page(
        WorkloadNames(platform=NAMES.platform, workload=workload),
        asked,
        asked="What is it?",
        item=item(1),
        shown=shown,
        table=load_contract(WORKLOADS / workload).table("scoring"),
        token="t",
        waiting=Waiting(count=1, is_exact=False),
    )


def test_a_number_is_typed_with_its_unit() -> None:
    page = html("air_quality", question("air_quality"), answer={"value": 61.0})
    assert re.findall(r'<input name="value"[^>]*type="number" step="(\w+)"', page) == ["any"]
    assert "µg/m³" in page
    assert "61" in page


def test_a_past_and_a_list_of_numbers_are_curves_and_a_gap_is_left_out() -> None:
    past = [{"timestamp": "2010-01-01", "TEMP": t, "cbwd": "NW"} for t in (1.5, None, 3.0)]
    page = html("air_quality", question("air_quality"), past=past, series=[1, 2, 3, 4, 5, 6], few=[1, 2], none=None)
    assert re.findall(r'aria-label="(\w+): (\d+) values', page) == [("TEMP", "3"), ("series", "6")]
    points = re.findall(r'<polyline points="([^"]+)"', page)
    assert [len(one.split()) for one in points] == [2, 6]
    assert "1, 2" in page


def test_a_number_has_its_unit() -> None:
    page = html("air_quality", question("air_quality"), **{"pm2.5": 61.5, "TEMP": -3.0})
    assert '<td>61.5 <span class="detail">µg/m³</span>' in page
    assert "<td>-3</td>" in page


def test_a_long_text_is_whole_and_a_missing_cell_is_said() -> None:
    words = " ".join(f"word{number}" for number in range(2000))
    page = html("reviews", question("reviews"), review_text=words, title=None)
    assert words in page
    assert '<th scope="row">title</th><td>missing</td>' in page


@pytest.mark.parametrize(("content", "is_picture"), [(PNG, True), (b"\xff\xd8\xff\xe0", True), (b"\x00\x01", False)])
def test_an_image_is_shown_where_a_browser_can(content: bytes, is_picture: bool) -> None:
    page = html("xray", question("xray"), images={"image": content})
    assert ('<img src="data:image/' in page) == is_picture
    assert ("cannot show" in page) != is_picture


def test_of_many_classes_one_is_typed() -> None:
    asked = question("intents")
    page = html(
        "intents", asked, answer={"value": str(asked.choices[3]), "confidence": 0.4}, text="what is <b>pto</b>?"
    )
    assert page.count("<option") == len(asked.choices) > 100
    assert page.count('name="value"') == 2
    assert "&lt;b&gt;pto" in page
    assert page.index('value="answer"') < page.index('class="suggested"'), "Enter takes what is typed"


@pytest.mark.parametrize(("workload", "keys"), [("electricity", "01"), ("income", "12")])
def test_a_class_that_is_a_digit_is_its_own_key(workload: str, keys: str) -> None:
    asked = question(workload)
    assert re.findall(r'data-key="(\d)"', html(workload, asked)) == list(keys)
    assert list(asked.keys.items()) == list(zip(keys, asked.choices, strict=True))


def test_several_labels_are_ticked() -> None:
    asked = question("electricity", labels=("damp", "mould"))
    labels = replace(
        asked.labels, columns=(*asked.labels.columns, *(Column(name=n, kind="boolean") for n in ("damp", "mould")))
    )
    page = html("electricity", replace(asked, labels=labels))
    assert re.findall(r'type="checkbox" name="value" value="(\w+)" data-key="(\d)"', page) == [
        ("damp", "1"),
        ("mould", "2"),
    ]
    assert text_of(["mould"], asked) == "damp=no, mould=yes"


def test_each_horizon_has_its_field() -> None:
    asked = question("air_quality", horizons_hours=(1.0, 24.0))
    assert html("air_quality", asked).count('name="value"') == 2
    assert text_of(["61", "64.5"], asked) == "61, 64.5"


def test_an_item_that_cannot_be_read_can_be_passed_on_and_not_answered() -> None:
    page = written("income", question("income"), Unread(why="no such object", is_denied=True))
    assert "no such object" in page
    assert 'name="value"' not in page
    assert re.findall(r'name="act" value="(\w+)"', page) == ["escalate", "skip", "finish"]
