"""Verifies Signature Version 4 of a request, by the secret of the role's session that signed it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

_PARTS = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, ?"
    r"SignedHeaders=(?P<names>[^,]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
SKEW = timedelta(minutes=5)
"""How far the time of a signature may be from now."""
NO_MATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


def why_invalid(
    method: str, url: str, headers: Mapping[str, str], body: bytes, *, secret: str, clocks: Sequence[datetime]
) -> str | None:
    """Why the request does not have the signature that the secret makes, in AWS's words; None if it has.

    `headers` are in lower case. `clocks` are the times by which clients sign: the machine's, and the cloud's."""
    parts = _PARTS.fullmatch(headers.get("authorization", ""))
    if parts is None:
        return "Authorization header requires 'Credential', 'Signature' and 'SignedHeaders' parameters."
    names = parts["names"].split(";")
    if "host" not in names or "x-amz-date" not in names:
        return "'Host' and 'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization."
    try:
        at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%S%z")
    except (KeyError, ValueError):
        return "Date must be in ISO-8601 'basic format'."
    if all(abs(at - now) > SKEW for now in clocks):
        return f"Signature expired: {headers['x-amz-date']} is not within {SKEW} of {clocks[0]:%Y%m%dT%H%M%SZ}"
    if headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD") not in (
        "UNSIGNED-PAYLOAD",
        hashlib.sha256(body).hexdigest(),
    ):
        return NO_MATCH
    signed = {name: headers.get(name, "") for name in names}
    request = AWSRequest(method=method, url=url, headers=signed, data=body)
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials(parts["key"], secret), parts["service"], parts["region"])
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return None if hmac.compare_digest(signer.signature(text, request), parts["signature"]) else NO_MATCH
