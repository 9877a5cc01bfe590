"""The event history of the local cloud: who started an execution, by the keys of the call."""

import json
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from localcloud.iam.roles import as_role
from localcloud.kernel.cloud import ACCOUNT
from tests.localcloud.resources import allow, make_role

MACHINE = '{"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}'


def test_the_history_says_who_started_which_execution(cloud, client, fresh):
    role = make_role(client("iam"), fresh("starter"), "states", allow("states:StartExecution"))
    machine = client("stepfunctions").create_state_machine(name=fresh("m"), definition=MACHINE, roleArn=role)
    states = as_role(cloud, role, "stepfunctions", principal="states.amazonaws.com")
    given = {"stateMachineArn": machine["stateMachineArn"], "input": '{"who": "somebody else"}'}
    started = [one.start_execution(**given)["executionArn"] for one in (client("stepfunctions"), states)]
    asked = {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "StartExecution"}]}
    now = cloud.clock.now()
    found = client("cloudtrail").lookup_events(**asked, StartTime=now - timedelta(minutes=1), EndTime=now)["Events"]
    events = [json.loads(one["CloudTrailEvent"]) for one in found]
    who = {one["responseElements"]["executionArn"]: one["userIdentity"]["arn"] for one in events}
    own = client("sts").get_caller_identity()["Arn"]
    assert [who[arn].rpartition("/")[0] for arn in started] == [
        own.rpartition("/")[0],
        f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.rpartition('/')[2]}",
    ]
    assert {one["requestParameters"]["input"] for one in events} == {"HIDDEN_DUE_TO_SECURITY_REASONS"}
    assert client("cloudtrail").lookup_events(**asked, EndTime=now - timedelta(days=1))["Events"] == []
    with pytest.raises(ClientError, match="cloudtrail:LookupEvents"):
        as_role(cloud, role, "cloudtrail", principal="states.amazonaws.com").lookup_events()
