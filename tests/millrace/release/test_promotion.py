"""The rules of a release."""

from dataclasses import replace

import pytest

from millrace.errors import ConflictError
from millrace.release.askers import NOBODY, UNKNOWN
from millrace.release.promotion import (
    NONE,
    check_proven,
    outdated_by,
    promote,
    roll_back,
    rollback_target,
    verdict_of,
)
from millrace.release.registry import ASKED_BY, WAS_LIVE
from millrace.state.pointers import Pointers
from tests import builders


def version(number):
    return builders.version(number, model_name=f"m{number}")


SECOND_LIVE = Pointers(champion=version(2), previous=version(1), highest=2)
PACKAGE = builders.package("3", approval="PendingManualApproval")


def promoted(pointers, one):
    return promote(pointers, one, replaced=pointers.champion.version if pointers.champion else NONE)


def moved(pointers, *course):
    """The pointers after a course of releases (3) and of rollbacks to a version (-1)."""
    for number in course:
        one = version(abs(number))
        replaced = pointers.champion.version if pointers.champion else NONE
        pointers = promoted(pointers, one) if number > 0 else roll_back(pointers, one, replaced=replaced)
    return pointers


@pytest.mark.parametrize(
    ("course", "champion", "previous", "done", "late"),
    [
        ((1,), 1, None, 1, 2),
        ((1, 2), 2, 1, 2, 3),
        ((9, 10), 10, 9, 9, 11),
        ((1, 2, -1), 1, 2, 2, 3),
        ((1, 2, 3, -1, -2), 2, 1, 3, 4),
        ((1, 2, -1, 3), 3, 1, 2, 4),
    ],
)
def test_pointers_follow_a_course_and_what_was_live_comes_back_by_a_person_only(course, champion, previous, done, late):
    """Numbers are compared as numbers; a late event finds `done`, and a redriven release loses."""
    pointers = moved(Pointers(), *course)
    assert (pointers.champion, pointers.previous) == (version(champion), previous and version(previous))
    assert [pointers.is_new(str(number)) for number in (done, late)] == [False, True]
    if done != champion:
        with pytest.raises(ConflictError, match=f"version {max(course)} is live already"):
            promoted(pointers, version(done))
    assert promoted(pointers, version(late)).champion == version(late)


@pytest.mark.parametrize(
    ("move", "number", "replaced", "told"),
    [
        (promote, 3, "1", "release of version 3: expected 1 live as it began, got 2"),
        (promote, 3, NONE, "expected none live as it began, got 2"),
        (promote, 2, "1", ""),
        (roll_back, 1, "3", "expected version 3 live, got 2"),
        (roll_back, 2, "1", ""),
    ],
)
def test_a_move_loses_if_another_version_is_live_than_as_it_began_and_its_own_second_time_changes_nothing(
    move, number, replaced, told
):
    if told:
        with pytest.raises(ConflictError, match=told):
            move(SECOND_LIVE, version(number), replaced=replaced)
    else:
        made_anew = replace(version(number), model_name="m-anew") if move is roll_back else version(number)
        found = move(SECOND_LIVE, made_anew, replaced=replaced)
        assert (found.champion, found.previous) == (made_anew, SECOND_LIVE.previous)


@pytest.mark.parametrize(
    ("live", "beside", "was_live", "is_outdated"),
    [
        (None, "none", False, False),
        (1, "1", False, False),
        (2, "1", False, True),
        (1, "none", True, True),
        (None, "1", False, True),
        (None, "1", True, False),
        (2, "", False, False),
    ],
)
def test_a_version_is_released_beside_the_one_that_it_was_compared_with(live, beside, was_live, is_outdated):
    """But for one that was live, where the pointers were lost, and one from before that was kept."""
    pointers = promoted(Pointers(), version(live)) if live else Pointers()
    assert bool(outdated_by(pointers, beside=beside, was_live=was_live)) is is_outdated


def test_where_a_rollback_goes():
    assert (rollback_target(SECOND_LIVE, None), rollback_target(SECOND_LIVE, "1")) == ("1", "1")
    assert rollback_target(SECOND_LIVE, None, restores=True) == "2"
    for pointers, asked, told in (
        (Pointers(), None, "expected a live version, there is none"),
        (promoted(Pointers(), version(1)), None, "expected a version before 1, there is none"),
        (SECOND_LIVE, "2", "expected a version that is not live, got 2, which is"),
    ):
        with pytest.raises(ConflictError, match=told):
            rollback_target(pointers, asked)


def test_only_a_version_that_was_live_comes_back():
    third, lived = promoted(SECOND_LIVE, version(3)), replace(PACKAGE, approval="Approved", metadata={WAS_LIVE: "r"})
    check_proven(lived, third)
    for approval in ("PendingManualApproval", "Approved", "Rejected"):
        with pytest.raises(ConflictError, match="that was live, version 3 never was"):
            check_proven(replace(PACKAGE, approval=approval), third)
    with pytest.raises(ConflictError, match="version 3 never was"):
        check_proven(lived, SECOND_LIVE)  # the mark alone is no proof
    with pytest.raises(ConflictError, match="that nobody has refused"):
        check_proven(replace(lived, approval="Rejected"), third)


ANN = "arn:aws:sts::123456789012:assumed-role/Leads/ann"
CENTRAL_ANN = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Leads_0a1b/ann@example.com"
OWN = "arn:aws:sts::123456789012:assumed-role/millrace-dev-xray-"


@pytest.mark.parametrize(
    ("approval", "changed_by", "asked_by", "mode", "expected"),
    [
        ("PendingManualApproval", "", NOBODY, "none", "goes on"),
        ("PendingManualApproval", "", NOBODY, "person", "waits"),
        ("Approved", ANN, NOBODY, "person", f"approved by {ANN}"),
        ("Approved", ANN, UNKNOWN, "person", "nobody knows who asked"),
        ("Approved", ANN, ANN.replace("ann", "ann2"), "person", "another person than who asked"),
        ("Approved", ANN, ANN.replace("Leads", "Makers"), "person", f"approved by {ANN}"),
        ("Approved", CENTRAL_ANN, CENTRAL_ANN.replace("ann", "bob"), "person", f"approved by {CENTRAL_ANN}"),
        ("Approved", CENTRAL_ANN, CENTRAL_ANN, "person", "another person than who asked"),
        ("Approved", ANN, ANN, "person", "another person than who asked"),
        ("Approved", "", NOBODY, "person", "nobody whom SageMaker names"),
        ("Approved", OWN + "training/sweep", NOBODY, "person", "expected a person to approve it"),
        ("Rejected", ANN, "", "person", f"{ANN} has refused it: no"),
        ("Rejected", ANN, NOBODY, "none", f"{ANN} has refused it: no"),
    ],
)
def test_who_lets_a_version_be_released(approval, changed_by, asked_by, mode, expected):
    package = replace(PACKAGE, approval=approval, changed_by=changed_by, said="no", metadata={ASKED_BY: asked_by})
    verdict = verdict_of(package, approval=mode, own_roles=OWN)
    said = verdict.refusal or ("waits" if verdict.waits else f"approved by {verdict.approved_by}")
    assert expected in ("goes on" if said == "approved by " else said)
