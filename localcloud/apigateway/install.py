"""Amazon API Gateway: REST APIs that are imported from an OpenAPI document.

AWS does: check a request's signature, right and form, call the integration, write the access log, throttle.
moto does: keep APIs, deployments and stages. It answers no request of an API.
We do: answer under `/_aws/execute-api/<api>/<stage>/<path>`: signature, right, validation, Lambda proxy, access log.
`<api>-<vpce-…>` in its place asks through that VPC endpoint, as the name that AWS gives it would.
Weaker: only Lambda proxies, signed or open; no throttling, keys, caches, authorizers, domains, mappings;
a VPC endpoint need not exist, and one without an API's name is told so after the policy has let it in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from jsonschema import Draft4Validator

from localcloud.apigateway.documents import Document, deployed_document, is_private, keep_documents
from localcloud.apigateway.proxy import answered, proxied
from localcloud.apigateway.request import EXTENSION, Answer, GatewayError, Request
from localcloud.iam.identity import Identity, assumed_role
from localcloud.kernel.calls import Call, keep_body, read_call, rewind
from localcloud.kernel.cloud import ACCOUNT, Cloud, moto_backend
from localcloud.kernel.cloud_time import machine_time
from localcloud.kernel.control import ROLE_KEYS, Start
from localcloud.kernel.quotas import quota

# Checks parameters and body of a request by the validator that the API's document names.
#
# A body is checked only if its content type has a model, and never for the length of a list, as on AWS:
# https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html

VALIDATOR = f"{EXTENSION}request-validator"
UNCHECKED = ("minItems", "maxItems")


def why_refused(
    document: Document, operation: Mapping[str, Any], parameters: Mapping[str, str], request: Request
) -> tuple[str, int, str] | None:
    """The kind, the status and the message of the response to a request that is not valid; None for a valid one."""
    name = operation.get(VALIDATOR, document.get(VALIDATOR, ""))
    validator = document.get(f"{VALIDATOR}s", {}).get(name, {})
    if validator.get("validateRequestParameters") and (missing := _missing(operation, parameters, request)):
        return "BAD_REQUEST_PARAMETERS", 400, f"Missing required request parameters: [{', '.join(missing)}]"
    if validator.get("validateRequestBody") and not _is_valid(document, operation, request):
        return "BAD_REQUEST_BODY", 400, "Invalid request body"
    return None


def _missing(operation: Mapping[str, Any], parameters: Mapping[str, str], request: Request) -> list[str]:
    given = {"path": parameters, "query": request.query, "header": request.headers}
    wanted = [one for one in operation.get("parameters", []) if one.get("required")]
    return [one["name"] for one in wanted if one["name"].lower() not in {name.lower() for name in given[one["in"]]}]


def _is_valid(document: Document, operation: Mapping[str, Any], request: Request) -> bool:
    content = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    model = operation.get("requestBody", {}).get("content", {}).get(content)
    if model is None:
        return True
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return False
    schema = {**_without_lengths(model["schema"]), "components": _without_lengths(document["components"])}
    return bool(Draft4Validator(schema).is_valid(body))


def _without_lengths(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        return {key: _without_lengths(value) for key, value in schema.items() if key not in UNCHECKED}
    return [_without_lengths(one) for one in schema] if isinstance(schema, list) else schema


# Verifies Signature Version 4 of a request, by the secret of the role's session that signed it.
#
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

_PARTS = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, ?"
    r"SignedHeaders=(?P<names>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
SKEW = timedelta(minutes=5)
"""How far the time of a signature may be from now."""
NO_MATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


def why_invalid(
    method: str, url: str, headers: Mapping[str, str], body: bytes, *, secret: str, clocks: Sequence[datetime]
) -> str | None:
    """Why the request does not have the signature that the secret makes, in AWS's words; None if it has.

    `headers` are in lower case. `clocks` are the times by which clients sign: the machine's, and the cloud's."""
    parts = _PARTS.fullmatch(headers.get("authorization", ""))
    if parts is None:
        return "Authorization header requires 'Credential', 'Signature' and 'SignedHeaders' parameters."
    names = parts["names"].split(";")
    if "host" not in names or "x-amz-date" not in names:
        return "'Host' and 'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization."
    try:
        at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%S%z")
    except (KeyError, ValueError):
        return "Date must be in ISO-8601 'basic format'."
    if all(abs(at - now) > SKEW for now in clocks):
        return f"Signature expired: {headers['x-amz-date']} is not within {SKEW} of {clocks[0]:%Y%m%dT%H%M%SZ}"
    if headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD") not in (
        "UNSIGNED-PAYLOAD",
        hashlib.sha256(body).hexdigest(),
    ):
        return NO_MATCH
    signed = {name: headers.get(name, "") for name in names}
    request = AWSRequest(method=method, url=url, headers=signed, data=body)
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials(parts["key"], secret), parts["service"], parts["region"])
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return None if hmac.compare_digest(signer.signature(text, request), parts["signature"]) else NO_MATCH


# Answers requests to REST APIs: `/_aws/execute-api/<api>/<stage>/<path>` on the cloud's own address.
#
# The order is AWS's: route, signature and right, form, integration. Each refusal is one of API Gateway's own responses,
# in the form that the API's document gives them.

PREFIX = "/_aws/execute-api/"
MOST_BYTES = quota("apigateway", "request")
OPERATOR = "arn:aws:iam::{}:user/operator"
FORBIDDEN = GatewayError("ForbiddenException", 403, "Forbidden")
"""API Gateway's own word where a name leads to no API, whatever the API's document says."""


def answer_requests(cloud: Cloud) -> None:
    """Put the APIs before the cloud's application, which answers every other path."""
    inner = cloud.application

    def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if not environ.get("PATH_INFO", "").startswith(PREFIX):
            return inner(environ, start)  # type: ignore[no-any-return]
        request = _read(environ)
        stage, answer = _answer(cloud, request)
        _log(cloud, stage, request, answer)
        body = answer.body
        headers = {"x-amzn-RequestId": request.id, **answer.headers, "Content-Length": str(len(body))}
        phrase = HTTPStatus(answer.status).phrase if answer.status in HTTPStatus._value2member_map_ else "Unknown"
        start(f"{answer.status} {phrase}", list(headers.items()))
        return [body]

    cloud.application = application


def _read(environ: dict[str, Any]) -> Request:
    host, _, rest = environ["PATH_INFO"].removeprefix(PREFIX).partition("/")
    stage, _, path = rest.partition("/")
    keep_body(environ)
    body = environ["wsgi.input"].read()
    rewind(environ)
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_") or (name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value)
    }
    api, _, endpoint = host.partition("-")
    return Request(
        api=api,
        endpoint=endpoint,
        stage=stage,
        path=f"/{path}",
        method=environ["REQUEST_METHOD"],
        headers=headers,
        query=parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True),
        body=body,
        environ=environ,
    )


def _answer(cloud: Cloud, request: Request) -> tuple[Any, Answer]:
    """The stage, None if there is none, and the answer.

    A private API is reached by its endpoints and not from outside, any other API from outside and by no endpoint:
    https://repost.aws/knowledge-center/api-gateway-vpc-connections"""
    stage, document = deployed_document(cloud, request.api, request.stage) or (None, {})
    try:
        resource, operation, parameters = _route(document, request)
        if _is_signed(document, operation):
            _authorize(cloud, request)
        # After the policy, which alone decides for who is at another endpoint and names the API in a header.
        api = moto_backend("apigateway", cloud.region).apis[request.api]
        if request.endpoint not in (api.endpoint_configuration.get("vpcEndpointIds", ()) if is_private(api) else ("",)):
            return None, _refusal({}, FORBIDDEN, request)
        if len(request.body) > MOST_BYTES:
            raise GatewayError("REQUEST_TOO_LARGE", 413, "Request Too Long")
        if broken := why_refused(document, operation, parameters, request):
            raise GatewayError(*broken)
        return stage, answered(*proxied(cloud, operation, resource, parameters, request))
    except GatewayError as error:
        return stage, _refusal(document, error, request)


def _route(document: Document, request: Request) -> tuple[str, Mapping[str, Any], dict[str, str]]:
    """The resource (`/a/{id}`), its operation for the method, and the path's parameters. A plain part goes first."""
    for resource in sorted(document.get("paths", {}), key=lambda path: path.replace("{", "~")):
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(resource))
        if (match := re.fullmatch(pattern, request.path)) and request.method.lower() in document["paths"][resource]:
            return resource, document["paths"][resource][request.method.lower()], match.groupdict()
    raise GatewayError("MISSING_AUTHENTICATION_TOKEN", 403, "Missing Authentication Token")


def _authorize(cloud: Cloud, request: Request) -> None:
    """Set who asks. Raises GatewayError for a request without a right signature, or without the right to ask."""
    call = read_call(request.environ)
    if call is None or call.service != "execute-api":
        raise GatewayError("MISSING_AUTHENTICATION_TOKEN", 403, "Missing Authentication Token")
    if f"/{cloud.region}/execute-api/aws4_request" not in request.headers["authorization"]:
        raise GatewayError("INVALID_SIGNATURE", 403, "Credential should be scoped to a valid region.")
    identity: Identity = cloud.parts[Identity]
    request.caller, request.access_key = OPERATOR.format(ACCOUNT), call.access_key
    if not call.access_key.startswith(ROLE_KEYS):
        return
    known = identity.caller(call)
    if known is None:
        raise GatewayError("INVALID_SIGNATURE", 403, "The security token included in the request is invalid.")
    request.caller, request.user_id = known.arn, known.user_id
    if broken := _why_invalid(call, request):
        raise GatewayError("INVALID_SIGNATURE", 403, broken)
    if denied := identity.refusal(call):
        raise GatewayError("ACCESS_DENIED", 403, json.loads(denied[2])["message"])


def _is_signed(document: Document, operation: Mapping[str, Any]) -> bool:
    """Whether the operation asks for a signature by itself. One that does not answers everybody.

    API Gateway ignores `security` of the document as a whole, so it is ignored here:
    https://github.com/amazon-archives/aws-apigateway-importer/issues/204"""
    schemes = document["components"]["securitySchemes"]
    for wanted in operation.get("security", []):
        if [schemes[name].get(f"{EXTENSION}authtype") for name in wanted] != ["awsSigv4"]:
            raise NotImplementedError("operations of a REST API with another security than AWS_IAM")
    return bool(operation.get("security"))


def _why_invalid(call: Call, request: Request) -> str | None:
    secret = assumed_role(call.access_key).secret_access_key
    environ = request.environ
    url = f"http://{request.headers['host']}{environ.get('RAW_URI') or environ['PATH_INFO']}"
    # People and their tools sign by the machine's clock, what runs in the cloud signs by the cloud's.
    clocks = (datetime.fromtimestamp(machine_time(), UTC), request.at)
    return why_invalid(request.method, url, request.headers, request.body, secret=secret, clocks=clocks)


def _refusal(document: Document, error: GatewayError, request: Request) -> Answer:
    """The response of the error's kind, else the default one of its class, else API Gateway's own."""
    responses = document.get(f"{EXTENSION}gateway-responses", {})
    chosen = responses.get(error.kind) or responses.get(f"DEFAULT_{error.status // 100}XX", {})
    own = '{"message":$context.error.messageString}'
    template = chosen.get("responseTemplates", {}).get("application/json", own)
    said = {"error.responseType": error.kind, "error.messageString": json.dumps(str(error)), "requestId": request.id}
    prefix = "gatewayresponse.header."
    headers = {
        name.removeprefix(prefix): value.strip("'")
        for name, value in chosen.get("responseParameters", {}).items()
        if name.startswith(prefix)
    }
    return Answer(
        status=int(chosen.get("statusCode", error.status)),
        headers={"Content-Type": "application/json", "x-amzn-ErrorType": error.kind, **headers},
        body=_filled(template, said).encode(),
        error=error.kind,
    )


def _filled(template: str, values: Mapping[str, str]) -> str:
    """The template with its variables: `$context.status` becomes `200`, one without a value becomes `-`."""
    return re.sub(r"\$context\.(\w+(?:\.\w+)*)", lambda match: values.get(match[1], "-"), template)


def _log(cloud: Cloud, stage: Any, request: Request, answer: Answer) -> None:
    """Write the line of a request in the format of its stage; nothing for a stage without access log, or for none.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html"""
    settings = (stage.access_log_settings or {}) if stage else {}
    group = settings.get("destinationArn", "").partition(":log-group:")[2].removesuffix(":*")
    backend = moto_backend("logs", cloud.region)
    if group not in backend.groups:
        return
    took = datetime.now(UTC) - request.at
    values = {
        "requestId": request.id,
        "requestTime": f"{request.at:%d/%b/%Y:%H:%M:%S +0000}",
        "identity.userArn": request.caller or "-",
        "identity.sourceIp": "127.0.0.1",
        "httpMethod": request.method,
        "path": f"/{request.stage}{request.path}",
        "status": str(answer.status),
        "error.responseType": answer.error or "-",
        "responseLength": str(len(answer.body)),
        "responseLatency": str(int(took.total_seconds() * 1000)),
    }
    backend.ensure_log_stream(group, request.api)
    event = {"timestamp": int(cloud.clock.timestamp() * 1000), "message": _filled(settings["format"], values)}
    backend.groups[group].streams[request.api].put_log_events([event])


def install(cloud: Cloud) -> None:
    keep_documents(cloud)
    answer_requests(cloud)
