"""A workload's REST API: API Gateway checks signature, right and form of a request, then calls the function.

Each workload has an API of its own, in the stack of its function. An API costs nothing by itself, so one for the whole
stage would save nothing; but a change of one contract would deploy it anew for all, and a stage with a part of its
workloads could not be deployed. Callers see the same paths, `/v1/<workload>/…`.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from millrace.contract.load import load_contract
from millrace.infra.constructs.acknowledgement import acknowledge
from millrace.infra.constructs.log_group import log_group
from millrace.infra.context import Context
from millrace.infra.iam import sharing
from millrace.infra.iam.resource import policy
from millrace.infra.options import Api
from millrace.names import API_STAGE
from millrace.workload.openapi import Document, openapi, request_schema

TIMEOUT_MS = 29_000
"""A Regional API waits so long for its function unless AWS raises the quota.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html"""
CHECKED = "all"
"""The validator of every operation: it checks parameters and body."""
ERROR = (
    '{"error":"$context.error.responseType","expected":"a request as the OpenAPI document of the API has it",'
    '"came":$context.error.messageString,"where":"API Gateway"}'
)
"""The body of API Gateway's own errors, in the form of the function's."""
ACCESS_LOG = json.dumps(
    {
        name: f"$context.{value}"
        for name, value in {
            "request": "requestId",
            "time": "requestTime",
            "caller": "identity.userArn",
            "address": "identity.sourceIp",
            "method": "httpMethod",
            "path": "path",
            "status": "status",
            "error": "error.responseType",
            "bytes": "responseLength",
            "ms": "responseLatency",
        }.items()
    }
)
"""A line of the access log. Who asked, for what, and what came of it; no row and no answer.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html"""
API_ACCEPTED = {"AwsSolutions-APIG2": "The validator stands in the API's own document, where the pack does not look"}
STAGE_ACCEPTED = {
    "AwsSolutions-APIG3": "Every request must be signed by an identity of IAM; nobody else reaches the function",
    "CKV_AWS_120": "An answer belongs to one request and becomes a decision; a kept answer would be no decision",
}


class RestApi(Construct):
    """The API `<prefix>`, with the operations of `millrace.workload.openapi`.

    `function` is the ARN of the function's alias that answers, `ready` the resource that makes it. Statements of who
    may call stand in the callers' own policies: `execute-api:Invoke` on `resource`; for other accounts and for the
    endpoints of a private API in its document too, so that another policy is another deployment, as AWS wants it."""

    def __init__(self, scope: Construct, *, context: Context, api: Api, function: str, ready: cdk.CfnResource) -> None:
        super().__init__(scope, "Api")
        names, platform = context.names, context.platform
        uri = f"arn:{platform.partition}:apigateway:{platform.region}:lambda:path/2015-03-31/functions/{function}"
        described = openapi(context.workload, load_contract(context.folder))
        document = with_integrations(described, uri=f"{uri}/invocations", request=_request(context))
        if called := sharing.call_api(context.settings, names.workload):
            document[_X + "policy"] = policy(called)
        self.resource = apigateway.CfnRestApi(
            self,
            "Resource",
            name=names.prefix,
            description=f"Predictions of {context.workload.name}",
            body=document,
            endpoint_configuration=apigateway.CfnRestApi.EndpointConfigurationProperty(
                types=["PRIVATE" if api.private else "REGIONAL"], vpc_endpoint_ids=list(api.private) or None
            ),
        )
        acknowledge(self.resource, API_ACCEPTED)
        # A deployment is a copy of the document that never changes, so another document is another deployment.
        digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]
        deployment = apigateway.CfnDeployment(self, f"Deployment{digest}", rest_api_id=self.resource.ref)
        access_log = log_group(self, "AccessLog", name=f"/aws/apigateway/{names.prefix}", owner=context)
        # API Gateway would make this group itself: without a key and for ever.
        errors = log_group(
            self, "Errors", name=f"API-Gateway-Execution-Logs_{self.resource.ref}/{API_STAGE}", owner=context
        )
        stage = apigateway.CfnStage(
            self,
            "Stage",
            rest_api_id=self.resource.ref,
            deployment_id=deployment.ref,
            stage_name=API_STAGE,
            tracing_enabled=True,
            access_log_setting=apigateway.CfnStage.AccessLogSettingProperty(
                destination_arn=platform.arn("logs", f"log-group:{access_log.ref}"), format=ACCESS_LOG
            ),
            # No usage plan: it counts keys of API Gateway, and callers have identities of IAM in their place.
            method_settings=[
                apigateway.CfnStage.MethodSettingProperty(
                    resource_path="/*",
                    http_method="*",
                    logging_level="ERROR",
                    data_trace_enabled=False,
                    throttling_rate_limit=api.requests_per_s,
                    throttling_burst_limit=api.burst,
                )
            ],
        )
        acknowledge(stage, STAGE_ACCEPTED)
        stage.add_resource_dependency(errors)
        permission = lambda_.CfnPermission(
            self,
            "Permission",
            action="lambda:InvokeFunction",
            function_name=function,
            principal="apigateway.amazonaws.com",
            source_arn=platform.arn("execute-api", f"{self.resource.ref}/{API_STAGE}/*"),
        )
        permission.add_resource_dependency(ready)
        # The name that a private API has by its first endpoint; the bare one leads nowhere outside the endpoint's VPC.
        host = "-".join([self.resource.ref, *api.private[:1]])
        self.url = f"https://{host}.execute-api.{platform.region}.{platform.domain}/{API_STAGE}"


def with_integrations(document: Document, *, uri: str, request: Document) -> Document:
    """The document as API Gateway takes it: each operation is validated and calls the function at `uri`.

    Rows and their number are left open in `request`: API Gateway would refuse a whole request for one bad row, where
    the function answers the others, and it counts no items. Answers have no schema, since API Gateway checks none.
    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions.html"""
    integration = {"type": "aws_proxy", "httpMethod": "POST", "uri": uri, "timeoutInMillis": TIMEOUT_MS}
    paths = {
        path: {method: _bare(operation) | {_X + "integration": integration} for method, operation in methods.items()}
        for path, methods in document["paths"].items()
    }
    bodies = [name for name in document["components"]["schemas"] if name.endswith("Request")]
    templates = {"responseTemplates": {"application/json": ERROR}}
    later = {"responseParameters": {"gatewayresponse.header.Retry-After": "'1'"}}
    return {
        "openapi": document["openapi"],
        "info": document["info"],
        "paths": paths,
        "components": document["components"] | {"schemas": dict.fromkeys(bodies, request)},
        _X + "request-validators": {CHECKED: {"validateRequestBody": True, "validateRequestParameters": True}},
        _X + "request-validator": CHECKED,
        _X + "gateway-responses": {
            "DEFAULT_4XX": templates,
            "DEFAULT_5XX": templates,
            "THROTTLED": {"statusCode": 429, **templates, **later},
        },
    }


_X = "x-amazon-apigateway-"


def _bare(operation: Document) -> dict[str, Any]:
    responses = {status: {"description": answer["description"]} for status, answer in operation["responses"].items()}
    return {**operation, "responses": responses}


def _request(context: Context) -> Document:
    request = request_schema(context.workload, row={"type": "object"})
    rows = {"type": "array", "items": {"type": "object"}}
    return {**request, "properties": {**request["properties"], "rows": rows}}
