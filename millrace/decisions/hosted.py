"""Runs versions in this very process in place of an endpoint: for a workload with `rollout.host: function`.

    the release pointers ─> version, archive, digest ─> loaded once ─> the container's application ─> same bytes

A release asks versions that are not live by the deployed function too (HostedCall)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from millrace.aws.objects import download
from millrace.decisions.endpoint import read_response
from millrace.errors import AnswerError, ArtefactError, EndpointRefusedError, RequestRefusedError
from millrace.messages.envelope import Message
from millrace.workload.rollout import PART_OF_MEMORY

if TYPE_CHECKING:
    from millrace.decisions.road import Answers
    from millrace.messages.release import ReleaseStarted
    from millrace.serving.application import Application
    from millrace.state.pointers import Version
    from millrace.tasks.task import Task

KEPT = 3
"""The most versions that stay loaded: the live one, the one before it, and one under release."""


class StoredModel(Message):
    """A version in a call."""

    version: str
    model_data_url: str
    model_digest: str


Stored: TypeAlias = "Version | ReleaseStarted | StoredModel"
"""A version that can be loaded: a pointer, one under release, or that of a call."""


class HostedCall(Message):
    """Rows for one version, live or not: nothing is decided, and nothing is kept."""

    model: StoredModel
    body: str
    """As the endpoint would get it."""


class HostedModels:
    """The versions that this process has loaded. `s3` is boto3's client."""

    def __init__(self, s3: Any, *, memory_mb: int) -> None:
        self._s3, self._most_bytes = s3, memory_mb * 2**20 // PART_OF_MEMORY
        self._loaded: dict[tuple[str, str], Application] = {}

    def answer(self, model: Stored, body: bytes) -> bytes:
        """What an endpoint of the version would answer.

        Raises EndpointRefusedError if its artefact cannot be run here, RequestRefusedError for a body that it does not
        take, and AnswerError if the model fails."""
        from millrace.serving.http import Head, Request

        head = Head(method="POST", path="/invocations", content_type="application/json", body_bytes=len(body))
        (response,) = self._application(model).answer([Request(head=head, body=body)])
        if response.status >= 400:
            failed = RequestRefusedError if response.status < 500 else AnswerError
            raise failed(f"version {model.version}: {response.body.decode()}")
        return response.body

    def reply(self, event: Mapping[str, Any]) -> dict[str, str]:
        """The answer to a HostedCall, or why there is none."""
        call = HostedCall.model_validate(event)
        try:
            return {"body": self.answer(call.model, call.body.encode()).decode()}
        except (AnswerError, EndpointRefusedError, RequestRefusedError) as error:
            return {"refused": str(error)}

    def connect(self, task: Task, find: Callable[[], Stored | None]) -> Callable[[bytes, int], Answers]:
        """As `endpoint.connect`, for the version that `find` finds at each call."""

        def ask(body: bytes, rows: int) -> Answers:
            if (model := find()) is None:
                raise EndpointRefusedError("expected a live version, there is none")
            return read_response(self.answer(model, body), rows=rows, task=task)

        return ask

    def _application(self, model: Stored) -> Application:
        name = model.version, model.model_digest
        # What was asked last stands at the end; the first one goes.
        found = self._loaded.pop(name, None) or self._load(model)
        self._loaded[name] = found
        if len(self._loaded) > KEPT:
            del self._loaded[next(iter(self._loaded))]
        return found

    def _load(self, model: Stored) -> Application:
        # Together they take half a second to import. A function that only passes a request on never does.
        from millrace.artefact.artefact import read_archive
        from millrace.artefact.inference import Model
        from millrace.serving.application import Application
        from millrace.serving.settings import Settings

        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "model.tar.gz")
                download(self._s3, model.model_data_url, path)
                if (came := path.stat().st_size) > self._most_bytes:
                    expected = f"at most {self._most_bytes:,} bytes, rollout.memory_mb / {PART_OF_MEMORY}"
                    raise ArtefactError(f"artefact of version {model.version}: expected {expected}, got {came:,}")
                artefact = read_archive(path, approved=model.model_digest)
            return Application(Model(artefact), Settings(model_version=model.version))
        except ArtefactError as error:
            raise EndpointRefusedError(str(error)) from error
