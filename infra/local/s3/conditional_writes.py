"""Let one conditional put at a time look for the key and write it: of two at once moto lets both through."""

from __future__ import annotations

import threading
from functools import wraps
from importlib import import_module
from typing import Any

from infra.local.kernel.patching import replace

CONDITIONS = ("If-None-Match", "If-Match")


def make_conditional_puts_atomic() -> None:
    response: Any = import_module("moto.s3.responses").S3Response
    put = response.put_object
    writing = threading.Lock()

    @wraps(put)
    def put_object(self: Any) -> Any:
        if not any(self.headers.get(name) for name in CONDITIONS):
            return put(self)
        with writing:
            return put(self)

    replace(response, put_object=put_object)
