"""Eight weeks of the workload `xray`: a model of one archive predicts the images of another source.

The published validation images are like the training images, but the published test images come from elsewhere. So the
model passes its gates and then errs more often. Its own embedding shows that the images differ, labels show that it
errs, and a retraining learns from them. A person approves the new version, and radiologists decide images beside its
answers and before them: they agree, so it goes live."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from millrace.console.demo.driver import Driver, Story
from millrace.console.demo.months import parquet
from millrace.workload.load import SUITE

SAMPLE = SUITE / "workloads" / "xray" / "sample" / "pneumoniamnist.parquet"
START = datetime.fromisoformat("2024-01-08T08:00:00+00:00")
"""A Monday, UTC."""
WEEK = timedelta(days=7)
WEEKLY = 78
"""Images that are predicted in a week, half of them in each call. The published test images last for eight weeks."""
WEEKS = 8
RADIOLOGIST, HEAD = "radiologist", "head-of-radiology"
"""The person who decides images, and the one who approves versions."""
REVIEW_S = 12.0
"""How long the radiologist takes for an image."""
TO_SCORE = 20
"""Rows of the file to score: the last validation images of the archive. Two of them are damaged on purpose."""


def play(driver: Driver, *, weeks: int = WEEKS) -> None:
    """The archive, images to score, then weeks with requests on Monday and labels on Friday."""
    archive, later = read_sample(SAMPLE)
    drop = partial(driver.put, "training", "archive.parquet", parquet(archive))
    approve = partial(driver.approve, HEAD, "as good as its card says, for these eight weeks")
    driver.chapter("The archive: 1,524 images with labels", [("one file", drop), ("a person approves", approve)])
    driver.chapter(
        "A file, a manifest and a single image to score",
        [
            (
                "a file with two that are no images",
                partial(driver.put, "scoring", "ward.parquet", file_to_score(archive)),
            ),
            ("a manifest of three objects", partial(_manifest, driver, archive.slice(0, 3))),
            ("one image", partial(driver.put, "scoring", "walk-in.png", archive["image"][3].as_py())),
        ],
    )
    for week in range(weeks):
        _week(driver, week, later.slice(week * WEEKLY, WEEKLY).to_pylist())


def _week(driver: Driver, week: int, images: list[dict[str, Any]]) -> None:
    """One week: requests on Monday, labels on Friday, and the monitor on the next Monday."""
    monday = START + week * WEEK
    # Filled by an action and read by a later one, so these are functions that run later.
    ids: dict[str, str] = {}
    decided: set[str] = set()
    driver.chapter(
        f"Week {week + 1}: {len(images)} requests, their labels, the monitor",
        [
            ("requests", lambda: ids.update(_predict(driver, week, images))),
            ("Friday", partial(driver.clock, monday + timedelta(days=4))),
            ("a radiologist decides images of a new version", lambda: decided.update(_review(driver, images))),
            ("labels", lambda: _label(driver, week, [one for one in images if one["id"] not in decided], ids)),
            ("Monday, monitor", partial(driver.clock, monday + WEEK)),
            ("a person approves a new version", partial(driver.approve, HEAD, "learnt the other source")),
        ],
    )


def _review(driver: Driver, images: Sequence[dict[str, Any]]) -> set[str]:
    """The images that the radiologist was asked about: what they find is the label."""
    return driver.review(RADIOLOGIST, {image["id"]: image["label"] for image in images}, seconds=REVIEW_S)


def _label(driver: Driver, week: int, images: Sequence[dict[str, Any]], ids: dict[str, str]) -> None:
    if images:
        driver.put("labels", f"week-{week + 1}.csv", labels(images, ids))


def _predict(driver: Driver, week: int, images: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The id of the prediction for each image.

    The rows say when they arrive, since the function's clock is not the cloud's clock."""
    at = driver.cloud.now().isoformat()
    rows = [{"id": image["id"], "at": at, "image": base64.b64encode(image["image"]).decode()} for image in images]
    half = len(rows) // 2
    calls = [rows[:half], rows[half:]]
    answers = driver.predict(f"week {week + 1}", f"week {week + 1}", calls)
    return {
        call[prediction["row"]]["id"]: prediction["id"]
        for call, answer in zip(calls, answers, strict=True)
        for prediction in answer["predictions"]
    }


def _manifest(driver: Driver, images: pa.Table) -> None:
    """Put the objects, then a manifest that names each of them with its version."""
    lines = []
    for image in images.to_pylist():
        key = f"scans/{image['id']}.png"
        version = driver.put("objects", key, image["image"])
        lines.append({"id": image["id"], "image": {"object": key, "version_id": version}})
    driver.put("scoring", "manifest.jsonl", "\n".join(map(json.dumps, lines)).encode())


def read_sample(path: Path) -> tuple[pa.Table, pa.Table]:
    """The archive, and the images of the other source.

    A row of the archive belongs to a part of the split. A row of the other source belongs to none."""
    table = pq.read_table(path)
    is_later = pc.is_null(table["split"])
    return table.filter(pc.invert(is_later)), table.filter(is_later)


def file_to_score(archive: pa.Table) -> bytes:
    """Images without labels. The seventh is cut off behind its header, the twelfth is not an image at all."""
    rows = archive.slice(archive.num_rows - TO_SCORE).select(["id", "image"]).to_pylist()
    rows[6]["image"] = rows[6]["image"][:120]
    rows[11]["image"] = b"no image"
    return parquet(pa.Table.from_pylist(rows))


def labels(images: Sequence[dict[str, Any]], ids: dict[str, str]) -> bytes:
    """A CSV file of what the radiologists found. Each label names the prediction that it is about."""
    lines = [f"{image['id']},{image['label']},{ids[image['id']]}" for image in images]
    return "\n".join(["id,label,prediction_id", *lines, ""]).encode()


STORY = Story(
    workload="xray",
    start=START,
    play=play,
    span="eight weeks",
    page="report-xray.html",
)
"""The story of this workload."""
