"""Files of runs in S3, which may be missing: expired by a lifecycle rule, or never written by a run that failed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from millrace.artefact.artefact import ARCHIVE, Artefact, read_archive
from millrace.aws.objects import read_object


def find_object(client: Any, uri: str) -> bytes | None:
    """The bytes of `s3://<bucket>/<key>`; None if there is no such object. `client` is boto3's S3 client."""
    try:
        return read_object(client, uri)
    except client.exceptions.NoSuchKey:
        return None


def manifest_uris(content: bytes) -> list[str]:
    """The URIs in a manifest, which is `[{"prefix": "s3://<bucket>/…"}, "path", "path", …]`."""
    first, *paths = json.loads(content)
    return [f"{first['prefix']}{path}" for path in paths]


@contextmanager
def as_file(content: bytes, name: str) -> Iterator[Path]:
    """A temporary file with this name and content, for readers that take a path."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        yield path


def unpack(content: bytes) -> Artefact:
    """The artefact of a model.tar.gz in memory. Raises ArtefactError if a member does not match its digest."""
    with as_file(content, ARCHIVE) as path:
        return read_archive(path)
