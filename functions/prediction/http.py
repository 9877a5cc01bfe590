"""A request and what its caller reads: as they are, or inside HTTP events (API Gateway HTTP API, function URL; 2.0).

https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from millrace.decisions.prediction import Admitted, Refusal, Rejected
from millrace.decisions.record import Decision


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


def document(
    rows: Sequence[Admitted], decisions: Sequence[Decision], rejected: Sequence[Rejected]
) -> dict[str, list[dict[str, Any]]]:
    """`predictions` in the order of the request's good rows, `rejected` for the others; `row` counts from 0."""
    return {
        "predictions": [
            {
                "id": decision.id,
                "row": row.number,
                **decision.output,
                "model_version": decision.model_version,
                "phase": decision.phase,
                "fallback": decision.fallback,
            }
            for row, decision in zip(rows, decisions, strict=True)
        ],
        "rejected": [
            {
                "row": found.row,
                "reason": found.reason,
                "column": found.column,
                "expected": found.expected,
                "came": found.came,
            }
            for found in rejected
        ],
    }
