"""How long objects stay in the buckets: for good, apart from folders of a workload with a rule of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from millrace.decisions import captured
from millrace.names import GIVEN_UP, QUERY_RESULTS

STAGED_DAYS = 30
"""An execution that reads a staged object is held for 14 days at most (`score`), and may be redriven for 14 more."""
TIERED_DAYS = STAGED_DAYS + 1
"""After so many days S3 moves seldom read objects to cheaper tiers, and back when they are read, without a fee for it.

Objects below 128 KB stay where they are, and what goes after STAGED_DAYS is not moved before.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/intelligent-tiering.html"""
OLD_DAYS = 30
"""Days for which an overwritten or deleted version is kept: time to notice, and longer than a drop may wait."""
YEAR_DAYS = 400
"""A year and a month more."""


@dataclass(frozen=True, kw_only=True)
class Retention:
    """The rule of one folder."""

    because: str
    days: int | None = None
    """After so many days an object is deleted; None: never."""
    old_days: int = OLD_DAYS
    """After so many days an overwritten or deleted version goes for good."""

    @property
    def is_shorter(self) -> bool:
        """Whether it is not that of its bucket."""
        return (self.days, self.old_days) != (None, OLD_DAYS)


KEPT_WHOLE = Retention(because="What no rule names is kept")
"""The rule of a whole bucket."""

RETENTION: Mapping[str, Mapping[str, Retention]] = {
    "landing": {
        "training": Retention(because="The original of every row, from which the tables can be made again"),
        "labels": Retention(because="The original of every label"),
        "objects": Retention(because="The original of every image"),
        "erased": Retention(because="The rest of an original, of which a person was erased", old_days=1),
        "scoring": Retention(because="Its predictions are delivered", days=YEAR_DAYS),
    },
    "lake": {
        "iceberg": Retention(because="The dataset, with the snapshot of each version"),
        "decisions": Retention(because="The record of what was decided; labels come late"),
        "monitor": Retention(because="The report page shows all of them"),
        "climbs": Retention(because="A version's page shows what was known of it on each phase"),
        "staging": Retention(
            because="Nobody reads it after its run, or after his job's answer", days=STAGED_DAYS, old_days=1
        ),
        "windows": Retention(because="Nobody reads it after its execution", days=STAGED_DAYS, old_days=1),
        "quarantine": Retention(because="Whoever sent the rows has sent better ones", days=YEAR_DAYS),
        "predictions": Retention(because="The record of what was decided on the rows of files; labels come late"),
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
"""The rules by bucket, then by folder below `<workload>/`."""

MLFLOW_ARTIFACTS = "mlflow-artifacts"
"""Folder of the bucket of artefacts for what people log beside a run. No workload has a hyphen in its name."""

SHARED_RETENTION: Mapping[str, Mapping[str, Retention]] = {
    "landing": {
        GIVEN_UP: Retention(because="Its dead letter is gone after 14 days", days=STAGED_DAYS, old_days=1),
    },
    "lake": {
        QUERY_RESULTS: Retention(because="Whoever ran the query has read its result", days=STAGED_DAYS, old_days=1)
    },
    "artefacts": {MLFLOW_ARTIFACTS: Retention(because="It is part of the record of a run, which MLflow keeps")},
}
"""The rules by bucket and folder for objects that belong to no workload."""
