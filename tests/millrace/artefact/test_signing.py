"""The format of a signature, and what is refused as none."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from millrace.artefact.signing import SignedStatement, SignedVersion, encoded, read_bundle, read_statement
from millrace.errors import ArtefactError

VERSION = SignedVersion(
    name="millrace-dev-xray/first",
    members={"model.onnx": "11" * 32, "model.json": "00" * 32},
    digests={"data_digest": "d" * 64},
)


def test_a_statement_says_what_it_is_read_as() -> None:
    assert read_statement(VERSION.to_statement()) == VERSION


def test_the_root_is_over_the_digests_in_the_order_of_the_names() -> None:
    """`sha256(bytes 00…, bytes 11…)`: the resources are in that order too."""
    document = json.loads(VERSION.to_statement())
    assert [one["name"] for one in document["predicate"]["resources"]] == ["model.json", "model.onnx"]
    root = "8878b15a7d6a3a4f464e8f9f42591dbc0cf4bedea0ec309003d2b2ee53655ef8"  # pragma: allowlist secret
    assert document["subject"] == [{"name": "millrace-dev-xray/first", "digest": {"sha256": root}}]


def test_the_encoding_is_dsse_s() -> None:
    """As the example of its protocol has it, for our type."""
    assert encoded(b"hello world") == b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"


def test_a_bundle_says_what_it_is_read_as() -> None:
    signed = SignedStatement(statement=VERSION.to_statement(), signature=b"\x30\x45\xff", hint="ab" * 32)
    assert read_bundle(signed.to_bundle()) == signed


def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(VERSION.to_statement())
    change(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (b"no json", "JSONDecodeError"),
        (b"[]", "TypeError"),
        (changed(lambda one: one.update(_type="https://in-toto.io/Statement/v0.1")), "v0.1 with"),
        (changed(lambda one: one.update(predicateType="https://slsa.dev/provenance/v1")), "slsa.dev"),
        (changed(lambda one: one["subject"].append({})), "too many values"),
        (changed(lambda one: one["predicate"]["resources"].pop()), "of members that have"),
        (changed(lambda one: one["predicate"]["resources"].append(one["predicate"]["resources"][0])), "a member twice"),
        (changed(lambda one: one["predicate"].pop("digests")), "digests"),
    ],
)
def test_another_statement_is_refused(statement: bytes, told: str) -> None:
    with pytest.raises(ArtefactError, match=rf"model\.sig: expected a statement of a model's members, got .*{told}"):
        read_statement(statement)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[" * 100_000, b'{"mediaType": 1, "dsseEnvelope": {"payloadType": 2}}']
)
def test_another_document_is_no_bundle(content: bytes) -> None:
    with pytest.raises(ArtefactError, match=r"model\.sig: expected a Sigstore bundle with one signature"):
        read_bundle(content)
