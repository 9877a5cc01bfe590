"""Inputs too long for a decision's line: their bytes are kept once, as an object that their digest names.

A decision about a scan holds `{"id": "a17", "scan": {"uri": "s3://lake/xray/captured/9f86d0…"}}` in place of the
scan's base64 text. The digest of that input covers the scan, since its URI ends with the scan's own."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from millrace.aws.objects import at_once, read_object, split_uri
from millrace.contract.schema import Table
from millrace.errors import DecisionError

FOLDER = "captured"
"""Below the workload's folder in the lake."""
DIGEST = re.compile("[0-9a-f]{64}")


def long_columns(table: Table) -> tuple[str, ...]:
    """Every binary column of a contract's table; texts and numbers stay in the decision's line."""
    return tuple(column.name for column in table.columns if column.kind == "binary")


@dataclass(frozen=True, kw_only=True)
class LongCells:
    """The columns whose cells are kept beside the decisions, and where."""

    columns: tuple[str, ...]
    under: str
    """`s3://<lake>/<workload>/captured/`."""

    def split(self, rows: Iterable[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
        """The rows, which keep the contract, with a reference in place of each long cell; the bytes by URI, each once.

        Each cell is decoded and hashed once."""
        short: list[dict[str, Any]] = []
        contents: dict[str, bytes] = {}
        for row in rows:
            found = [(name, self._uri(content), content) for name, content in self._cells(row)]
            short.append(dict(row) | {name: {"uri": uri} for name, uri, _ in found})
            contents |= {uri: content for _, uri, content in found}
        return short, contents

    def holds(self, uri: str) -> bool:
        """Whether the URI names an object as this class names them: the folder, then a digest."""
        return uri.startswith(self.under) and DIGEST.fullmatch(uri.removeprefix(self.under)) is not None

    def _cells(self, row: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
        for name in self.columns:
            if isinstance(text := row.get(name), str):
                yield name, base64.b64decode(text, validate=True)

    def _uri(self, content: bytes) -> str:
        return f"{self.under}{hashlib.sha256(content).hexdigest()}"


def keep(s3: Any, contents: Mapping[str, bytes]) -> None:
    """Put the objects; one that is there already is put again, which renews its age. `s3` is boto3's client."""

    def put(uri: str) -> None:
        bucket, key = split_uri(uri)
        s3.put_object(Bucket=bucket, Key=key, Body=contents[uri])

    at_once(put, contents)


def references(document: Mapping[str, Any], long: LongCells) -> dict[str, str]:
    """The URI by column of an input's references; those of the long columns and below their folder only."""
    return {
        name: cell["uri"]
        for name, cell in document.items()
        # Exactly `{"uri": …}` of a long column, in our own folder: a caller may not make us read another object.
        if isinstance(cell, dict)
        and cell.keys() == {"uri"}
        and isinstance(cell["uri"], str)
        and name in long.columns
        and long.holds(cell["uri"])
    }


def read(s3: Any, uri: str) -> bytes:
    """The bytes; raises DecisionError where they are not those that the URI names, S3's error where they are gone."""
    content = read_object(s3, uri)
    digest, expected = hashlib.sha256(content).hexdigest(), uri.rpartition("/")[2]
    if digest != expected:
        raise DecisionError(field=uri, expected=f"bytes of the digest {expected}", came=digest)
    return content


def read_all(s3: Any, uris: Iterable[str]) -> dict[str, bytes]:
    """The bytes by URI, as far as they are there, since they expire, and are those that their URI names."""
    from botocore.exceptions import ClientError

    found: dict[str, bytes] = {}

    def get(uri: str) -> None:
        try:
            found[uri] = read(s3, uri)
        except DecisionError:
            return
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("NoSuchKey", "404"):
                raise

    at_once(get, dict.fromkeys(uris))
    return found
