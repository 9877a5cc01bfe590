"""How long what is written into the buckets stays: one rule for each folder of a workload."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from millrace.decisions import captured
from millrace.names import QUERY_RESULTS

TIERED_DAYS = 30
"""From then on S3 itself moves what is seldom read to cheaper tiers, and back when it is read, without a fee for that;
objects below 128 KB stay where they are. https://docs.aws.amazon.com/AmazonS3/latest/userguide/intelligent-tiering.html"""
OLD_DAYS = 30
"""Of a version that was overwritten or deleted: time to notice, and longer than a drop may wait for its execution."""
STAGED_DAYS = 30
"""An execution that reads it is held for 14 days at most (`score`), and may be redriven for 14 more."""
YEAR_DAYS = 400
"""A year, and a month more."""


@dataclass(frozen=True, kw_only=True)
class Retention:
    """Of one folder."""

    because: str
    days: int | None = None
    """After these an object is deleted; None: never."""
    old_days: int = OLD_DAYS


RETENTION: Mapping[str, Mapping[str, Retention]] = {
    "landing": {
        "training": Retention(because="The original of every row, from which the tables can be made again"),
        "labels": Retention(because="The original of every label"),
        "objects": Retention(because="The original of every image"),
        "scoring": Retention(because="Its predictions are delivered", days=YEAR_DAYS),
    },
    "lake": {
        "iceberg": Retention(because="The dataset, with the snapshot of each version"),
        "decisions": Retention(because="The record of what was decided; labels come late"),
        "monitor": Retention(because="The report page shows all of them"),
        "staging": Retention(because="Nobody reads it after its execution", days=STAGED_DAYS, old_days=1),
        "windows": Retention(because="Nobody reads it after its execution", days=STAGED_DAYS, old_days=1),
        "quarantine": Retention(because="Whoever sent the rows has sent better ones", days=YEAR_DAYS),
        "predictions": Retention(because="Whoever sent the file has fetched them", days=YEAR_DAYS),
        captured.FOLDER: Retention(
            because="The label of an image may come for a year after the last request with it",
            days=YEAR_DAYS,
            old_days=1,
        ),
    },
    "artefacts": {
        "runs": Retention(because="Any version may be released again, and be asked how it was made"),
        "external": Retention(because="Any version may be released again"),
        "checkpoints": Retention(because="A run has ended, or has failed for good", days=STAGED_DAYS, old_days=1),
    },
}
"""By bucket and folder below `<workload>/`."""

MLFLOW_ARTIFACTS = "mlflow-artifacts"
"""What people log beside a run, in the bucket of artefacts; no workload has a hyphen in its name."""

SHARED_RETENTION: Mapping[str, Mapping[str, Retention]] = {
    "lake": {
        QUERY_RESULTS: Retention(because="Whoever ran the query has read its result", days=STAGED_DAYS, old_days=1)
    },
    "artefacts": {MLFLOW_ARTIFACTS: Retention(because="It is part of the record of a run, which MLflow keeps")},
}
"""By bucket and folder, of what belongs to no workload."""
