"""A permissions boundary would bind every call of its role; the local cloud does not decide it, and says so."""

import json


def test_the_local_cloud_says_that_it_decides_by_no_boundary(client, fresh):
    role = {"AssumeRolePolicyDocument": {}, "PermissionsBoundary": "arn:aws:iam::123456789012:policy/boundary"}
    template = {"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": role}}}
    name = fresh("bounded")
    client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))
    events = client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    assert any("a permissions boundary is not decided" in one.get("ResourceStatusReason", "") for one in events)
