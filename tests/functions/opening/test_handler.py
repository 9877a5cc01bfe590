"""The opening function: lease, package, what stands."""

from __future__ import annotations

from datetime import timedelta

import pytest

from millrace.errors import ArtefactError
from millrace.moments import moment
from millrace.registry import Candidate, Registry
from millrace.state import Pointers, Version

AS_OF = moment("1997-01-01T00:12:00Z")


@pytest.fixture
def package(aws):
    """Version 1 of the workload, registered."""
    return register(aws, aws.names.package_group)


def register(aws, group):
    candidate = Candidate(
        run="7c1b2f0e-first",
        image="image",
        model_data_url="s3://b/model.tar.gz",
        evaluation_uri="s3://b/evaluation.json",
        instances=("ml.m5.large",),
        metadata={"data_digest": "d"},
    )
    return Registry(aws.sagemaker, group=group).register(candidate)


def endpoint(aws, name, status="InService"):
    aws.sagemaker.create_model(
        ModelName=name, ExecutionRoleArn="arn:aws:iam::123456789012:role/x", PrimaryContainer={"Image": "i"}
    )
    variant = {"VariantName": "main", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    aws.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant])
    aws.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    from moto.sagemaker.models import sagemaker_backends

    sagemaker_backends["123456789012"]["eu-west-1"].endpoints[name].endpoint_status = status


def live(aws, number):
    version = Version(
        package_arn=f"p/{number}", version=str(number), model_name="m", endpoint_config="c", run="r", released_at="",
        baseline_uri="",
    )  # fmt: skip
    aws.state.move(Pointers(champion=version))


def test_the_first_release_opens(aws, load, event, package):
    answer = load("opening")(event("opening"))
    assert answer == {
        "outcome": "open",
        "package_arn": package.arn,
        "version": "1",
        "run_name": "7c1b2f0e-first",
        "image": "image",
        "model_data_url": "s3://b/model.tar.gz",
        "previous_version": "none",
        "has_live": False,
        "has_challenger": False,
    }
    assert aws.state.lease("release").holder == event("opening")["execution"]


def test_what_stands_is_told(aws, load, event, package):
    endpoint(aws, aws.names.endpoint)
    endpoint(aws, aws.names.challenger)
    answer = load("opening")(event("opening"))
    assert (answer["outcome"], answer["has_live"], answer["has_challenger"]) == ("open", True, True)


def test_another_release_is_waited_for(aws, load, event, package):
    aws.state.take_lease("release", holder="other", as_of=AS_OF, expires_at=AS_OF + timedelta(days=1))
    assert load("opening")(event("opening"))["outcome"] == "busy"


def test_a_changing_endpoint_is_waited_for(aws, load, event, package):
    endpoint(aws, aws.names.endpoint, "Updating")
    assert load("opening")(event("opening"))["outcome"] == "busy"


def test_a_failed_endpoint_is_deleted_and_waited_for(aws, load, event, package):
    endpoint(aws, aws.names.challenger, "Failed")
    handler = load("opening")
    assert handler(event("opening"))["outcome"] == "busy"
    assert handler(event("opening"))["outcome"] == "open"


@pytest.mark.parametrize(("number", "outcome"), [(1, "done"), (2, "done"), (10, "done")])
def test_an_event_that_came_twice_or_late_does_nothing(aws, load, event, package, number, outcome):
    live(aws, number)
    assert load("opening")(event("opening"))["outcome"] == outcome


def test_a_package_of_another_workload_is_refused(aws, load, event):
    aws.sagemaker.create_model_package_group(ModelPackageGroupName="another")
    stranger = register(aws, "another")
    with pytest.raises(ArtefactError, match="expected a package of millrace-local-electricity"):
        load("opening")(event("opening", detail={"package_arn": stranger.arn}))
