"""`millrace validate`: check whether a model may be released."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.cli.environment import find
from console.cli.options import Build, Json, Stage, Workload

if TYPE_CHECKING:
    from console.queries.model_validation import Finding

Candidate = Annotated[
    str, typer.Argument(metavar="VERSION", help="A version's number, a model package's ARN, or a model.tar.gz.")
]


def validate(candidate: Candidate, workload: Workload, stage: Stage, build: Build, json: Json) -> None:
    """Check whether a candidate model may be released. The exit status is 1 if it may not.

    Digests are recomputed, weights looked through, gates judged and rows answered again.

    Example: millrace validate 3

    Example: millrace validate model.tar.gz --json"""
    from dataclasses import asdict

    from console.cli.printing import show_rows
    from console.queries.model_validation import is_valid

    findings = _findings(candidate, workload, stage, build)
    words = {True: "passed", False: "FAILED", None: "not looked at"}
    rows = [asdict(one) if json else {**asdict(one), "passed": words[one.passed]} for one in findings]
    show_rows(rows, as_json=json, nothing="")
    if not is_valid(findings):
        raise typer.Exit(1)


def _findings(candidate: str, workload: str, stage: str, build: Path) -> tuple[Finding, ...]:
    """The findings on a candidate. An archive is checked wherever it lies; only a package needs an environment."""
    import boto3

    from console.environment import Environment
    from console.local_cloud.local_cloud import PLATFORM
    from console.queries.model_validation import validate_archive, validate_package

    # An archive needs only the workload's name, so any platform will do.
    if candidate.endswith(".tar.gz"):
        names = Environment(platform=PLATFORM, client=boto3.client).names(workload)
        return validate_archive(Path(candidate), names.workload)
    return validate_package(*find(stage, build, workload), candidate)
