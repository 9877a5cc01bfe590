"""The registry on moto."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws

from millrace.decisions.record import Decision
from millrace.errors import ArtefactError
from millrace.release.registry import KeptVersion, Registry, last_registered
from millrace.release.requests import LEAST_TIMED, count, slow_above
from millrace.state.pointers import CanaryVersion
from tests import builders
from tests.credentials import set_credentials

CANDIDATE = builders.candidate(
    image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/millrace-local-inference:local",
    model_data_url="s3://b/runs/run-1/model.tar.gz",
    evaluation_uri="s3://b/runs/run-1/evaluation.json",
    metadata={"data_digest": "d"},
)


@pytest.fixture
def registry(monkeypatch):
    set_credentials(monkeypatch)
    with mock_aws():
        client = boto3.client("sagemaker", region_name="eu-west-1")
        client.create_model_package_group(ModelPackageGroupName="group")
        yield Registry(client, group="group")


def test_a_run_registers_one_version_however_often_it_asks(registry):
    assert not registry.was_never_live(), "an empty registry proves nothing"
    first = registry.register(CANDIDATE)
    assert registry.register(CANDIDATE) == first
    assert (first.version, first.approval) == ("1", "PendingManualApproval")
    assert first.metadata == {"run": "run-1", "data_digest": "d"}
    assert registry.register(replace(CANDIDATE, run="run-2")).version == "2"


def test_what_a_person_says_and_what_was_live_are_two_marks(registry):
    first, second, third = (registry.register(replace(CANDIDATE, run=f"run-{number}")) for number in range(3))
    assert [one.version for one in registry.waiting()] == [one.version for one in registry.all()] == ["3", "2", "1"]
    registry.approve(first, reason="as good on our wards")
    registry.refuse(second, reason="errs")
    found = [registry.describe(one.arn) for one in (first, second)]
    assert [(one.approval, one.said, one.was_live) for one in found] == [
        ("Approved", "as good on our wards", False),
        ("Rejected", "errs", False),
    ]
    assert list(registry.waiting()) == [third]
    assert registry.was_never_live()
    registry.mark_live(found[0], execution="arn:aws:states:eu-west-1:123456789012:execution:release:r1")
    # moto sets to null what an update does not name.
    registry.mark_live(third, execution="arn:aws:states:eu-west-1:123456789012:execution:release:r2")
    assert registry.describe(third.arn).approval == "Approved", "one that nobody had to approve"
    live = registry._client.describe_model_package(ModelPackageName=first.arn)
    assert live["CustomerMetadataProperties"] == {**first.metadata, "was_live": "r1"}
    assert not registry.was_never_live()


def test_more_metadata_than_aws_keeps_is_refused(registry):
    full = {f"key{number}": "v" for number in range(49)}
    registry.register(replace(CANDIDATE, metadata=full))
    with pytest.raises(ArtefactError, match="at most 50 entries, got 51"):
        registry.register(replace(CANDIDATE, run="run-2", metadata=full | {"one more": "v"}))


def test_a_package_without_our_container_is_none_of_ours(registry):
    arn = registry._client.create_model_package(
        ModelPackageGroupName="group",
        InferenceSpecification={"Containers": [{"Image": "i"}], "SupportedContentTypes": ["a"]},
    )["ModelPackageArn"]
    with pytest.raises(ArtefactError, match="ModelDataUrl"):
        registry.describe(arn)


BEGAN = datetime(1997, 6, 1, tzinfo=UTC)
LIVE = builders.decision(id="r", event_time=BEGAN, output={"value": 1}, latency_ms=10.0)
COMPARED = {"champion": "1", "version": "2"}


def asked(number: int, **changes) -> Decision:
    return replace(LIVE, id=f"r-{number}", inferred_at=BEGAN + timedelta(seconds=number), **changes)


def test_who_answers_a_drawn_request_says_whether_the_canary_failed():
    decisions = [asked(1, phase="canary", model_version="2"), asked(2, phase="canary"), asked(3)]
    decisions.append(asked(4, phase="canary", model_version=None, fallback=True))  # nobody could: says nothing of it
    found = count(decisions, None, **COMPARED)
    assert (found.challenger.requests, found.challenger.errors, found.live.requests) == (2, 1, 1)


def test_rows_of_one_request_count_once_and_those_of_files_not_at_all():
    of_one = [asked(1, phase="canary", model_version="2") for _ in range(5)]
    of_file = [asked(number, source="batch", latency_ms=0.0) for number in range(9)]
    found = count(of_one + of_file, None, **COMPARED)
    assert (found.challenger.requests, found.live.requests) == (1, 0)


def test_requests_are_slow_beyond_what_the_live_version_took_before():
    before = [asked(number, latency_ms=1.0 + number / LEAST_TIMED) for number in range(LEAST_TIMED)]
    assert slow_above(before[1:], champion="1") is None
    slow = slow_above(before, champion="1")
    assert slow is not None
    assert (slow.at, slow.ms[0.5]) == (before[-1].inferred_at, before[LEAST_TIMED // 2 - 1].latency_ms)
    later = [asked(1000 + number, latency_ms=1.6, phase="canary", model_version="2") for number in range(10)]
    early = asked(5, latency_ms=9.0, phase="canary", model_version="2")
    found = count([*before, early, *later], slow, **COMPARED)
    assert (found.challenger.requests, found.challenger.timed) == (11, 10), "one came before the bound was known"
    assert (found.challenger.slow[0.5], found.challenger.slow[0.9]) == (10, 0)
    assert (found.live.timed, found.live.requests) == (0, LEAST_TIMED)


def test_a_request_is_drawn_by_its_id_and_the_release():
    canaries = [CanaryVersion(version=builders.version("2"), share=0.1, execution=name) for name in ("one", "another")]
    drawn = [{number for number in range(20_000) if one.draws(f"call-{number}")} for one in canaries]
    for found in drawn:
        assert 1850 < len(found) < 2150, "a tenth, within four standard errors"
    assert len(drawn[0] & drawn[1]) < 300, "another release draws others"


def kept(version, registered_at="2026-01-01T00:00:00Z"):
    return KeptVersion(**vars(replace(CANDIDATE, run=f"run-{version}")), version=version, registered_at=registered_at)


def test_versions_of_a_group_that_was_made_again_are_the_last():
    first = [kept("1"), kept("2"), kept("3")]
    assert last_registered(first) == first
    anew = kept("1", registered_at="2026-02-01T00:00:00Z")
    assert last_registered([*first, anew]) == [anew]
