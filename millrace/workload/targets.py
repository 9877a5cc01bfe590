"""Checks at synth what a workload reaches outside its stage: that only the stage's owner opens a way out, or in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from millrace.consumers.catalogue import Kind, of_stage
from millrace.consumers.next_workload import NextWorkload
from millrace.consumers.postgres import PostgresTable
from millrace.consumers.webhook import Webhook
from millrace.errors import WorkloadError
from millrace.names import Platform
from millrace.workload.declaration import Workload
from millrace.workload.ends import HttpSource

FED = ("sqs", "events", "dynamodb", "sns")
"""Services whose resources Millrace reads in a stage, or by which it tells people what happens."""
OURS = "millrace-"
"""How the names of all resources of a stage begin."""


def check_targets(platform: Platform, workload: Workload, allowed: Sequence[str] | None) -> None:
    """Raise WorkloadError for a target that the workload may not have.

    - What Millrace itself reads or keeps, of this stage or another: a decision would come in again as what it was made
      of, and so on without end; and `dev` would feed `prod`.
    - The files of another stage.
    - What none of the patterns in `allowed` names, if the stage has any."""
    for field, target in targets(workload, platform):
        if _is_fed(target):
            expected = "a target beside those of a stage, millrace-…"
        elif target.startswith(f"s3://{OURS}") and not target.startswith(f"s3://{OURS}{platform.stage}-"):
            expected = f"no files of another stage than {platform.stage}"
        elif allowed is not None and not any(fnmatchcase(target, one) for one in allowed):
            expected = f"one of stages.{platform.stage}.targets in cdk.json ({', '.join(allowed) or 'none yet'})"
        else:
            continue
        raise WorkloadError(where=f"workloads/{workload.name}", field=field, expected=expected, came=target)


def targets(workload: Workload, platform: Platform) -> Iterator[tuple[str, str]]:
    """What the workload reaches outside the stage, each with its field: ARNs, names of hosts, and URIs in S3."""
    for name, consumer in of_stage(workload.consumers, platform.stage).items():
        rights = () if isinstance(consumer, NextWorkload) else consumer.rights(platform)
        yield from ((f"consumers.{name}", one) for one in (*_hosts(consumer), *(right.arn for right in rights)))
    for name, source in workload.sources_of(platform.stage).items():
        secret = [platform.secret_arn(source.kind.secret)] if source.kind.secret else []
        key = [source.key_arn] if source.key_arn else []
        yield from ((f"sources.{name}", one) for one in (*_hosts(source.kind), *secret, *key))
    training, own = workload.training, f"s3://{platform.bucket('artefacts')}/"
    for name, part in (("weights", training.weights), ("pretrained", training.pretrained)):
        if part and part.source.startswith("s3://") and not part.source.startswith(own):
            yield f"training.{name}", part.source
    for name, query in workload.queries.items():
        yield from ((f"queries.{name}", uri) for uri in query.tables.values())


def _hosts(end: Kind | HttpSource | PostgresTable) -> Iterator[str]:
    if isinstance(end, Webhook | HttpSource):
        yield urlsplit(end.url).hostname or ""
    elif isinstance(end, PostgresTable):
        yield end.host


def _is_fed(target: str) -> bool:
    return target.startswith("arn:") and target.split(":")[2] in FED and re.split("[:/]", target)[-1].startswith(OURS)
