"""The model behind HTTP: SageMaker's three paths, and all rows of a turn in one pass of the model.

SageMaker calls `/ping`, `/invocations` and, for batch transform, `/execution-parameters`.

Axes: N rows of all requests of a turn, W numbers of a row's answer."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millrace.artefact.batch import CONTENT_TYPE, LIKENESS, PREDICTION, write_answers
from millrace.explanations.requested import explanation_of
from millrace.features import catalogue as encoders
from millrace.serving.cells import RequestRows
from millrace.serving.http import BadRequest, Request, Response
from millrace.serving.refusals import Refused, Rejection
from millrace.serving.rows import RowReader
from millrace.serving.settings import MB, Settings
from millrace.tasks.answer import cells, template

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from millrace.artefact.inference import Model
    from millrace.features.signature import Signature

METHODS = {"/ping": "GET", "/invocations": "POST", "/execution-parameters": "GET"}
ALIVE = Response(status=200, body=b"")
FAILED = Response(status=500, body=b'{"error":"the server failed"}')

UNUSABLE: Rejection = {"column": PREDICTION, "expected": "a finite number in its range", "came": "another"}
"""The rejection of a row whose answer, or what is measured of it, is not finite or not in its range. Its cells are far
beyond those of the training, such as 1e38, and the network's own numbers cannot hold what they make."""

Cells = list[tuple[Any, ...]]
"""The fields of each row's answer, in the task's order."""


class Application:
    """Answers requests with the model. Nothing that a client sends makes it raise."""

    def __init__(self, model: Model, settings: Settings) -> None:
        self._model = model
        self._task = model.description.task
        self._features = model.description.features
        self._reader = RowReader(self._features, arrow=settings.batch)
        self._is_measured = bool(encoders.measured(self._features)) or model.measures_likeness
        self._version = settings.model_version
        # `_prediction` is a template of text, filled by one `%` for each row.
        self._fields = self._task.answer
        self._bounds = self._task.objective.bounds
        self._start = f'{{"model_version":{json.dumps(self._version)},"predictions":['
        self._prediction = f"{{{template(self._fields)}}}"
        parameters = {
            "MaxConcurrentTransforms": settings.workers,
            "BatchStrategy": "MULTI_RECORD",
            "MaxPayloadInMB": settings.max_body_bytes // MB,
        }
        self._parameters = Response(status=200, body=json.dumps(parameters).encode())
        # The first pass of an engine is slow, so it comes before the first ping is answered.
        self._model.outputs(_one_row(model.description.signature))

    def answer(self, requests: Sequence[Request]) -> list[Response]:
        """One answer for each request, in order. The rows of all requests pass the model together."""
        # First read them all. A request without rows for the model, such as a ping or a refusal, has its answer here.
        answers: list[Response | RequestRows] = [self._read(request) for request in requests]
        readable = [rows for rows in answers if isinstance(rows, RequestRows)]
        if not readable:
            return [answer for answer in answers if isinstance(answer, Response)]
        try:
            found, watched = self._answers([rows for rows in readable if len(rows)])
        except Exception:
            # An engine that fails is no client's fault and must not take the worker down.
            traceback.print_exc()
            return [FAILED if isinstance(answer, RequestRows) else answer for answer in answers]
        done: list[Response] = []
        # Rows of JSON are written one by one, those of an Arrow stream column by column.
        answered = cells(found, self._fields) if any(rows.numbers is None for rows in readable) else []
        # The model answered the rows of all requests as one table: each request gets its stretch of it, in order.
        start = 0
        for answer in answers:
            if isinstance(answer, RequestRows):
                end = start + len(answer)
                if answer.numbers is None:
                    why = [self._explain(row) for row in answer.explained] if answer.explained else ()
                    done.append(self._write(answer, answered[start:end], watched[start:end], why))
                else:
                    part = {name: column[start:end] for name, column in found.items()}
                    done.append(self._write_arrow(answer, part))
                start = end
            else:
                done.append(answer)
        return done

    def _answers(self, requests: Sequence[RequestRows]) -> tuple[Mapping[str, npt.NDArray[Any]], list[str]]:
        """The task's answers to all rows, by field, and what is measured of each row: of its images and texts, and how
        like the training rows it is. The answers have that too.

        Measures are JSON, one text for each row; they are empty if no request of the turn is JSON. A row whose answer
        is not usable joins the rejected rows of its request. There may be no rows at all, if every image was
        rejected."""
        if not requests:
            import numpy as np

            return self._task.answers(np.empty((0, self._task.objective.width), np.float32)), []
        tensors = self._reader.together(requests)
        output_NW, measured = self._model.with_likeness(tensors)
        usable_N = self._usable(output_NW, measured)
        if not usable_N.all():
            _reject(requests, usable_N)
            output_NW, tensors = output_NW[usable_N], {name: value[usable_N] for name, value in tensors.items()}
            measured = {name: values[usable_N] for name, values in measured.items()}
        found = dict(self._task.answers(output_NW))
        if LIKENESS in measured:
            found[LIKENESS] = measured[LIKENESS]
        if not self._is_measured or all(rows.numbers is not None for rows in requests):
            return found, []
        return found, _by_row({**encoders.measure(self._features, tensors), **measured})

    def _usable(self, output_NW: npt.NDArray[Any], measured: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
        """Whether an answer can be made of the numbers of each row (N)."""
        import numpy as np

        usable_N: npt.NDArray[np.bool_] = np.isfinite(output_NW).all(axis=1)
        if self._bounds is not None:
            # Our own graphs clip; an external one need not.
            least, most = self._bounds
            usable_N &= ((output_NW >= least) & (output_NW <= most)).all(axis=1)
        for values in measured.values():
            usable_N &= np.isfinite(values)
        return usable_N

    def _explain(self, row: Mapping[str, Any]) -> str:
        """The explanation of a row's answer as JSON.

        It is `null` if the model has no reference to compare with, or if one of the answers behind the explanation is
        no finite number."""
        if self._model.description.reference is None:
            return "null"
        try:
            return json.dumps(explanation_of(self._model, row), separators=(",", ":"), allow_nan=False)
        except Exception:
            # The prediction is good all the same, and so are the other requests of the turn.
            traceback.print_exc()
            return "null"

    def refuse(self, bad: BadRequest) -> Response:
        """The answer to bytes that are no request."""
        return refusal("bad request", expected=bad.expected, came=bad.came, where="request", status=bad.status)

    def _read(self, request: Request) -> Response | RequestRows:
        """The rows of a request that wants predictions; the answer to any other request."""
        head = request.head
        if (method := METHODS.get(head.path)) is None:
            return refusal("path", expected=" or ".join(METHODS), came=head.path[:80], where="request", status=404)
        if head.method != method:
            return refusal("method", expected=method, came=head.method[:20], where=head.path, status=405)
        if method == "GET":
            return ALIVE if head.path == "/ping" else self._parameters
        try:
            return self._reader.read(request.body, head.content_type)
        except Refused as refused:
            return refusal(**vars(refused))
        except Exception:
            # A defect in reading must not take down the worker, and other requests with it.
            traceback.print_exc()
            return FAILED

    def _write(self, rows: RequestRows, answered: Cells, watched: Sequence[str], why: Sequence[str]) -> Response:
        """The answer in JSON: for each row, in order, its prediction or why it was rejected.

        A prediction also has what is watched of its images and texts, and its explanation if one is wanted."""
        parts = [self._prediction % one for one in answered]
        # Each part is a whole object already. To add a field, its closing brace comes off.
        if watched:
            parts = [f'{part[:-1]},"watched":{one}}}' for part, one in zip(parts, watched, strict=True)]
        if rows.explained is not None:
            parts = [f'{part[:-1]},"explanation":{one}}}' for part, one in zip(parts, why, strict=True)]
        # The places rise, so at each insert all rows in front of it are there already.
        for place, reason in sorted(rows.rejected.items()):
            parts.insert(place, json.dumps({"rejected": reason}, separators=(",", ":")))
        return Response(status=200, body=f"{self._start}{','.join(parts)}]}}".encode())

    def _write_arrow(self, rows: RequestRows, answers: Mapping[str, npt.NDArray[Any]]) -> Response:
        body = write_answers(
            rows.numbers, answers, fields=self._task.answer, model_version=self._version, rejected=rows.rejected
        )
        return Response(status=200, body=body, content_type=CONTENT_TYPE)


def _reject(requests: Sequence[RequestRows], usable_N: npt.NDArray[np.bool_]) -> None:
    """Take the rows whose answer is not usable out of their requests. `usable_N` has the rows of all, in order."""
    start = 0
    for rows in requests:
        # Move on first: `reject` changes the length of these rows.
        is_usable = usable_N[start : start + len(rows)]
        start += len(rows)
        rows.reject([place for place, ok in enumerate(is_usable) if not ok], UNUSABLE)


def _by_row(measured: Mapping[str, npt.NDArray[Any]]) -> list[str]:
    """The figures of each row as the text of a JSON object, with all digits."""
    form = ",".join(f"{json.dumps(name).replace('%', '%%')}:%r" for name in measured)
    return [f"{{{form}}}" % row for row in zip(*(values.tolist() for values in measured.values()), strict=True)]


def _one_row(signature: Signature) -> dict[str, npt.NDArray[Any]]:
    """The tensors of one row of zeros. A size that is not fixed is 1."""
    import numpy as np

    return {spec.name: np.zeros((1, *(size or 1 for size in spec.shape)), spec.dtype) for spec in signature}


def refusal(error: str, *, expected: str, came: str, where: str, status: int) -> Response:
    """The answer to a request of which nothing is answered."""
    document = {"error": error, "expected": expected, "came": came, "where": where}
    return Response(status=status, body=json.dumps(document).encode())
