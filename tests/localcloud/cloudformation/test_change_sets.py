"""Change sets as clients use them; the CDK's command line does in `tests/localcloud/test_cdk_change_sets.py`."""

import json

import pytest
from botocore.exceptions import ClientError


def queue(name, **properties):
    return {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name, **properties}}


@pytest.fixture
def cloudformation(client):
    return client("cloudformation")


@pytest.fixture
def prepare(cloudformation, fresh):
    """Make a change set of a stack whose name is known; the stack is deleted after the test."""
    name = fresh("stack")

    def make(resources, kind="CREATE", change_set="one", **settings):
        body = json.dumps({"Resources": resources, **settings.pop("rest", {})})
        cloudformation.create_change_set(
            StackName=name, ChangeSetName=change_set, ChangeSetType=kind, TemplateBody=body, **settings
        )
        return name

    yield make
    cloudformation.delete_stack(StackName=name)


def status(cloudformation, name):
    return cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]


def test_nothing_is_made_before_it_is_executed(cloudformation, client, prepare, fresh):
    wanted = fresh("queue")
    name = prepare({"Queue": queue(wanted)})
    assert status(cloudformation, name) == "REVIEW_IN_PROGRESS"
    described = cloudformation.describe_change_set(StackName=name, ChangeSetName="one")
    assert (described["Status"], described["ExecutionStatus"]) == ("CREATE_COMPLETE", "AVAILABLE")
    (change,) = described["Changes"]
    assert (change["ResourceChange"]["Action"], change["ResourceChange"]["LogicalResourceId"]) == ("Add", "Queue")
    assert wanted not in str(client("sqs").list_queues())
    cloudformation.execute_change_set(StackName=name, ChangeSetName="one")
    assert status(cloudformation, name) == "CREATE_COMPLETE"
    assert wanted in str(client("sqs").list_queues())


def changes(cloudformation, name, change_set):
    told = cloudformation.describe_change_set(StackName=name, ChangeSetName=change_set)["Changes"]
    found = (one["ResourceChange"] for one in told)
    return {one["LogicalResourceId"]: (one["Action"], one.get("Replacement")) for one in found}


def test_what_would_be_added_modified_replaced_and_removed_is_foreseen(cloudformation, prepare, fresh):
    same, gone = queue(fresh("same")), queue(fresh("gone"))
    before = {"Same": same, "Gone": gone, "Kept": queue(fresh("kept")), "Replaced": queue(fresh("before"))}
    target = {"Id": "t", "Arn": {"Fn::GetAtt": ["Replaced", "Arn"]}}
    rule = {"Type": "AWS::Events::Rule", "Properties": {"EventPattern": {"source": ["x"]}, "Targets": [target]}}
    name = prepare({"Rule": rule, **before})
    cloudformation.execute_change_set(StackName=name, ChangeSetName="one")
    kept = {**before["Kept"], "Properties": {**before["Kept"]["Properties"], "VisibilityTimeout": 7}}
    after = {"Rule": rule, "Same": same, "Kept": kept, "Replaced": queue(fresh("after")), "New": queue(fresh("new"))}
    prepare(after, kind="UPDATE", change_set="two")
    assert changes(cloudformation, name, "two") == {
        "Gone": ("Remove", None),
        "Kept": ("Modify", "False"),
        "Replaced": ("Modify", "True"),
        "Rule": ("Modify", "False"),
        "New": ("Add", None),
    }
    cloudformation.execute_change_set(StackName=name, ChangeSetName="two")
    assert status(cloudformation, name) == "UPDATE_COMPLETE"


def test_without_changes_it_fails_and_is_not_executed(cloudformation, prepare, fresh):
    resources = {"Queue": queue(fresh("queue"))}
    name = prepare(resources)
    cloudformation.execute_change_set(StackName=name, ChangeSetName="one")
    prepare(resources, kind="UPDATE", change_set="two")
    described = cloudformation.describe_change_set(StackName=name, ChangeSetName="two")
    assert (described["Status"], described["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert described["StatusReason"].startswith("The submitted information didn't contain changes.")
    with pytest.raises(ClientError, match="cannot be executed"):
        cloudformation.execute_change_set(StackName=name, ChangeSetName="two")


def test_it_is_found_at_its_own_stack_only(cloudformation, prepare, fresh):
    """The CDK gives every stack's change set the same name."""
    name = prepare({"Queue": queue(fresh("queue"))})
    with pytest.raises(ClientError) as caught:
        cloudformation.describe_change_set(StackName=fresh("other"), ChangeSetName="one")
    assert caught.value.response["Error"]["Code"] == "ChangeSetNotFound"
    cloudformation.delete_change_set(StackName=name, ChangeSetName="none")
    assert [one["ChangeSetName"] for one in cloudformation.list_change_sets(StackName=name)["Summaries"]] == ["one"]
    cloudformation.delete_change_set(StackName=name, ChangeSetName="one")
    assert cloudformation.list_change_sets(StackName=name)["Summaries"] == []


def test_a_parameter_that_nobody_published_is_named_and_leaves_no_stack(cloudformation, prepare, fresh):
    published = {"Type": "AWS::SSM::Parameter::Value<String>", "Default": f"/{fresh('none')}"}
    with pytest.raises(ClientError, match=r"Unable to fetch parameters \[/none-"):
        prepare({"Queue": queue(fresh("queue"))}, rest={"Parameters": {"Published": published}})
    assert "REVIEW_IN_PROGRESS" not in str(cloudformation.describe_stacks()["Stacks"])


CONDITIONS = {
    "IsOn": {"Fn::Equals": [{"Ref": "Switch"}, "on"]},
    "IsOff": {"Fn::Not": [{"Condition": "IsOn"}]},
    "IsNamed": {"Fn::Not": [{"Fn::Equals": ["", {"Fn::Join": ["", {"Ref": "Names"}]}]}]},
    "Both": {"Fn::And": [{"Condition": "IsOn"}, {"Condition": "IsNamed"}]},
    "Either": {"Fn::Or": [{"Condition": "IsOn"}, {"Fn::Not": [{"Fn::Not": [{"Condition": "IsNamed"}]}]}]},
}


@pytest.mark.parametrize(
    ("switch", "names", "true"),
    [
        ("on", "", {"IsOn", "Either"}),
        ("on", "a,b", {"IsOn", "IsNamed", "Both", "Either"}),
        ("off", "a", {"IsOff", "IsNamed", "Either"}),
        ("off", "", {"IsOff"}),
    ],
)
def test_conditions_stand_within_each_other(cloudformation, prepare, fresh, switch, names, true):
    prefix = fresh("queue")
    resources = {name: {**queue(f"{prefix}-{name}"), "Condition": name} for name in CONDITIONS}
    parameters = {"Switch": {"Type": "String", "Default": "off"}, "Names": {"Type": "CommaDelimitedList"}}
    given = [
        {"ParameterKey": "Switch", "ParameterValue": switch},
        {"ParameterKey": "Names", "ParameterValue": names},
    ]
    name = prepare(resources, rest={"Conditions": CONDITIONS, "Parameters": parameters}, Parameters=given)
    assert set(changes(cloudformation, name, "one")) == true
    cloudformation.execute_change_set(StackName=name, ChangeSetName="one")
    made = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    assert {one["LogicalResourceId"] for one in made} == true
    told = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Parameters"]
    assert {one["ParameterKey"]: one["ParameterValue"] for one in told} == {"Switch": switch, "Names": names}


def test_a_condition_function_that_is_none_is_named(prepare, fresh):
    rest = {"Conditions": {"Wrong": {"Fn::Select": [0, ["a"]]}}}
    with pytest.raises(ValueError, match="condition function Fn::Select is not known"):
        prepare({"Queue": queue(fresh("queue"))}, rest=rest)


def test_what_was_changed_beside_the_template_is_changed_back(cloudformation, client, prepare, fresh):
    """By a change set that reverts drift; one of the same template otherwise has no changes."""
    name, events = fresh("rule"), client("events")
    properties = {"Name": name, "State": "ENABLED", "EventPattern": {"source": ["a"]}}
    rule = {"Rule": {"Type": "AWS::Events::Rule", "Properties": properties}}
    stack = prepare(rule)
    cloudformation.execute_change_set(StackName=stack, ChangeSetName="one")
    events.disable_rule(Name=name)
    prepare(rule, "UPDATE", "two")
    assert cloudformation.describe_change_set(StackName=stack, ChangeSetName="two")["Status"] == "FAILED"
    assert events.describe_rule(Name=name)["State"] == "DISABLED"
    prepare(rule, "UPDATE", "three", DeploymentMode="REVERT_DRIFT")
    told = cloudformation.describe_change_set(StackName=stack, ChangeSetName="three")
    assert (told["DeploymentMode"], changes(cloudformation, stack, "three").keys()) == ("REVERT_DRIFT", {"Rule"})
    cloudformation.execute_change_set(StackName=stack, ChangeSetName="three")
    assert events.describe_rule(Name=name)["State"] == "ENABLED"


def test_the_local_cloud_says_that_it_decides_by_no_boundary(client, fresh):
    role = {"AssumeRolePolicyDocument": {}, "PermissionsBoundary": "arn:aws:iam::123456789012:policy/boundary"}
    template = {"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": role}}}
    name = fresh("bounded")
    client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))
    events = client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    assert any("a permissions boundary is not decided" in one.get("ResourceStatusReason", "") for one in events)


def test_what_exists_is_imported_as_it_is(cloudformation, client, prepare, fresh):
    bucket = fresh("bucket")
    kept = {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain", "Properties": {"BucketName": bucket}}
    named = {"ResourceType": "AWS::S3::Bucket", "LogicalResourceId": "B", "ResourceIdentifier": {"BucketName": bucket}}
    with pytest.raises(ClientError, match="cannot modify or add"):
        prepare({"B": kept}, "IMPORT", ResourcesToImport=[])
    bare = {key: value for key, value in kept.items() if key != "DeletionPolicy"}
    with pytest.raises(ClientError, match="missing the DeletionPolicy"):
        prepare({"B": bare}, "IMPORT", ResourcesToImport=[named])
    name = prepare({"B": kept}, "IMPORT", ResourcesToImport=[named])
    cloudformation.execute_change_set(StackName=name, ChangeSetName="one")
    assert status(cloudformation, name) == "IMPORT_ROLLBACK_COMPLETE", "there is no such bucket"
    cloudformation.delete_stack(StackName=name)
    client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": {"B": kept}}))
    assert status(cloudformation, name) == "ROLLBACK_COMPLETE", "its name is taken"
    cloudformation.delete_stack(StackName=name)
    prepare({"B": kept}, "IMPORT", ResourcesToImport=[named])
    cloudformation.execute_change_set(StackName=name, ChangeSetName="one")
    assert status(cloudformation, name) == "IMPORT_COMPLETE"
    whole = json.dumps({"Resources": {"B": kept, "Queue": queue(fresh("queue"))}})
    cloudformation.update_stack(StackName=name, TemplateBody=whole)
    assert status(cloudformation, name) == "UPDATE_COMPLETE"
    cloudformation.delete_stack(StackName=name)
    client("s3").head_bucket(Bucket=bucket)
