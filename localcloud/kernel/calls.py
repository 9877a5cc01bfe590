"""Reads an API call as it arrived: service, operation, parameters and access key, by AWS's own request models."""

from __future__ import annotations

import gzip
import io
import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape  # nosec B406 # it writes XML, nothing is parsed

from botocore.exceptions import UnknownServiceError
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound

# Credential=ASIA…/20260131/eu-west-1/states/aws4_request: the access key, the region and the service that signed.
_SCOPE = re.compile(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")

# Services whose name in a signature's scope differs from botocore's name.
_SIGNED_AS = {
    "monitoring": "cloudwatch",
    "states": "stepfunctions",
    "eventbridge": "events",
}
# SageMaker Runtime signs as `sagemaker`, as SageMaker does; only the ends of its paths tell the two apart.
_INVOCATIONS = ("/invocations", "/async-invocations", "/invocations-response-stream")


@dataclass(kw_only=True)
class Call:
    """One API call. Its parameters are parsed once, when `parameters()` is called first."""

    service: str
    """botocore's name of the service (`stepfunctions`, not `states`)."""
    operation: str
    """The name in the API reference (`PutObject`); empty if the request matches no operation."""
    access_key: str
    session_token: str
    """Empty for the operator's keys, which have none."""
    environ: dict[str, Any]
    """The WSGI environment of the request."""
    path_parameters: dict[str, Any]
    """The parameters that stand in the URL's path, such as `{"Bucket": "b", "Key": "a/b.csv"}`."""
    _parsed: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        return f"{self.service}:{self.operation}"

    def parameters(self) -> dict[str, Any]:
        """The operation's input, with its members named as in the API. The body of an S3 object is never read."""
        # Several guards ask. They read it, and nobody changes it.
        if self._parsed is None:
            self._parsed = self._parse() if self.operation else {}
        return self._parsed

    def _parse(self) -> dict[str, Any]:
        if not _is_upload(self):
            keep_body(self.environ)
        # moto's own parsers read the request: so guards and moto see the same parameters.
        request = Request(self.environ)
        body = b"" if _is_upload(self) else request.get_data()
        # botocore compresses what it puts into CloudWatch, from 10 KiB on.
        if self.environ.get("HTTP_CONTENT_ENCODING") == "gzip" and self.service != "s3":
            body = gzip.decompress(body)
        model = get_service_model(self.service)
        protocol = determine_request_protocol(model, request.content_type)
        parser = PROTOCOL_PARSERS[protocol](model.operation_model(self.operation), map_type=dict)
        parsed: dict[str, Any] = parser.parse(
            {
                "method": request.method,
                "values": request.args if self.service == "s3" else request.values,
                "headers": request.headers,
                "body": body,
                "url_path": request.path,
                "url_params": self.path_parameters,
            }
        )
        rewind(self.environ)
        return {**self.path_parameters, **parsed}


def read_call(environ: dict[str, Any]) -> Call | None:
    """The call in a WSGI environment, or None if the request is not signed.

    The body is put into memory, so that moto can read it again. The bodies of S3 stay where they are."""
    presigned = f"Credential={_query(environ).get('X-Amz-Credential', '')}"
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", "")) or _SCOPE.match(presigned)
    if scope is None:
        return None
    access_key, _, signed_as = scope.groups()
    service = _SIGNED_AS.get(signed_as, signed_as)
    if service == "sagemaker" and environ.get("PATH_INFO", "").endswith(_INVOCATIONS):
        service = "sagemaker-runtime"
    # The operation's name may stand in the body (`Action=…`), so it is read before the operation is looked for.
    if service != "s3":
        keep_body(environ)
    try:
        operation, path_parameters = get_service_router(service).match(Request(environ))
        name = operation.name
    except (NotFound, NotImplementedError, UnknownServiceError):
        name, path_parameters = "", {}
    rewind(environ)
    token = environ.get("HTTP_X_AMZ_SECURITY_TOKEN") or _query(environ).get("X-Amz-Security-Token", "")
    return Call(
        service=service,
        operation=name,
        access_key=access_key,
        session_token=token,
        environ=environ,
        path_parameters=path_parameters,
    )


def keep_body(environ: dict[str, Any]) -> None:
    """Put the body into memory, so that moto can read it after us."""
    if isinstance(environ["wsgi.input"], io.BytesIO):
        return
    length = int(environ.get("CONTENT_LENGTH") or 0)
    environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length) if length else b"")


def rewind(environ: dict[str, Any]) -> None:
    """Make a kept body readable from its start for the next reader."""
    body = environ["wsgi.input"]
    if isinstance(body, io.BytesIO):
        body.seek(0)


def _is_upload(call: Call) -> bool:
    return call.service == "s3" and call.operation in {"PutObject", "UploadPart"}


def _query(environ: dict[str, Any]) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(environ.get("QUERY_STRING", "")).items()}


Refusal = tuple[str, list[tuple[str, str]], bytes]
"""Status line, headers and body of an answer that the guards give in moto's place."""

_STATUS = {
    "AccessDenied": 403,
    "InvalidClientTokenId": 403,
    "NotImplemented": 501,
    "RequestThrottled": 403,
    "SlowDown": 503,
    "TooManyRequestsException": 429,
}
"""HTTP status by error code. Errors that are not listed have 400."""
_JSON_NAME = {
    "AccessDenied": "AccessDeniedException",
    "InvalidClientTokenId": "UnrecognizedClientException",  # pragma: allowlist secret
}
"""The names that the JSON protocols have for an error of the XML protocols."""


def error_answer(call: Call, code: str, message: str) -> Refusal:
    """An error in the format of the call's protocol, so that botocore raises it as ClientError with this code."""
    # Four formats: S3's XML, EC2's XML, the XML of the query protocol (IAM, CloudFormation), and JSON for the rest.
    content = call.environ.get("CONTENT_TYPE", "")
    text, status = escape(message), _STATUS.get(code, 400)
    if call.service == "s3":
        return _sent(status, "application/xml", f"<Error><Code>{code}</Code><Message>{text}</Message></Error>")
    if call.service == "ec2":
        inner = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>"
        return _sent(status, "text/xml", f"<Response><Errors>{inner}</Errors></Response>")
    if content.startswith("application/x-www-form-urlencoded"):
        inner = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{text}</Message></Error>"
        return _sent(status, "text/xml", f"<ErrorResponse>{inner}</ErrorResponse>")
    name = _JSON_NAME.get(code, code)
    # The JSON protocols answer a refusal with 400. Clients tell it by the code in the body and in the header.
    if code in _JSON_NAME and "amz-json" in content:
        status = 400
    body = json.dumps({"__type": name, "message": message, "Message": message})
    answer = _sent(status, content or "application/json", body)
    return answer[0], [*answer[1], ("x-amzn-ErrorType", name)], answer[2]


def _sent(status: int, content_type: str, body: str) -> Refusal:
    data = body.encode()
    line = f"{status} {HTTPStatus(status).phrase}"
    return line, [("Content-Type", content_type), ("Content-Length", str(len(data)))], data
