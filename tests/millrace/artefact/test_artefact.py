"""The answers of a batch, of a version that was trained before its workload declared costs, or while it did."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from millrace.artefact.artefact import (
    MEMBERS,
    Artefact,
    Digests,
    digest,
    read_archive,
    read_folder,
    write_archive,
    write_folder,
)
from millrace.artefact.batch import read_answers, write_answers
from millrace.artefact.signing import SignedStatement, SignedVersion, encoded, read_bundle, read_statement
from millrace.errors import AnswerError, ArtefactError
from millrace.features.category import Category
from millrace.features.number import Number
from millrace.tasks.binary import Binary
from millrace.tasks.catalogue import TASKS
from millrace.tasks.metrics import FrozenErrors, WindowError
from millrace.tasks.multiclass import Multiclass
from tests import builders


@pytest.fixture
def artefact() -> Artefact:
    weights, onnx = b"weights", b"graph"
    week = WindowError(start="1996-12-01", end="1996-12-08", rows=336, error=0.125)
    description = builders.description(
        parameters={"hidden": [8]},
        features=(Number(name="a"), Category(name="b", words=("x", "y"), optional=True)),
        temperature=1.25,
        digests=Digests(data="d", contract="c", config="k", code="o", weights=digest(weights), onnx=digest(onnx)),
        walk_forward=(FrozenErrors(weeks=(week,)),),
    )
    return Artefact(description=description, weights=weights, onnx=onnx, history=b"[]")


def test_comes_back_from_archive_and_folder_as_it_was(artefact: Artefact, tmp_path: Path) -> None:
    write_archive(tmp_path / "model.tar.gz", artefact)
    write_folder(tmp_path / "model", artefact)
    assert read_archive(tmp_path / "model.tar.gz") == artefact
    assert read_folder(tmp_path / "model") == artefact


def test_reads_an_archive_whose_members_stand_below_a_dot(artefact: Artefact, tmp_path: Path) -> None:
    write_folder(tmp_path / "model", artefact)
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "model", arcname=".")
    assert read_archive(tmp_path / "model.tar.gz") == artefact


@pytest.mark.parametrize("name", ["weights.safetensors", "model.onnx"])
def test_refuses_an_altered_member(artefact: Artefact, tmp_path: Path, name: str) -> None:
    write_folder(tmp_path, artefact)
    (tmp_path / name).write_bytes(b"other")
    with pytest.raises(
        ArtefactError, match=f"{name}: expected digest {digest((b'weights', b'graph')[name[0] == 'm'])}"
    ):
        read_folder(tmp_path)


@pytest.mark.parametrize("name", sorted(MEMBERS))
def test_refuses_an_artefact_without_one_of_its_members(artefact: Artefact, tmp_path: Path, name: str) -> None:
    write_folder(tmp_path, artefact)
    (tmp_path / name).unlink()
    with pytest.raises(ArtefactError, match=f"missing {name}"):
        read_folder(tmp_path)


def member(name: str = "model.json", kind: bytes = tarfile.REGTYPE, **pax_headers: str) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.pax_headers = kind, "/etc/passwd" if kind != tarfile.REGTYPE else "", pax_headers
    return made


REGULAR = r"model\.onnx: expected a regular file"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (member("model.pkl"), r"expected one of history\.json, model\.json"),
        (member("../model.onnx"), r"expected one of"),
        *((member("model.onnx", kind), REGULAR) for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)),
        (member("history.json"), "came twice"),
        (member(**{"GNU.sparse.size": "abc", "GNU.sparse.map": "x"}), r"expected a tar\.gz"),
        (member(comment="x" * (2 * 2**20)), r"a header of \d+ bytes, expected at most 1048576"),
    ],
)
def test_an_archive_with_another_member_is_refused(
    artefact: Artefact, tmp_path: Path, more: tarfile.TarInfo, expected: str
) -> None:
    path = tmp_path / "model.tar.gz"
    write_folder(tmp_path / "members", artefact)
    with tarfile.open(path, "w:gz") as archive:
        for one in sorted((tmp_path / "members").iterdir()) if more.name == "history.json" else ():
            archive.add(one, arcname=one.name)
        archive.addfile(more, io.BytesIO(b""))
    with pytest.raises(ArtefactError, match=expected):
        read_archive(path)


def test_refuses_a_link_in_a_folder(artefact: Artefact, tmp_path: Path) -> None:
    write_folder(tmp_path / "model", artefact)
    (tmp_path / "model" / "history.json").rename(tmp_path / "elsewhere")
    (tmp_path / "model" / "history.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtefactError, match="expected a regular file"):
        read_folder(tmp_path / "model")


def test_refuses_a_description_that_is_too_deep_or_too_large(artefact: Artefact, tmp_path: Path) -> None:
    write_folder(tmp_path, artefact)
    text = (tmp_path / "model.json").read_text()
    for bad in ("[" * 100_000 + "]" * 100_000, text.replace('"temperature": 1.25', f'"temperature": {10**400}')):
        (tmp_path / "model.json").write_text(bad)
        with pytest.raises(ArtefactError, match="expected a description of a model"):
            read_folder(tmp_path)


def test_refuses_a_member_that_is_too_large_before_it_is_read(
    artefact: Artefact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MEMBERS, "weights.safetensors", 3)
    write_archive(tmp_path / "model.tar.gz", artefact)
    with pytest.raises(ArtefactError, match="expected at most 3 bytes, got 7"):
        read_archive(tmp_path / "model.tar.gz")


@pytest.mark.parametrize("missing", [1, 4, 8, 20])
def test_an_archive_that_is_cut_off_behind_its_members_is_refused(
    tmp_path: Path, artefact: Artefact, missing: int
) -> None:
    """tar itself would not unpack it, nor would SageMaker."""
    path = tmp_path / "model.tar.gz"
    write_archive(path, artefact)
    whole = path.read_bytes()
    path.write_bytes(whole[:-missing])
    with pytest.raises(ArtefactError, match=r"model\.tar\.gz: expected a tar\.gz, got "):
        read_archive(path)
    path.write_bytes(whole[:-8] + bytes(4) + whole[-4:])
    with pytest.raises(ArtefactError, match="CRC check failed"):
        read_archive(path)


def test_an_archive_that_goes_on_behind_its_members_is_refused(tmp_path: Path, artefact: Artefact) -> None:
    path = tmp_path / "model.tar.gz"
    write_archive(path, artefact)
    path.write_bytes(path.read_bytes() + gzip.compress(bytes(2**20)))
    with pytest.raises(ArtefactError, match="expected the end of the archive behind its members, got more"):
        read_archive(path)


@pytest.mark.parametrize(
    ("member", "value", "expected"),
    [
        ("task", {"kind": "ranking"}, f"task: expected one of {', '.join(TASKS)}, got 'ranking'"),
        ("task", {"kind": "binary", "cut": 1}, "task: expected the fields of binary"),
        ("features", [{"encoder": "smell", "name": "a"}], "features: expected an encoder of number"),
        ("features", [{"encoder": "number"}], "features: expected the fields of number"),
        ("rows_per_pass", {"fewest": 2, "most": 1}, "expected a description of a model.*1 <= fewest <= most"),
        ("rows_per_pass", {"least": 2}, "expected a description of a model"),
        ("signature", [], "signature: expected that of its features"),
    ],
)
def test_refuses_a_description_that_cannot_be_meant(
    artefact: Artefact, tmp_path: Path, member: str, value: object, expected: str
) -> None:
    write_folder(tmp_path, artefact)
    document = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(document | {member: value}))
    with pytest.raises(ArtefactError, match=expected):
        read_folder(tmp_path)


def test_another_task_comes_back_with_its_classes(artefact: Artefact, tmp_path: Path) -> None:
    other = replace(artefact, description=replace(artefact.description, task=Multiclass(classes=("a", "b", "c"))))
    write_folder(tmp_path, other)
    assert read_folder(tmp_path) == other
    assert other.description.columns == ("a", "b")


def test_every_member_must_be_the_one_that_was_approved(artefact: Artefact, tmp_path: Path) -> None:
    """Also model.json: a threshold in it decides as much as a weight."""
    write_folder(tmp_path / "model", artefact)
    approved = read_folder(tmp_path / "model").digest
    assert read_folder(tmp_path / "model", approved=approved) == artefact
    for name in ("model.json", "history.json"):
        content = (tmp_path / "model" / name).read_bytes()
        (tmp_path / "model" / name).write_bytes(content.replace(b"1", b"2", 1) + b" ")
        with pytest.raises(ArtefactError, match="that were approved"):
            read_folder(tmp_path / "model", approved=approved)
        (tmp_path / "model" / name).write_bytes(content)


PLAIN, COSTS = Binary(), Binary(threshold=0.25, costs=((0.0, 1.0), (3.0, 0.0)))


def written(task: Binary) -> bytes:
    answers = task.answers(np.array([[0.1], [0.6]], np.float32))
    measured = {**answers, "likeness": np.array([0.5, 0.5])}
    return write_answers(pa.array([1, 2]), measured, model_version="3", fields=task.answer)


@pytest.mark.parametrize("by", [PLAIN, COSTS])
@pytest.mark.parametrize("now", [PLAIN, COSTS])
def test_an_answer_has_the_fields_that_are_declared_now(by: Binary, now: Binary) -> None:
    found = read_answers(written(by), model_version="3", fields=now.answer)
    assert found.column_names == ["row_number", *(field.name for field in now.answer), "likeness"]
    if now.costs:
        expected = pytest.approx([0.3, 0.4]) if by.costs else [None, None]
        assert found["expected_cost"].to_pylist() == expected


def test_any_other_field_is_refused() -> None:
    with pytest.raises(AnswerError, match="expected the columns"):
        read_answers(written(COSTS), model_version="3", fields=COSTS.answer[1:])


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
