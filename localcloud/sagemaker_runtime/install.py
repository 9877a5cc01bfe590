"""Amazon SageMaker Runtime: InvokeEndpoint.

AWS does: choose a variant by the weights, send the request to one of its instances, and report metrics.
moto does: answer a fixed text.
We do: send the request by HTTP to a process that serves, and report the metrics.
Weaker: one variant, no asynchronous invocations, no response streams.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

from localcloud.kernel.cloud import ACCOUNT, Cloud, moto_backend
from localcloud.kernel.patching import replace
from localcloud.kernel.quotas import quota
from localcloud.sagemaker.endpoints.endpoint import Endpoint, endpoints
from localcloud.sagemaker.endpoints.fleets import Fleet
from localcloud.sagemaker.endpoints.serving import Reply, UnansweredError

# Answers InvokeEndpoint from a process that serves, and reports SageMaker's metrics.
#
# The metrics are put into the CloudWatch backend directly: those that AWS reports are no API calls either.

PAYLOAD_LIMIT_BYTES = quota("sagemaker endpoint", "payload")
"""The most bytes of a request, and of an answer: 6 MiB."""
TIME_LIMIT_S = float(quota("sagemaker endpoint", "time"))
"""Seconds within which a model must answer InvokeEndpoint."""

_PREFIX = "X-Amzn-SageMaker-"
_FORWARDED = ("Content-Type", "Accept", f"{_PREFIX}Custom-Attributes", f"{_PREFIX}Inference-Id")
"""The headers of the caller that the container gets too."""

Answer = tuple[int, dict[str, Any], bytes]
"""HTTP status, headers and body, as moto takes them from a handler."""


class RefusalError(Exception):
    """An error answer: its HTTP status, AWS's code, the message, and further members of the body."""

    def __init__(self, status: int, code: str, message: str, **members: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.body = status, code, {"Message": message, **members}


class RetiredError(UnansweredError):
    """The fleet was replaced between its choice and the call of its server."""


def install(cloud: Cloud) -> None:
    # Without this setting moto decodes the body as text, which an image or a Parquet file is not.
    replace(SageMakerRuntimeResponse, use_raw_body=True)

    def invoke(response: Any) -> Answer:
        name = unquote(response.path.split("/")[2])
        try:
            return call(cloud, name, response.raw_body or b"", response.headers)
        except RefusalError as refusal:
            headers = {
                "status": refusal.status,
                "x-amzn-errortype": refusal.code,
                "Content-Type": "application/json",
            }
            return refusal.status, headers, json.dumps(refusal.body).encode()

    replace(SageMakerRuntimeResponse, invoke_endpoint=invoke)


def call(cloud: Cloud, name: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """The answer of the endpoint `name` to the body.

    Raises RefusalError if the body is too large, if nothing serves under the name, or if the model fails."""
    if len(body) > PAYLOAD_LIMIT_BYTES:
        raise RefusalError(413, "413", f"HTTP content length exceeded {PAYLOAD_LIMIT_BYTES} bytes.")
    endpoint = endpoints(cloud).get(name)
    if endpoint is None or endpoint.blue is None:
        raise RefusalError(400, "ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
    if headers.get(f"{_PREFIX}Target-Variant"):
        raise RefusalError(400, "ValidationError", "the local cloud does not cover TargetVariant")
    fleet = _serving(endpoint)
    forwarded = {key: headers[key] for key in _FORWARDED if key in headers}
    started = time.perf_counter()
    try:
        try:
            reply: Reply | UnansweredError = _post(fleet, body, forwarded)
        except RetiredError:
            # An update has ended the fleet between the choice and the call. The new fleet is blue by now.
            fleet = _serving(endpoint)
            reply = _post(fleet, body, forwarded)
    except UnansweredError as error:
        reply = error
    latency_us = (time.perf_counter() - started) * 1e6
    _measure(endpoint, fleet, latency_us, reply)
    return _answer(cloud, endpoint, fleet, reply)


def _serving(endpoint: Endpoint) -> Fleet:
    """The fleet that gets a request: `green` while there is one, else `blue`."""
    fleet = endpoint.green or endpoint.blue
    assert fleet is not None
    return fleet


def _post(fleet: Fleet, body: bytes, headers: Mapping[str, str]) -> Reply:
    """The reply of one of the fleet's servers. Raises UnansweredError, or RetiredError if the fleet has ended."""
    with fleet.lease() as server:
        if server is None:
            raise RetiredError if fleet.ended else UnansweredError("no instance of the variant is healthy")
        reply = server.post(body, headers, TIME_LIMIT_S)
    if len(reply.body) > PAYLOAD_LIMIT_BYTES:
        raise UnansweredError(f"the response exceeded {PAYLOAD_LIMIT_BYTES} bytes")
    return reply


def _answer(cloud: Cloud, endpoint: Endpoint, fleet: Fleet, reply: Reply | UnansweredError) -> Answer:
    if isinstance(reply, UnansweredError):
        raise _model_error(cloud, endpoint, 0, str(reply))
    if reply.status >= 300:
        raise _model_error(cloud, endpoint, reply.status, reply.body.decode(errors="replace"))
    headers = {
        "status": 200,
        "Content-Type": reply.headers.get("content-type", "application/octet-stream"),
        "x-Amzn-Invoked-Production-Variant": fleet.name,
        "x-amzn-RequestId": str(uuid.uuid4()),
    }
    custom = reply.headers.get(f"{_PREFIX}Custom-Attributes".lower())
    if custom is not None:
        headers[f"{_PREFIX}Custom-Attributes"] = custom
    return 200, headers, reply.body


def _model_error(cloud: Cloud, endpoint: Endpoint, status: int, original: str) -> RefusalError:
    # AWS answers 424 whatever the container said, and hands its status and text over. Status 0: there was no answer.
    log = f"arn:aws:logs:{cloud.region}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/{endpoint.name}"
    side = "client" if 400 <= status < 500 else "server"
    message = (
        f'Received {side} error ({status}) from primary with message "{original[:1000]}". '
        f"See {log} for more information."
    )
    return RefusalError(
        424, "ModelError", message, OriginalStatusCode=status, OriginalMessage=original, LogStreamArn=log
    )


def _measure(endpoint: Endpoint, fleet: Fleet, latency_us: float, reply: Reply | UnansweredError) -> None:
    # An answer that did not come counts as an error of the server.
    status = reply.status if isinstance(reply, Reply) else 500
    values = {
        "Invocations": (1.0, "None"),
        "InvocationsPerInstance": (fleet.share(), "None"),
        "ModelLatency": (latency_us, "Microseconds"),
        "Invocation4XXErrors": (float(400 <= status < 500), "None"),
        "Invocation5XXErrors": (float(status >= 500), "None"),
    }
    dimensions = [
        {"Name": "EndpointName", "Value": endpoint.name},
        {"Name": "VariantName", "Value": fleet.name},
    ]
    sets = [dimensions]
    if endpoint.green is not None:
        # Only while an update runs: by this dimension an alarm tells the new fleet from the old one.
        sets.append([*dimensions, {"Name": "EndpointConfigName", "Value": fleet.config}])
    put(endpoint.cloud, values, sets, endpoint.cloud.clock.now())


def put(cloud: Cloud, values: Mapping[str, tuple[float, str]], sets: list[list[dict[str, str]]], at: datetime) -> None:
    """Put each value (`name: (value, unit)`) once for each set of dimensions into the namespace AWS/SageMaker."""
    data = [
        {"MetricName": name, "Value": value, "Unit": unit, "Timestamp": at, "Dimensions": dimensions}
        for name, (value, unit) in values.items()
        for dimensions in sets
    ]
    moto_backend("cloudwatch", cloud.region).put_metric_data("AWS/SageMaker", data)
