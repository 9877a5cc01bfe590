"""A REST API in the local cloud: over HTTP, with signatures, from a stack."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from localcloud.apigateway.install import why_invalid
from localcloud.iam.service_permissions import ACCOUNT
from localcloud.kernel.cloud import Cloud
from tests.end_to_end.callers import answered
from tests.localcloud.resources import allow, make_role, of_account

SOURCE = """
import json, time
def handler(event, context):
    body = json.loads(event["body"] or "{}")
    time.sleep(body.get("sleep_s", 0))
    if body.get("do") == "raise":
        raise ValueError("bad")
    if body.get("do") == "nonsense":
        return {"no": "status"}
    return {"statusCode": 200 + len(body.get("rows", [])), "headers": {"x-own": "1"}, "body": json.dumps(event)}
"""
REGION, OTHER = "eu-west-1", "111122223333"
URI = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{{}}/invocations"


ROWS = {"type": "object", "required": ["rows"], "properties": {"rows": {"type": "array", "maxItems": 1}}}


def document(uri: Any, *, summary: str) -> dict[str, Any]:
    proxy = {"type": "aws_proxy", "httpMethod": "POST", "uri": uri}
    integration, impatient = (
        {"x-amazon-apigateway-integration": one} for one in (proxy, {**proxy, "timeoutInMillis": 50})
    )
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Rows"}}}}
    own = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    day = {"name": "day", "in": "query", "required": True, "schema": {"type": "string"}}
    plain = {"responses": {"200": {"description": ""}}, **integration}
    signed = {"security": [{"sigv4": []}]}
    error = {"responseTemplates": {"application/json": '{"kind":"$context.error.responseType"}'}}
    return {
        "openapi": "3.0.3",
        "info": {"title": "test", "description": summary, "version": "1"},
        **signed,
        "paths": {
            "/a/rows": {"post": {"requestBody": body, **signed, **plain}},
            "/a/{id}": {"get": {"parameters": [own, day], **signed, **plain}},
            "/open": {"get": plain},
            "/impatient": {"post": {**plain, **impatient}},
        },
        "components": {
            "schemas": {"Rows": ROWS},
            "securitySchemes": {
                "sigv4": {
                    "type": "apiKey",
                    "name": "Authorization",
                    "in": "header",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                }
            },
        },
        "x-amazon-apigateway-request-validators": {
            "all": {"validateRequestBody": True, "validateRequestParameters": True}
        },
        "x-amazon-apigateway-request-validator": "all",
        "x-amazon-apigateway-gateway-responses": {"BAD_REQUEST_BODY": error},
    }


def template(role: str, name: str) -> dict[str, Any]:
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}:live"
    uri = URI.format(arn)
    log = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/api/{name}"
    settings = {"ResourcePath": "/*", "HttpMethod": "*", "ThrottlingRateLimit": 5, "ThrottlingBurstLimit": 7}
    function = {"FunctionName": name, "Runtime": "python3.13", "Handler": "index.handler", "Role": role}
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "Function": ("Lambda::Function", {**function, "Code": {"ZipFile": SOURCE}, "MemorySize": 256}),
        "Version": ("Lambda::Version", {"FunctionName": {"Ref": "Function"}}),
        "Alias": (
            "Lambda::Alias",
            {"FunctionName": name, "Name": "live", "FunctionVersion": {"Fn::GetAtt": ["Version", "Version"]}},
        ),
        "Log": ("Logs::LogGroup", {"LogGroupName": f"/api/{name}"}),
        "Api": (
            "ApiGateway::RestApi",
            {"Name": name, "Body": document(uri, summary="one"), "EndpointConfiguration": {"Types": ["REGIONAL"]}},
        ),
        "Deployment": ("ApiGateway::Deployment", {"RestApiId": {"Ref": "Api"}}),
        "Stage": (
            "ApiGateway::Stage",
            {
                "RestApiId": {"Ref": "Api"},
                "DeploymentId": {"Ref": "Deployment"},
                "StageName": "v1",
                "AccessLogSetting": {"DestinationArn": log, "Format": "$context.httpMethod $context.status $context.x"},
                "MethodSettings": [settings],
            },
        ),
        "Permission": (
            "Lambda::Permission",
            {
                "Action": "lambda:InvokeFunction",
                "FunctionName": {"Ref": "Alias"},
                "Principal": "apigateway.amazonaws.com",
                "SourceArn": {"Fn::Join": ["", [f"arn:aws:execute-api:{REGION}:{ACCOUNT}:", {"Ref": "Api"}, "/v1/*"]]},
            },
        ),
    }
    resources = {key: {"Type": f"AWS::{kind}", "Properties": given} for key, (kind, given) in kinds.items()}
    resources["Deployment"]["DependsOn"] = ["Api"]
    return {"Resources": resources, "Outputs": {"Api": {"Value": {"Ref": "Api"}}}}


@dataclass(frozen=True, kw_only=True)
class Api:
    """An API that runs, and a role that may post to it."""

    cloud: Cloud
    name: str
    id: str
    keys: Credentials

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        keys: Credentials | None = None,
        sign: bool = True,
        region: str = REGION,
        endpoint: str = "",
    ) -> tuple[int, dict[str, str], Any]:
        """The status, the headers and the document of the answer. `endpoint` is a VPC's, by which it is sent."""
        url = f"{self.cloud.endpoint_url}/_aws/execute-api/{self.id}{endpoint and '-'}{endpoint}/v1{path}"
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        request = AWSRequest(method=method, url=url, data=data, headers={"content-type": "application/json"})
        if sign:
            SigV4Auth(keys or self.keys, "execute-api", region).add_auth(request)
        return answered(request)

    def deploy(self, changed: dict[str, Any]) -> None:
        """Import the document and answer by it."""
        gateway = self.cloud.client("apigateway")
        gateway.put_rest_api(restApiId=self.id, mode="overwrite", body=json.dumps(changed).encode())
        deployment = gateway.create_deployment(restApiId=self.id)["id"]
        patch = [{"op": "replace", "path": "/deploymentId", "value": deployment}]
        gateway.update_stage(restApiId=self.id, stageName="v1", patchOperations=patch)


@pytest.fixture(scope="module")
def api(cloud: Cloud) -> Api:
    name, iam, stacks = "rest", cloud.client("iam"), cloud.client("cloudformation")
    role = make_role(iam, "rest-function", "lambda", allow(["logs:*"]))
    stacks.create_stack(StackName=name, TemplateBody=json.dumps(template(role, name)))
    stacks.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    (output,) = stacks.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
    own = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{output['OutputValue']}/v1"
    keys = caller(cloud, iam, f"{own}/POST/a/*")
    return Api(cloud=cloud, name=name, id=output["OutputValue"], keys=keys)


def caller(cloud: Cloud, iam: Any, resource: str) -> Credentials:
    """Those of a role of the account of `iam` that may ask for the resource."""
    role = make_role(iam, "rest-caller", "lambda", allow("execute-api:Invoke", resource))
    given = cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="shop")["Credentials"]
    return Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])


def test_a_signed_request_reaches_the_function_as_an_event_of_version_1(api: Api) -> None:
    status, headers, event = api.send("POST", "/a/rows?x=1&x=2", {"rows": [{}]})
    assert (status, headers["x-own"]) == (201, "1")
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/a/rows", "/a/rows", "POST")
    assert event["multiValueQueryStringParameters"] == {"x": ["1", "2"]}
    assert event["queryStringParameters"] == {"x": "2"}
    assert json.loads(event["body"]) == {"rows": [{}]}
    context = event["requestContext"]
    assert context["identity"]["userArn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/rest-caller/shop"
    assert (context["apiId"], context["stage"], context["path"]) == (api.id, "v1", "/v1/a/rows")
    assert headers["x-amzn-RequestId"] == context["requestId"]


def test_the_length_of_a_list_is_not_checked_as_on_aws(api: Api) -> None:
    assert api.send("POST", "/a/rows", {"rows": [{}, {}]})[0] == 202


@pytest.mark.parametrize("body", [{"rows": 3}, {}, b"{", b"[" * 100_000])
def test_a_body_of_another_form_is_refused_in_the_documents_own_form(api: Api, body: object) -> None:
    status, headers, said = api.send("POST", "/a/rows", body)
    assert (status, headers["x-amzn-ErrorType"], said) == (400, "BAD_REQUEST_BODY", {"kind": "BAD_REQUEST_BODY"})


def test_a_missing_parameter_is_refused_with_its_name(api: Api) -> None:
    operator = Credentials("local", "local")
    assert api.send("GET", "/a/b-1", keys=operator)[2] == {"message": "Missing required request parameters: [day]"}
    status, _, event = api.send("GET", "/a/b-1?day=1", keys=operator)
    assert (status, event["pathParameters"], event["resource"]) == (200, {"id": "b-1"}, "/a/{id}")


def test_who_may_post_may_not_get(api: Api) -> None:
    status, headers, said = api.send("GET", "/a/b-1?day=1")
    assert (status, headers["x-amzn-ErrorType"]) == (403, "ACCESS_DENIED")
    assert "is not authorized to perform: execute-api:Invoke" in said["message"]
    (denial,) = (one for one in api.cloud.denials if one.action == "execute-api:Invoke")
    assert denial.resource.endswith(f":{api.id}/v1/GET/a/b-1")
    api.cloud.denials.remove(denial)


def test_nobody_is_answered_without_a_right_signature(api: Api) -> None:
    others = Credentials(api.keys.access_key, "another", api.keys.token)
    stolen = Credentials(api.keys.access_key, api.keys.secret_key, "another")
    found = [
        api.send("POST", "/a/rows", {"rows": []}, **given)
        for given in ({"sign": False}, {"keys": others}, {"keys": stolen}, {"region": "us-east-1"})
    ]  # type: ignore[arg-type]
    assert [(status, headers["x-amzn-ErrorType"]) for status, headers, _ in found] == [
        (403, "MISSING_AUTHENTICATION_TOKEN"),
        (403, "INVALID_SIGNATURE"),
        (403, "INVALID_SIGNATURE"),
        (403, "INVALID_SIGNATURE"),
    ]


def test_an_operation_that_asks_for_no_signature_answers_everybody_as_on_aws(api: Api) -> None:
    """Although the document as a whole asks for one."""
    status, _, event = api.send("GET", "/open", sign=False)
    assert (status, event["requestContext"]["identity"]["userArn"]) == (200, None)


@pytest.mark.parametrize(("method", "path"), [("GET", "/a/rows/c"), ("DELETE", "/a/rows"), ("GET", "")])
def test_what_the_document_does_not_have_is_no_resource(api: Api, method: str, path: str) -> None:
    assert api.send(method, path)[2] == {"message": "Missing Authentication Token"}


@pytest.mark.parametrize("do", ["raise", "nonsense"])
def test_a_function_that_fails_is_a_bad_gateway(api: Api, do: str) -> None:
    assert api.send("POST", "/a/rows", {"rows": [], "do": do})[::2] == (502, {"message": "Internal server error"})


def test_who_waits_longer_than_the_limit_is_told_so(api: Api) -> None:
    said = api.send("POST", "/impatient", {"sleep_s": 1}, sign=False)
    assert said[::2] == (504, {"message": "Endpoint request timed out"})


def test_the_function_must_let_the_api_in(api: Api, client: Callable[[str], Any]) -> None:
    functions = client("lambda")
    (statement,) = json.loads(functions.get_policy(FunctionName=api.name)["Policy"])["Statement"]
    functions.remove_permission(FunctionName=api.name, Qualifier="live", StatementId=statement["Sid"])
    assert api.send("POST", "/a/rows", {"rows": []})[0] == 500
    functions.add_permission(
        FunctionName=api.name,
        Qualifier="live",
        StatementId=statement["Sid"],
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
    )
    assert api.send("POST", "/a/rows", {"rows": []})[0] == 200


def test_each_request_is_a_line_of_the_access_log(api: Api, client: Callable[[str], Any]) -> None:
    api.send("POST", "/a/rows", {"rows": []})
    api.send("POST", "/a/rows", {})
    events = client("logs").filter_log_events(logGroupName=f"/api/{api.name}")["events"]
    assert [event["message"] for event in events][-2:] == ["POST 200 -", "POST 400 -"]


def test_a_stage_answers_by_the_document_that_was_deployed(api: Api, client: Callable[[str], Any]) -> None:
    gateway = client("apigateway")
    stage = gateway.get_stage(restApiId=api.id, stageName="v1")
    assert stage["methodSettings"]["*/*"]["throttlingRateLimit"] == 5
    changed = document("arn:aws:apigateway:eu-west-1:lambda:path/none/invocations", summary="another")
    del changed["paths"]["/a/rows"]
    gateway.put_rest_api(restApiId=api.id, mode="overwrite", body=json.dumps(changed).encode())
    assert api.send("POST", "/a/rows", {"rows": []})[0] == 200
    api.deploy(changed)
    assert api.send("POST", "/a/rows", {"rows": []})[0] == 403


def test_who_is_of_another_account_needs_the_rights_of_both(api: Api) -> None:
    place = {"endpoint_url": api.cloud.endpoint_url, "region_name": REGION}
    iam = of_account(boto3.client("iam", aws_access_key_id="local", aws_secret_access_key="local", **place), OTHER)
    keys = caller(api.cloud, iam, f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api.id}/*")

    def ask() -> tuple[int, dict[str, str], Any]:
        return api.send("POST", "/a/rows", {"rows": []}, keys=keys)

    api.deploy(with_policy(api))
    assert "no resource-based policy allows" in ask()[2]["message"]
    root = {"AWS": f"arn:aws:iam::{OTHER}:root"}
    api.deploy(with_policy(api, allow("execute-api:Invoke", "execute-api:/*/POST/a/*", Principal=root)))
    status, _, event = ask()
    identity = event["requestContext"]["identity"]
    assert (status, identity["accountId"]) == (200, OTHER)
    assert identity["userArn"] == f"arn:aws:sts::{OTHER}:assumed-role/rest-caller/shop"
    iam.delete_role_policy(RoleName="rest-caller", PolicyName="own")
    assert "no identity-based policy allows" in ask()[2]["message"]
    forget(api)


def test_a_private_api_answers_by_its_endpoint_alone(api: Api) -> None:
    """Whom the policy lets in by another one finds no API of that name, and no endpoint leads to a public API."""
    elsewhere = {"StringNotEquals": {"aws:SourceVpce": ["vpce-1", "vpce-3"]}}
    closed = allow("execute-api:Invoke", "execute-api:/*", Principal="*", Condition=elsewhere) | {"Effect": "Deny"}
    become(api, "PRIVATE", "add")
    with pytest.raises(ClientError, match="Private REST API doesn't have a resource policy"):
        api.deploy(document("none", summary="open"))
    api.deploy(with_policy(api, closed))
    ways = ("vpce-1", "vpce-2", "vpce-3", "")
    asked = [api.send("POST", "/a/rows", {"rows": []}, endpoint=one) for one in ways]
    become(api, "REGIONAL", "remove")
    asked.append(api.send("POST", "/a/rows", {"rows": []}, endpoint="vpce-1"))
    found = [headers.get("x-amzn-ErrorType", status) for status, headers, _ in asked]
    assert found == [200, "ACCESS_DENIED", "ForbiddenException", "ACCESS_DENIED", "ForbiddenException"]
    with pytest.raises(ClientError, match="only be specified with PRIVATE"):
        become(api, "REGIONAL", "add")
    forget(api)


def become(api: Api, kind: str, verb: str) -> None:
    """Of this kind, with or without a name by the endpoint `vpce-1`."""
    patches = [("replace", f"types/{kind}", kind), (verb, "vpcEndpointIds", "vpce-1")]
    operations = [{"op": op, "path": f"/endpointConfiguration/{path}", "value": value} for op, path, value in patches]
    api.cloud.client("apigateway").update_rest_api(restApiId=api.id, patchOperations=operations)


def with_policy(api: Api, *statements: dict[str, Any]) -> dict[str, Any]:
    """The API's document, with this policy."""
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{api.name}:live"
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    return {**document(URI.format(arn), summary="shared"), "x-amazon-apigateway-policy": policy}


def forget(api: Api) -> None:
    """The refusals that a test has wanted."""
    api.cloud.denials[:] = [one for one in api.cloud.denials if one.action != "execute-api:Invoke"]


def test_a_changed_body_and_an_old_signature_are_seen() -> None:
    now = datetime.now(UTC)
    request = AWSRequest(method="POST", url="http://a.test/v1/a%20b?x=1&a=%2F", data=b"{}", headers={"host": "a.test"})
    shared = "key of both"
    SigV4Auth(Credentials("ASIA1", shared), "execute-api", REGION).add_auth(request)
    headers = {name.lower(): value for name, value in request.headers.items()}

    def why(body: bytes, at: datetime, **changed: str) -> str | None:
        return why_invalid("POST", request.url, headers | changed, body, secret=shared, clocks=(at,))

    assert why(b"{}", now) is None
    assert "does not match" in (why(b"{ }", now) or "")
    assert "expired" in (why(b"{}", now + timedelta(minutes=6)) or "")
    assert why(b"{}", now, authorization="Bearer x") is not None
