"""A request to a REST API, its answer, and API Gateway's own responses."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

EXTENSION = "x-amazon-apigateway-"
"""The beginning of API Gateway's own keys in an OpenAPI document."""


class GatewayError(Exception):
    """One of API Gateway's own responses, by its kind.

    https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html"""

    def __init__(self, kind: str, status: int, message: str) -> None:
        super().__init__(message)
        self.kind, self.status = kind, status


@dataclass(kw_only=True)
class Request:
    """A request to one stage of an API."""

    api: str
    endpoint: str
    """The VPC endpoint through which it came; empty for the public way."""
    stage: str
    path: str
    """The path below the stage."""
    method: str
    headers: dict[str, str]
    """In lower case."""
    query: dict[str, list[str]]
    body: bytes
    environ: dict[str, Any]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    """By the cloud's clock."""
    caller: str = ""
    user_id: str = ""
    access_key: str = ""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    error: str = ""
    """The kind of API Gateway's own response; empty for the function's answer."""
