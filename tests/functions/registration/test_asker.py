"""Who asked for a training is who called, whatever the input of the run says."""

import json
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.stub import Stubber

from millrace.errors import AskerUnknownError
from millrace.release.askers import Askers
from tests.functions.cold_start import NAMES

PARENT = "arn:aws:states:eu-west-1:123456789012:execution:millrace-local-electricity-retrain:1a2b"
OWN = "millrace-local-electricity-training-machines"
ANN = "arn:aws:sts::123456789012:assumed-role/leads/ann"
CLAIM = {"who": "arn:aws:iam::123456789012:user/zoe"}
OF_PARENT = json.dumps({"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": PARENT})


@pytest.mark.parametrize(
    ("role", "given", "parents_role", "asker"),
    [
        ("leads", json.dumps(CLAIM), "", ANN),
        ("leads", OF_PARENT, OWN, ANN),
        (OWN, "{}", "", "nobody"),
        (OWN, OF_PARENT, "leads", ANN),
        (OWN, OF_PARENT, OWN, "nobody"),
    ],
)
def test_a_version_names_who_started_its_training(
    aws, trained_run, load, event, monkeypatch, role, given, parents_role, asker
):
    for name in ("INFERENCE_IMAGE", "PROCESSING_IMAGE", "KEY_ARN"):
        monkeypatch.setenv(f"MILLRACE_{name}", "x")
    trained_run()
    call = event("registration", **CLAIM)
    if parents_role:
        aws.start(PARENT, as_role=parents_role)
    aws.start(call["execution"], as_role=role, given=given)
    package = load("registration")(call)["package_arn"]
    metadata = aws.sagemaker.describe_model_package(ModelPackageName=package)["CustomerMetadataProperties"]
    assert metadata["asked_by"] == asker


@pytest.mark.parametrize(("minutes", "expected"), [(5, AskerUnknownError), (30, "unknown")])
def test_a_start_that_cloudtrail_does_not_show_is_looked_for_again_and_then_unknown(minutes, expected):
    states, trail = boto3.client("stepfunctions", "eu-west-1"), boto3.client("cloudtrail", "eu-west-1")
    started = datetime.now(UTC) - timedelta(minutes=minutes)
    described = {"executionArn": PARENT, "stateMachineArn": PARENT, "status": "RUNNING", "startDate": started}
    with Stubber(states) as stubbed, Stubber(trail) as empty:
        stubbed.add_response("describe_execution", described | {"input": "{}"})
        empty.add_response("lookup_events", {"Events": []})
        askers = Askers(NAMES, states=states, trail=trail)
        if expected is AskerUnknownError:
            with pytest.raises(AskerUnknownError):
                askers.find(PARENT)
        else:
            assert askers.find(PARENT) == expected


def test_a_look_up_that_is_throttled_is_made_again():
    states, trail = boto3.client("stepfunctions", "eu-west-1"), boto3.client("cloudtrail", "eu-west-1")
    described = {"executionArn": PARENT, "stateMachineArn": PARENT, "status": "RUNNING", "startDate": datetime.now(UTC)}
    with Stubber(states) as stubbed, Stubber(trail) as busy:
        stubbed.add_response("describe_execution", described | {"input": "{}"})
        busy.add_client_error("lookup_events", "ThrottlingException")
        with pytest.raises(AskerUnknownError):
            Askers(NAMES, states=states, trail=trail).find(PARENT)


def test_an_incident_names_who_called_and_is_recorded_once(aws, load, event):
    opened = event("upkeep", is_incident=True, reason="refuses all", by=CLAIM["who"])
    aws.start(opened["execution"], as_role="leads")
    for _ in range(2):
        load("upkeep")(opened)
    assert [(one["event"], one["details"]["by"]) for one in aws.audit()] == [("incident.opened", ANN)]
