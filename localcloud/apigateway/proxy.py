"""Calls a function as API Gateway's Lambda proxy does: an event of version 1.0, and its answer as HTTP.

https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Mapping
from typing import Any

from localcloud.apigateway.request import EXTENSION, Answer, GatewayError, Request
from localcloud.awslambda.functions import function_of
from localcloud.iam.service_permissions import refusal
from localcloud.kernel.cloud import ACCOUNT, Cloud
from localcloud.kernel.quotas import quota

LONGEST_MS = quota("apigateway", "integration")
INTERNAL = ("DEFAULT_5XX", 500, "Internal server error")
MALFORMED = ("DEFAULT_5XX", 502, "Internal server error")


def proxied(
    cloud: Cloud, operation: Mapping[str, Any], resource: str, parameters: Mapping[str, str], request: Request
) -> tuple[bytes, str]:
    """The function's payload, and the error that Lambda names, empty for none.

    Raises GatewayError if API Gateway may not call the function, or if Lambda refuses the call."""
    from moto.awslambda.exceptions import LambdaClientError

    integration = operation[f"{EXTENSION}integration"]
    if integration["type"].lower() != "aws_proxy":
        raise NotImplementedError(f"integrations of the type {integration['type']}")
    arn = integration["uri"].partition("/functions/")[2].removesuffix("/invocations")
    source = f"{request.api}/{request.stage}/{request.method}{resource}"
    if refusal(arn, "apigateway.amazonaws.com", f"arn:aws:execute-api:{cloud.region}:{ACCOUNT}:{source}"):
        raise GatewayError("API_CONFIGURATION_ERROR", *INTERNAL[1:])
    answered: dict[str, str] = {}
    payload = json.dumps(_event(cloud, resource, parameters, request)).encode()
    began = time.monotonic()
    try:
        body = function_of(cloud, arn).invoke(payload, {}, answered)
    except LambdaClientError as error:
        if error.code == 413:
            raise GatewayError("REQUEST_TOO_LARGE", 413, "Request Too Long") from error
        raise GatewayError(*INTERNAL) from error
    if 1000 * (time.monotonic() - began) > int(integration.get("timeoutInMillis", LONGEST_MS)):
        # AWS says so as soon as the time is over; the function goes on there too.
        raise GatewayError("INTEGRATION_TIMEOUT", 504, "Endpoint request timed out")
    return body, answered.get("x-amz-function-error", "")


def answered(payload: bytes, error: str) -> Answer:
    """The function's answer as HTTP. Raises GatewayError if the function failed, or if it is no answer."""
    try:
        document = {} if error else json.loads(payload)
        status, text = int(document["statusCode"]), document.get("body") or ""
        body = base64.b64decode(text, validate=True) if document.get("isBase64Encoded") else text.encode()
        several = {name: ",".join(values) for name, values in (document.get("multiValueHeaders") or {}).items()}
        headers = {**several, **{name: str(value) for name, value in (document.get("headers") or {}).items()}}
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error):
        raise GatewayError(*MALFORMED) from None
    typed = {} if "content-type" in {name.lower() for name in headers} else {"Content-Type": "application/json"}
    return Answer(status=status, headers={**typed, **headers}, body=body)


def _event(cloud: Cloud, resource: str, parameters: Mapping[str, str], request: Request) -> dict[str, Any]:
    domain = f"{request.api}.execute-api.{cloud.region}.amazonaws.com"
    return {
        "resource": resource,
        "path": request.path,
        "httpMethod": request.method,
        "headers": dict(request.headers),
        "multiValueHeaders": {name: [value] for name, value in request.headers.items()},
        "queryStringParameters": {name: values[-1] for name, values in request.query.items()} or None,
        "multiValueQueryStringParameters": request.query or None,
        "pathParameters": dict(parameters) or None,
        "stageVariables": None,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": request.api,
            "domainName": domain,
            "domainPrefix": request.api,
            "httpMethod": request.method,
            "identity": {
                "accessKey": request.access_key or None,
                "accountId": request.caller.split(":")[4] if request.caller else None,
                "caller": request.user_id or None,
                "sourceIp": "127.0.0.1",
                "user": request.user_id or None,
                "userAgent": request.headers.get("user-agent"),
                "userArn": request.caller or None,
            },
            "path": f"/{request.stage}{request.path}",
            "protocol": "HTTP/1.1",
            "requestId": request.id,
            "requestTime": f"{request.at:%d/%b/%Y:%H:%M:%S +0000}",
            "requestTimeEpoch": int(request.at.timestamp() * 1000),
            "resourcePath": resource,
            "stage": request.stage,
        },
        # API Gateway reads text unless a binary media type is declared.
        "body": request.body.decode(errors="replace") or None,
        "isBase64Encoded": False,
    }
