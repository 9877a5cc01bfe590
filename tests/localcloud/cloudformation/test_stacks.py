import copy
import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from localcloud.cloudformation.stack_resources import KINDS
from tests.archives import zipped
from tests.localcloud.cloudformation.test_change_sets import queue
from tests.localcloud.resources import Stack, trust

SERVED = ("Endpoint", "EndpointConfig", "Model")
"""They take an image: `tests/localcloud/test_foreign_app.py` makes them."""
EVERY_TYPE = json.loads((Path(__file__).parents[1] / "templates" / "every_type.json").read_text())


@pytest.fixture(scope="module", autouse=True)
def bootstrapped(cloud):
    """What every CDK template expects, and a code object for the layer."""
    cloud.client("ssm").put_parameter(
        Name="/cdk-bootstrap/hnb659fds/version", Value="30", Type="String", Overwrite=True
    )
    place = {"LocationConstraint": "eu-west-1"}
    cloud.client("s3").create_bucket(Bucket="every-code", CreateBucketConfiguration=place)
    cloud.client("s3").put_object(Bucket="every-code", Key="code.zip", Body=zipped(**{"python/nothing.py": ""}))


def test_every_type_is_created_updated_and_deleted(cloud, client):
    cloudformation = client("cloudformation")
    name = "every-type"
    covered = {one["Type"] for one in EVERY_TYPE["Resources"].values()}
    assert covered | {f"AWS::SageMaker::{one}" for one in SERVED} == set(KINDS)
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(EVERY_TYPE))
    stack = Stack(cloudformation, name)
    assert stack.status == "CREATE_COMPLETE", stack.failure
    shared = client("sagemaker").get_model_package_group_policy(ModelPackageGroupName="every-models")["ResourcePolicy"]
    assert json.loads(shared) == EVERY_TYPE["Resources"]["Packages"]["Properties"]["ModelPackageGroupPolicy"]
    cloudformation.update_stack(StackName=name, TemplateBody=json.dumps(_changed(EVERY_TYPE)))
    assert stack.status == "UPDATE_COMPLETE", stack.failure
    with pytest.raises(ClientError, match="Cannot find resource policy"):
        client("sagemaker").get_model_package_group_policy(ModelPackageGroupName="every-models")
    cloudformation.delete_stack(StackName=name)
    left = {one["StackName"]: one["StackStatus"] for one in cloudformation.describe_stacks()["Stacks"]}
    assert name not in left, stack.failure
    assert "every-landing" not in [one["Name"] for one in client("s3").list_buckets()["Buckets"]]


def _changed(template):
    """Each property that a platform changes over time, and one that replaces."""
    changed = copy.deepcopy(template)
    resources = {key: one["Properties"] for key, one in changed["Resources"].items()}
    resources["Queue"]["VisibilityTimeout"] = 240
    resources["Topic"]["DisplayName"] = "renamed"
    resources["Subscription"]["FilterPolicy"] = {"kind": ["b"]}
    resources["Rule"]["EventPattern"] = {"source": ["other"]}
    resources["Trail"]["EnableLogFileValidation"] = True
    resources["S3Rule"]["Targets"][0]["Id"] = "Target1"
    resources["Schedule"]["ScheduleExpression"] = "rate(2 hours)"
    resources["Database"]["DatabaseInput"]["Description"] = "new"
    resources["GlueTable"]["TableInput"]["Parameters"]["more"] = "yes"
    resources["Table"]["BillingMode"] = "PROVISIONED"
    resources["Table"]["ProvisionedThroughput"] = {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}
    resources["FunctionPolicy"]["PolicyDocument"]["Statement"][0]["Action"] = "sqs:*"
    resources["ManagedPolicy"]["PolicyDocument"]["Statement"][0]["Action"] = "sqs:*"
    resources["ScheduleRole"]["Policies"][0]["PolicyName"] = "other"
    resources["Function"]["MemorySize"] = 512
    resources["Function"]["Code"]["ZipFile"] += "# changed"
    resources["Mapping"]["BatchSize"] = 5
    resources["Machine"]["DefinitionString"] = '{"StartAt":"B","States":{"B":{"Type":"Succeed"}}}'
    resources["Spark"]["MaximumCapacity"]["Cpu"] = "32 vCPU"
    del resources["Packages"]["ModelPackageGroupPolicy"]
    resources["Alarm"]["Threshold"] = 2
    resources["Composite"]["AlarmRule"] = 'OK("every-alarm")'
    resources["Dashboard"]["DashboardBody"] = '{"widgets":[]}'
    resources["Key"]["Description"] = "new"
    resources["Group"]["SecurityGroupEgress"][0]["ToPort"] = 444
    resources["Landing"]["VersioningConfiguration"]["Status"] = "Suspended"
    resources["FlowGroup"]["RetentionInDays"] = 60
    resources["Url"]["AuthType"] = "NONE"
    resources["ModelRole"]["Description"] = "new"
    resources["Api"]["Body"]["paths"]["/a"]["get"]["summary"] = "new"
    resources["ApiDeployment"]["Description"] = "new"
    return changed


def test_an_unknown_type_raises_by_name_before_anything_is_made(stack, client, fresh):
    name = fresh("queue")
    task = {"Type": "Task", "Resource": "arn:aws:states:::ecs:runTask.sync", "End": True}
    machine = {"DefinitionString": json.dumps({"StartAt": "A", "States": {"A": task}})}
    lacking = {
        "Queue": queue(name),
        "One": {"Type": "AWS::EKS::Cluster"},
        "Two": {"Type": "AWS::EKS::Cluster", "CreationPolicy": {}},
        "Three": {"Type": "AWS::StepFunctions::StateMachine", "Properties": machine},
        "Four": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Fn::Length": [1]}}},
    }
    with pytest.raises(ClientError) as refused:
        stack(lacking)
    assert refused.value.response["Error"]["Message"] == (
        "The local cloud does not cover: resource type AWS::EKS::Cluster (One, Two); task ecs:runTask.sync (Three); "
        "template feature CreationPolicy (Two); template feature Fn::Length (Four)"
    )
    assert name not in str(client("sqs").list_queues())


def test_a_type_that_moto_alone_knows_is_kept_and_replaced(stack, client):
    def parts(path, **cluster):
        place = {"RestApiId": {"Ref": "Api"}, "ParentId": {"Fn::GetAtt": ["Api", "RootResourceId"]}, "PathPart": path}
        called = {
            "IntegrationHttpMethod": "POST",
            "Type": "AWS_PROXY",
            "Uri": "arn:aws:apigateway:eu-west-1:lambda:path/x",
        }
        method = {
            "RestApiId": {"Ref": "Api"},
            "ResourceId": {"Ref": "Part"},
            "HttpMethod": "ANY",
            "Integration": called,
        }
        return {
            "Method": {"Type": "AWS::ApiGateway::Method", "Properties": {**method, "AuthorizationType": "NONE"}},
            "Api": {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Name": "parts"}},
            "Part": {"Type": "AWS::ApiGateway::Resource", "Properties": place},
            "Cluster": {"Type": "AWS::ECS::Cluster", "Properties": {"ClusterName": "kept", **cluster}},
        }

    for path in ("one", "two"):
        made = stack(parts(path))
        assert made.failure is None
        found = client("apigateway").get_resources(restApiId=made.physical("Api"))["items"]
        assert f"/{path}" in [one["path"] for one in found]
    changed = stack(parts("two", Tags=[]))
    assert changed.failure.endswith("what replaces it needs another name")
    assert client("ecs").describe_clusters(clusters=["kept"])["clusters"][0]["status"] == "ACTIVE"


def test_an_unknown_attribute_raises_by_name(stack, fresh):
    attribute = {"Fn::GetAtt": ["Queue", "Colour"]}
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": attribute}}
    assert "no attribute 'Colour'" in stack({"Queue": queue(fresh()), "Topic": topic}).failure


def test_what_is_retained_except_on_create_blocks_no_second_attempt(stack, client, fresh):
    """A fixed name is free again where the operation that made it goes back, and kept from then on."""
    first, second = fresh("queue"), fresh("queue")
    kept = {"DeletionPolicy": "RetainExceptOnCreate"}
    bad = {"Type": "AWS::SNS::Subscription", "Properties": {"TopicArn": "no", "Protocol": "sqs", "Endpoint": "no"}}
    made = stack({"Kept": {**queue(first), **kept}, "Bad": {**bad, "DependsOn": "Kept"}})
    assert made.status == "ROLLBACK_COMPLETE"
    assert first not in str(client("sqs").list_queues())
    client("cloudformation").delete_stack(StackName=made.name)
    client("cloudformation").create_stack(
        StackName=made.name, TemplateBody=json.dumps({"Resources": {"Kept": {**queue(first), **kept}}})
    )
    assert made.status == "CREATE_COMPLETE", made.failure
    both = {"Kept": {**queue(first), **kept}, "New": {**queue(second), **kept}}
    assert stack({**both, "Bad": {**bad, "DependsOn": "New"}}).status == "UPDATE_ROLLBACK_COMPLETE"
    listed = str(client("sqs").list_queues())
    assert first in listed
    assert second not in listed
    assert stack({"Other": queue(fresh("queue"))}).status == "UPDATE_COMPLETE"
    assert first in str(client("sqs").list_queues())


def test_an_output_that_cannot_be_evaluated_fails_the_stack(client, fresh):
    outputs = {"Bad": {"Value": {"Fn::GetAtt": ["Queue", "Nothing"]}}}
    template = {"Resources": {"Queue": queue(fresh("queue"))}, "Outputs": outputs}
    name = fresh("stack")
    client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps(template))
    told = client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    assert told["StackStatus"] == "ROLLBACK_COMPLETE"


def test_a_failed_update_goes_back_to_the_state_before(stack, client, fresh):
    name = fresh("queue")
    stack({"Queue": queue(name, VisibilityTimeout=10)})
    bad = {"Type": "AWS::SNS::Subscription", "Properties": {"TopicArn": "no", "Protocol": "sqs", "Endpoint": "no"}}
    made = stack({"Queue": queue(name, VisibilityTimeout=20), "Bad": {**bad, "DependsOn": "Queue"}})
    assert made.status == "UPDATE_ROLLBACK_COMPLETE"
    url = client("sqs").get_queue_url(QueueName=name)["QueueUrl"]
    attributes = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    assert attributes["Attributes"]["VisibilityTimeout"] == "10"


@pytest.mark.parametrize("replacement_fails", [False, True])
def test_a_failed_update_keeps_what_it_was_to_replace(stack, client, fresh, replacement_fails):
    first, second = fresh("queue"), "no name!" if replacement_fails else fresh("queue")
    stack({"Queue": queue(first)})
    url = client("sqs").get_queue_url(QueueName=first)["QueueUrl"]
    client("sqs").send_message(QueueUrl=url, MessageBody="kept")
    bad = {"Type": "AWS::SNS::Subscription", "Properties": {"TopicArn": "no", "Protocol": "sqs", "Endpoint": "no"}}
    made = stack({"Queue": queue(second), "Bad": {**bad, "DependsOn": "Queue"}})
    assert made.status == "UPDATE_ROLLBACK_COMPLETE"
    assert made.physical("Queue") == url
    attributes = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
    assert attributes["Attributes"]["ApproximateNumberOfMessages"] == "1"
    assert second not in str(client("sqs").list_queues())


def budget(name, percent):
    alert = {"NotificationType": "ACTUAL", "ComparisonOperator": "GREATER_THAN", "Threshold": percent}
    told = [{"SubscriptionType": "EMAIL", "Address": "team@example.com"}]
    limit = {"Amount": 10, "Unit": "USD"}
    return {
        "Type": "AWS::Budgets::Budget",
        "Properties": {
            "Budget": {"BudgetName": name, "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit},
            "NotificationsWithSubscribers": [{"Notification": alert, "Subscribers": told}],
        },
    }


def test_other_notifications_replace_a_budget_which_needs_another_name(stack, client, fresh):
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-budgets-budget.html"""
    first, second = fresh("budget"), fresh("budget")
    stack({"Budget": budget(first, 80)})
    assert stack({"Budget": budget(first, 90)}).status == "UPDATE_ROLLBACK_COMPLETE"
    made = stack({"Budget": budget(second, 90)})
    assert (made.status, made.physical("Budget")) == ("UPDATE_COMPLETE", second)
    kept = client("budgets").describe_budgets(AccountId="123456789012")["Budgets"]
    assert [one["BudgetName"] for one in kept if one["BudgetName"] in (first, second)] == [second]


def test_the_id_of_a_replaced_resource_reaches_those_that_refer_to_it(stack, client, fresh):
    """moto compares the text of templates only: here the rule's text does not change."""
    rule = {
        "Type": "AWS::Events::Rule",
        "Properties": {
            "EventPattern": {"source": ["x"]},
            "Targets": [{"Id": "t", "Arn": {"Fn::GetAtt": ["Queue", "Arn"]}}],
        },
    }
    before, after = fresh("queue"), fresh("queue")
    stack({"Queue": queue(before), "Rule": rule})
    made = stack({"Queue": queue(after), "Rule": rule})
    targets = client("events").list_targets_by_rule(Rule=made.physical("Rule"))["Targets"]
    assert [one["Arn"].rpartition(":")[2] for one in targets] == [after]
    assert before not in str(client("sqs").list_queues())


def function(code):
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Runtime": "python3.11",
            "Handler": "index.handler",
            "Code": {"ZipFile": code},
        },
    }


def versioned(code, version_id):
    """CDK names the version after the code: new code is a new logical id."""
    alias = {
        "FunctionName": {"Ref": "Function"},
        "FunctionVersion": {"Fn::GetAtt": [version_id, "Version"]},
        "Name": "live",
    }
    return {
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": json.loads(trust("lambda"))}},
        "Function": function(code),
        version_id: {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "Function"}}},
        "Alias": {"Type": "AWS::Lambda::Alias", "Properties": alias},
    }


def test_a_new_version_has_the_new_code_and_the_alias_follows(stack, client):
    made = stack(versioned("one = 1", "VersionA"))
    name = made.physical("Function")
    first = client("lambda").get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    made = stack(versioned("two = 2", "VersionB"))
    second = client("lambda").get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    assert second != first
    with pytest.raises(client("lambda").exceptions.ProvisionedConcurrencyConfigNotFoundException):
        client("lambda").get_provisioned_concurrency_config(FunctionName=name, Qualifier="live")
    latest = client("lambda").get_function_configuration(FunctionName=name)["CodeSha256"]
    live = client("lambda").get_function_configuration(FunctionName=name, Qualifier="live")["CodeSha256"]
    assert live == latest
    listed = client("lambda").list_versions_by_function(FunctionName=name)["Versions"]
    assert [one["Version"] for one in listed] == ["$LATEST", second]


def test_resources_that_refer_to_each_other_are_refused(stack):
    def topic(other):
        return {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": {"Ref": other}}}

    assert "circular reference" in stack({"A": topic("B"), "B": topic("A")}).failure


def test_an_export_changes_with_its_stack(client, stack, fresh):
    export = fresh("export")

    def exporting(name):
        outputs = {"Out": {"Value": {"Fn::GetAtt": ["Queue", "Arn"]}, "Export": {"Name": export}}}
        return {"Resources": {"Queue": queue(name)}, "Outputs": outputs}

    for name in (fresh("queue"), fresh("queue")):
        assert stack(exporting(name)).failure is None
        values = {one["Name"]: one["Value"] for one in client("cloudformation").list_exports()["Exports"]}
        assert values[export].endswith(name)


def test_an_update_keeps_a_default_that_is_a_number(client, fresh):
    stack = {"StackName": fresh("stack")}
    for asked in ({}, {"Parameters": [{"ParameterKey": "Days", "UsePreviousValue": True}]}):
        body = {"Parameters": {"Days": {"Type": "Number", "Default": 5}}, "Resources": {"Queue": queue(fresh("queue"))}}
        change = client("cloudformation").update_stack if asked else client("cloudformation").create_stack
        change(**stack, **asked, TemplateBody=json.dumps(body))
    (found,) = client("cloudformation").describe_stacks(**stack)["Stacks"]
    assert (found["StackStatus"], found["Parameters"][0]["ParameterValue"]) == ("UPDATE_COMPLETE", "5")


def test_a_large_template_comes_from_its_bucket_alone(client, fresh):
    with pytest.raises(ClientError, match="Member must have length less than or equal to 51200"):
        client("cloudformation").create_stack(StackName=fresh("stack"), TemplateBody="{}".ljust(51_201))
