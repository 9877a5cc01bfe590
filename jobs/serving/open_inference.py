"""The Open Inference Protocol, version 2, over HTTP: what KServe, Triton and MLServer speak, on the same model.

Each request for inference is asked as one of `/invocations`, so its answers are those, to the last bit. A tensor of a
request is a column of the model's rows, [N] or [N, 1]; the past of a history is [N, steps, columns]. A tensor of the
answer is a field of the task's answers. A null in `data` stands for a missing cell, for which the protocol has no word.

https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md

Axes: N rows of a request."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from millrace.features.history import History
from millrace.jobs.serving.server import SECOND as ROOT
from millrace.serving.application import refusal
from millrace.serving.http import Request, Response
from millrace.serving.refusals import Refused, describe

if TYPE_CHECKING:
    from millrace.artefact.artefact import Description
    from millrace.features.encoder import Encoder
    from millrace.jobs.serving.server import Answering
    from millrace.serving.settings import Settings
    from millrace.tasks.task import FieldKind

_NUMBERS = ("FP64", "FP32", "FP16", *(f"{sign}INT{bits}" for sign in ("", "U") for bits in (64, 32, 16, 8)))
_OF_ENCODER = {"number": _NUMBERS, "boolean": ("BOOL",)}
"""The datatypes that an encoder's cells may come in, its own first. Every other cell is text: BYTES."""
_OF_FIELD: dict[FieldKind, str] = {"integer": "INT64", "number": "FP64", "share": "FP64", "text": "BYTES"}


@dataclass(kw_only=True, slots=True)
class Inference(Request):
    """A request of `/invocations` with the document of the protocol that it was made from."""

    asked: Mapping[str, Any]


class OpenInference:
    """Answers the paths below `/v2`, and passes every other request on to `application`."""

    def __init__(self, application: Answering, description: Description, settings: Settings) -> None:
        self._application, self.refuse = application, application.refuse
        self._name, self._version = settings.model_name, settings.model_version
        features = description.features
        self._inputs = {name: _tensor(encoder, name) for encoder in features for name in encoder.inputs}
        self._outputs = {
            field.name: _described(field.name, _OF_FIELD[field.kind], [field.length] if field.length else [])
            for field in description.task.answer
        }
        model = {"name": self._name, "versions": [self._version], "platform": "onnx_onnxruntime"}
        inputs = [_described(name, kinds[0], size) for name, (kinds, size) in self._inputs.items()]
        self._documents: dict[str, Mapping[str, Any]] = {
            ROOT: {"name": "millrace", "version": self._version, "extensions": []},
            f"{ROOT}/health/live": {"live": True},
            f"{ROOT}/health/ready": {"ready": True},
        }
        """What a path answers; empty for those that take rows."""
        for path in (f"{ROOT}/models/{self._name}", f"{ROOT}/models/{self._name}/versions/{self._version}"):
            self._documents[path] = model | {"inputs": inputs, "outputs": [*self._outputs.values()]}
            self._documents |= {f"{path}/ready": {"name": self._name, "ready": True}, f"{path}/infer": {}}

    def answer(self, requests: Sequence[Request]) -> list[Response]:
        """One answer for each request, in order. The rows of all requests pass the model together."""
        taken = [self._read(request) if request.head.path.startswith(ROOT) else request for request in requests]
        answers = iter(self._application.answer([one for one in taken if isinstance(one, Request)]))
        whole = [(one, one if isinstance(one, Response) else next(answers)) for one in taken]
        return [self._write(one.asked, found) if isinstance(one, Inference) else found for one, found in whole]

    def _read(self, request: Request) -> Inference | Response:
        head, document = request.head, self._documents.get(request.head.path)
        method = "GET" if document else "POST"
        try:
            if document is None:
                expected = " or ".join(self._documents)
                raise Refused("path", expected=expected, came=head.path[:80], where="request", status=404)
            if head.method != method:
                raise Refused("method", expected=method, came=head.method[:20], where=head.path, status=405)
            if document:
                return Response(status=200, body=json.dumps(document).encode())
            asked = json.loads(request.body)
            body = json.dumps({"rows": self._rows(asked)}).encode()
        except Refused as refused:
            return _refusal(refused)
        except (ValueError, RecursionError) as error:
            return _refusal(Refused("no JSON", expected="JSON, no binary tensors", came=str(error)[:200], where="body"))
        invocation = replace(head, path="/invocations", content_type="application/json")
        return Inference(head=invocation, body=body, asked=asked)

    def _rows(self, asked: Any) -> list[dict[str, Any]]:
        """The rows of a request, as `/invocations` takes them. Raises Refused."""
        tensors = asked.get("inputs") if isinstance(asked, dict) else None
        if not isinstance(tensors, list):
            raise Refused("no inputs", expected="an object with a list 'inputs'", came=describe(asked), where="body")
        columns = dict(self._column(tensor, f"inputs[{place}]") for place, tensor in enumerate(tensors))
        counts = {name: len(cells) for name, cells in columns.items()}
        if len(columns) != len(tensors) or columns.keys() != self._inputs.keys() or len({*counts.values()}) != 1:
            expected = f"each of {', '.join(self._inputs)} once, with a cell for every row"
            raise Refused("inputs", expected=expected, came=str(counts)[:200], where="inputs")
        return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]

    def _column(self, tensor: Any, where: str) -> tuple[str, list[Any]]:
        """The name and the cells of one tensor: the past of a row is the list of its numbers."""
        import numpy as np

        given = tensor if isinstance(tensor, dict) else {}
        name, datatype, shape, data = (given.get(field) for field in ("name", "datatype", "shape", "data"))
        if not isinstance(name, str) or name not in self._inputs:
            raise Refused("name", expected=", ".join(self._inputs), came=describe(name), where=where)
        datatypes, size = self._inputs[name]
        if datatype not in datatypes:
            raise Refused("datatype", expected=" or ".join(datatypes), came=describe(datatype), where=where)
        # `data` may be flat or nested by its shape.
        cells, width = np.array(data, object), math.prod(size)
        rows = cells.size // width
        if cells.size % width or shape not in ([rows, *size], [rows, *(size or [1])]):
            expected = f"the shape {['N', *size]} and a cell in 'data' for each place"
            raise Refused("shape", expected=expected, came=f"{shape} with {cells.size} cells"[:200], where=where)
        return name, cells.reshape([rows, width] if size else rows).tolist()

    def _write(self, asked: Mapping[str, Any], found: Response) -> Response:
        """An answer of `/invocations` in the protocol, which has no place for the reason why a row has none."""
        if found.status != HTTPStatus.OK:
            return found
        predictions = json.loads(found.body)["predictions"]
        named = asked.get("outputs") or [{"name": name} for name in self._outputs]
        several = named if isinstance(named, list) else [named]
        wanted: list[Any] = [one.get("name") if isinstance(one, dict) else one for one in several]
        for place, row in enumerate(predictions):
            if why := row.get("rejected"):
                where = f"row {place}.{why['column']}"
                return _refusal(Refused("no answer", expected=why["expected"], came=why["came"], where=where))
        if unknown := [name for name in wanted if name not in [*self._outputs]]:
            expected = ", ".join(self._outputs)
            return _refusal(Refused("outputs", expected=expected, came=describe(unknown[0]), where="outputs"))
        outputs = []
        for name in wanted:
            cells, is_list = [row[name] for row in predictions], self._outputs[name]["shape"][1:]
            data = [cell for several in cells for cell in several] if is_list else cells
            outputs.append(self._outputs[name] | {"shape": [len(cells), *is_list], "data": data})
        document = {"model_name": self._name, "model_version": self._version, "outputs": outputs}
        document |= {"id": asked["id"]} if "id" in asked else {}
        return Response(status=200, body=json.dumps(document).encode())


def _tensor(encoder: Encoder, name: str) -> tuple[Sequence[str], list[int]]:
    """The datatypes of an input of this encoder, and its sizes behind N."""
    if isinstance(encoder, History) and name != encoder.event_time:
        return _NUMBERS, [encoder.steps, len(encoder.history)] if name == encoder.name else []
    return _OF_ENCODER.get(encoder.kind, ("BYTES",)), []


def _described(name: str, datatype: str, size: Sequence[int]) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [-1, *size]}


def _refusal(refused: Refused) -> Response:
    """In the protocol an error is a sentence and nothing else; the fields stand beside it."""
    return refusal(**vars(refused) | {"error": str(refused)})
