"""A file that a person drops from the page: the contract looks at its first rows, then it is put in their name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from millrace.console.actions import drop
from millrace.console.actions.approve import check_recording, record
from millrace.console.actions.drop import Dropped, Looked
from millrace.console.environment import Environment
from millrace.console.files.given import given
from millrace.console.files.grid import Inside
from millrace.console.queries.reviews import check_taken
from millrace.contract.load import load_contract
from millrace.errors import RunError
from millrace.messages.audit import AuditEvent, FileDropped
from millrace.names import WorkloadNames
from millrace.workload.load import workloads_folder

MOST_BYTES = 128 * 2**20
"""The largest file from a page, whose request has to be whole within seconds; `millrace drop` takes larger ones."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What is said of a file that came, and what it became."""

    warnings: Sequence[str]
    looked: Looked
    dropped: Dropped | None
    """None while a person has only looked."""


def take(environment: Environment, names: WorkloadNames, file: Path, feed: str, *, reason: str) -> Taken:
    """Look at the file; with a `reason` also put it, and write the audit record.

    Raises RunError if a drop would start nothing and for an archive of several files, DropError for a file that would
    be refused whole, ClientError for somebody who may not put it or may not write to the audit: then nothing is put."""
    known, contract = drop.check([file], feed, names.platform.stage), load_contract(workloads_folder() / names.workload)
    check_taken(environment, names)
    s3, by, at = environment.client("s3"), environment.identity(), environment.now()
    with given([file], Inside()) as files:
        if len(files) != 1:
            raise RunError(f"expected one file, got an archive of {len(files)}: `millrace drop` takes it")
        with drop.content_of(files[0], contract, known, Inside(), stage=names.platform.stage) as content:
            key = drop.landing_key(names, known, content.name)
            warnings = [*drop.warnings(s3, names, contract, known, content, key)]
            looked = drop.look(content, contract.table(known), at)
            if not reason:
                return Taken(warnings=warnings, looked=looked, dropped=None)
            check_recording(environment, names)
            dropped = drop.put(s3, names, content.path, feed=known, key=key, said={"by": by})
    details = FileDropped(drop=key, drop_id=dropped.drop_id, size=dropped.size, by=by, reason=reason)
    record(environment, names, AuditEvent.FILE_DROPPED, details, command="drop", at=at)
    return Taken(warnings=warnings, looked=looked, dropped=dropped)
