"""Writes the line of a request into the log group of its stage, in the stage's own format.

https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from localcloud.apigateway.request import Answer, Request
from localcloud.kernel.cloud import ACCOUNT, Cloud


def filled(template: str, values: Mapping[str, str]) -> str:
    """The template with its variables: `$context.status` becomes `200`, one without a value becomes `-`."""
    return re.sub(r"\$context\.(\w+(?:\.\w+)*)", lambda match: values.get(match[1], "-"), template)


def write(cloud: Cloud, stage: Any, request: Request, answer: Answer) -> None:
    """Write the line. Nothing is written for a stage without access log, or for none."""
    settings = (stage.access_log_settings or {}) if stage else {}
    group = settings.get("destinationArn", "").partition(":log-group:")[2].removesuffix(":*")
    models: Any = import_module("moto.logs.models")
    backend = models.logs_backends[ACCOUNT][cloud.region]
    if group not in backend.groups:
        return
    line = filled(settings["format"], _values(request, answer))
    backend.ensure_log_stream(group, request.api)
    event = {"timestamp": int(cloud.clock.timestamp() * 1000), "message": line}
    backend.groups[group].streams[request.api].put_log_events([event])


def _values(request: Request, answer: Answer) -> dict[str, str]:
    took = datetime.now(UTC) - request.at
    return {
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
