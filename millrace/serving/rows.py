"""Reads the bodies of requests: checked rows of a model's features, or the reason why a body is refused.

Axes: N rows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from millrace.artefact.batch import CONTENT_TYPE
from millrace.contract.strict_json import no_constant
from millrace.explanations.attribution import MOST_EXPLAINED
from millrace.features import catalogue as encoders
from millrace.features.catalogue import Features
from millrace.serving.cells import RequestRows, Values, cells_of
from millrace.serving.refusals import Refused, Untaken, describe

if TYPE_CHECKING:
    import numpy.typing as npt

MAX_ROWS = 20_000
"""The most rows of one body in JSON. An Arrow stream may have more."""


class RowReader:
    """Reads bodies for a model of these features."""

    def __init__(self, features: Features, *, arrow: bool = False) -> None:
        """With `arrow`, Arrow streams are read too."""
        self._features, self._arrow = features, arrow
        self._cells = cells_of(features)
        self._columns = encoders.inputs(features)
        self._json = json.JSONDecoder(parse_constant=no_constant)
        self._scan = self._json.scan_once  # type: ignore[attr-defined]

    def together(self, requests: Sequence[RequestRows]) -> Mapping[str, npt.NDArray[Any]]:
        """The rows of all requests, in order, as the model's tensors (N, …)."""
        # Rows in JSON are stacked in one go. Streams are tensors already: then each request is joined to the others.
        if all(rows.tensors is None for rows in requests):
            return self.tensors(
                requests[0].values if len(requests) == 1 else [row for rows in requests for row in rows.values]
            )
        import numpy as np

        parts = [self.tensors(rows.values) if rows.tensors is None else rows.tensors for rows in requests]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def tensors(self, values: Sequence[Values]) -> dict[str, npt.NDArray[Any]]:
        """The model's tensors (N, …) of rows that came in JSON."""
        return self._cells.tensors(values)

    def read(self, body: bytes, content_type: str) -> RequestRows:
        """The rows of a body. Raises Refused, which says what was expected, what came and where."""
        if content_type == "application/json":
            return self._read_json(body)
        if content_type == CONTENT_TYPE and self._arrow:
            # To import pyarrow takes a third of a second. Endpoints, which get JSON, never do it.
            from millrace.serving.arrow import read

            return read(body, self._features)
        expected = f"application/json or {CONTENT_TYPE}" if self._arrow else "application/json"
        raise Refused("content type", expected=expected, came=content_type or "none", where="content-type", status=415)

    def _read_json(self, body: bytes) -> RequestRows:
        """The rows of `{"rows": [{…}, …]}`, which may have `others` and `explain` beside them."""
        document = self._decode(body)
        rows = document.get("rows") if type(document) is dict else None
        if type(rows) is not list:
            raise Refused("no rows", expected="an object with a list 'rows'", came=describe(document), where="body")
        _count(len(rows))
        if "others" in document:
            rows = self._chosen(rows, document["others"])
        wanted = "explain" in document and _is_explained(document["explain"], len(rows))
        found = RequestRows(explained=[] if wanted else None)
        read, values = self._cells.read, found.values
        for number, row in enumerate(rows):
            try:
                values.append(read(row, number))
            except Untaken as untaken:
                found.rejected[number] = untaken.reason
                continue
            if found.explained is not None:
                found.explained.append(row)
        return found

    def _chosen(self, rows: list[Any], others: Any) -> list[Any]:
        """The model's features of each row, from the row itself or from its entry in `others`.

        `others` are columns that the sender adds: a version of an earlier declaration finds its features there. A cell
        of the row goes before one of `others`, and columns that are no feature are ignored."""
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

    def _decode(self, text: bytes) -> Any:
        try:
            whole = text.decode()
            try:
                document, end = self._scan(whole, 0)
            except StopIteration:
                end = -1
            # Nearly every body is one document without spaces around it, for which `decode` would look.
            return document if end == len(whole) else self._json.decode(whole)
        except (ValueError, RecursionError) as error:
            raise Refused("no JSON", expected="JSON in UTF-8", came=str(error)[:200], where="body") from None


def _count(rows: int) -> None:
    if not 1 <= rows <= MAX_ROWS:
        status = 413 if rows else 400
        raise Refused("number of rows", expected=f"1 to {MAX_ROWS} rows", came=str(rows), where="body", status=status)


def _is_explained(wanted: Any, rows: int) -> bool:
    """Whether the answers are to be explained. Raises Refused if they cannot be."""
    if type(wanted) is not bool:
        raise Refused("explain", expected="true or false", came=describe(wanted), where="explain")
    if wanted and rows > MOST_EXPLAINED:
        expected = f"at most {MOST_EXPLAINED} rows with explain"
        raise Refused("number of rows", expected=expected, came=str(rows), where="body", status=413)
    return wanted
