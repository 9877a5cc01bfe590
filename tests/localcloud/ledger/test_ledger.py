import json
import re
from pathlib import Path

import pytest

from localcloud.cloudformation.stack_resources import KINDS
from localcloud.iam.required_permissions.catalogue import SERVICES
from localcloud.ledger import parity
from localcloud.ledger.inventory import Feature, LedgerGapError, features
from localcloud.ledger.ledger import as_markdown, ledger, row_of
from localcloud.ledger.parity import Status

EVERY_TYPE = json.loads((Path(__file__).parents[1] / "templates" / "every_type.json").read_text())


@pytest.fixture
def assembly(tmp_path):
    def write(resources):
        (tmp_path / "One.template.json").write_text(json.dumps({"Resources": resources}))
        return tmp_path

    return write


def machine(states):
    definition = {"StartAt": "A", "States": states}
    joined = {"Fn::Join": ["", [json.dumps(definition).replace('"PARTITION', '"arn:'), ""]]}
    return {"M": {"Type": "AWS::StepFunctions::StateMachine", "Properties": {"DefinitionString": joined}}}


def names(template, group):
    return {feature.name for feature in features(template) if feature.group == group}


def test_every_type_that_can_be_deployed_has_a_row_and_no_other():
    covered = {kind for kind, (status, _) in parity.RESOURCE_TYPES.items() if status != Status.NOT_COVERED}
    assert covered == set(KINDS)
    lacking = set(parity.RESOURCE_TYPES) - covered
    assert all(name.startswith("AWS::SageMaker::Mlflow") for name in lacking), "those of a stage of an account alone"


def test_every_row_that_is_not_executed_says_what_differs():
    tables = [table for name, table in vars(parity).items() if name.isupper() and isinstance(table, dict)]
    rows = {name: row for table in tables for name, row in table.items()}
    assert len(rows) > 300
    for name, (status, difference) in rows.items():
        assert difference.endswith(".") or (status is Status.EXECUTED and not difference), name


def test_services_that_are_executed_have_their_resources_checked():
    prefixes = {"stepfunctions": "states", "sagemaker-runtime": "sagemaker"}
    checked = {prefixes.get(service, service) for service in SERVICES}
    executed = {name.partition(":")[0] for name, (status, _) in parity.CALLS.items() if status is Status.EXECUTED}
    without_resources = {"cloudtrail"}
    assert executed - checked == without_resources, "their actions are allowed on `*` alone"


def test_a_whole_template_has_its_rows(assembly):
    entries = ledger(assembly(EVERY_TYPE["Resources"]))
    assert {entry.status for entry in entries} <= set(Status)
    by_name = {entry.feature.name: entry for entry in entries}
    assert by_name["AWS::SQS::Queue"].status is Status.EXECUTED
    assert by_name["AWS::EC2::VPC"].status is Status.SIMULATED
    assert by_name["aws:SecureTransport"].stacks == ("One",)
    page = as_markdown(entries)
    assert "| `AWS::S3::Bucket` | executed |" in page
    assert page.index("`AWS::EC2::VPC`") < page.index("`AWS::SQS::Queue`"), "what is not executed comes first"


def allowing(action, **condition):
    statement = {"Effect": "Allow", "Action": action, "Resource": "*", "Condition": condition}
    return {"P": {"Type": "AWS::IAM::Policy", "Properties": {"PolicyDocument": {"Statement": statement}}}}


def task(name):
    return machine({"A": {"Type": "Task", "Resource": f"arn:aws:states:::{name}", "End": True}})


def rule(pattern):
    return {"R": {"Type": "AWS::Events::Rule", "Properties": {"EventPattern": pattern}}}


def queue(name):
    return {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}}}


@pytest.mark.parametrize(
    ("resources", "gap"),
    [
        ({"C": {"Type": "AWS::ECS::Cluster"}}, "resource type AWS::ECS::Cluster"),
        ({"Q": {"Type": "AWS::SQS::Queue", "CreationPolicy": {}}}, "template feature CreationPolicy"),
        ({"Q": {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Snapshot"}}, "template feature DeletionPolicy Snapshot"),
        (queue({"Fn::Transform": {"Name": "AWS::Include"}}), "template feature Fn::Transform"),
        (
            {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"PolicyDocument": {"Statement": []}}}},
            "policy feature resource policy AWS::SQS::Queue",
        ),
        (machine({"A": {"Type": "Dance", "End": True}}), "state Dance"),
        (machine({"A": {"Type": "Pass", "Dances": "twice", "End": True}}), "state field Dances"),
        (
            machine({"A": {"Type": "Choice", "Choices": [{"Not": {"Variable": "$.a", "SoundsLike": "b"}}]}}),
            "state field SoundsLike",
        ),
        (
            machine({"A": {"Type": "Pass", "Parameters": {"a.$": "$$.Execution.Dance"}}}),
            "context field $$.Execution.Dance",
        ),
        (machine({"A": {"Type": "Pass", "Parameters": {"a.$": "States.Dance()"}}}), "intrinsic function States.Dance"),
        (task("ecs:runTask.sync"), "task ecs:runTask.sync"),
        (task("aws-sdk:bedrockruntime:invokeModel"), "task aws-sdk:bedrockruntime:invokeModel"),
        (task("aws-sdk:sagemaker:dance"), "task aws-sdk:sagemaker:dance"),
        (rule({"detail": {"key": [{"sounds-like": "x"}]}}), "event pattern operator sounds-like"),
        (rule({"$or": [{"detail": {"key": [{"sounds-like": "x"}]}}]}), "event pattern operator sounds-like"),
        (rule({"source": [{"anything-but": {"sounds-like": "x"}}]}), "event pattern operator sounds-like"),
        (allowing("bedrock:InvokeModel"), "call bedrock:InvokeModel"),
        (allowing("s3:Dance"), "call s3:Dance"),
        (allowing("s3:*"), r"call s3:*"),
        (allowing("s3:GetObject", StringEquals={"s3:ExistingObjectTag/x": "y"}), "condition key s3:ExistingObjectTag"),
        (allowing("s3:GetObject", SoundsLike={"s3:prefix": "y"}), "condition operator SoundsLike"),
    ],
)
def test_what_has_no_row_is_an_error_that_names_it(assembly, resources, gap):
    with pytest.raises(LedgerGapError, match=re.escape(gap)):
        ledger(assembly(resources))


def test_the_fields_of_an_event_are_no_operators():
    alarm = {"state": {"value": ["ALARM"]}, "previousState": {"value": [{"exists": False}]}}
    pattern = {"detail": {"$or": [alarm, {"run": [{"anything-but": {"prefix": "a"}}], "stage": ["dev", {"Ref": "P"}]}]}}
    template = {"Resources": rule(pattern)}
    assert names(template, "event pattern operator") == {"$or", "anything-but", "prefix", "exists"}


@pytest.mark.parametrize(
    ("section", "gap"),
    [
        ({"Transform": "AWS::Serverless-2016-10-31"}, "template feature Transform"),
        ({"Parameters": {"P": {"Type": "AWS::EC2::Image::Id"}}}, "template feature parameter AWS::EC2::Image::Id"),
        ({"Outputs": {"O": {"Value": {"Fn::Dance": []}}}}, "template feature Fn::Dance"),
    ],
)
def test_what_stands_beside_the_resources_is_looked_at_too(tmp_path, section, gap):
    (tmp_path / "One.template.json").write_text(json.dumps({"Resources": {}, **section}))
    with pytest.raises(LedgerGapError, match=re.escape(gap)):
        ledger(tmp_path)


def test_a_distributed_map_is_told_apart():
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED"}, "StartAt": "B", "States": {"B": {"Type": "Succeed"}}}
    template = {"Resources": machine({"A": {"Type": "Map", "ItemProcessor": processor, "End": True}})}
    assert "Map (DISTRIBUTED)" in names(template, "state")
    assert row_of(Feature(group="state", name="Map (DISTRIBUTED)"))[0] is Status.NOT_COVERED
