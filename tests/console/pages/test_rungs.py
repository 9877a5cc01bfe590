"""The pictures of the phases that have watched a version."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from millrace.console.pages.rungs import rungs
from millrace.evaluation.sequential import plan
from millrace.messages.climb import Climb, ClimbAsked, Look, WantedLabel

SINCE = datetime(1997, 1, 5, 8, tzinfo=UTC)
END = SINCE + timedelta(days=4)
PLAN = plan(disagreement=0.05, gain=0.01, requests_a_day=500, block_days=1)


def climb(phase, answer, because, **fields):
    last = Look(at=END, answer=answer, because=because, pairs=812, differing=41, labels=0)
    return Climb(version="2", champion="1", phase=phase, since=fields.pop("since", SINCE), looks=(last,), **fields)


def wanted(*labels):
    places = (
        WantedLabel(id=f"r-{block}", block=block, asked_at=SINCE, confidences=(0.5, 0.5), label=label)
        for block, label in enumerate(labels)
    )
    return tuple(places)


def asked(*agreed, blind):
    return tuple(
        ClimbAsked(id=f"{blind}-{number}", blind=blind, asked_at=SINCE, agreed=one, answered_at=END)
        for number, one in enumerate(agreed)
    )


def test_a_shadow_is_drawn_label_by_label():
    (shown,) = rungs([climb("shadow", "go_on", "better by 3 labels", plan=PLAN, places=wanted(1, 1, 0, -1, None))])
    assert (shown.tone, shown.span) == ("good", "5 Jan 08:00 to 9 Jan 08:00 1997")
    assert "for it: 1 after 5" in shown.picture
    assert f"at most {PLAN.horizon} labels" in shown.evidence[1]


def test_answers_with_and_without_the_versions_are_drawn_apart():
    people = asked(True, True, False, True, blind=True) + asked(True, True, blind=False)
    waiting = (ClimbAsked(id="late", blind=True, asked_at=SINCE),)
    (shown,) = rungs([climb("assisted", "not_yet", "3 of 4 blind reviews agree", asked=people + waiting)])
    assert shown.tone == "watch"
    assert "without it: 0.75 after 4; beside it: 1 after 2" in shown.picture
    assert shown.evidence[1].startswith("2 of 2 agree beside its answer, 3 of 4 without it: anchoring of 25 points")
    assert shown.evidence[1].endswith("1 have no answer")


@pytest.mark.parametrize("phase", ["shadow", "assisted"])
def test_a_phase_without_evidence_has_no_picture(phase):
    (shown,) = rungs([climb(phase, "stop", f"{phase} ends after 28 days")])
    assert (shown.picture, shown.tone) == ("", "bad")


def test_phases_stand_in_the_order_of_time():
    later = climb("assisted", "not_yet", "none", since=END)
    before = climb("shadow", "go_on", "better")
    begun = Climb(version="2", champion="1", phase="assisted", since=END)
    assert [one.phase for one in rungs([later, before, begun])] == ["shadow", "assisted"]


def test_names_of_lines_that_end_alike_do_not_cover_each_other():
    people = asked(True, True, blind=True) + asked(True, True, blind=False)
    (shown,) = rungs([climb("assisted", "not_yet", "2 of 2 blind reviews agree", asked=people)])
    heights = [float(found) for found in re.findall(r'y="([\d.]+)" class="name', shown.picture)]
    assert len(heights) == 2
    assert abs(heights[0] - heights[1]) >= 15
