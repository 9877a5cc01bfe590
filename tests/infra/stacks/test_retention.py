"""What is written into the buckets and how long it stays: each written prefix has a rule, each rule a writer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

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
    return {re.sub(r"^arn:aws:s3:::millrace-[a-z]+-([a-z]+)-123456789012-eu-west-1/\w+/", r"\1/", arn) for arn in arns}


def kept(templates: Templates) -> set[str]:
    """`<bucket>/<folder>/` of each rule on a folder of `electricity`, or on one that all workloads share."""
    found = folders(templates)
    shared = {f"{path}{folder}/" for folder, path in found if path.count("/") == 1}
    return {path for workload, path in found if workload in ("electricity", "aws")} | shared


def folders(templates: Templates) -> set[tuple[str, str]]:
    """Workload and `<bucket>/<folder>/` of each rule on a folder."""
    found = {(bucket, one.get("Prefix", "")) for bucket, several in rules(templates).items() for one in several}
    parts = {(bucket, *prefix.partition("/")) for bucket, prefix in found if prefix}
    return {(workload, f"{bucket}/{folder}") for bucket, workload, _, folder in parts}


def unruled(templates: Templates) -> set[str]:
    """What is written where no rule is."""
    return {path for path in {*written(templates), *BY_PEOPLE} if not path.startswith(tuple(kept(templates)))}


def test_all_that_is_written_has_a_rule(templates: dict[str, Templates]) -> None:
    assert unruled(templates["prod"]) == set()


def test_the_workloads_that_are_not_deployed_now_keep_their_rules(templates: dict[str, Templates]) -> None:
    """The templates are those of `-c workloads=electricity`; the buckets are everyone's."""
    every = {folder.name for folder in workload_folders(SUITE / "workloads")}
    assert len(every) > 1
    assert {workload: sum(one == workload for one, _ in folders(templates["prod"])) for workload in every} == (
        dict.fromkeys(every, sum(map(len, RETENTION.values())))
    )


def test_every_rule_has_what_is_written_under_it(templates: dict[str, Templates], other_workloads: Path) -> None:
    """Images are written by some workloads only."""
    others = {one.name: dict(one.template) for one in read(other_workloads)}
    writers = {*written(templates["prod"]), *written(others), *BY_PEOPLE}
    assert {one for one in kept(templates["prod"]) if not any(path.startswith(one) for path in writers)} == set()
    assert len(kept(templates["prod"])) == sum(map(len, [*RETENTION.values(), *SHARED_RETENTION.values()]))


@pytest.mark.parametrize("folder", ["scoring", "windows", "checkpoints"])
def test_a_folder_without_its_rule_is_found(templates: dict[str, Templates], folder: str) -> None:
    spoilt = json.loads(json.dumps(templates["prod"]).replace(f'"Prefix": "electricity/{folder}/"', '"Spoilt": ""'))
    assert {path.split("/")[1] for path in unruled(spoilt)} == {folder}
