"""A pre-trained part stops at synth where it cannot work: no such file, another one, vectors of another size."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import load

from millrace.artefact.artefact import digest
from millrace.artefact.pretrained import packed, read_pretrained
from millrace.contract.odcs import check_contract
from millrace.errors import ArtefactError, WorkloadError
from millrace.workload.fit import check_fit, check_pretrained_file
from millrace.workload.load import load_workload

SHIPPED = Path(__file__).resolve().parents[3] / "workloads" / "intents"
SAID = {"name": "small", "source": "a test", "licence": "MIT"}
PIECES = ["a", "b", "ab", "▁ab"]


def part(pieces: list[str] | None = None, tensor: Any = None, **said: str) -> bytes:
    vectors = np.ones((4, 8), np.float32) if tensor is None else tensor
    words = PIECES if pieces is None else pieces
    return packed(vectors.tobytes(), dtype="F32", shape=vectors.shape, said=SAID | said, pieces=words)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The workload `intents` on a part of its own."""
    found = Path(shutil.copytree(SHIPPED, tmp_path / "intents", ignore=shutil.ignore_patterns("sample")))
    (found / "parts").mkdir()
    (found / "parts" / "words.safetensors").write_bytes(part())
    return found


def declare(folder: Path, *, encoder: str = "tokens", dimension: int = 8, **changed: str) -> None:
    path = folder / "workload.yaml"
    document = yaml.safe_load(path.read_text())
    document["prediction"]["features"] = [{"name": "text", "encoder": encoder}]
    document["training"]["parameters"]["dimension"] = dimension
    given = {"from": "parts/words.safetensors", "digest": f"sha256:{digest(part())}", "licence": "MIT"}
    document["training"]["pretrained"] = given | changed
    path.write_text(yaml.safe_dump(document))


def check(folder: Path) -> Path | None:
    workload = load_workload(folder)
    check_fit(workload, check_contract(folder))
    return check_pretrained_file(workload, folder)


def test_a_file_of_the_folder_that_fits_is_taken(folder: Path) -> None:
    assert check(folder) is None
    declare(folder)
    assert check(folder) == folder / "parts" / "words.safetensors"


def test_one_in_s3_is_left_to_the_training(folder: Path) -> None:
    declare(folder, **{"from": "s3://models/words.safetensors"})
    assert check(folder) is None


@pytest.mark.parametrize(
    ("changed", "field", "expected"),
    [
        ({"from": "parts/other.safetensors"}, "training.pretrained.from", "a file parts/other.safetensors"),
        ({"digest": f"sha256:{'0' * 64}"}, "training.pretrained", "expected sha256:0000"),
        ({"licence": "GPL-3.0"}, "training.pretrained", "expected the licence GPL-3.0, the file says MIT"),
        ({"dimension": 16}, "training.parameters.dimension", "expected 8, got 16"),
        ({"encoder": "text"}, "training.pretrained", "a feature with the encoder tokens"),
        ({"from": "../words.safetensors"}, "training.pretrained.from", "match pattern"),
    ],
)
def test_what_cannot_work_is_refused(folder: Path, changed: dict[str, Any], field: str, expected: str) -> None:
    declare(folder, **changed)
    with pytest.raises(WorkloadError) as refused:
        check(folder)
    assert refused.value.field == field
    assert expected in str(refused.value)


def test_weights_of_another_model_stand_alone(folder: Path) -> None:
    declare(folder)
    path = folder / "workload.yaml"
    document = yaml.safe_load(path.read_text())
    document["training"]["weights"] = {"from": "s3://models/model.tar.gz", "digest": f"sha256:{'0' * 64}"}
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(WorkloadError, match="one of weights and pretrained"):
        load_workload(folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no safetensors", "expected safetensors"),
        (part(tensor=np.ones((4, 8, 2), np.float32)), "expected one tensor vectors"),
        (part(licence=""), "missing licence"),
        (part(["a", "b", "ab"]), "4 different pieces"),
        (part(["a", "b", "ab", "ab"]), "4 different pieces"),
        (part(["a", "ab", "b", "▁ab"]), "single characters first"),
    ],
)
def test_another_file_is_no_part(content: bytes, said: str) -> None:
    with pytest.raises(ArtefactError, match=f"here: .*{said}"):
        read_pretrained(content, where="here")


def test_its_header_says_what_it_is() -> None:
    np.testing.assert_array_equal(load(part())["vectors"], np.ones((4, 8), np.float32))
    found = read_pretrained(part(), where="here")
    assert (found.pieces, found.characters, found.width, found.licence) == (tuple(PIECES), 2, 8, "MIT")
