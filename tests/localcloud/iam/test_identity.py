import contextlib
import io

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from localcloud.kernel.trust import check_trust
from tests.localcloud.resources import allow as statement
from tests.localcloud.resources import document, keys_of

ACCOUNT = "123456789012"
REGION = "eu-west-1"


def allow(action, resource="*", **condition):
    return statement(action, resource, **({"Condition": condition} if condition else {}))


def deny(action, resource="*", **condition):
    return allow(action, resource, **condition) | {"Effect": "Deny"}


@pytest.fixture
def role(cloud, aws):
    """Make a role with the statements; gives a factory of clients with its keys."""

    def make(*statements, service="lambda", boundary=None):
        arn = aws.role(service, *statements)
        if boundary:
            cloud.client("iam").put_role_permissions_boundary(
                RoleName=arn.rpartition("/")[2], PermissionsBoundary=boundary
            )
        keys = keys_of(cloud.role_environment(arn, "session"))

        def client(service_name):
            return boto3.client(service_name, **keys)

        client.arn = arn
        return client

    return make


@pytest.fixture
def bucket(cloud, aws):
    name = aws.bucket()
    for key in ("in/a", "in/secret/b", "out/c"):
        cloud.client("s3").put_object(Bucket=name, Key=key, Body=b"1")
    return name


def refused(call, **asked):
    """What AWS would say of the call, which is refused with AccessDenied."""
    with pytest.raises(ClientError) as error:
        call(**asked)
    code = error.value.response["Error"]["Code"]
    assert code in {"AccessDenied", "AccessDeniedException", "403", "UnauthorizedOperation"}, error.value
    return error.value.response["Error"]["Message"]


def test_a_role_reads_what_it_may_and_nothing_else(role, bucket):
    arn = f"arn:aws:s3:::{bucket}"
    s3 = role(
        allow(["s3:GetObject", "s3:ListBucket"], [arn, f"{arn}/in/*"]),
        allow("s3:PutObject", f"{arn}/out/*"),
        deny("s3:GetObject", f"{arn}/in/secret/*"),
    )("s3")
    assert s3.get_object(Bucket=bucket, Key="in/a")["Body"].read() == b"1"
    s3.head_object(Bucket=bucket, Key="in/a")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 3
    s3.put_object(Bucket=bucket, Key="out/d", Body=b"1")
    assert "explicit deny in an identity-based policy" in refused(s3.get_object, Bucket=bucket, Key="in/secret/b")
    refused(s3.get_object, Bucket=bucket, Key="out/c")
    refused(s3.put_object, Bucket=bucket, Key="in/e", Body=b"1")
    refused(s3.delete_object, Bucket=bucket, Key="in/a")
    refused(s3.delete_objects, Bucket=bucket, Delete={"Objects": [{"Key": "in/a"}]})
    refused(s3.list_buckets)
    refused(s3.copy_object, Bucket=bucket, Key="out/f", CopySource=f"{bucket}/out/c")


def test_the_parts_of_an_upload_need_put_object(role, bucket):
    config = TransferConfig(multipart_threshold=5 * 2**20, multipart_chunksize=5 * 2**20)
    s3 = role(allow("s3:PutObject", f"arn:aws:s3:::{bucket}/out/*"))("s3")
    s3.upload_fileobj(io.BytesIO(bytes(6 * 2**20)), bucket, "out/large", Config=config)
    refused(s3.create_multipart_upload, Bucket=bucket, Key="in/large")


def test_keys_need_their_token(cloud, role, bucket):
    keys = keys_of(cloud.role_environment(role(allow("s3:*")).arn, "session"))
    keys["aws_session_token"] = "of somebody else"  # pragma: allowlist secret
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        boto3.client("s3", **keys).get_object(Bucket=bucket, Key="in/a")


CALLS = [
    ("dynamodb", "get_item", {"TableName": "t", "Key": {"pk": {"S": "1"}}}, "dynamodb:GetItem", "table/t"),
    ("dynamodb", "query", {"TableName": "t", "IndexName": "idx"}, "dynamodb:Query", "table/t/index/idx"),
    ("sqs", "send_message", {"QueueUrl": "http://localhost/1/q", "MessageBody": "x"}, "sqs:SendMessage", "q"),
    ("sns", "publish", {"TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:t", "Message": "x"}, "sns:Publish", "t"),
    ("events", "put_events", {"Entries": [{"Source": "x", "EventBusName": "b"}]}, "events:PutEvents", "event-bus/b"),
    (
        "stepfunctions",
        "start_execution",
        {"stateMachineArn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:m"},
        "states:StartExecution",
        "stateMachine:m",
    ),
    ("lambda", "invoke", {"FunctionName": "f"}, "lambda:InvokeFunction", "function:f"),
    ("lambda", "invoke", {"FunctionName": "f", "Qualifier": "live"}, "lambda:InvokeFunction", "function:f:live"),
    ("sagemaker", "describe_endpoint", {"EndpointName": "E"}, "sagemaker:DescribeEndpoint", "endpoint/e"),
    (
        "sagemaker-runtime",
        "invoke_endpoint",
        {"EndpointName": "e", "Body": b"1"},
        "sagemaker:InvokeEndpoint",
        "endpoint/e",
    ),
    ("logs", "create_log_stream", {"logGroupName": "g", "logStreamName": "s"}, "logs:CreateLogStream", "log-group:g:*"),
    ("ssm", "get_parameter", {"Name": "/a/b"}, "ssm:GetParameter", "parameter/a/b"),
    (
        "athena",
        "start_query_execution",
        {"QueryString": "x", "WorkGroup": "w"},
        "athena:StartQueryExecution",
        "workgroup/w",
    ),
    ("scheduler", "get_schedule", {"Name": "s", "GroupName": "g"}, "scheduler:GetSchedule", "schedule/g/s"),
    ("cloudwatch", "describe_alarms", {"AlarmNames": ["a"]}, "cloudwatch:DescribeAlarms", "alarm:a"),
    ("cloudformation", "get_template", {"StackName": "s"}, "cloudformation:GetTemplate", "stack/s/id"),
    ("ecr", "describe_images", {"repositoryName": "repo"}, "ecr:DescribeImages", "repository/repo"),
]


@pytest.mark.parametrize(("service", "method", "parameters", "action", "resource"), CALLS)
def test_each_service_is_asked_for_its_resource(cloud, role, service, method, parameters, action, resource):
    """Allowed on the resource it passes the guard (what it then finds is another matter), on another it does not."""
    kind = "states" if service == "stepfunctions" else service.removesuffix("-runtime")
    own = f"arn:aws:{kind}:{REGION}:{ACCOUNT}:{resource}"
    before = len(cloud.denials)
    with contextlib.suppress(ClientError):
        getattr(role(allow(action, own))(service), method)(**parameters)
    assert cloud.denials[before:] == []
    elsewhere = role(allow(action, own.replace(resource, "other")), allow("s3:*"))(service)
    why = refused(getattr(elsewhere, method), **parameters)
    assert f"is not authorized to perform: {action} on resource: arn:aws:{kind}" in why


def test_a_table_of_the_catalogue_needs_catalogue_database_and_table(role):
    arns = [f"arn:aws:glue:{REGION}:{ACCOUNT}:{rest}" for rest in ("catalog", "database/d", "table/d/t")]
    with pytest.raises(ClientError, match="EntityNotFound"):
        role(allow("glue:GetTable", arns))("glue").get_table(DatabaseName="d", Name="t")
    for missing in arns:
        left = [arn for arn in arns if arn != missing]
        refused(role(allow("glue:GetTable", left))("glue").get_table, DatabaseName="d", Name="t")


def test_a_machine_under_what_is_no_arn_is_refused_as_such(cloud):
    task = '{"Type": "Task", "Resource": "arn:aws:states:::sagemaker:createTrainingJob.sync", "End": true}'
    asked = {"name": "m", "roleArn": "nobody", "definition": f'{{"StartAt": "A", "States": {{"A": {task}}}}}'}
    with pytest.raises(ClientError, match="InvalidArn"):
        cloud.client("stepfunctions").create_state_machine(**asked)


def test_a_role_is_passed_only_with_permission(role):
    job_role = role(service="sagemaker").arn
    create = {"ModelName": "m", "ExecutionRoleArn": job_role, "PrimaryContainer": {"Image": "i"}}
    may = allow("sagemaker:CreateModel")
    assert f"iam:PassRole on resource: {job_role}" in refused(role(may)("sagemaker").create_model, **create)
    to_lambda = allow("iam:PassRole", job_role, StringEquals={"iam:PassedToService": "lambda.amazonaws.com"})
    refused(role(may, to_lambda)("sagemaker").create_model, **create)
    to_sagemaker = allow("iam:PassRole", job_role, StringEquals={"iam:PassedToService": "sagemaker.amazonaws.com"})
    role(may, to_sagemaker)("sagemaker").create_model(**create)


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"StringEquals": {"cloudwatch:namespace": "ours"}}, True),
        ({"StringEquals": {"cloudwatch:namespace": "theirs"}}, False),
        ({"StringLike": {"cloudwatch:namespace": ["no", "o*"]}}, True),
        ({"StringNotEquals": {"cloudwatch:namespace": "theirs"}}, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, True),
        ({"StringEquals": {"aws:SourceAccount": ACCOUNT}}, False),
        ({"StringEqualsIfExists": {"aws:SourceAccount": "other"}}, True),
        ({"ForAllValues:StringEquals": {"aws:SourceAccount": "other"}}, True),
        ({"Null": {"aws:SourceArn": "true"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/*"}}, True),
        ({"DateLessThan": {"aws:CurrentTime": "2000-01-01T00:00:00Z"}}, False),
        ({"StringEquals": {"aws:RequestedRegion": REGION, "cloudwatch:namespace": "theirs"}}, False),
        ({"StringEquals": {"cloudwatch:nobody-knows": "x"}}, False),
    ],
)
def test_conditions_are_decided(role, condition, allowed):
    put = {"Namespace": "ours", "MetricData": [{"MetricName": "m", "Value": 1.0}]}
    cloudwatch = role(allow("cloudwatch:PutMetricData", **condition))("cloudwatch")
    if allowed:
        cloudwatch.put_metric_data(**put)
        return
    refused(cloudwatch.put_metric_data, **put)


def test_a_condition_that_is_not_decided_is_named(role, bucket):
    arn = f"arn:aws:s3:::{bucket}/*"
    unknown = {"StringEquals": {"s3:ExistingObjectTag/colour": "red"}}
    for some in ([allow("s3:GetObject", arn, **unknown)], [allow("s3:*"), deny("s3:*", **unknown)]):
        why = refused(role(*some)("s3").get_object, Bucket=bucket, Key="in/a")
        assert "s3:ExistingObjectTag/colour" in why


def test_a_prefix_limits_what_is_listed(role, bucket):
    s3 = role(allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", StringLike={"s3:prefix": "in/*"}))("s3")
    assert s3.list_objects_v2(Bucket=bucket, Prefix="in/a")["KeyCount"] == 1
    refused(s3.list_objects_v2, Bucket=bucket)


def test_leading_keys_limit_a_table(role, aws):
    table = aws.table("pk", "sk")
    own = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "mine#*"}}
    arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}"
    actions = [f"dynamodb:{name}" for name in ("PutItem", "Query", "BatchGetItem", "BatchWriteItem")]
    dynamodb = role(allow(actions, arn, **own))("dynamodb")
    dynamodb.put_item(TableName=table, Item={"pk": {"S": "mine#1"}, "sk": {"S": "1997"}})
    query = {"TableName": table, "KeyConditionExpression": "pk = :pk"}
    dynamodb.query(**query, ExpressionAttributeValues={":pk": {"S": "mine#1"}})
    refused(dynamodb.put_item, TableName=table, Item={"pk": {"S": "theirs#1"}, "sk": {"S": "1997"}})
    refused(dynamodb.query, **query, ExpressionAttributeValues={":pk": {"S": "theirs#1"}})
    # Each item of a batch and of a transaction counts.
    keys = [{"pk": {"S": pk}, "sk": {"S": "1997"}} for pk in ("mine#1", "theirs#1")]
    for some in (keys[:1], keys):
        puts = [{"Item": key} for key in some]
        asked = refused if len(some) > 1 else lambda call, **items: call(**items)
        asked(dynamodb.batch_get_item, RequestItems={table: {"Keys": some}})
        asked(dynamodb.batch_write_item, RequestItems={table: [{"PutRequest": put} for put in puts]})
        asked(dynamodb.transact_write_items, TransactItems=[{"Put": {"TableName": table, **put}} for put in puts])
    refused(dynamodb.transact_write_items, TransactItems=[{"Delete": {"TableName": table, "Key": keys[0]}}])
    # The bound of the sort key is no leading key.
    since = {"TableName": table, "KeyConditionExpression": "pk = :pk AND sk >= :since"}
    found = dynamodb.query(**since, ExpressionAttributeValues={":pk": {"S": "mine#1"}, ":since": {"S": "1996"}})
    assert found["Count"] == 1
    refused(dynamodb.query, **since, ExpressionAttributeValues={":pk": {"S": "theirs#1"}, ":since": {"S": "mine#"}})


def test_not_action_and_not_resource(role, bucket):
    arn = f"arn:aws:s3:::{bucket}"
    others = {"Effect": "Allow", "NotAction": "s3:Delete*", "NotResource": f"{arn}/out/*"}
    s3 = role(others)("s3")
    s3.get_object(Bucket=bucket, Key="in/a")
    refused(s3.get_object, Bucket=bucket, Key="out/c")
    refused(s3.delete_object, Bucket=bucket, Key="in/a")


def test_a_permissions_boundary_limits_a_role(role, cloud, bucket, fresh):
    limit = cloud.client("iam").create_policy(
        PolicyName=fresh("boundary"), PolicyDocument=document(allow("s3:GetObject"))
    )
    s3 = role(allow("s3:*"), boundary=limit["Policy"]["Arn"])("s3")
    s3.get_object(Bucket=bucket, Key="in/a")
    assert "permissions boundary" in refused(s3.put_object, Bucket=bucket, Key="in/a", Body=b"1")


def test_a_bucket_policy_allows_and_denies_roles(role, cloud, bucket):
    named, other = role(), role(allow("s3:*"))
    arn = f"arn:aws:s3:::{bucket}"
    cloud.client("s3").put_bucket_policy(
        Bucket=bucket,
        Policy=document(
            allow("s3:GetObject", f"{arn}/*") | {"Principal": {"AWS": named.arn}},
            deny("s3:*", [arn, f"{arn}/*"], Bool={"aws:SecureTransport": "false"}) | {"Principal": "*"},
            deny("s3:DeleteObject", f"{arn}/*") | {"Principal": "*"},
        ),
    )
    named("s3").get_object(Bucket=bucket, Key="in/a")
    refused(named("s3").put_object, Bucket=bucket, Key="in/a", Body=b"1")
    other("s3").get_object(Bucket=bucket, Key="in/a")
    assert "explicit deny in a resource-based policy" in refused(other("s3").delete_object, Bucket=bucket, Key="in/a")


def test_an_encrypted_bucket_needs_its_key(role, cloud, bucket, key):
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}
    cloud.client("s3").put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rules)
    cloud.client("s3").put_object(Bucket=bucket, Key="in/a", Body=b"1")
    without = role(allow("s3:*"))("s3")
    assert key in refused(without.put_object, Bucket=bucket, Key="in/b", Body=b"1")
    assert key in refused(without.get_object, Bucket=bucket, Key="in/a")
    via = {"StringEquals": {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}}
    may = role(allow("s3:*"), allow(["kms:GenerateDataKey", "kms:Decrypt"], key, **via))
    may("s3").put_object(Bucket=bucket, Key="in/b", Body=b"1")
    assert may("s3").get_object(Bucket=bucket, Key="in/b")["Body"].read() == b"1"
    refused(may("kms").generate_data_key, KeyId=key, KeySpec="AES_256")


def test_a_key_policy_that_leaves_nothing_to_iam_decides_alone(role, cloud):
    named, other = role(), role(allow("kms:*"))
    only = allow("kms:*") | {"Principal": {"AWS": named.arn}}
    own = cloud.client("kms").create_key(Policy=document(only))["KeyMetadata"]["KeyId"]
    named("kms").describe_key(KeyId=own)
    assert "no resource-based policy" in refused(other("kms").describe_key, KeyId=own)


def test_an_encrypted_queue_needs_its_key(role, cloud, key, fresh):
    name = fresh("queue")
    url = cloud.client("sqs").create_queue(QueueName=name, Attributes={"KmsMasterKeyId": key})["QueueUrl"]
    send = allow("sqs:SendMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}")
    refused(role(send)("sqs").send_message, QueueUrl=url, MessageBody="x")
    role(send, allow(["kms:GenerateDataKey", "kms:Decrypt"], key))("sqs").send_message(QueueUrl=url, MessageBody="x")


@pytest.mark.parametrize("missing", ["kms:DescribeKey", "kms:GenerateDataKey", "kms:CreateGrant"])
def test_a_model_card_under_a_key_needs_the_key(role, key, fresh, missing):
    card, needed = fresh("card"), ("kms:DescribeKey", "kms:GenerateDataKey", "kms:CreateGrant")
    make = allow("sagemaker:CreateModelCard", f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-card/{card}")
    asked = {"ModelCardName": card, "Content": "{}", "ModelCardStatus": "Draft", "SecurityConfig": {"KmsKeyId": key}}
    lacking = role(make, allow([one for one in needed if one != missing], key))
    assert missing in refused(lacking("sagemaker").create_model_card, **asked)
    role(make, allow(list(needed), key))("sagemaker").create_model_card(**asked)


def test_tags_and_the_encryption_context_are_conditions(role, key):
    tagged = {"StringEquals": {"kms:EncryptionContext:workload": "a"}}
    kms = role(allow("kms:Encrypt", key, **tagged))("kms")
    kms.encrypt(KeyId=key, Plaintext=b"1", EncryptionContext={"workload": "a"})
    refused(kms.encrypt, KeyId=key, Plaintext=b"1", EncryptionContext={"workload": "b"})
    refused(kms.encrypt, KeyId=key, Plaintext=b"1")
    team = {"team": "a"}
    untagged = {"Null": {"aws:RequestTag/team": "true"}}
    refused(role(allow("sqs:*"), deny("sqs:CreateQueue", **untagged))("sqs").create_queue, QueueName="untagged")
    role(allow("sqs:*"), deny("sqs:CreateQueue", **untagged))("sqs").create_queue(QueueName="tagged", tags=team)


def test_a_service_assumes_only_a_role_that_trusts_it(cloud, role):
    arn = role().arn
    check_trust(arn, "lambda.amazonaws.com")
    with pytest.raises(PermissionError, match=r"does not let states\.amazonaws\.com"):
        cloud.role_environment(arn, "session", service="states.amazonaws.com")
