"""What is written into the buckets and how long it stays: each written prefix has a rule, each rule a writer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from millrace.infra.retention import RETENTION, SHARED_RETENTION
from millrace.infra.rules.assembly import read
from millrace.workload.load import SUITE, workload_folders
from tests.infra.conftest import of_type, role_statements

BY_PEOPLE = (
    "landing/training/",
    "landing/labels/",
    "landing/objects/",
    "landing/scoring/",
    "artefacts/external/",
    "lake/query-results/",
    "artefacts/mlflow-artifacts/",
)
"""What people and their programs write: `millrace drop`, `millrace register`, `millrace query`, and into an MLflow."""

Templates = dict[str, dict[str, Any]]


def rules(templates: Templates) -> dict[str, list[dict[str, Any]]]:
    """The lifecycle rules by what a bucket is for (`lake`)."""
    return {
        one["BucketName"].removeprefix("millrace-prod-").removesuffix("-123456789012-eu-west-1"): one[
            "LifecycleConfiguration"
        ]["Rules"]
        for one in of_type(templates, "AWS::S3::Bucket")
    }


def written(templates: Templates) -> set[str]:
    """`<bucket>/<path below the workload>` of all that a role may put; the audit's chain is locked, and stays."""
    arns = {
        arn
        for _, statement in role_statements(templates)
        if "s3:PutObject" in statement["Action"]
        for arn in statement["Resource"]
        if not arn.startswith("arn:aws:s3:::millrace-prod-audit-")
    }
    return {
        re.sub(r"^arn:aws:s3:::millrace-[a-z]+-([a-z]+)-123456789012-eu-west-1/(?:(?!aws/)\w+/)?", r"\1/", arn)
        for arn in arns
    }


def folders(templates: Templates) -> set[tuple[str, str]]:
    """Workload and `<bucket>/<folder>/` of each rule on a folder."""
    found = {(bucket, one.get("Prefix", "")) for bucket, several in rules(templates).items() for one in several}
    parts = {(bucket, *prefix.partition("/")) for bucket, prefix in found if prefix}
    return {(workload, f"{bucket}/{folder}") for bucket, workload, _, folder in parts}


def declared(*tables: Any) -> dict[str, bool]:
    """Whether each `<bucket>/<folder>/` has a rule of its own."""
    return {
        f"{bucket}/{folder}/": one.is_shorter
        for table in tables
        for bucket, folders in table.items()
        for folder, one in folders.items()
    }


def test_all_that_is_written_is_in_the_tables(templates: dict[str, Templates]) -> None:
    known = tuple(declared(RETENTION, SHARED_RETENTION))
    assert [path for path in {*written(templates["prod"]), *BY_PEOPLE} if not path.startswith(known)] == []


def test_every_workload_has_the_rules_that_are_not_the_bucket_s(templates: dict[str, Templates]) -> None:
    """The templates are those of `-c workloads=electricity`; the buckets are everyone's. S3 takes 1,000 rules."""
    every, found = {folder.name for folder in workload_folders(SUITE / "workloads")}, folders(templates["prod"])
    own = {path for path, is_own in declared(RETENTION).items() if is_own}
    assert {workload: {path for one, path in found if one == workload} for workload in every} == dict.fromkeys(
        every, own
    )
    assert max(sum(path.startswith(bucket) for path in own) for bucket in RETENTION) * 245 < 1000


def test_every_folder_of_the_tables_is_written(templates: dict[str, Templates], other_workloads: Path) -> None:
    """Images are written by some workloads only."""
    others = {one.name: dict(one.template) for one in read(other_workloads)}
    writers = {*written(templates["prod"]), *written(others), *BY_PEOPLE}
    known = declared(RETENTION, SHARED_RETENTION)
    assert {one for one in known if not any(path.startswith(one) for path in writers)} == set()
