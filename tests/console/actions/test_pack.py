"""A folder of images becomes one Parquet file, which ingestion reads by the contract."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from millrace.console.actions.drop import packed
from millrace.contract.kinds import Kind
from millrace.contract.load import load_contract
from millrace.contract.rules.image import ImageFormat, read_png
from millrace.contract.schema import Column, Contract, Feed, Table
from millrace.contract.validate import validate
from millrace.errors import RunError
from millrace.files.catalogue import read_drop
from tests import builders


def rule(*, scale: bool) -> ImageFormat:
    return ImageFormat(encoding="png", shape=(1, 4, 4), scale=scale)


def contract(*more: Column, kind: Kind = "string", scale: bool = False) -> Contract:
    columns = (
        Column(name="id", kind="string", required=True),
        Column(name="at", kind="timestamp_utc", required=True, generated="event_time"),
        Column(name="scan", kind="binary", required=True, rules=(rule(scale=scale),)),
        *more,
        Column(name="sick", kind=kind, required=True, label=True, physical_name="Is Sick"),
    )
    rows = Table(name="rows", columns=columns, keys=(("id",),))
    return Contract(rows=rows, labels=rows, digest="x")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    content = builders.picture(Image.new("L", (4, 4), 7), "png")
    for name in ("1/a.png", "1/b.png", "0/c.png"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "photos"


def rows(folder: Path, declared: Contract, feed: Feed) -> list[dict[str, Any]]:
    with packed(folder, declared, feed) as file:
        assert file.name == "photos.parquet"
        parts = list(read_drop(file, declared.table(feed)))
    assert not any(part.unparsable for part in parts)
    found: list[dict[str, Any]] = pa.concat_tables([part.rows for part in parts]).to_pylist()
    return found


def test_a_folder_for_each_class_is_a_training_drop(folder: Path) -> None:
    found = rows(folder, contract(), "training")
    assert [(row["id"], row["sick"]) for row in found] == [("0/c", "0"), ("1/a", "1"), ("1/b", "1")]
    assert all(row["scan"].startswith(b"\x89PNG") for row in found)
    assert [row["sick"] for row in rows(folder, contract(kind="int64"), "training")] == [0, 1, 1]


def test_images_to_score_need_no_class(folder: Path) -> None:
    (folder / "d.png").write_bytes((folder / "0" / "c.png").read_bytes())
    assert [row["id"] for row in rows(folder, contract(), "scoring")] == ["0/c", "1/a", "1/b", "d"]


@pytest.mark.parametrize(
    ("declared", "feed", "told"),
    [
        (contract(), "labels", "for a contract with one column of images"),
        (load_contract(Path("workloads/electricity")), "training", "for a contract with one column of images"),
        (contract(Column(name="age", kind="int64", required=True)), "training", "expected a table with age"),
        (contract(kind="boolean"), "scoring", ""),
        (contract(kind="date"), "training", "expected folders named as the contract's classes"),
    ],
)
def test_a_folder_that_cannot_be_the_rows_is_refused(declared: Contract, feed: Feed, told: str, folder: Path) -> None:
    if told:
        with pytest.raises(RunError, match=told):
            rows(folder, declared, feed)
    else:
        assert len(rows(folder, declared, feed)) == 3


def test_a_folder_without_classes_trains_nothing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"<class>/a.png, got 2 images beside each other"):
        rows(folder / "1", contract(), "training")
    (tmp_path / "photos.parquet").mkdir()
    with pytest.raises(RunError, match="expected images, got no images"):
        rows(tmp_path / "photos.parquet", contract(), "scoring")


def test_images_of_other_sizes_are_scaled_where_the_contract_says_so(folder: Path) -> None:
    Image.new("RGB", (9, 7), (200, 10, 10)).save(folder / "1" / "large.jpg", "jpeg")
    (folder / "1" / "broken.png").write_bytes(b"\x89PNG broken")
    as_it_is = (folder / "1" / "a.png").read_bytes()
    with packed(folder, contract(scale=True), "training") as file:
        table = pq.read_table(file)
    found = dict(zip(table["id"].to_pylist(), table["scan"].to_pylist(), strict=True))
    assert found["1/a"] == as_it_is, "an image of the size is not written anew"
    assert found["1/broken"] == b"\x89PNG broken", "what is no image is left to the quarantine"
    size = read_png(found["1/large"])
    assert size is not None
    assert (size.channels, size.height, size.width) == (1, 4, 4)


def test_images_of_other_sizes_are_not_scaled_unasked(folder: Path) -> None:
    Image.new("RGB", (9, 7), (200, 10, 10)).save(folder / "1" / "large.jpg", "jpeg")
    given = (folder / "1" / "large.jpg").read_bytes()
    with packed(folder, contract(), "scoring") as file:
        [found] = read_drop(file, contract().table("scoring"))
    judged = validate(found.rows, contract().table("scoring").without("at"))
    [row] = judged.refused
    assert (row.violations[0].got, len(judged.accepted)) == (
        f"a JPEG of 7 x 9 pixels, 3 x 8 bits, {len(given)} bytes",
        3,
    )
    assert row.violations[0].expected.startswith("a PNG of 4 x 4 pixels")
    assert '"id": "1/large"' in row.raw, "the name of the file"
