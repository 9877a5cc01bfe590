"""Rule: each operation of a REST API asks for a signature, and its document says nothing that API Gateway ignores.

API Gateway takes `security` from each operation alone, and leaves out the bounds of a list when it checks a body:
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-authtype.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html (REST APIs)"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from millrace.infra.rules.assembly import Finding, Stack, given, resources

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "x-amazon-apigateway-any-method")
IGNORED = ("minItems", "maxItems")


def check(stacks: Sequence[Stack]) -> Iterator[Finding]:
    """A finding for each operation without a signature, and for each key of a document that would be ignored."""
    for api in resources(stacks, "AWS::ApiGateway::RestApi"):
        body = api.properties.get("Body") or {}
        if "security" in body:
            yield Finding(where=api.where, expected="security in each operation alone", came=body["security"])
        for path, methods in body.get("paths", {}).items():
            for method in methods.keys() & METHODS:
                if not _is_signed(body, came := methods[method].get("security", [])):
                    where = f"{api.where}: {method.upper()} {path}"
                    yield Finding(where=where, expected="security by Signature Version 4", came=came)
        if found := sorted(_keys(body) & set(IGNORED)):
            yield Finding(where=api.where, expected=f"no {' nor '.join(IGNORED)} in a schema", came=found)


def _is_signed(body: Mapping[str, Any], security: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every alternative is a signature."""
    schemes = given(body, "components", "securitySchemes") or {}
    kinds = [[given(schemes, name, "x-amazon-apigateway-authtype") for name in one] for one in security]
    return bool(kinds) and all(kind == ["awsSigv4"] for kind in kinds)


def _keys(value: Any) -> set[str]:
    """Every key, at every depth."""
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return {*(value if isinstance(value, Mapping) else ()), *(key for one in inner for key in _keys(one))}
