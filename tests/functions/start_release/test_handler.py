"""The opening function: lease, package, what stands."""

import shutil
from dataclasses import replace
from datetime import timedelta

import pytest

from millrace.artefact.artefact import digest
from millrace.artefact.signing import SIGNATURE_FILE, SignedStatement, read_bundle
from millrace.aws.endpoints import CHANGING
from millrace.errors import ArtefactError, ConflictError, EndpointChangingError
from millrace.functions.start_release.request import label_of, rule_answer
from millrace.release.registry import Registry
from millrace.release.signatures import SigningKey, signed_version
from millrace.state.asleep import Asleep
from millrace.state.climbing import Climbing
from millrace.state.leases import Leases
from millrace.state.pointers import CanaryVersion, Pointers, Version
from millrace.timestamps import parse_utc
from tests import builders
from tests.electricity import live_at_once
from tests.millrace.evaluation.gates.test_catalogue import report
from tests.shipped import SHIPPED
from tests.signing_key import create_signing_key

AS_OF = parse_utc("1997-01-01T00:12:00Z")
(ELECTRICITY,) = [folder for folder in SHIPPED if folder.name == "electricity"]


SIGNED = {"data_digest": "d", "model_digest": "ab12", "baseline_digest": "cd34", "sample_digest": "ef56"}
ASKER = "arn:aws:sts::123456789012:assumed-role/Makers/bob"


@pytest.fixture
def package(aws):
    """Version 1 of the workload, registered."""
    return register(aws, aws.names.package_group)


def register(aws, group, run="7c1b2f0e-first", **without):
    """A version of that run, signed as it is registered."""
    metadata = {name: value for name, value in (SIGNED | without).items() if value}
    aws.put(aws.names.run_uri(run, SIGNATURE_FILE), signature(aws, run, metadata))
    candidate = builders.candidate(
        run=run,
        image="image",
        model_data_url="s3://b/model.tar.gz",
        evaluation_uri="s3://b/evaluation.json",
        metadata=metadata,
    )
    return Registry(aws.sagemaker, group=group).register(candidate)


def test_the_rule_answers_as_the_signed_evaluation_says(aws):
    figures = {"rule": "base_rate", "rows": 1, "metrics": {}}
    content, without = (
        report(changes={"naive": figures | {"answer": answer}}).to_json().encode() for answer in ({"value": 1}, None)
    )
    for text, answer in ((content, '{"value": 1}'), (without, "")):
        arn = register(aws, aws.names.package_group, run=f"run{len(text)}", evaluation_digest=digest(text)).arn
        registered = Registry(aws.sagemaker, group=aws.names.package_group).describe(arn)
        assert rule_answer(text, registered) == answer
    with pytest.raises(ArtefactError, match="as it was signed"):
        rule_answer(content, registered)


def signature(aws, run, metadata):
    signed = signed_version(aws.names, run=run, members={"model.onnx": "ab" * 32}, metadata=metadata)
    return SigningKey(aws.kms, aws.names.platform.signing_key_alias).sign(signed)


def version(number):
    return Version(
        package_arn=f"p/{number}", version=str(number), model_name="m", run="r",
        baseline_uri="",
    )  # fmt: skip


def live(aws, number):
    aws.pointers.move(Pointers(champion=version(number)))


@pytest.fixture
def second_live(aws, package):
    """Version 2 is live, version 1 was."""
    Registry(aws.sagemaker, group=aws.names.package_group).mark_live(package, execution="released")
    aws.pointers.move(Pointers(champion=version(2), previous=version(1)))


def back(event, **words):
    """The opening of a rollback."""
    asked = event("start_release", rollback={"reason": "worse since Tuesday", **words})
    del asked["state"]["detail"]
    asked["state"]["rollout"]["phases"] = ["canary", "live"]
    return asked


def test_the_first_release_opens(aws, load, event, package):
    answer = load("start_release")(event("start_release"))
    assert answer == {
        "outcome": "open",
        "label": label_of("1", event("start_release")["execution"]),
        "has_shadow": False,
        "has_assisted": False,
        "has_canary": False,
        "has_warm": False,
        "package_arn": package.arn,
        "version": "1",
        "run_name": "7c1b2f0e-first",
        "image": "image",
        "model_data_url": "s3://b/model.tar.gz",
        "model_digest": "ab12",
        "baseline_digest": "cd34",
        "promised_error": "",
        "automate_from": "",
        "costs_digest": "",
        "rule_answer": "",
        "sample_digest": "ef56",
        "previous_version": "none",
        "refusal": "",
        "approval_hours": 168.0,
        "sleeping_config": "",
        "has_live": False,
        "has_challenger": False,
    }
    assert aws.leases.find("release").holder == event("start_release")["execution"]


@pytest.mark.parametrize(
    ("version", "serves", "rollback", "outcome"),
    [
        ("1", False, {"restores": True}, "asleep"),
        ("1", True, {"restores": True}, "open"),  # it serves another model
        ("9", False, {"restores": True}, "open"),  # another version slept
    ],
)
def test_a_sleeping_endpoint_is_made_by_its_own_configuration(
    version, serves, rollback, outcome, aws, load, event, package
):
    Registry(aws.sagemaker, group=aws.names.package_group).mark_live(package, execution="released")
    live(aws, 1)
    asleep = Asleep(version=version, config="config-1", instance="ml.m5.large", instances=1, since=AS_OF)
    asleep.put(aws.state)
    if serves:
        aws.endpoint(aws.names.endpoint)
    answer = load("start_release")(back(event, **rollback))
    assert (answer["outcome"], answer["sleeping_config"]) == (outcome, "config-1" if outcome == "asleep" else "")


def hold(aws, holder):
    aws.leases.take("release", holder=holder, as_of=AS_OF, expires_at=AS_OF + timedelta(days=1))


def other(aws):
    """Another release has the lease."""
    hold(aws, aws.names.execution_arn("release", "other"))


@pytest.mark.parametrize("rolls_back", [True, False])
def test_a_function_that_holds_the_lease_is_waited_for_as_a_change_is(rolls_back, aws, load, event, second_live):
    """For a moment, while it deletes what a release left behind."""
    hold(aws, "sweep 0b3f")
    asked = back(event) if rolls_back else event("start_release")
    with pytest.raises(EndpointChangingError, match="expected no lease of release, sweep 0b3f has it"):
        load("start_release")(asked)
    assert aws.leases.free("sweep 0b3f") == ["lease#release"]
    load("start_release")(asked)


@pytest.mark.parametrize("kind", ["endpoint", "challenger"])
@pytest.mark.parametrize("status", CHANGING)
def test_a_changing_endpoint_is_waited_for_with_the_lease(aws, load, event, package, status, kind):
    name = getattr(aws.names, kind)
    aws.endpoint(name, status)
    with pytest.raises(EndpointChangingError, match=f"endpoint {name}: expected one that SageMaker does not change"):
        load("start_release")(event("start_release"))
    assert aws.leases.find("release").holder == event("start_release")["execution"]


def test_a_changing_endpoint_of_another_release_is_that_releases(aws, load, event, package):
    aws.endpoint(aws.names.endpoint, "Updating")
    other(aws)
    assert load("start_release")(event("start_release"))["outcome"] == "busy"


def test_a_changing_endpoint_keeps_nobody_who_has_nothing_to_do(aws, load, event, package):
    live(aws, 1)
    aws.endpoint(aws.names.endpoint, "Updating")
    assert load("start_release")(event("start_release"))["outcome"] == "done"


def test_a_failed_endpoint_is_deleted_and_waited_for(aws, load, event, package):
    aws.endpoint(aws.names.endpoint, "Failed")
    handler = load("start_release")
    with pytest.raises(EndpointChangingError):
        handler(event("start_release"))
    assert handler(event("start_release"))["outcome"] == "open"


@pytest.mark.parametrize("status", ["OutOfService", "UpdateRollbackFailed"])
def test_a_broken_endpoint_is_not_waited_for(aws, load, event, package, status):
    aws.endpoint(aws.names.challenger, status)
    handler = load("start_release")
    with pytest.raises(EndpointChangingError):
        handler(event("start_release"))
    assert handler(event("start_release"))["outcome"] == "open"
    aws.endpoint(aws.names.endpoint, status)
    with pytest.raises(ConflictError, match=f"expected a status that can be updated, got {status}; delete it"):
        handler(event("start_release"))


def test_the_broken_challenger_of_another_release_stays(aws, load, event, package):
    aws.endpoint(aws.names.challenger, "Failed")
    other(aws)
    assert load("start_release")(event("start_release"))["outcome"] == "busy"
    assert len(aws.sagemaker.list_endpoints()["Endpoints"]) == 1


@pytest.mark.parametrize(("number", "outcome"), [(1, "done"), (2, "done"), (10, "done")])
def test_an_event_that_came_twice_or_late_does_nothing(aws, load, event, package, number, outcome):
    live(aws, number)
    assert load("start_release")(event("start_release"))["outcome"] == outcome


@pytest.mark.parametrize(("beside", "number"), [("none", 1), ("1", 2)])
def test_a_version_is_not_released_over_one_that_it_was_not_compared_with(aws, load, event, beside, number):
    """That one went live after the gates had judged, by a release that this one has waited for."""
    for run in ("one", "two", "three"):
        package = register(aws, aws.names.package_group, run=run, beside=beside)
    live(aws, number)
    asked = event("start_release")
    asked["state"]["detail"]["package_arn"] = package.arn
    came = "no version" if beside == "none" else "version 1"
    answer = load("start_release")(asked)
    assert (answer["outcome"], answer["previous_version"]) == ("outdated", str(number))
    assert answer["refusal"].startswith(f"evaluated beside {came}, but version {number} is live now; a new run")


@pytest.mark.parametrize("beside", ["1", ""])
def test_a_version_is_released_over_the_one_that_it_was_compared_with(aws, load, event, beside):
    """Or where that was not kept, before it was."""
    register(aws, aws.names.package_group)
    package = register(aws, aws.names.package_group, run="two", beside=beside)
    live(aws, 1)
    asked = event("start_release")
    asked["state"]["detail"]["package_arn"] = package.arn
    assert load("start_release")(asked)["outcome"] == "open"


def test_the_pointers_are_read_again_under_the_lease(aws, load, event, monkeypatch):
    """The release before this one moves them after the first look, and then frees its lease."""
    package = register(aws, aws.names.package_group, beside="none")
    aws.leases.take("first", holder=package.arn, as_of=AS_OF, expires_at=AS_OF + timedelta(days=1))
    take = Leases.take

    def moved_meanwhile(leases, *words, **named):
        live(aws, 2)
        return take(leases, *words, **named)

    handler = load("start_release")
    monkeypatch.setattr(Leases, "take", moved_meanwhile)
    assert handler(event("start_release"))["outcome"] == "done"
    assert aws.leases.find("first") is None


@pytest.mark.parametrize("lacking", ["model_digest", "baseline_digest"])
def test_a_version_without_digests_is_not_released(aws, load, event, lacking):
    register(aws, aws.names.package_group, **{lacking: ""})
    with pytest.raises(ArtefactError, match=f"metadata: expected {lacking}, got none; .* train a new one"):
        load("start_release")(event("start_release"))


def test_a_package_of_another_workload_is_refused(aws, load, event):
    aws.sagemaker.create_model_package_group(ModelPackageGroupName="another")
    stranger = register(aws, "another")
    with pytest.raises(ArtefactError, match="expected a package of millrace-local-electricity"):
        load("start_release")(event("start_release", detail={"package_arn": stranger.arn}))


@pytest.fixture(autouse=True)
def declare(tmp_path, monkeypatch):
    """Versions go live at once; `declare("canary")` declares that phase before `live`, for functions loaded later."""
    declaration = shutil.copytree(ELECTRICITY, tmp_path / "workloads" / ELECTRICITY.name) / "workload.yaml"
    live = live_at_once(declaration.read_text())
    declaration.write_text(live)
    monkeypatch.setenv("MILLRACE_WORKLOADS", str(tmp_path / "workloads"))

    def write(*phases):
        declared = f"phases: [{', '.join((*phases, 'live'))}]\n  min_instances: 2"
        declaration.write_text(live.replace("phases: [live]", declared))

    return write


def test_a_first_version_skips_the_phases_that_compare_it(aws, load, event, package, declare):
    declare("canary")
    assert load("start_release")(event("start_release", rollout={"phases": ["canary", "live"]}))["has_canary"] is False


@pytest.mark.parametrize(
    ("declared", "asked"),
    [
        ((), ["shadow", "live"]),
        ((), ["canary", "live"]),
        (("shadow",), ["live"]),
        (("canary",), ["live"]),
        (("shadow", "canary"), ["canary", "live"]),
    ],
)
def test_an_input_neither_skips_nor_adds_a_phase(aws, load, event, package, declare, declared, asked):
    declare(*declared)
    with pytest.raises(ConflictError, match="as declared and deployed") as raised:
        load("start_release")(event("start_release", rollout={"phases": asked}))
    assert str([*declared, "live"]) in str(raised.value)
    assert str(asked) in str(raised.value)
    assert aws.leases.find("release") is None


def test_a_rollback_goes_live_at_once_whatever_is_declared(aws, load, event, second_live, declare):
    declare("shadow", "canary")
    answer = load("start_release")(back(event))
    assert (answer["outcome"], answer["has_shadow"], answer["has_canary"]) == ("open", False, False)


@pytest.mark.parametrize(
    ("to", "told"),
    [("2", "got 2, which is"), ("3", "version 3 never was")],
)
def test_a_rollback_that_cannot_be_is_refused(aws, load, event, second_live, to, told):
    for run in ("second", "third"):
        register(aws, aws.names.package_group, run)
    with pytest.raises(ConflictError, match=told):
        load("start_release")(back(event, to=to))
    assert aws.leases.find("release") is None


def test_a_rollback_does_not_wait_for_a_release(aws, load, event, second_live):
    other(aws)
    with pytest.raises(ConflictError, match=r"expected no release to run, .*:other does"):
        load("start_release")(back(event))


@pytest.fixture
def watched(aws):
    """Versions 1 to 3 are registered; version 2 is live, and its release watches it beside version 1."""
    registry, holder = Registry(aws.sagemaker, group=aws.names.package_group), aws.names.execution_arn("release", "2")
    one, two, _ = (register(aws, aws.names.package_group, run, beside=run) for run in ("none", "1", "2"))
    for package in (one, two):
        registry.mark_live(package, execution="released")
    previous = replace(version(1), model_name=aws.names.challenger)
    standby = CanaryVersion(version=previous, share=0.0, execution=holder)
    champion = replace(version(2), model_name=aws.names.endpoint)
    aws.pointers.move(Pointers(champion=champion, previous=previous, canary=standby))
    hold(aws, holder)
    state = aws.state
    Climbing(execution=holder, version="2", phase="live", since=AS_OF).put(state)
    for name in (aws.names.endpoint, aws.names.challenger):
        aws.endpoint(name)
    return holder


def test_a_rollback_takes_over_what_only_watches_and_is_heard_at_once(aws, load, event, watched):
    asked = back(event)
    answer = load("start_release")(asked)
    assert (answer["outcome"], answer["version"], answer["has_challenger"]) == ("open", "1", True)
    assert aws.leases.find("release").holder == asked["execution"]
    canary = aws.pointers.read().canary
    assert (canary.version.version, canary.share, canary.execution) == ("1", 1.0, asked["execution"])
    assert Climbing.find(aws.state) is None


@pytest.mark.parametrize("asks", ["the same version", "a restoration", "an outdated version"])
def test_what_changes_nothing_does_not_end_a_watch(aws, load, event, watched, asks):
    asked = back(event, restores=True) if asks == "a restoration" else event("start_release")
    number = "2"
    if asks == "an outdated version":
        register(aws, aws.names.package_group, "late", beside="1")
        number = "4"
    if asks != "a restoration":
        asked["state"]["detail"]["package_arn"] = aws.names.package_arn(number)
    outcome = load("start_release")(asked)["outcome"]
    assert outcome == ("done" if asks == "the same version" else "behind")
    assert aws.leases.find("release").holder == watched
    assert aws.pointers.read().canary.execution == watched


def test_a_challenger_of_another_version_answers_nobody(aws, load, event, watched):
    pointers = aws.pointers.read()
    aws.pointers.move(replace(pointers, previous=replace(pointers.previous, model_name="another")))
    assert load("start_release")(back(event))["outcome"] == "open"
    assert aws.pointers.read().canary is None


def test_an_input_says_a_package_or_a_rollback_with_its_reason(aws, load, event, package):
    handler, nothing = load("start_release"), back(event)
    del nothing["state"]["rollback"]
    for asked, told in (
        (nothing, "got neither"),
        (event("start_release", rollback={"reason": "r"}), "got both"),
        (back(event, reason=""), "reason"),
    ):
        with pytest.raises(ValueError, match=told):
            handler(asked)


def test_a_restoration_opens_the_live_version_unless_it_serves(aws, load, event, second_live):
    aws.endpoint(aws.names.endpoint)
    restores = back(event, to="2", restores=True)
    register(aws, aws.names.package_group, "second")
    registry = Registry(aws.sagemaker, group=aws.names.package_group)
    registry.mark_live(registry.describe(aws.names.package_arn("2")), execution="r")
    answer = load("start_release")(restores)
    assert (answer["outcome"], answer["version"], answer["previous_version"]) == ("open", "2", "2")
    pointers = aws.pointers.read()
    served = replace(pointers.champion, model_name=aws.names.endpoint)
    aws.pointers.move(replace(pointers, champion=served))
    assert load("start_release")(restores)["outcome"] == "done"


def test_a_restoration_waits_for_a_release(aws, load, event, package):
    """That one may change what the endpoint serves: it is done when nobody does."""
    Registry(aws.sagemaker, group=aws.names.package_group).mark_live(package, execution="released")
    aws.endpoint(aws.names.endpoint)
    aws.pointers.move(Pointers(champion=replace(version(1), model_name=aws.names.endpoint)))
    other(aws)
    handler = load("start_release")
    assert handler(back(event, restores=True))["outcome"] == "busy"
    aws.leases.free(aws.names.execution_arn("release", "other"))
    assert handler(back(event, restores=True))["outcome"] == "done"


def test_a_live_version_from_before_signatures_is_restored(aws, load, event, package):
    """Its absent signature is no reason to serve a version that was never promoted; a wrong one is refused."""
    Registry(aws.sagemaker, group=aws.names.package_group).mark_live(package, execution="released")
    live(aws, 1)
    uri = aws.names.run_uri(RUN, SIGNATURE_FILE)
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    aws.s3.delete_object(Bucket=bucket, Key=key)
    assert load("start_release")(back(event, restores=True))["outcome"] == "open"
    aws.put(uri, altered(aws))
    with pytest.raises(ArtefactError, match="expected a signature by"):
        load("start_release")(back(event, restores=True))


RUN = "7c1b2f0e-first"
METADATA = {"data_digest": "d", "model_digest": "ab12", "baseline_digest": "cd34"}


def altered(aws):
    """The signature of a statement that was changed afterwards, by one letter of a digest."""
    signed = read_bundle(signature(aws, RUN, METADATA))
    statement = signed.statement.replace(b'"ab12"', b'"ab13"')
    return SignedStatement(statement=statement, signature=signed.signature, hint=signed.hint).to_bundle()


def by_another_key(aws):
    made = signature(aws, RUN, METADATA)
    create_signing_key(aws.kms, aws.names.platform)
    return made


WRONG = {
    "no bundle": (lambda aws: b"{}", "version 1: model.sig: expected a Sigstore bundle"),
    "of an altered statement": (altered, "version 1: model.sig: expected a signature by alias/millrace-local-signing"),
    "by another key": (by_another_key, "version 1: model.sig: expected a signature by alias/millrace-local-signing"),
    "of another run": (
        lambda aws: signature(aws, "second", METADATA),
        "expected that of .*7c1b2f0e-first, got .*/second",
    ),
    "of another model": (
        lambda aws: signature(aws, RUN, METADATA | {"model_digest": "ef56"}),
        "version 1: model_digest: expected ef56, as it was signed, the registry has ab12",
    ),
    "of fewer digests": (
        lambda aws: signature(aws, RUN, {"model_digest": "ab12", "baseline_digest": "cd34"}),
        "version 1: data_digest: expected none, as it was signed, the registry has d",
    ),
    # Whoever may approve a version may edit its metadata, and would take his name out of it.
    "of another asker": (
        lambda aws: signature(aws, RUN, SIGNED | {"asked_by": ASKER}),
        "version 1: asked_by: expected",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_version_with_a_wrong_signature_is_not_released(aws, load, event, package, fault):
    make, told = WRONG[fault]
    aws.put(aws.names.run_uri(RUN, SIGNATURE_FILE), make(aws))
    with pytest.raises(ArtefactError, match=told):
        load("start_release")(event("start_release"))
    assert aws.leases.find("release") is None


def test_a_version_without_a_signature_is_neither_released_nor_gone_back_to(aws, load, event, second_live):
    bucket, _, key = aws.names.run_uri(RUN, SIGNATURE_FILE).removeprefix("s3://").partition("/")
    aws.s3.delete_object(Bucket=bucket, Key=key)
    for asked in (event("start_release"), back(event)):
        with pytest.raises(ArtefactError, match=f"version 1: expected model.sig of run {RUN}, there is none; .* train"):
            load("start_release")(asked)


PERSON = "arn:aws:sts::123456789012:assumed-role/Leads/ann"
OWN = "arn:aws:sts::123456789012:assumed-role/millrace-local-electricity-training/sweep"


@pytest.fixture
def decided(aws):
    """`decided("Approved", PERSON)`: this identity has approved or refused version 1, as SageMaker keeps it."""
    from moto.sagemaker.models import sagemaker_backends

    package = register(aws, aws.names.package_group, asked_by=ASKER)

    def put(status, by):
        registry = Registry(aws.sagemaker, group=aws.names.package_group)
        (registry.approve if status == "Approved" else registry.refuse)(package, reason="for us")
        (kept,) = sagemaker_backends["123456789012"]["eu-west-1"].model_packages.values()
        kept.last_modified_by = {"IamIdentity": {"Arn": by}}

    return put


def test_a_version_that_a_person_has_to_approve_waits_and_holds_up_no_other(aws, load, event, package, monkeypatch):
    monkeypatch.setenv("MILLRACE_APPROVAL", "person")
    handler = load("start_release")
    assert handler(event("start_release"))["outcome"] == "unapproved"
    assert (aws.leases.find("release"), aws.audit()) == (None, [])
    other(aws)
    assert handler(event("start_release"))["outcome"] == "unapproved"


def test_an_approved_version_opens_and_the_audit_says_by_whom(aws, load, event, decided, monkeypatch):
    monkeypatch.setenv("MILLRACE_APPROVAL", "person")
    decided("Approved", PERSON)
    handler = load("start_release")
    assert [handler(event("start_release"))["outcome"] for _ in range(2)] == ["open", "open"]
    (record,) = aws.audit()
    assert (record["event"], record["details"]) == (
        "release.approved",
        {"version": "1", "by": PERSON, "reason": "for us"},
    )


@pytest.mark.parametrize(
    ("status", "by", "mode", "told"),
    [
        ("Rejected", PERSON, "person", f"{PERSON} has refused it: for us"),
        ("Rejected", PERSON, "none", f"{PERSON} has refused it: for us"),
    ],
)
def test_a_refused_version_is_not_released(aws, load, event, decided, monkeypatch, status, by, mode, told):
    monkeypatch.setenv("MILLRACE_APPROVAL", mode)
    decided(status, by)
    answer = load("start_release")(event("start_release"))
    assert answer["outcome"] == "refused"
    assert told in answer["refusal"]
    assert aws.leases.find("release") is None
    (record,) = aws.audit()
    assert (record["event"], record["details"]["by"]) == ("release.refused", by)


@pytest.mark.parametrize("by", [OWN, ASKER])
def test_an_approval_that_does_not_count_lets_the_version_wait_again(aws, load, event, decided, monkeypatch, by):
    """Told once, by whom; another person may still approve it, and no second first training starts meanwhile."""
    monkeypatch.setenv("MILLRACE_APPROVAL", "person")
    decided("Approved", by)
    arn = aws.names.package_arn("1")
    aws.leases.take(arn, holder="a training", as_of=AS_OF, expires_at=AS_OF + timedelta(days=1))
    handler = load("start_release")
    answer = handler(event("start_release"))
    assert (answer["outcome"], by in answer["refusal"]) == ("refused", True)
    (record,) = aws.audit()
    assert (record["event"], record["details"]["by"]) == ("release.refused", by)
    found = Registry(aws.sagemaker, group=aws.names.package_group).describe(arn)
    assert (found.approval, found.said) == ("PendingManualApproval", answer["refusal"])
    assert handler(event("start_release"))["outcome"] == "unapproved"
    assert (len(aws.audit()), aws.leases.find("release"), aws.leases.find(arn) is None) == (1, None, False)
    decided("Approved", PERSON)
    assert handler(event("start_release"))["outcome"] == "open"


@pytest.mark.parametrize(("pointers", "outcome"), [(Pointers(), "open"), (Pointers(champion=version(0)), "unapproved")])
def test_the_mark_of_a_live_version_stands_for_an_approval_only_if_the_pointers_were_lost(
    aws, load, event, package, monkeypatch, pointers, outcome
):
    monkeypatch.setenv("MILLRACE_APPROVAL", "person")
    aws.sagemaker.update_model_package(
        ModelPackageArn=package.arn,
        ModelApprovalStatus="PendingManualApproval",
        CustomerMetadataProperties={**package.metadata, "was_live": "me"},
    )
    aws.pointers.move(pointers)
    assert load("start_release")(event("start_release"))["outcome"] == outcome
