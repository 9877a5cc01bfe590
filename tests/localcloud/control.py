"""The control routes of a cloud as our own clients call them."""

from __future__ import annotations

import json
import os
import urllib.request
from typing import Any

from localcloud.kernel.control import SECRET_HEADER, SECRET_VARIABLE


def control(endpoint_url: str, route: str, body: object = None, *, secret: str | None = None) -> Any:
    """The answer of `/_millrace/<route>`; without a secret, that of the cloud in this process."""
    headers = {SECRET_HEADER: os.environ[SECRET_VARIABLE] if secret is None else secret}
    data = None if body is None else json.dumps(body).encode()
    headers |= {} if body is None else {"content-type": "application/json"}
    request = urllib.request.Request(f"{endpoint_url}/_millrace/{route}", data, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
