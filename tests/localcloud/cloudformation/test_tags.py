"""Tags of a template are on what its stack makes, by each service's own API."""

import json

TAG = {"Key": "millrace:component", "Value": "platform"}


def test_resources_have_the_tags_of_their_template(client, fresh):
    name = fresh("tagged")
    resources = {
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": name, "Tags": [TAG]}},
        "Handle": {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Name": f"/{name}", "Type": "String", "Value": "x", "Tags": {TAG["Key"]: TAG["Value"]}},
        },
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.9.0.0/16", "Tags": [TAG]}},
        "Flow": {
            "Type": "AWS::EC2::FlowLog",
            "Properties": {
                "ResourceId": {"Ref": "Vpc"},
                "ResourceType": "VPC",
                "TrafficType": "ALL",
                "LogDestinationType": "s3",
                "LogDestination": {"Fn::GetAtt": ["Bucket", "Arn"]},
                "Tags": [TAG],
            },
        },
    }
    client("cloudformation").create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources}))
    client("cloudformation").get_waiter("stack_create_complete").wait(StackName=name)
    assert client("s3").get_bucket_tagging(Bucket=name)["TagSet"] == [TAG]
    assert client("ssm").list_tags_for_resource(ResourceType="Parameter", ResourceId=f"/{name}")["TagList"] == [TAG]
    tagged = client("ec2").describe_tags(Filters=[{"Name": "key", "Values": [TAG["Key"]]}])["Tags"]
    assert len(tagged) == 2, "the network and its flow log"
