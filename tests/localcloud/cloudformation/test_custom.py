"""Custom resources: what their function is asked, and what becomes of its answer."""

from __future__ import annotations

import json

import pytest

from tests.localcloud.resources import trust

CODE = """
import json, cfnresponse
def handler(event, context):
    given = event["ResourceProperties"]
    asked = (event["RequestType"], event["ResourceType"], event.get("PhysicalResourceId"), given["Numbers"])
    print("GOT", json.dumps([*asked, event.get("OldResourceProperties", {}).get("Numbers")]))
    if given.get("Silent"):
        return
    status = cfnresponse.FAILED if given.get("Fails") == event["RequestType"] else cfnresponse.SUCCESS
    data = {"Sum": str(sum(map(int, given["Numbers"])))}
    cfnresponse.send(event, context, status, data, given["Name"], reason="no room")
"""


def template(maker, **properties):
    role = {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": json.loads(trust("lambda"))}}
    code = {"FunctionName": maker, "Runtime": "python3.13", "Handler": "index.handler", "Code": {"ZipFile": CODE}}
    function = {"Type": "AWS::Lambda::Function", "Properties": {**code, "Role": {"Fn::GetAtt": "Role.Arn"}}}
    made = {"ServiceToken": {"Fn::GetAtt": "Maker.Arn"}, **properties}
    return {
        "Resources": {"Made": {"Type": "Custom::Sum", "Properties": made}, "Maker": function, "Role": role},
        "Outputs": {"Sum": {"Value": {"Fn::GetAtt": "Made.Sum"}}},
    }


def test_it_is_created_updated_replaced_and_deleted_by_its_function(client, aws, stack, fresh):
    maker = fresh("maker")
    made = stack(template(maker, Name="a", Numbers=[1, 2]))
    assert (made.status, made.physical("Made")) == ("CREATE_COMPLETE", "a"), made.failure
    stack(template(maker, Name="a", Numbers=[1, 4]))
    stack(template(maker, Name="b", Numbers=[1, 4]))
    (described,) = client("cloudformation").describe_stacks(StackName=made.name)["Stacks"]
    assert (described["Outputs"][0]["OutputValue"], made.physical("Made")) == ("5", "b")
    client("cloudformation").delete_stack(StackName=made.name)
    assert aws.printed(maker, "GOT") == [
        ["Create", "Custom::Sum", None, ["1", "2"], None],
        ["Update", "Custom::Sum", "a", ["1", "4"], ["1", "2"]],
        ["Update", "Custom::Sum", "a", ["1", "4"], ["1", "4"]],
        ["Delete", "Custom::Sum", "a", ["1", "4"], None],
        ["Delete", "Custom::Sum", "b", ["1", "4"], None],
    ]
    assert "custom-resource" not in str(client("s3").list_buckets()["Buckets"])


def test_a_failed_update_is_rolled_back_by_another_update(aws, stack, fresh):
    maker = fresh("maker")
    stack(template(maker, Name="a", Numbers=[1]))
    changed = stack(template(maker, Name="a", Numbers=[2], Fails="Update"))
    assert changed.status == "UPDATE_ROLLBACK_COMPLETE"
    assert [one[3] for one in aws.printed(maker, "GOT")] == [["1"], ["2"], ["1"]]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"Fails": "Create"}, "Received response status [FAILED] from custom resource. no room"),
        ({"Silent": True, "ServiceTimeout": 1}, "did not answer in time"),
        ({"Numbers": ["x"]}, "invalid literal for int"),
    ],
)
def test_an_answer_that_is_none_fails_the_stack_with_the_reason(stack, fresh, more, told):
    made = stack(template(fresh("maker"), **{"Name": "a", "Numbers": [1]} | more))
    assert made.status == "ROLLBACK_COMPLETE"
    assert "Made (Custom::Sum): " in made.failure
    assert told in made.failure
