"""Checks parameters and body of a request by the validator that the API's document names.

A body is checked only if its content type has a model, and never for the length of a list, as on AWS:
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft4Validator

from localcloud.apigateway.documents import Document
from localcloud.apigateway.request import EXTENSION, Request

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
