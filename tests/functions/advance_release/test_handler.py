"""The conclusion: pointers by compare-and-set, the package approved."""

import sys
from datetime import timedelta

import boto3
import pytest
from botocore.exceptions import ClientError

from millrace.errors import ConflictError
from millrace.release.registry import Registry
from millrace.state.pointers import Pointers
from millrace.timestamps import format_utc, parse_utc
from tests.builders import candidate

RUN, AS_OF = "7c1b2f0e-first", parse_utc("1997-01-01T00:12:00Z")


@pytest.fixture
def packages(aws):
    """Versions 1 and 2, waiting for approval."""
    registry = Registry(aws.sagemaker, group=aws.names.package_group)
    return [registry.register(candidate(run=run, metadata={"data_digest": "d"})) for run in (RUN, "second")]


def serve(aws, config):
    """The live endpoint has this configuration."""
    if aws.sagemaker.list_endpoints(NameContains=aws.names.endpoint)["Endpoints"]:
        aws.sagemaker.delete_endpoint(EndpointName=aws.names.endpoint)
    aws.endpoint(aws.names.endpoint, config=config)


@pytest.fixture(autouse=True)
def _served(aws, event):
    serve(aws, event("advance_release")["state"]["live_config"]["name"])


def second(event, packages, *, replaced="none", **changes):
    asked = (
        event("advance_release") | {"execution": "arn:aws:states:eu-west-1:123456789012:execution:x:second"} | changes
    )
    asked["state"]["start_release"]["answer"] |= {"version": "2", "package_arn": packages[1].arn, "run_name": "second"}
    asked["state"]["start_release"]["answer"]["previous_version"] = replaced
    return asked


def test_the_first_version_goes_live(aws, load, event, packages):
    assert load("advance_release")(event("advance_release")) == {"revision": 1, "watched_requests": 0}
    champion = aws.pointers.champion()
    assert champion.version == "1"
    assert champion.model_name == "millrace-local-electricity-v1-5d2c7e-0-0"
    assert champion.baseline_uri == aws.names.run_uri("7c1b2f0e-first", "baseline.json")
    package = aws.sagemaker.describe_model_package(ModelPackageName=packages[0].arn)
    assert package["ModelApprovalStatus"] == "Approved"
    assert package["CustomerMetadataProperties"]["data_digest"] == "d"
    assert [record["event"] for record in aws.audit()] == ["release.live"]


def test_a_version_is_live_and_a_person_hears_if_what_is_older_cannot_be_deleted(aws, load, event, packages, told):
    handler = load("advance_release")
    client = sys.modules["millrace.functions.advance_release.handler"].SAGEMAKER

    def refuse(**_):
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no right"}}, "ListModels")

    client.meta.events.register("before-call.sagemaker.ListModels", refuse)
    assert handler(event("advance_release")) == {"revision": 1, "watched_requests": 0}
    assert aws.pointers.champion().version == "1"
    (untidy,) = told()
    assert (untidy["detail-type"], untidy["detail"]["run"]) == ("release.untidy", event("advance_release")["execution"])
    assert "no right" in untidy["detail"]["error"]


def test_it_is_said_how_many_requests_the_alarms_of_the_release_have_judged(aws, load, event, packages):
    """Those to this release's configuration: the live endpoint's others went to the fleet before it."""
    config = event("advance_release")["state"]["live_config"]["name"]
    for name, requests in ((config, 3), ("millrace-local-electricity-v0-2e7b01-0-0-live", 40)):
        dimensions = {"EndpointName": aws.names.endpoint, "VariantName": "main", "EndpointConfigName": name}
        datum = {"MetricName": "Invocations", "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions.items()]}
        data = [datum | {"Value": 1.0} for _ in range(requests)]
        boto3.client("cloudwatch").put_metric_data(Namespace="AWS/SageMaker", MetricData=data)
    assert load("advance_release")(event("advance_release"))["watched_requests"] == 3
    (record,) = aws.audit()
    live_at = format_utc(aws.sagemaker.describe_endpoint(EndpointName=aws.names.endpoint)["LastModifiedTime"])
    assert record["details"] == {
        "version": "1", "revision": 1, "watched_requests": 3, "live_at": record["details"]["live_at"],
        "endpoint_config": config,
    }  # fmt: skip
    assert format_utc(parse_utc(record["details"]["live_at"])) == live_at


def test_a_release_that_is_redriven_after_the_endpoint_was_brought_back_does_not_go_live(aws, load, event, packages):
    """It failed behind its update, the clean-up released the version before once more, and nobody updates it again."""
    serve(aws, "millrace-local-electricity-v0-2e7b01-0-0-live")
    with pytest.raises(ConflictError, match=r"expected it to serve .*-v1-5d2c7e-0-0-live still, got .*v0"):
        load("advance_release")(event("advance_release"))
    assert aws.pointers.champion() is None
    aws.sagemaker.delete_endpoint(EndpointName=aws.names.endpoint)
    with pytest.raises(ConflictError, match="got nothing"):
        load("advance_release")(event("advance_release"))


def back(event, replaced):
    asked = event(
        "advance_release", rollback={"reason": "worse since Tuesday", "who": "arn:aws:iam::123456789012:user/kim"}
    )
    asked["execution"] = "arn:aws:states:eu-west-1:123456789012:execution:x:back"
    asked["state"]["start_release"]["answer"]["previous_version"] = replaced
    return asked


def test_a_rollback_swaps_the_pointers_and_is_audited(aws, load, event, packages):
    handler = load("advance_release")
    for asked in (event("advance_release"), second(event, packages, replaced="1")):
        handler(asked)
        aws.leases.free(asked["execution"])
    # The call was Ann's, whoever the input names.
    aws.start(back(event, "2")["execution"], as_role="leads")
    assert handler(back(event, "2")) == handler(back(event, "2"))
    pointers = aws.pointers.read()
    assert (pointers.champion.version, pointers.previous.version, pointers.revision) == ("1", "2", 3)
    (record,) = [record for record in aws.audit() if record["event"] == "release.rolled_back"]
    assert record["details"] == {
        "version": "1", "revision": 3, "watched_requests": 0, "live_at": record["details"]["live_at"],
        "endpoint_config": event("advance_release")["state"]["live_config"]["name"],
        "by": "arn:aws:sts::123456789012:assumed-role/leads/ann", "reason": "worse since Tuesday",
        "replaced": "2",
    }  # fmt: skip


def test_without_the_lease_nothing_moves(aws, load, event, packages):
    aws.leases.take("release", holder="other", as_of=AS_OF, expires_at=AS_OF + timedelta(days=1))
    with pytest.raises(ConflictError, match="lease of release"):
        load("advance_release")(event("advance_release"))
    assert aws.pointers.read() == Pointers()


def test_a_version_that_was_refused_while_its_release_ran_does_not_become_champion(aws, load, event, packages):
    Registry(aws.sagemaker, group=aws.names.package_group).refuse(packages[0], reason="errs on the new wards")
    with pytest.raises(
        ConflictError, match=r"expected one that nobody has refused, it was, by .*: errs on the new wards"
    ):
        load("advance_release")(event("advance_release"))
    assert (aws.pointers.champion(), aws.audit()) == (None, [])
