"""API destinations: what a rule sends to one is posted to its URL, if the rule's role allows it.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-api-destinations.html
AWS takes https only and keeps to a rate. Here any URL is called, and at once. Of a connection's ways to authorize only
the API key is sent."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

from infra.local.iam.identity import refused
from infra.local.iam.policies import Request
from infra.local.kernel.cloud import ACCOUNT, Cloud

TIMEOUT_S = 5
"""Seconds for the answer, as on AWS."""


def call_api(cloud: Cloud, arn: str, body: str, role_arn: str) -> None:
    """Send the body to the API destination `arn`, with its HTTP method and its connection's API key.

    Raises LookupError if there is no such destination, PermissionError if there is no role or it may not call the
    destination, ConnectionError if the server does not answer or answers with an error."""
    from moto.events.models import events_backends

    backend: Any = events_backends[ACCOUNT][cloud.region]
    found = next((one for one in backend.destinations.values() if one.arn == arn), None)
    if found is None:
        raise LookupError(f"no API destination {arn}")
    request = Request(action="events:InvokeApiDestination", resources=(arn,), context={})
    denial = refused(cloud, role_arn, "events:PutEvents", request)
    if not role_arn or denial is not None:
        raise PermissionError(f"events:InvokeApiDestination {denial.reason if denial else 'needs a RoleArn'}")
    connection = next(one for one in backend.connections.values() if one.arn == found.connection_arn)
    key = connection.auth_parameters.get("ApiKeyAuthParameters", {})
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if key:
        headers[key["ApiKeyName"]] = key["ApiKeyValue"]
    call = urllib.request.Request(  # noqa: S310 - the URL of the cloud's own destination
        found.invocation_endpoint, data=body.encode(), headers=headers, method=found.http_method
    )
    try:
        urllib.request.urlopen(call, timeout=TIMEOUT_S).close()  # noqa: S310 # nosec B310 - as above
    except (urllib.error.URLError, OSError) as error:
        raise ConnectionError(f"{found.name}: {error}") from error
