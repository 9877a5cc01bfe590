"""A folder of images, and a table that names them, become workloads of images."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.image_folder import find_images
from millrace.console.new.files import read_folder
from millrace.console.new.proposal import propose
from millrace.console.new.remarks import notes_of
from millrace.console.new.roles import Choices
from millrace.console.new.writing import write
from millrace.contract.odcs import check_contract
from millrace.errors import ConfigurationError
from millrace.files.catalogue import read_drop
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from tests.console.new.conftest import TODAY, read_path

COUNT = 240


def picture(path: Path, number: int, *, side: int = 16, mode: str = "L") -> None:
    shape = (side, side) if mode == "L" else (side, side, len(mode))
    cells = np.random.default_rng(number).integers(0, 255, shape, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(cells, mode).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(COUNT):
        picture(tmp_path / "photos" / ("crack", "fine")[number % 3 > 0] / f"{number}.png", number)
    return tmp_path / "photos"


def proposed(path: Path, **words: object):
    return propose(read_path(path), Choices(name="photos", **words), today=TODAY)  # type: ignore[arg-type]


def test_a_folder_for_each_class_becomes_a_workload(folder: Path, tmp_path: Path) -> None:
    found = proposed(folder)
    here = write(found, tmp_path / "workloads", tmp_path / "drops", force=False)
    workload = load_workload(here.folder)
    contract = check_fit(workload, check_contract(here.folder))
    assert (workload.training.family, workload.prediction.label, workload.prediction.key) == ("cnn", "label", ("id",))
    assert (workload.training.split.by, workload.training.walk_forward_steps) == ("key_hash", 0)
    assert found.guesses["event time"].value.name == "at"
    [drop] = here.drops
    assert "at" not in pq.read_schema(drop).names, "ingestion fills it in"
    assert sum(part.rows.num_rows for part in read_drop(drop, contract.rows)) == COUNT
    [asked] = [part.rows for part in read_drop(here.to_predict, contract.table("scoring"))]
    assert asked.num_rows == 5


def test_files_of_other_formats_are_named(folder: Path) -> None:
    assert find_images(folder).left_out == ""
    kept = len(find_images(folder).paths)
    for name in ("a.bmp", "b.webp", ".hidden"):
        (next(folder.iterdir()) / name).write_bytes(b"BM")
    found = find_images(folder)
    assert len(found.paths) == kept
    assert found.left_out.startswith("two files left out, of no format that is read (.png, .jpg, .jpeg): ")
    assert any("a.bmp" in note and "b.webp" in note for note in read_folder(folder).notes)


def test_folders_of_a_published_split_are_kept(tmp_path: Path) -> None:
    for number in range(COUNT):
        part = ("train", "train", "train", "val", "test")[number % 5]
        picture(tmp_path / "set" / part / "abc"[number % 3] / f"{number}.png", number)
    found = proposed(tmp_path / "set")
    assert found.prediction.task == "multiclass"
    assert "split: {by: column, column: split" in found.workload_yaml
    assert "simple: {kind: linear, otherwise: warn}" in found.workload_yaml
    assert found.rehearsal.rows == (144, 48, 48)


def test_a_table_may_name_the_images(folder: Path, tmp_path: Path) -> None:
    with (tmp_path / "photos.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "load", "outcome"])
        for number, path in enumerate(sorted(folder.rglob("*.png"))):
            writer.writerow([path.relative_to(tmp_path), number % 7, path.parent.name])
    found = proposed(tmp_path / "photos.csv", label="outcome")
    assert found.prediction.features == ("file", "load")
    assert found.prediction.image_side == 16
    assert any("file names image files" in note for note in notes_of(found))


def test_images_of_many_sizes_are_scaled(folder: Path) -> None:
    for number in range(COUNT // 2):
        picture(folder / "fine" / f"large {number}.png", number, side=24, mode="RGB")
    assert any("grey 240×, PNG of 24 x 24 pixels, colour 120×" in note for note in notes_of(proposed(folder)))
    found = proposed(folder, image_size="12x20")
    assert "a PNG of 12 x 20 pixels, 3 x 8 bits" in found.contract.column("image").rules[0].expected
    assert not found.refused
    assert any("scaled to 12 x 20 pixels" in note for note in notes_of(found))


def test_images_beside_each_other_wait_for_people(tmp_path: Path) -> None:
    for number in range(COUNT):
        picture(tmp_path / "photos" / f"{number}.png", number)
    with pytest.raises(ConfigurationError, match=r"photos/<class>/a\.png"):
        proposed(tmp_path / "photos")
    found = proposed(tmp_path / "photos", label="crack", classes=("yes", "no"))
    here = write(found, tmp_path / "workloads", tmp_path / "drops", force=False)
    assert [pq.read_schema(drop).names for drop in here.drops] == [["id", "image"]]
    assert "labels_before_model" in found.workload_yaml


def test_images_that_cannot_be_read_are_named_and_left_out_of_the_drop(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = next(folder.rglob("*.png"))
    first.write_bytes(first.read_bytes()[:-40])
    picture(folder / "fine" / "large.png", 1, side=24)
    (folder / "fine" / "broken.png").write_bytes(b"no image")
    found = proposed(folder)
    names = [row.key.rpartition("/")[2] for row in found.refused if row.reason == "image"]
    assert sorted(names) == sorted([first.stem, "large", "broken"])
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, ["new", "photos", "--from", "photos"], catch_exceptions=False).stdout
    assert f"{COUNT - 1:,} rows keep the contract, 3 left out of the drop\n" in told
    assert f"  {found.refused[0].key}: " in told
