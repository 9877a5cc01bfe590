"""A trail of the local cloud: each read that it selects reaches its bucket, where the bucket and its key let it."""

import gzip
import json

import pytest
from botocore.exceptions import ClientError

from localcloud.iam.roles import as_role
from localcloud.kernel.cloud import ACCOUNT
from localcloud.kernel.dispatcher import dispatcher
from tests.audit_bucket import create_bucket
from tests.localcloud.resources import allow, document, make_role
from tests.localcloud.waiting import until

TRAIL = f"arn:aws:cloudtrail:eu-west-1:{ACCOUNT}:trail"
SERVICE = {"Principal": {"Service": "cloudtrail.amazonaws.com"}}


def letting(bucket, trail):
    """The bucket's policy as AWS asks for it."""
    source = {"aws:SourceArn": f"{TRAIL}/{trail}"}
    owned = {"StringEquals": {**source, "s3:x-amz-acl": "bucket-owner-full-control"}}
    arn = f"arn:aws:s3:::{bucket}"
    return [
        allow("s3:GetBucketAcl", arn, Condition={"StringEquals": source}, **SERVICE),
        allow("s3:PutObject", f"{arn}/AWSLogs/{ACCOUNT}/*", Condition=owned, **SERVICE),
    ]


def key_policy(*actions):
    root = allow("kms:*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"})
    context = {"StringLike": {"kms:EncryptionContext:aws:cloudtrail:arn": f"{TRAIL}/*"}}
    return document(root, allow("kms:GenerateDataKey*", Condition=context, **SERVICE), allow([*actions], **SERVICE))


def selecting(*buckets, **changes):
    equal = {"eventCategory": ["Data"], "resources.type": ["AWS::S3::Object"], "eventName": ["GetObject"], **changes}
    fields = [{"Field": name, "Equals": values} for name, values in equal.items()]
    return [
        {
            "FieldSelectors": [
                *fields,
                {"Field": "resources.ARN", "StartsWith": [f"arn:aws:s3:::{one}/" for one in buckets]},
            ]
        }
    ]


def logged(client, bucket):
    """The records that the trail has delivered."""
    s3 = client("s3")
    keys = [one["Key"] for one in s3.list_objects_v2(Bucket=bucket, Prefix="AWSLogs/").get("Contents", ())]
    bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]
    return [record for body in bodies for record in json.loads(gzip.decompress(body))["Records"]], keys


def test_a_read_of_a_selected_bucket_is_delivered_with_who_read(cloud, client, aws, fresh, stack):
    data, other, logs, trail = aws.bucket(), aws.bucket(), fresh("locked"), fresh("trail")
    create_bucket(client("s3"), logs)
    key = client("kms").create_key(Policy=key_policy("kms:DescribeKey", "kms:Decrypt"))["KeyMetadata"]["Arn"]
    client("s3").put_bucket_policy(Bucket=logs, Policy=document(*letting(logs, trail)))
    properties = {"TrailName": trail, "S3BucketName": logs, "KMSKeyId": key, "IsLogging": True,
                  "AdvancedEventSelectors": selecting(data)}  # fmt: skip
    stack({"Trail": {"Type": "AWS::CloudTrail::Trail", "Properties": properties}})
    for bucket in (data, other):
        client("s3").put_object(Bucket=bucket, Key="a b/c.csv", Body=b"x")
    role = make_role(client("iam"), fresh("reader"), "lambda", allow(["s3:GetObject", "s3:ListBucket"]))
    reader = as_role(cloud, role, "s3", principal="lambda.amazonaws.com")
    for bucket in (other, data):
        reader.get_object(Bucket=bucket, Key="a b/c.csv")
    with pytest.raises(ClientError, match="NoSuchKey"):
        reader.get_object(Bucket=data, Key="none")
    until(lambda: logged(client, logs)[1])
    (record,), (name,) = logged(client, logs)
    assert name.startswith(f"AWSLogs/{ACCOUNT}/CloudTrail/eu-west-1/{cloud.clock.now():%Y/%m}/")
    session = record["userIdentity"]["arn"]
    assert session.startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.rpartition('/')[2]}/")
    assert record["userIdentity"]["sessionContext"]["sessionIssuer"]["arn"] == role
    assert record["requestParameters"]["key"] == "a b/c.csv"
    assert record["resources"][0]["ARN"] == f"arn:aws:s3:::{data}/a b/c.csv"
    assert client("s3").head_object(Bucket=logs, Key=name)["SSEKMSKeyId"] == key


@pytest.mark.parametrize("lacking", ["bucket", "condition", "key", "bucket key"])
def test_a_trail_that_may_not_write_is_refused(client, aws, fresh, lacking):
    logs, trail = aws.bucket(), fresh("trail")
    statements = letting(logs, fresh("other") if lacking == "condition" else trail)
    if lacking != "bucket":
        client("s3").put_bucket_policy(Bucket=logs, Policy=document(*statements))
    policy = key_policy("kms:DescribeKey", *(() if lacking == "bucket key" else ("kms:Decrypt",)))
    named = {} if lacking == "key" else {"Policy": policy}
    key = client("kms").create_key(**named)["KeyMetadata"]["Arn"]
    with pytest.raises(ClientError, match="InsufficientEncryption" if "key" in lacking else "InsufficientS3Bucket"):
        client("cloudtrail").create_trail(Name=trail, S3BucketName=logs, KmsKeyId=key)


def test_what_a_policy_takes_back_is_delivered_no_more(client, aws, fresh, cloud):
    data, logs, trail = aws.bucket(), aws.bucket(), fresh("trail")
    client("s3").put_bucket_policy(Bucket=logs, Policy=document(*letting(logs, trail)))
    trails = client("cloudtrail")
    trails.create_trail(Name=trail, S3BucketName=logs)
    trails.put_event_selectors(TrailName=trail, AdvancedEventSelectors=selecting(data))
    trails.start_logging(Name=trail)
    client("s3").put_object(Bucket=data, Key="a", Body=b"x")
    client("s3").delete_bucket_policy(Bucket=logs)
    client("s3").get_object(Bucket=data, Key="a")
    until(lambda: not dispatcher(cloud).pending())
    assert logged(client, logs) == ([], [])


@pytest.mark.parametrize(
    "asked",
    [
        {"EventSelectors": [{"ReadWriteType": "All"}]},
        {"AdvancedEventSelectors": selecting("a", eventName=["PutObject"])},
        {"AdvancedEventSelectors": [{"FieldSelectors": [{"Field": "eventCategory", "Equals": ["Management"]}]}]},
    ],
)
def test_what_is_not_covered_is_refused_by_name(client, aws, fresh, asked):
    logs, trail = aws.bucket(), fresh("trail")
    client("s3").put_bucket_policy(Bucket=logs, Policy=document(*letting(logs, trail)))
    client("cloudtrail").create_trail(Name=trail, S3BucketName=logs)
    with pytest.raises(NotImplementedError, match="cloudtrail: expected advanced selectors"):
        client("cloudtrail").put_event_selectors(TrailName=trail, **asked)
    with pytest.raises(NotImplementedError, match="cloudtrail: expected advanced selectors"):
        client("cloudtrail").start_logging(Name=trail)
