"""A pre-trained part stops at synth where it cannot work: no such file, another one, a licence that is not taken."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.artefact.artefact import digest
from millrace.artefact.pretrained import read_pretrained
from millrace.contract.odcs import check_contract
from millrace.errors import ArtefactError, WorkloadError
from millrace.workload.fit import check_fit, check_pretrained_file
from millrace.workload.load import load_workload
from tests.minilm import PIECES, small

SHIPPED = Path(__file__).resolve().parents[3] / "workloads" / "intents"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The workload `intents` on a part of its own."""
    found = Path(shutil.copytree(SHIPPED, tmp_path / "intents", ignore=shutil.ignore_patterns("sample")))
    (found / "parts").mkdir()
    return found


def declare(
    folder: Path, *, encoder: str = "tokens", family: str = "bag", part: bytes = small(), **changed: str
) -> None:
    (folder / "parts" / "small.safetensors").write_bytes(part)
    path = folder / "workload.yaml"
    document = yaml.safe_load(path.read_text())
    document["prediction"]["features"] = [{"name": "text", "encoder": encoder}]
    document["training"] |= {"family": family, "parameters": {}}
    given = {"from": "parts/small.safetensors", "digest": f"sha256:{digest(part)}", "licence": "MIT"}
    document["training"]["pretrained"] = given | changed
    path.write_text(yaml.safe_dump(document))


def check(folder: Path) -> Path | None:
    workload = load_workload(folder)
    check_fit(workload, check_contract(folder))
    return check_pretrained_file(workload, folder)


def test_a_file_of_the_folder_that_fits_is_taken(folder: Path) -> None:
    assert check(folder) is None
    declare(folder)
    assert check(folder) == folder / "parts" / "small.safetensors"


def test_one_in_s3_is_left_to_the_training(folder: Path) -> None:
    declare(folder, **{"from": "s3://models/small.safetensors"})
    assert check(folder) is None


@pytest.mark.parametrize(
    ("changed", "field", "expected"),
    [
        ({"from": "parts/other.safetensors"}, "training.pretrained.from", "a file parts/other.safetensors"),
        ({"digest": f"sha256:{'0' * 64}"}, "training.pretrained", "expected sha256:0000"),
        ({"licence": "Apache-2.0"}, "training.pretrained", "expected the licence Apache-2.0, the file says MIT"),
        ({"licence": "CC-BY-NC-4.0"}, "training.pretrained.licence", "'Apache-2.0', "),
        ({"encoder": "text"}, "training.pretrained", "a feature with the encoder tokens"),
        ({"family": "transformer"}, "training.pretrained", "the family bag"),
        ({"part": small(reads="image", pieces=[])}, "training.pretrained", "the family bag takes, got one for cnn"),
        ({"from": "../small.safetensors"}, "training.pretrained.from", "match pattern"),
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
        (b"no safetensors", "expected a file of `millrace part`"),
        (small(sizes="many"), "expected a file of `millrace part`"),
        (small(vectors=7), "expected 5 different pieces, got 4"),
        (small(pieces=["a", "a", "b", "c"]), "expected 4 different pieces, got 3"),
    ],
)
def test_another_file_is_no_part(content: bytes, said: str) -> None:
    with pytest.raises(ArtefactError, match=f"here: {said}"):
        read_pretrained(content, where="here")


def test_its_header_says_what_it_is() -> None:
    found = read_pretrained(small(), where="here")
    assert (found.pieces, found.sizes, found.origin.licence) == (tuple(PIECES), (8, 1, 2), "MIT")
