"""People decide rows with and without the answer of a version on the phase `assisted`."""

from datetime import UTC, datetime, timedelta

import pytest

from millrace.messages.climb import Climb, ClimbAsked, TwoAnswers
from millrace.release import assisted
from millrace.release.ladder import ReviewCounts
from millrace.tasks.binary import Binary
from millrace.tasks.multilabel import Multilabel
from millrace.tasks.regression import Regression
from millrace.workload.rollout import Assisted

SINCE = datetime(1997, 1, 1, tzinfo=UTC)
MULTI = Multilabel(labels=("damp", "mould"), thresholds=(0.5, 0.5))
CLIMB = Climb(version="2", champion="1", phase="assisted", since=SINCE)


def climb(*, blind=0, blind_agreed=0, shown=0, shown_agreed=0, at=SINCE):
    """So many answers, and how many of them agree."""
    kinds = [(True, number < blind_agreed) for number in range(blind)]
    kinds += [(False, number < shown_agreed) for number in range(shown)]
    asked = [
        ClimbAsked(id=f"r-{number}", blind=is_blind, asked_at=at, agreed=agreed, answered_at=at)
        for number, (is_blind, agreed) in enumerate(kinds)
    ]
    return CLIMB.model_copy(update={"asked": tuple(asked)})


def look(found, *, days=1.0, refused="", **asked):
    return assisted.look(found, [], asked=Assisted(**asked), now=SINCE + timedelta(days=days), refused=refused)[1]


@pytest.mark.parametrize(
    ("counts", "given", "answer"),
    [
        ({"blind": 120, "blind_agreed": 118}, {}, "go_on"),
        ({"blind": 40, "blind_agreed": 24}, {}, "stop"),
        ({"blind": 20, "blind_agreed": 19}, {}, "not_yet"),
        ({"shown": 200, "shown_agreed": 200}, {}, "not_yet"),  # whoever sees an answer agrees
        ({"shown": 200, "shown_agreed": 200}, {"days": 28}, "stop"),
        ({"blind": 120, "blind_agreed": 120}, {"refused": "wrong wards"}, "stop"),
    ],
)
def test_answers_given_without_seeing_the_versions_decide(counts, given, answer):
    assert look(climb(**counts), **given).answer == answer


def test_a_day_has_so_many_rows():
    found = climb(blind=3, shown=4)
    assert assisted.room(found, Assisted(reviews_a_day=10), SINCE + timedelta(hours=23)) == 3
    assert assisted.room(found, Assisted(reviews_a_day=5), SINCE + timedelta(hours=23)) == 0
    assert assisted.room(found, Assisted(reviews_a_day=10), SINCE + timedelta(hours=24)) == 10


def test_a_share_of_the_rows_is_blind_and_stays_so():
    drawn = [assisted.is_blind(CLIMB, f"r-{number}", 0.3) for number in range(4000)]
    assert 0.27 < sum(drawn) / len(drawn) < 0.33
    assert drawn == [assisted.is_blind(CLIMB, f"r-{number}", 0.3) for number in range(4000)]
    other = CLIMB.model_copy(update={"version": "3"})
    assert drawn != [assisted.is_blind(other, f"r-{number}", 0.3) for number in range(4000)]


@pytest.mark.parametrize(
    ("task", "answer", "said", "within", "agreed"),
    [
        (Binary(positive="ill"), 1, "ill", 0.0, True),
        (Regression(), 61.0, 64.5, 4.0, True),
        (Regression(), 61.0, 64.5, 3.0, False),
        (MULTI, [1, 0], {"mould": False, "damp": True}, 0.0, True),
        (MULTI, [1, 0], {"mould": True, "damp": True}, 0.0, False),
    ],
)
def test_people_agree_with_an_answer_like_theirs(task, answer, said, within, agreed):
    pair = TwoAnswers(
        id="r", event_time=SINCE, inferred_at=SINCE, key={}, champion={"value": 0}, challenger={"value": answer}
    )
    assert assisted.agrees(pair, said, task=task, labels=("damp", "mould"), within=within) is agreed


def test_the_answer_that_people_see_moves_them():
    said = assisted.reviews_of(climb(blind=50, blind_agreed=35, shown=50, shown_agreed=47))
    assert said == ReviewCounts(blind=50, blind_agreed=35, shown=50, shown_agreed=47)
    by, low, high = said.anchoring
    assert by == pytest.approx(0.24)
    assert 0 < low < by < high
    assert "anchoring of 24 points" in assisted.in_words(said)
    assert "anchoring" not in assisted.in_words(assisted.reviews_of(climb(blind=5)))
