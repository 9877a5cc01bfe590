"""Records allowed requests, with the policies that allowed them. Tests of least privilege switch it on."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from localcloud.iam.decision import Case
from localcloud.iam.policies import Request
from localcloud.kernel.control import Answer, json_answer

MOST = 20_000
"""The most different decisions, and the most started processes, that are kept. Further ones are only counted."""


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """One allowed request of a role. Equal requests are kept once."""

    role: str
    """The role's name."""
    operation: str
    """The call that needed the permission, such as `s3:PutObject`, or what a service did in the role's name."""
    case: Case


class Recording:
    """The record. It is off until it is switched on. Then each decision costs a look into a set."""

    def __init__(self) -> None:
        self.is_on = False
        self._lock = threading.Lock()
        self._clear()

    def _clear(self) -> None:
        self._seen: set[tuple[Any, ...]] = set()
        self._allowed: list[Allowed] = []
        self._started: list[dict[str, Any]] = []
        self._dropped = 0

    def switch(self, *, on: bool) -> None:
        """Begin with an empty record, or end. After the end the record stays until the next beginning."""
        with self._lock:
            if on:
                self._clear()
            self.is_on = on

    def allow(self, role: str, operation: str, case: Case, own: Mapping[str, tuple[str, ...]]) -> None:
        """Record an allowed request. `own` are the condition values of the call itself."""
        if not self.is_on:
            return
        # The whole context has the time, by which each request would differ from all others.
        request = case.request
        seen = role, operation, request.action, request.resources, tuple(sorted(own.items()))
        with self._lock:
            if seen in self._seen:
                return
            if len(self._seen) >= MOST:
                self._dropped += 1
                return
            self._seen.add(seen)
            self._allowed.append(Allowed(role=role, operation=operation, case=case))

    def start(self, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        """Record a process that the cloud starts."""
        if not self.is_on:
            return
        with self._lock:
            if len(self._started) >= MOST:
                self._dropped += 1
                return
            self._started.append({"arguments": list(arguments), "environment": dict(environment)})

    def as_json(self) -> dict[str, Any]:
        """The record for JSON. Each policy document is there once, and decisions refer to it by its place.

        Example: `{"documents": ["{…}"], "allowed": [{"role": "r", "of_role": [0], …}], "started": [], "dropped": 0}`"""
        with self._lock:
            allowed, started, dropped = list(self._allowed), list(self._started), self._dropped
        documents: dict[str, int] = {}

        def place(text: str) -> int:
            return documents.setdefault(text, len(documents))

        rows = [
            {
                "role": one.role,
                "operation": one.operation,
                "request": asdict(one.case.request),
                "of_role": [place(text) for text in one.case.of_role],
                "of_resource": [place(text) for text in one.case.of_resource],
                "boundary": None if one.case.boundary is None else place(one.case.boundary),
            }
            for one in allowed
        ]
        return {"documents": list(documents), "allowed": rows, "started": started, "dropped": dropped}

    def serve(self, environ: dict[str, Any], start: Any) -> Answer:
        """The control route `/_millrace/permissions`: POST `{"on": true}` begins, GET answers the record."""
        if environ["REQUEST_METHOD"] == "POST":
            body = json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)) or "{}")
            self.switch(on=bool(body.get("on")))
            answer: dict[str, Any] = {"on": self.is_on}
        else:
            answer = self.as_json()
        return json_answer(start, "200 OK", answer)


def read(recorded: Mapping[str, Any]) -> list[Allowed]:
    """The decisions in an answer of the control route, with their documents in place."""
    documents = recorded["documents"]
    return [
        Allowed(
            role=row["role"],
            operation=row["operation"],
            case=Case(
                request=_request(row["request"]),
                of_role=tuple(documents[at] for at in row["of_role"]),
                of_resource=tuple(documents[at] for at in row["of_resource"]),
                boundary=None if row["boundary"] is None else documents[row["boundary"]],
            ),
        )
        for row in recorded["allowed"]
    ]


def _request(row: Mapping[str, Any]) -> Request:
    return Request(
        action=row["action"],
        resources=tuple(row["resources"]),
        context={key: tuple(values) for key, values in row["context"].items()},
        principal=tuple(row["principal"]),
    )
