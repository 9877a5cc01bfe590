"""The model behind HTTP: SageMaker's three paths, and all rows of a turn in one pass."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jobs.serving.http import BadRequest
from jobs.serving.rows import Reader, Refused, RequestRows
from jobs.serving.server import Answer, Request
from jobs.serving.settings import MB, Settings
from millrace.artefact.batch import CONTENT_TYPE, write_answers
from millrace.tasks.answer import cells, template

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from millrace.artefact.inference import Model
    from millrace.features.signature import Signature

JSON, LINES = "application/json", "application/jsonlines"
ALIVE = Answer(status=200, body=b"")
FAILED = Answer(status=500, body=b'{"error":"the server failed"}')

Cells = list[tuple[Any, ...]]
"""The fields of each row's answer, in the task's order."""


class Application:
    """Answers requests with the model; nothing that a client sends makes it raise."""

    def __init__(self, model: Model, settings: Settings) -> None:
        self._model = model
        self._task = model.description.task
        self._reader = Reader(model.description.features, arrow=settings.batch)
        self._version = settings.model_version
        version, fields = json.dumps(self._version), template(self._task.answer)
        self._start = f'{{"model_version":{version},"predictions":['
        self._prediction = f"{{{fields}}}"
        self._line = f'{{"id":%s,{fields},"model_version":{version.replace("%", "%%")}}}'
        parameters = {
            "MaxConcurrentTransforms": settings.workers,
            "BatchStrategy": "MULTI_RECORD",
            "MaxPayloadInMB": settings.max_body_bytes // MB,
        }
        self._parameters = Answer(status=200, body=json.dumps(parameters).encode())
        # The first pass of an engine is slow: it is done before the first ping is answered.
        self._model.outputs(_one_row(model.description.signature))

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request; rows of all of them pass the model together."""
        answers: list[Answer | RequestRows] = [self._read(request) for request in requests]
        asked = [rows for rows in answers if isinstance(rows, RequestRows)]
        if not asked:
            return [answer for answer in answers if isinstance(answer, Answer)]
        try:
            found = self._task.answers(self._model.outputs(self._reader.together(asked)))
        except Exception:
            # An engine that fails is no client's fault and must not take the worker down.
            traceback.print_exc()
            return [FAILED if isinstance(answer, RequestRows) else answer for answer in answers]
        done: list[Answer] = []
        answered = cells(found, self._task.answer) if any(rows.numbers is None for rows in asked) else []
        start = 0
        for answer in answers:
            if isinstance(answer, RequestRows):
                end = start + len(answer)
                if answer.numbers is None:
                    done.append(self._write(answer, answered[start:end]))
                else:
                    part = {name: column[start:end] for name, column in found.items()}
                    done.append(self._write_arrow(answer.numbers, part))
                start = end
            else:
                done.append(answer)
        return done

    def refuse(self, bad: BadRequest) -> Answer:
        """The answer to bytes that are no request."""
        return _refusal("bad request", expected=bad.expected, came=bad.came, where="request", status=bad.status)

    def _read(self, request: Request) -> Answer | RequestRows:
        head = request.head
        if head.path == "/invocations":
            if head.method != "POST":
                return _refusal("method", expected="POST", came=head.method[:20], where=head.path, status=405)
            try:
                return self._reader.read(request.body, head.content_type)
            except Refused as refused:
                return _refusal(
                    refused.error,
                    expected=refused.expected,
                    came=refused.came,
                    where=refused.where,
                    status=refused.status,
                )
            except Exception:
                # A defect of ours in reading must not take the worker down, and other requests with it.
                traceback.print_exc()
                return FAILED
        if head.path in ("/ping", "/execution-parameters"):
            if head.method != "GET":
                return _refusal("method", expected="GET", came=head.method[:20], where=head.path, status=405)
            return ALIVE if head.path == "/ping" else self._parameters
        expected = "/ping, /invocations or /execution-parameters"
        return _refusal("path", expected=expected, came=head.path[:80], where="request", status=404)

    def _write(self, rows: RequestRows, answered: Cells) -> Answer:
        if rows.ids is None:
            parts = [self._prediction % one for one in answered]
            return Answer(status=200, body=f"{self._start}{','.join(parts)}]}}".encode())
        # No newline at the end: batch transform puts one behind each answer (AssembleWith: Line).
        lines = [self._line % (json.dumps(given), *one) for given, one in zip(rows.ids, answered, strict=True)]
        return Answer(status=200, body="\n".join(lines).encode(), content_type=LINES)

    def _write_arrow(self, numbers: pa.Array, answers: Mapping[str, npt.NDArray[Any]]) -> Answer:
        body = write_answers(numbers, answers, fields=self._task.answer, model_version=self._version)
        return Answer(status=200, body=body, content_type=CONTENT_TYPE)


def _one_row(signature: Signature) -> dict[str, npt.NDArray[Any]]:
    import numpy as np

    return {spec.name: np.zeros((1, *(size or 1 for size in spec.shape)), spec.dtype) for spec in signature}


def _refusal(error: str, *, expected: str, came: str, where: str, status: int) -> Answer:
    document = {"error": error, "expected": expected, "came": came, "where": where}
    return Answer(status=status, body=json.dumps(document).encode())
