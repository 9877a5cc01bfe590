"""Each picture as SVG, in tests/console/recorded/pictures: what is drawn where, for figures that are told beside it."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from millrace.console.pages.explanations import explanations
from millrace.console.pages.pictures import reliability, truth_by_answer
from millrace.console.pages.rungs import rungs
from millrace.evaluation.evidence import (
    AnswerBin,
    ColumnImportance,
    Estimate,
    ExampleContribution,
    ExampleExplanation,
    ExplanationEvidence,
    PlaceImportance,
    TruthByAnswer,
)
from millrace.evaluation.sequential import plan
from millrace.messages.climb import Climb, ClimbAsked, Look, WantedLabel
from millrace.tasks.metrics import ReliabilityBin
from tests.recorded import compare, compare_folder

RECORDED = Path(__file__).parents[1] / "recorded/pictures"
RISE, NONE = Estimate(value=0.302, low=0.2, high=0.4), Estimate(value=3e-7, low=-1e-4, high=1e-4)
COLUMNS = (
    # It nearly never varies: its contributions are large, and its cells can be exchanged.
    ColumnImportance(column="flag", mean=75.6, rise=NONE),
    ColumnImportance(column="<price>", mean=1.5, rise=RISE),
)
SINCE = datetime(1997, 1, 5, 8, tzinfo=UTC)
END = SINCE + timedelta(days=4)
PLAN = plan(disagreement=0.05, gain=0.01, requests_a_day=500, block_days=1)


def explained(*parts: dict[str, Any], image: str = "", places: tuple[PlaceImportance, ...] = ()) -> str:
    given = {"column": "x", "place": "", "value": ""}
    example = ExampleExplanation(
        explains="value",
        output=8.66404,
        answer="8.664",
        contributions=tuple(ExampleContribution(**given | part) for part in parts),
        image=image,
        size=(8, 4),
    )
    evidence = ExplanationEvidence(
        rows=32,
        columns=COLUMNS[1 if places else 0 :],
        places=places,
        standard_error=0.0,
        example=example,
    )
    return str(explanations(evidence))


def part(kind: str, contribution: float, **words: Any) -> dict[str, Any]:
    return {"kind": kind, "contribution": contribution} | words


def sure(*bins: tuple[float, float, int]) -> str:
    return str(reliability([ReliabilityBin(confidence=c, accuracy=a, rows=rows) for c, a, rows in bins]))


def came(*values: float, name: str = "", spread: float = 1.0, around: float | None = None) -> str:
    bins = [
        AnswerBin(rows=30, value=at, truth_low=at - 4 * spread, truth=at + 2 * spread, truth_high=at + 9 * spread)
        for at in values
    ]
    if around:
        bins = [one.model_copy(update={"lower": one.value - around, "upper": one.value + around}) for one in bins]
    return str(truth_by_answer(TruthByAnswer(name=name, quantiles=(0.1, 0.9), bins=tuple(bins))))


def climb(phase: Any, answer: Any, because: str, **fields: Any) -> Climb:
    last = Look(at=END, answer=answer, because=because, pairs=812, differing=41, labels=0)
    return Climb(version="2", champion="1", phase=phase, since=fields.pop("since", SINCE), looks=(last,), **fields)


def wanted(*labels: int | None) -> tuple[WantedLabel, ...]:
    return tuple(
        WantedLabel(id=f"r-{block}", block=block, asked_at=SINCE, confidences=(0.5, 0.5), label=label)
        for block, label in enumerate(labels)
    )


def asked(*agreed: bool | None, blind: bool) -> tuple[ClimbAsked, ...]:
    return tuple(
        ClimbAsked(id=f"{blind}-{n}", blind=blind, asked_at=SINCE, agreed=one, answered_at=None if one is None else END)
        for n, one in enumerate(agreed)
    )


def climbed(*climbs: Climb) -> str:
    return "\n".join(
        f"<!-- {one.tone}, {one.span}: {'; '.join(one.evidence)} -->{one.picture}" for one in rungs(climbs)
    )


SHADOW = climb("shadow", "go_on", "better by 3 labels", plan=PLAN, places=wanted(1, 1, 0, -1, None))
PEOPLE = asked(True, True, False, True, None, blind=True) + asked(True, True, blind=False)
ALIKE = asked(True, True, blind=True) + asked(True, True, blind=False)
PICTURES: Mapping[str, Callable[[], str]] = {
    "columns": explained,
    "cells": lambda: explained(part("cell", 2.0, value="7"), part("cell", -1.0, column="y", value="red")),
    "words": lambda: explained(*(part("word", x, place=w) for x, w in ((2.0, "go<od"), (-1.0, "late"), (0.0, "the")))),
    "hours": lambda: explained(*(part("hours", x, place=h) for x, h in ((2.0, "-1 h"), (1.0, "0 h"), (-2.5, "0 h")))),
    "patches": lambda: explained(
        *(part("patch", x, box=box) for x, box in ((3.0, (0, 0, 4, 4)), (-1.0, (4, 0, 4, 4)), (0.01, (0, 4, 4, 4)))),
        image="iVBORw0KGgo=",
    ),
    "words-alone": lambda: explained(places=(PlaceImportance(column="note", place="late", mean=0.5),)),
    "sure-as-it-says": lambda: sure(*((share, share, 10) for share in (0.5, 0.75, 1.0))),
    "surer-than-right": lambda: sure((0.9, 0.9, 10), (0.9, 0.6, 90), (0.6, 0.2, 5)),
    "several-classes": lambda: sure(*((share, share, 5) for share in (0.2, 0.4, 0.8))),
    "came-above": lambda: came(10.0, 20.0, 30.0),
    "came-in-an-interval": lambda: came(10.0, 20.0, 30.0, name="24 h", around=5),
    "one-answer-for-all": lambda: came(5.0, spread=0),
    "shadow": lambda: climbed(SHADOW),
    "with-and-without": lambda: climbed(climb("assisted", "not_yet", "3 of 4 blind reviews agree", asked=PEOPLE)),
    "ends-alike": lambda: climbed(climb("assisted", "not_yet", "2 of 2 blind reviews agree", asked=ALIKE)),
    "phases-by-time": lambda: climbed(climb("assisted", "stop", "ends after 28 days", since=END), SHADOW),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_recorded_and_its_words_are_escaped(name: str) -> None:
    drawn = PICTURES[name]()
    assert not re.search(r"<(price|od)\b", drawn)
    compare(RECORDED / f"{name}.svg", drawn.replace("><", ">\n<"))
    compare_folder(RECORDED, {f"{name}.svg" for name in PICTURES})


def test_without_figures_there_is_no_picture() -> None:
    begun = Climb(version="2", champion="1", phase="assisted", since=END)
    assert (str(explanations(None)), sure(), came(), rungs([begun])) == ("", "", "", ())
    assert [one.picture for one in rungs([climb("shadow", "stop", "ends after 28 days")])] == [""]
