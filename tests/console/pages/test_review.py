"""The page of one item for each kind of answer and of cell."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from millrace.console.pages.overview import review_page
from millrace.console.queries.reviews import Question, ShownItem, Waiting
from millrace.console.queries.stored import Unread
from millrace.contract.load import load_contract
from millrace.names import WorkloadNames
from millrace.tasks.catalogue import declare
from millrace.workload.load import load_workload
from millrace.workload.policy import Policy
from tests.console.conftest import NAMES
from tests.console.web.queue_of_items import item
from tests.recorded import compare, compare_folder

WORKLOADS = Path(__file__).resolve().parents[3] / "workloads"
POLICY = Policy(held_out=0.1)
RECORDED = Path(__file__).parents[1] / "recorded/review"
PNG = b"\x89PNG\r\n\x1a\n"


def question(workload: str, **prediction: Any) -> Question:
    folder = WORKLOADS / workload
    declared = load_workload(folder)
    asked, review = declared.prediction.model_copy(update=prediction), (declared.policy or POLICY).review
    contract, guideline = load_contract(folder), review.read_guideline(folder)
    task = declare(asked, contract.label)
    return Question(prediction=asked, task=task, labels=contract.labels, policy=POLICY, guideline=guideline)


def html(
    workload: str, asked: Question, *, answer: dict[str, Any] | None = None, images: Any = None, **row: Any
) -> str:
    shown = ShownItem(item=replace(item(1), output=answer), question=asked, row=row, images=images or {}, answer=answer)
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


PAST = [{"timestamp": "2010-01-01", "TEMP": t, "cbwd": "NW"} for t in (1.5, None, 3.0)]
PAGES: Mapping[str, Callable[[], str]] = {
    "a number": lambda: html(
        "air_quality", question("air_quality"), answer={"value": 61.0}, **{"pm2.5": 61.5, "TEMP": -3.0}
    ),
    "curves": lambda: html(
        "air_quality", question("air_quality"), past=PAST, series=[1, 2, 3, 4, 5, 6], few=[1, 2], none=None
    ),
    "a long text": lambda: html("reviews", question("reviews"), review_text="word " * 200, title=None),
    "a picture": lambda: html("xray", question("xray"), images={"image": PNG}),
    "a photograph": lambda: html("xray", question("xray"), images={"image": b"\xff\xd8\xff\xe0"}),
    "bytes": lambda: html("xray", question("xray"), images={"image": b"\x00\x01"}),
    "a digit": lambda: html("electricity", question("electricity")),
    "a word": lambda: html("income", question("income")),
    "unread": lambda: written("income", question("income"), Unread(why="no such object", is_denied=True)),
}


@pytest.mark.parametrize("name", PAGES)
def test_what_a_person_sees_is_recorded(name: str) -> None:
    (main,) = re.findall(r"<main.*</main>", PAGES[name](), re.S)
    # The times of the item are those of today.
    compare(RECORDED / f"{name.replace(' ', '-')}.html", re.sub(r"\d+ [A-Z]\w+ \d{4} \d\d:\d\d", "…", main))
    compare_folder(RECORDED, {f"{each.replace(' ', '-')}.html" for each in PAGES})
