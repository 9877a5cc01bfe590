"""The opening function: what stands and what is asked decide what a release does next."""

import sys
from dataclasses import replace
from datetime import timedelta

import pytest
from moto.sagemaker.models import sagemaker_backends

from millrace.artefact.artefact import digest
from millrace.artefact.signing import SIGNATURE_FILE, read_bundle
from millrace.aws.objects import split_uri
from millrace.errors import ArtefactError, ConflictError, EndpointChangingError
from millrace.functions.start_release.request import label_of, rule_answer
from millrace.release.registry import Registry
from millrace.release.signatures import SigningKey, signed_version
from millrace.state.climbing import Climbing
from millrace.state.holdings import Leases
from millrace.state.pointers import CanaryVersion, Pointers
from millrace.timestamps import parse_utc
from tests import builders
from tests.builders import version
from tests.functions.cold_start import NAMES
from tests.millrace.evaluation.gates.test_catalogue import report

AS_OF = parse_utc("1997-01-01T00:12:00Z")
RUN = "7c1b2f0e-first"
SIGNED = {"data_digest": "d", "model_digest": "ab12", "baseline_digest": "cd34", "sample_digest": "ef56"}
ASKER = "arn:aws:sts::123456789012:assumed-role/Makers/bob"
OTHER, TIDIES = NAMES.execution_arn("release", "other"), "sweep 0b3f"
SERVED = NAMES.endpoint
"""The model of an endpoint that `aws.endpoint` makes is called like it."""


def register(aws, run=RUN, group=NAMES.package_group, **changes):
    """A version of that run, signed as it is registered."""
    metadata = {name: value for name, value in (SIGNED | changes).items() if value}
    aws.put(NAMES.run_uri(run, SIGNATURE_FILE), signature(aws, run, metadata))
    candidate = builders.candidate(run=run, image="image", model_data_url="s3://b/model.tar.gz", metadata=metadata)
    return Registry(aws.sagemaker, group=group).register(candidate)


def signature(aws, run, metadata):
    signed = signed_version(NAMES, run=run, members={"model.onnx": "ab" * 32}, metadata=metadata)
    return SigningKey(aws.kms, NAMES.platform.signing_key_alias).sign(signed.to_statement())


def mark_live(aws, number):
    registry = Registry(aws.sagemaker, group=NAMES.package_group)
    registry.mark_live(registry.describe(NAMES.package_arn(str(number))), execution="released")


def hold(aws, holder):
    aws.leases.take("release", holder=holder, as_of=AS_OF, expires_at=AS_OF + timedelta(days=1))


@pytest.fixture
def package(aws):
    return register(aws)


@pytest.fixture(autouse=True)
def phased(declare):
    """`phased("canary")` declares that phase before `live`, for functions that are loaded later."""
    return lambda *phases: declare({"[live]": f"[{', '.join((*phases, 'live'))}]\n  min_instances: 2"})


@pytest.fixture
def new(event):
    """`new(2)`: the release of that registered version."""
    return lambda number=1, **more: event(
        "start_release", detail={"package_arn": NAMES.package_arn(str(number))}, **more
    )


@pytest.fixture
def back(event):
    """`back(to="1")`: the opening of a rollback."""

    def asked(**words):
        found = event("start_release", rollback={"reason": "worse since Tuesday", **words})
        del found["state"]["detail"]
        return found

    return asked


def arrange(aws, *, live=None, previous=None, served="m", holder="", endpoint="", challenger=""):
    """What stands: the pointers, the holder of the lease, the statuses of the endpoints."""
    for number in filter(None, (live, previous)):
        if number <= 2:
            mark_live(aws, number)
    if live:
        champion = version(live, model_name=served)
        aws.pointers.move(Pointers(champion=champion, previous=version(previous) if previous else None))
    if holder:
        hold(aws, holder)
    for name, status in ((NAMES.endpoint, endpoint), (NAMES.challenger, challenger)):
        if status:
            aws.endpoint(name, status)


RESTORES, SECOND = {"restores": True}, {"live": 2, "previous": 1}
SERVES = {"served": SERVED, "endpoint": "InService"}
CHANGING, TIDIED = (
    (EndpointChangingError, told) for told in ("does not change now", f"no lease of release, {TIDIES} has")
)
TABLE = {
    # The event that a version was registered: 1 and 2 were compared with none, 3 with version 1.
    "it came late": ({"live": 10}, 1, "done"),
    "the endpoint changes, and there is nothing to do": ({"live": 1, "endpoint": "Updating"}, 1, "done"),
    "the endpoint changes": ({"endpoint": "Updating"}, 1, CHANGING),
    "the challenger changes": ({"challenger": "Deleting"}, 1, CHANGING),
    "that of another release changes": ({"endpoint": "Updating", "holder": OTHER}, 1, "busy"),
    "the challenger of another release is broken": ({"challenger": "Failed", "holder": OTHER}, 1, "busy"),
    "the endpoint is broken": ({"endpoint": "OutOfService"}, 1, (ConflictError, "can be updated, got OutOfService")),
    "a function tidies": ({"holder": TIDIES}, 1, TIDIED),
    "another one is live since": ({"live": 1}, 2, "outdated"),
    "it was compared with the live one": ({"live": 1}, 3, "open"),
    # A rollback.
    "back": (SECOND, {}, "open"),
    "back while a function tidies": (SECOND | {"holder": TIDIES}, {}, TIDIED),
    "back while a release runs": (SECOND | {"holder": OTHER}, {}, (ConflictError, "no release to run, .*:other does")),
    "back to one that never was live": (SECOND, {"to": "3"}, (ConflictError, "version 3 never was")),
    # A restoration.
    "another model serves": (SECOND | {"endpoint": "InService"}, RESTORES, "open"),
    "it serves": (SECOND | SERVES, RESTORES, "done"),
    "it serves, a release runs": (SECOND | SERVES | {"holder": OTHER}, RESTORES, "busy"),
    "its endpoint is gone": ({"live": 1}, RESTORES, "open"),
}
"""What stands, what is asked (the number of a version, or the words of a rollback), and the outcome or the error."""


@pytest.mark.parametrize("case", TABLE)
def test_what_stands_and_what_is_asked_decide(aws, load, new, back, case):
    stands, asks, outcome = TABLE[case]
    for run, beside in ((RUN, "none"), ("two", "none"), ("three", "1")):
        register(aws, run, beside=beside)
    arrange(aws, **stands)
    before, handler = aws.sagemaker.list_endpoints()["Endpoints"], load("start_release")
    asked = new(asks) if isinstance(asks, int) else back(**asks)
    if isinstance(outcome, str):
        answer = handler(asked)
        assert answer["outcome"] == outcome
        assert answer["refusal"].startswith("evaluated beside no version, but version 1") is (outcome == "outdated")
    else:
        with pytest.raises(outcome[0], match=outcome[1]):
            handler(asked)
    lease = aws.leases.find("release")
    if "holder" in stands:
        assert (lease.holder, aws.sagemaker.list_endpoints()["Endpoints"]) == (stands["holder"], before)
    if outcome is CHANGING:
        assert lease.holder == asked["execution"]


@pytest.mark.parametrize(("kind", "status"), [("endpoint", "Failed"), ("challenger", "UpdateRollbackFailed")])
def test_a_broken_endpoint_is_deleted_and_waited_for(aws, load, new, package, kind, status):
    arrange(aws, **{kind: status})
    handler = load("start_release")
    with pytest.raises(EndpointChangingError):
        handler(new())
    assert handler(new())["outcome"] == "open"


def test_the_first_release_opens(aws, load, new, package):
    assert load("start_release")(new()) == {
        "outcome": "open",
        "label": label_of("1", new()["execution"]),
        **dict.fromkeys(("has_shadow", "has_assisted", "has_canary", "has_warm", "has_live", "has_challenger"), False),
        "package_arn": package.arn,
        "version": "1",
        "run_name": RUN,
        "image": "image",
        "model_data_url": "s3://b/model.tar.gz",
        **{name: SIGNED[name] for name in ("model_digest", "baseline_digest", "sample_digest")},
        **dict.fromkeys(("promised_error", "automate_from", "costs_digest", "rule_answer", "refusal"), ""),
        "previous_version": "none",
        "approval_hours": 168.0,
    }
    assert aws.leases.find("release").holder == new()["execution"]


def test_the_rule_answers_as_the_signed_evaluation_says(aws):
    figures = {"rule": "base_rate", "rows": 1, "metrics": {}}
    content, without = (
        report(changes={"naive": figures | {"answer": answer}}).to_json().encode() for answer in ({"value": 1}, None)
    )
    registered = [register(aws, f"run{len(text)}", evaluation_digest=digest(text)) for text in (content, without)]
    assert [*map(rule_answer, (content, without), registered)] == ['{"value": 1}', ""]
    with pytest.raises(ArtefactError, match="as it was signed"):
        rule_answer(content, registered[1])


def test_the_pointers_are_read_again_under_the_lease(aws, load, new, monkeypatch):
    """The release before this one moves them after the first look, and then frees its lease."""
    aws.leases.take("first", holder=register(aws, beside="none").arn, as_of=AS_OF, expires_at=AS_OF + timedelta(days=1))
    take = Leases.take

    def moved_meanwhile(leases, *words, **named):
        aws.pointers.move(Pointers(champion=version(2)))
        return take(leases, *words, **named)

    handler = load("start_release")
    monkeypatch.setattr(Leases, "take", moved_meanwhile)
    assert handler(new())["outcome"] == "done"
    assert aws.leases.find("first") is None


@pytest.mark.parametrize("lacking", ["model_digest", "baseline_digest"])
def test_a_version_without_digests_is_not_released(aws, load, new, lacking):
    register(aws, **{lacking: ""})
    with pytest.raises(ArtefactError, match=f"metadata: expected {lacking}, got none"):
        load("start_release")(new())


def test_a_package_of_another_workload_is_refused(aws, load, event):
    aws.sagemaker.create_model_package_group(ModelPackageGroupName="another")
    stranger = register(aws, group="another")
    with pytest.raises(ArtefactError, match="expected a package of millrace-local-electricity"):
        load("start_release")(event("start_release", detail={"package_arn": stranger.arn}))


@pytest.mark.parametrize(
    ("declared", "asked"),
    [((), ["canary", "live"]), (("shadow", "canary"), ["canary", "live"]), (("canary",), ["canary", "live"])],
)
def test_an_input_neither_skips_nor_adds_a_phase(aws, load, new, package, phased, declared, asked):
    """And a first version skips the phases that compare it."""
    phased(*declared)
    handler = load("start_release")
    if [*declared, "live"] == asked:
        assert handler(new(rollout={"phases": asked}))["has_canary"] is False
        return
    with pytest.raises(ConflictError, match="as declared and deployed"):
        handler(new(rollout={"phases": asked}))
    assert aws.leases.find("release") is None


def test_a_rollback_goes_live_at_once_whatever_is_declared(aws, load, back, package, phased):
    register(aws, "two")
    arrange(aws, **SECOND, endpoint="InService")
    phased("shadow", "canary")
    answer = load("start_release")(back())
    assert (answer["outcome"], answer["has_shadow"], answer["has_canary"]) == ("open", False, False)


@pytest.fixture
def watched(aws):
    """Versions 1 to 3 are registered; version 2 is live, and its release watches it beside version 1."""
    for run, beside in ((RUN, "none"), ("two", "1"), ("three", "2"), ("late", "1")):
        register(aws, run, beside=beside)
    holder = NAMES.execution_arn("release", "2")
    arrange(aws, **SECOND, served=SERVED, holder=holder, endpoint="InService", challenger="InService")
    previous, pointers = version(1, model_name=NAMES.challenger), aws.pointers.read()
    standby = CanaryVersion(version=previous, share=0.0, execution=holder)
    aws.pointers.move(replace(pointers, previous=previous, canary=standby))
    Climbing(execution=holder, version="2", phase="live", since=AS_OF).put(aws.state)
    return holder


@pytest.mark.parametrize("model", [NAMES.challenger, "another"])
def test_a_rollback_takes_over_what_only_watches_and_is_heard_at_once(aws, load, back, watched, model):
    """Unless the challenger's endpoint serves another version by now."""
    aws.pointers.move(replace(aws.pointers.read(), previous=version(1, model_name=model)))
    answer = load("start_release")(back())
    assert (answer["outcome"], answer["version"], answer["has_challenger"]) == ("open", "1", True)
    assert aws.leases.find("release").holder == back()["execution"]
    canary = aws.pointers.read().canary
    heard = canary and (canary.version.version, canary.share, canary.execution)
    assert heard == (("1", 1.0, back()["execution"]) if model == NAMES.challenger else None)
    assert Climbing.find(aws.state) is None


WATCHES = [("live", 2, "done"), ("live", 4, "behind"), ("live", RESTORES, "behind"), ("shadow", 3, "behind")]


@pytest.mark.parametrize(("phase", "asks", "outcome"), WATCHES, ids=str)
def test_what_changes_nothing_does_not_end_a_watch(aws, load, new, back, watched, phase, asks, outcome):
    """The same version, one that was compared with another, a restoration; and none ends a comparison."""
    Climbing(execution=watched, version="2", phase=phase, since=AS_OF).put(aws.state)
    assert load("start_release")(back(**asks) if asks == RESTORES else new(asks))["outcome"] == outcome
    assert aws.leases.find("release").holder == aws.pointers.read().canary.execution == watched


def test_a_restoration_looks_at_no_endpoint_before_it_has_the_lease(aws, load, back, package):
    """What it saw might have changed by then."""
    arrange(aws, live=1, **SERVES)
    handler, held = load("start_release"), []
    events = sys.modules["millrace.functions.start_release.handler"].SAGEMAKER.meta.events
    events.register("before-call.sagemaker.DescribeEndpoint", lambda **_: held.append(bool(aws.leases.find("release"))))
    assert handler(back(**RESTORES))["outcome"] == "done"
    assert set(held) == {True}


def test_an_input_says_a_package_or_a_rollback_with_its_reason(load, event, back):
    handler, nothing = load("start_release"), back()
    del nothing["state"]["rollback"]
    both = event("start_release", rollback={"reason": "r"})
    for asked, told in ((nothing, "got neither"), (both, "got both"), (back(reason=""), "reason")):
        with pytest.raises(ValueError, match=told):
            handler(asked)


def altered(aws):
    """The signature of a statement that was changed afterwards, by one letter of a digest."""
    signed = read_bundle(signature(aws, RUN, SIGNED))
    return replace(signed, statement=signed.statement.replace(b'"ab12"', b'"ab13"')).to_bundle()


WRONG = {
    "of an altered statement": (altered, "model.sig: expected a signature by alias/millrace-local-signing"),
    "of another run": (lambda aws: signature(aws, "second", SIGNED), f"expected that of .*{RUN}, got .*/second"),
    "of another model": (
        lambda aws: signature(aws, RUN, SIGNED | {"model_digest": "ef56"}),
        "model_digest: expected ef56, as it was signed, the registry has ab12",
    ),
    "of fewer digests": (
        lambda aws: signature(aws, RUN, {name: SIGNED[name] for name in SIGNED if name != "data_digest"}),
        "data_digest: expected none, as it was signed, the registry has d",
    ),
    # Whoever may approve a version may edit its metadata, and would take his name out of it.
    "of another asker": (lambda aws: signature(aws, RUN, SIGNED | {"asked_by": ASKER}), "asked_by: expected"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_version_with_a_wrong_signature_is_not_released(aws, load, new, package, fault):
    make, told = WRONG[fault]
    aws.put(NAMES.run_uri(RUN, SIGNATURE_FILE), make(aws))
    with pytest.raises(ArtefactError, match=told):
        load("start_release")(new())
    assert aws.leases.find("release") is None


def test_without_a_signature_nothing_is_released_but_the_live_version_restored(aws, load, new, back, package):
    """Its absence is no reason to serve a version that was never promoted; a wrong one is refused."""
    register(aws, "two")
    arrange(aws, **SECOND)
    bucket, key = split_uri(NAMES.run_uri(RUN, SIGNATURE_FILE))
    aws.s3.delete_object(Bucket=bucket, Key=key)
    handler = load("start_release")
    for asked in (new(), back()):
        with pytest.raises(ArtefactError, match=f"version 1: expected model.sig of run {RUN}, there is none; .* train"):
            handler(asked)
    aws.pointers.move(Pointers(champion=version(1), revision=aws.pointers.read().revision))
    assert handler(back(**RESTORES))["outcome"] == "open"
    aws.put(NAMES.run_uri(RUN, SIGNATURE_FILE), altered(aws))
    with pytest.raises(ArtefactError, match="expected a signature by"):
        handler(back(**RESTORES))


PERSON = "arn:aws:sts::123456789012:assumed-role/Leads/ann"
OWN = "arn:aws:sts::123456789012:assumed-role/millrace-local-electricity-training/sweep"


@pytest.fixture
def decided(aws):
    """`decided("approve", PERSON)`: this identity has approved or refused version 1, as SageMaker keeps it."""
    package, registry = register(aws, asked_by=ASKER), Registry(aws.sagemaker, group=NAMES.package_group)

    def put(verdict, by):
        getattr(registry, verdict)(package, reason="for us")
        (kept,) = sagemaker_backends["123456789012"]["eu-west-1"].model_packages.values()
        kept.last_modified_by = {"IamIdentity": {"Arn": by}}

    return put


@pytest.fixture
def asking(load, monkeypatch):
    """The function of a workload whose versions a person approves."""
    monkeypatch.setenv("MILLRACE_APPROVAL", "person")
    return load("start_release")


def test_a_version_that_a_person_has_to_approve_waits_and_holds_up_no_other(aws, asking, new, decided):
    assert asking(new())["outcome"] == "unapproved"
    assert (aws.leases.find("release"), aws.audit()) == (None, [])
    hold(aws, OTHER)
    assert asking(new())["outcome"] == "unapproved"
    aws.leases.free(OTHER)
    decided("approve", PERSON)
    assert [asking(new())["outcome"] for _ in range(2)] == ["open", "open"]
    (record,) = aws.audit()
    assert (record["event"], *record["details"].values()) == ("release.approved", PERSON, "for us", "1")


def test_a_refused_version_is_not_released(aws, load, new, decided):
    decided("refuse", PERSON)
    answer = load("start_release")(new())
    assert (answer["outcome"], answer["refusal"]) == ("refused", f"{PERSON} has refused it: for us")
    assert aws.leases.find("release") is None
    (record,) = aws.audit()
    assert (record["event"], record["details"]["by"]) == ("release.refused", PERSON)


@pytest.mark.parametrize("by", [OWN, ASKER])
def test_an_approval_that_does_not_count_lets_the_version_wait_again(aws, asking, new, decided, by):
    """Told once, by whom; another person may still approve it, and no second first training starts meanwhile."""
    decided("approve", by)
    arn = NAMES.package_arn("1")
    aws.leases.take("first", holder=arn, as_of=AS_OF, expires_at=AS_OF + timedelta(days=1))
    answer = asking(new())
    assert (answer["outcome"], by in answer["refusal"]) == ("refused", True)
    (record,) = aws.audit()
    assert (record["event"], record["details"]["by"]) == ("release.refused", by)
    found = Registry(aws.sagemaker, group=NAMES.package_group).describe(arn)
    assert (found.approval, found.said) == ("PendingManualApproval", answer["refusal"])
    assert asking(new())["outcome"] == "unapproved"
    assert (len(aws.audit()), aws.leases.find("release"), aws.leases.find("first").holder) == (1, None, arn)
    decided("approve", PERSON)
    assert asking(new())["outcome"] == "open"


@pytest.mark.parametrize(("pointers", "outcome"), [(Pointers(), "open"), (Pointers(champion=version(0)), "unapproved")])
def test_the_mark_of_a_live_version_stands_for_an_approval_only_if_the_pointers_were_lost(
    aws, asking, new, package, pointers, outcome
):
    aws.sagemaker.update_model_package(
        ModelPackageArn=package.arn,
        ModelApprovalStatus="PendingManualApproval",
        CustomerMetadataProperties={**package.metadata, "was_live": "me"},
    )
    aws.pointers.move(pointers)
    assert asking(new())["outcome"] == outcome
