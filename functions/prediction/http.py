"""The two ways a request arrives: as it is, or inside an HTTP event (API Gateway HTTP API, function URL; format 2.0).

https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from millrace.decisions.prediction import Refusal


def is_http(event: Mapping[str, Any]) -> bool:
    return "requestContext" in event


def body(event: Mapping[str, Any]) -> object:
    """The request's document; a Refusal where an HTTP body is no JSON."""
    if not is_http(event):
        return event
    text = event.get("body") or ""
    try:
        return json.loads(base64.b64decode(text, validate=True) if event.get("isBase64Encoded") else text)
    except (ValueError, binascii.Error) as error:
        return Refusal(error="no JSON", expected="a JSON document", came=str(error), where="body")


def answer(event: Mapping[str, Any], document: Mapping[str, Any], *, status: int = 200) -> dict[str, Any]:
    """The document as it is, or as an HTTP answer where the request came by HTTP."""
    if not is_http(event):
        return dict(document)
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps(document, separators=(",", ":"), allow_nan=False),
    }


def refuse(event: Mapping[str, Any], refusal: Refusal) -> dict[str, Any]:
    """What was wrong, what was expected, what came and where: the serving container's own four words."""
    document = asdict(refusal)
    return answer(event, document, status=document.pop("status"))
