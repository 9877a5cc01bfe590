"""sample.jsonl: a few real rows of the test days, each with the answer of the evaluated model.

    {"lines": ["9f86d081884c7d65…", "60303ae22b998861…"]}
    {"salt": "5d7c39d7b8…", "key": {"id": "c-17"}, "row": {"age": 39}, "answer": {"value": 1}, "stream": "/////…"}

The first line has the digests of the others, and its own digest is that of the sample. So a line leaves with the person
that it is of, and all others are proven as before. The salt leaves too: a digest alone tells nobody's cells.

The inference image imports this module, so it must not import pydantic."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

KINDS = ("row", "answer", "stream", "forecast", "explanation")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Rows as a caller sends them, and the answer to each: `rows` and `answers` have the same order and length."""

    rows: tuple[dict[str, Any], ...]
    answers: tuple[dict[str, Any], ...]
    """The fields of the task's answer, such as `{"value": 1, "probability": 0.87}`; NaN and infinity are null."""
    streams: tuple[str, ...]
    """Each row as a stream in base64."""
    forecasts: tuple[dict[str, Any], ...]
    explanations: tuple[dict[str, Any], ...]
    """Rows that the report shows as examples, with their answers."""

    @property
    def stream(self) -> bytes:
        """The rows as a shard of a batch transform has them."""
        from millrace.artefact.batch import join_rows  # the others read no rows of a shard

        return join_rows(map(base64.b64decode, self.streams))


def write_sample(records: Iterable[Mapping[str, Any]]) -> bytes:
    """The file with these lines, each with a salt. Raises ValueError for NaN or infinity."""
    lines = [json.dumps({"salt": secrets.token_hex(16), **one}, allow_nan=False).encode() for one in records]
    return b"\n".join([json.dumps({"lines": list(map(_digest, lines))}).encode(), *lines, b""])


def sample_digest(content: bytes) -> str:
    """The digest that is signed, whoever has left; another one if the first line does not name one of the others."""
    head, *lines = content.split(b"\n")
    is_whole = all(_digest(line).encode() in head for line in lines if line)
    return _digest(head if is_whole else content)


def read_sample(content: bytes) -> Sample:
    """The rows that are still there."""
    found = [json.loads(line) for line in content.splitlines()[1:]]
    return Sample(**{f"{name}s": tuple(one[name] for one in found if name in one) for name in KINDS})


def _digest(line: bytes) -> str:
    return sha256(line).hexdigest()
