"""Request bodies as rows of a model's features, checked; or why they are refused."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from jobs.serving.cells import RequestRows, Values, cells_of
from jobs.serving.refusals import Refused, Untaken, describe
from millrace.artefact.batch import CONTENT_TYPE
from millrace.explanations.attribution import MOST_EXPLAINED
from millrace.features import catalogue as encoders
from millrace.features.catalogue import Features

if TYPE_CHECKING:
    import numpy.typing as npt

MAX_ROWS = 20_000


class Reader:
    """Reads bodies for a model of these features."""

    def __init__(self, features: Features, *, arrow: bool = False) -> None:
        """`arrow` says whether Arrow streams are read."""
        self._features, self._arrow = features, arrow
        self._cells = cells_of(features)
        self._columns = encoders.inputs(features)
        self._json = json.JSONDecoder(parse_constant=_refuse_constant)

    def together(self, requests: Sequence[RequestRows]) -> Mapping[str, npt.NDArray[Any]]:
        """The rows of all requests, in order, as the model's tensors (N, …)."""
        if all(rows.tensors is None for rows in requests):
            return self.tensors(
                requests[0].values if len(requests) == 1 else [row for rows in requests for row in rows.values]
            )
        import numpy as np

        parts = [self.tensors(rows.values) if rows.tensors is None else rows.tensors for rows in requests]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def tensors(self, values: Sequence[Values]) -> dict[str, npt.NDArray[Any]]:
        """The model's tensors (N, …) of rows in JSON."""
        return self._cells.tensors(values)

    def read(self, body: bytes, content_type: str) -> RequestRows:
        """The rows of a body; raises Refused that says what was expected, what came and where."""
        if content_type == "application/json":
            return self._read_json(body)
        if content_type == "application/jsonlines":
            return self._read_lines(body)
        if content_type == CONTENT_TYPE and self._arrow:
            # pyarrow takes a third of a second to import: endpoints, which get JSON, never do.
            from jobs.serving.arrow import read

            return read(body, self._features)
        expected = "application/json or application/jsonlines"
        if self._arrow:
            expected = f"{expected} or {CONTENT_TYPE}"
        raise Refused("content type", expected=expected, came=content_type or "none", where="content-type", status=415)

    def _read_json(self, body: bytes) -> RequestRows:
        document = self._decode(body, "body")
        rows = document.get("rows") if type(document) is dict else None
        if type(rows) is not list:
            raise Refused("no rows", expected="an object with a list 'rows'", came=describe(document), where="body")
        _count(len(rows))
        if "others" in document:
            rows = self._chosen(rows, document["others"])
        wanted = "explain" in document and _is_explained(document["explain"], len(rows))
        found = RequestRows(explained=[] if wanted else None)
        self._add(found, rows, "rows[{}]", first=0)
        return found

    def _chosen(self, rows: list[Any], others: Any) -> list[Any]:
        """The model's features of each row, from the row or from what its sender adds; the rest counts for nothing."""
        if type(others) is not list or len(others) != len(rows):
            expected = f"a list with an object for each of {len(rows)} rows"
            raise Refused("others", expected=expected, came=describe(others), where="others")
        chosen = []
        for number, (row, other) in enumerate(zip(rows, others, strict=True)):
            for name, given in (("rows", row), ("others", other)):
                if type(given) is not dict:
                    place = f"{name}[{number}]"
                    raise Refused("a row is no object", expected="an object", came=describe(given), where=place)
            whole = other | row
            chosen.append({name: whole[name] for name in self._columns if name in whole})
        return chosen

    def _read_lines(self, body: bytes) -> RequestRows:
        lines = body.split(b"\n")
        # A batch of batch transform ends with a line feed, and a file may end with several.
        while lines and not lines[-1].strip():
            lines.pop()
        _count(len(lines))
        found = RequestRows(ids=(ids := []))
        rows = []
        for number, line in enumerate(lines, start=1):
            row = self._decode(line, f"line {number}")
            if type(row) is not dict:
                raise Refused("a row is no object", expected="an object", came=describe(row), where=f"line {number}")
            ids.append(_id(row.pop("id", None), f"line {number}"))
            rows.append(row)
        self._add(found, rows, "line {}", first=1)
        return found

    def _add(self, found: RequestRows, rows: Iterable[Any], where: str, *, first: int) -> None:
        read, values = self._cells.read, found.values
        for number, row in enumerate(rows, first):
            try:
                values.append(read(row, where, number))
            except Untaken as untaken:
                found.rejected[number - first] = untaken.reason
                continue
            if found.explained is not None:
                found.explained.append(row)

    def _decode(self, text: bytes, where: str) -> Any:
        try:
            return self._json.decode(text.decode())
        except (ValueError, RecursionError) as error:
            raise Refused("no JSON", expected="JSON in UTF-8", came=str(error)[:200], where=where) from None


def _count(rows: int) -> None:
    if not 1 <= rows <= MAX_ROWS:
        status = 413 if rows else 400
        raise Refused("number of rows", expected=f"1 to {MAX_ROWS} rows", came=str(rows), where="body", status=status)


def _is_explained(wanted: Any, rows: int) -> bool:
    """Whether the answers are to be explained; Refused where that cannot be."""
    if type(wanted) is not bool:
        raise Refused("explain", expected="true or false", came=describe(wanted), where="explain")
    if wanted and rows > MOST_EXPLAINED:
        expected = f"at most {MOST_EXPLAINED} rows with explain"
        raise Refused("number of rows", expected=expected, came=str(rows), where="body", status=413)
    return wanted


def _id(value: Any, where: str) -> Any:
    """The id as it will be sent back; JSON reads 1e999 as infinity and could not write it."""
    if isinstance(value, list | dict) or (isinstance(value, float) and not math.isfinite(value)):
        raise Refused("no id", expected="text, a finite number or null", came=describe(value), where=f"{where}.id")
    return value


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON number")
