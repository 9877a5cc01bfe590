"""Keeps cells that are too long for a decision's line: their bytes become an object that is named by their digest.

A decision about a scan holds `{"id": "a17", "scan": {"uri": "s3://lake/xray/captured/9f86d0…"}}` in place of the
scan's base64 text. The digest of the decision's input also covers the scan, since the URI ends with the scan's own
digest."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from millrace.aws.errors import has_code, passed_over
from millrace.aws.objects import at_once, read_object, split_uri
from millrace.contract.schema import Table
from millrace.errors import DecisionError

FOLDER = "captured"
"""The folder of the objects, below the workload's folder in the lake."""
DIGEST = re.compile("[0-9a-f]{64}")
"""A SHA-256."""


def long_columns(table: Table) -> tuple[str, ...]:
    """The columns with long cells: all binary ones. Texts and numbers stay in the decision's line."""
    return tuple(column.name for column in table.columns if column.kind == "binary")


def kept_folders(table: Table) -> tuple[str, ...]:
    """The folder of the images that decisions name; () if the table has no column of them."""
    return (FOLDER,) if long_columns(table) else ()


@dataclass(frozen=True, kw_only=True)
class LongCells:
    """Columns whose cells are kept beside the decisions, and the place where they are kept."""

    columns: tuple[str, ...]
    under: str
    """`s3://<lake>/<workload>/captured/`."""

    def split(self, rows: Iterable[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
        """The rows with a reference in place of each long cell, and the bytes of these cells by URI.

        The rows keep the contract. Each cell is decoded and hashed once, and equal cells share a URI."""
        short: list[dict[str, Any]] = []
        contents: dict[str, bytes] = {}
        for row in rows:
            cells = self._cells(row)
            found = [(name, f"{self.under}{hashlib.sha256(content).hexdigest()}", content) for name, content in cells]
            short.append(dict(row) | {name: {"uri": uri} for name, uri, _ in found})
            contents |= {uri: content for _, uri, content in found}
        return short, contents

    def holds(self, uri: str) -> bool:
        """Whether the URI is one that this class makes: its folder, then a digest."""
        return uri.startswith(self.under) and DIGEST.fullmatch(uri.removeprefix(self.under)) is not None

    def _cells(self, row: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
        for name in self.columns:
            if isinstance(text := row.get(name), str):
                yield name, base64.b64decode(text, validate=True)


def keep(s3: Any, contents: Mapping[str, bytes]) -> None:
    """Put the objects. One that is there already is put again, which renews its age. `s3` is boto3's client."""

    def put(uri: str) -> None:
        bucket, key = split_uri(uri)
        s3.put_object(Bucket=bucket, Key=key, Body=contents[uri])

    at_once(put, contents)


def references(document: Mapping[str, Any], long: LongCells) -> dict[str, str]:
    """The URIs in an input, by column. Only references of long columns that lead into their folder are taken."""
    return {
        name: cell["uri"]
        for name, cell in document.items()
        # Exactly `{"uri": …}` of a long column, in our own folder: no caller can make us read another object.
        if isinstance(cell, dict)
        and cell.keys() == {"uri"}
        and isinstance(cell["uri"], str)
        and name in long.columns
        and long.holds(cell["uri"])
    }


def read(s3: Any, uri: str) -> bytes:
    """The bytes at the URI. Raises DecisionError if they have another digest, and S3's error if they are gone."""
    content = read_object(s3, uri)
    digest, expected = hashlib.sha256(content).hexdigest(), uri.rpartition("/")[2]
    if digest != expected:
        raise DecisionError(field=uri, expected=f"bytes of the digest {expected}", came=digest)
    return content


def read_all(s3: Any, uris: Iterable[str]) -> dict[str, bytes]:
    """The bytes by URI. Objects that have expired or have another digest are left out."""
    found: dict[str, bytes] = {}

    def get(uri: str) -> None:
        with suppress(DecisionError), passed_over(has_code("NoSuchKey", "404")):
            found[uri] = read(s3, uri)

    at_once(get, dict.fromkeys(uris))
    return found
