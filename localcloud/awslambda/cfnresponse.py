"""The module `cfnresponse`, which CloudFormation lays beside the inline code of a function."""

import json
import urllib.request

SUCCESS = "SUCCESS"
FAILED = "FAILED"


def send(event, context, responseStatus, responseData, physicalResourceId=None, noEcho=False, reason=None):  # type: ignore[no-untyped-def]
    """Answer CloudFormation's request for a custom resource.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cfn-lambda-function-code-cfnresponsemodule.html"""
    answer = {
        "Status": responseStatus,
        "Reason": reason or f"See the details in CloudWatch Log Stream: {context.log_stream_name}",
        "PhysicalResourceId": physicalResourceId or context.log_stream_name,
        **{name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")},
        "NoEcho": noEcho,
        "Data": responseData,
    }
    request = urllib.request.Request(event["ResponseURL"], json.dumps(answer).encode(), {"content-type": ""})  # noqa: S310
    request.method = "PUT"
    urllib.request.urlopen(request)  # noqa: S310 # nosec B310 - CloudFormation's own address
