"""The dossier of one version as a folder: the documents it rests on, the page, and what verifies both."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from millrace.artefact.signing import SIGNATURE_FILE
from millrace.aws.objects import read_object
from millrace.console.dossier import verify
from millrace.console.dossier.catalogue import EVIDENCE, QUESTIONS, Evidence, Kind
from millrace.console.environment import Environment
from millrace.console.pages.template import template
from millrace.console.queries.alarms import find_alarm_states
from millrace.console.queries.audit import read_chain
from millrace.console.queries.documents import DOCUMENTS, signing_key
from millrace.console.queries.live import FAILURES
from millrace.console.queries.monitoring import find_monitor_runs, windows
from millrace.console.queries.stored import Unread, as_file, find_object, part
from millrace.console.queries.versions import describe_version
from millrace.contract.load import read_document
from millrace.errors import ArtefactError, EnvironmentNotFoundError
from millrace.names import WorkloadNames
from millrace.release.provenance import PROVENANCE_FILE
from millrace.release.registry import Package
from millrace.release.signatures import check_signature
from millrace.timestamps import format_utc

MONITOR_RUNS = 12
"""How many runs of the monitor the recorded windows come from, the newest."""


RECORD = ("event/S", "as_of/S", "actor/S", "execution/S", "details/S/*")
"""What is shown of a record of the audit."""
STATED = ("version", "status", "live_at", "reason", "asked_by")
"""What is shown of the version as the registry and the pointers have it."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the page."""

    name: str
    value: str
    kind: Kind
    at: str = ""
    """The place where verify.py finds it: `evaluation.json#/metrics/error`; empty if it cannot."""


def write_dossier(
    environment: Environment, names: WorkloadNames, package: Package, folder: Path
) -> tuple[int, str, str]:
    """Write the dossier of the version, and verify it as its reader will. Returns what `verify.verify` does.

    Raises ArtefactError if a document is not as it was signed, AuditChainError if the audit is not whole, and
    EnvironmentNotFoundError if the folder has files."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise EnvironmentNotFoundError(f"--output: expected a folder that is empty or not there, got {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    files = dict(_documents(environment, names, package))
    try:
        page = _page(environment, names, package, verify.read_documents(files))
        files |= {verify.PAGE: page.encode(), "verify.py": Path(verify.__file__).read_bytes()}
        for name, content in {**files, verify.MANIFEST: verify.manifest_of(files)}.items():
            (folder / name).write_bytes(content)
        return verify.verify(folder)
    except verify.WrongError as error:
        raise ArtefactError(f"version {package.version}: {error}") from None


def _documents(environment: Environment, names: WorkloadNames, package: Package) -> Iterator[tuple[str, bytes]]:
    """The documents of the version that its signature covers and that show no row, the signature, and the audit."""
    s3, key = environment.client("s3"), signing_key(environment)
    signed, run = check_signature(s3, key, names, package), package.metadata["run"]
    for name, parts in DOCUMENTS.items():
        if parts[-1] in verify.SIGNED and name in signed.digests:
            yield parts[-1], read_object(s3, names.run_uri(run, *parts))
    for name in ("workload", "contract"):
        content = read_object(s3, names.run_uri(run, "config", f"{name}.yaml"))
        with as_file(content, f"{name}.yaml") as path:
            # As `millrace.contract.load.digest` digests it.
            text = json.dumps(
                read_document(path), sort_keys=True, separators=(",", ":"), default=str, ensure_ascii=False
            )
            yield f"{name}.json", text.encode()
    yield verify.SIGNATURE, read_object(s3, names.run_uri(run, SIGNATURE_FILE))
    if (provenance := find_object(s3, names.run_uri(run, PROVENANCE_FILE))) is not None:
        yield verify.PROVENANCE, provenance
    yield verify.KEY, key.public_key().encode()
    yield verify.AUDIT, b"".join(link + b"\n" for link in read_chain(environment, names.workload))


def _page(environment: Environment, names: WorkloadNames, package: Package, documents: Mapping[str, Any]) -> str:
    recorded = _recorded(environment, names, package)
    evidence = {
        key: [
            *(line for place in _places(each, documents[verify.AUDIT]) for line in _lines(documents, place)),
            *(Line(name=name, value=value, kind="recorded") for name, value in recorded.get(key, {}).items() if value),
        ]
        for key, each in EVIDENCE.items()
    }
    return template("dossier.html.jinja").render(
        names=names,
        package=package,
        questions=QUESTIONS,
        titles={key: each.title for key, each in EVIDENCE.items()},
        # That the audit has no record of an event says something, too.
        evidence={key: lines for key, lines in evidence.items() if lines or EVIDENCE[key].events},
        owner=documents["workload.json"]["owner"],
        made=format_utc(environment.now()),
    )


def _places(evidence: Evidence, links: Mapping[str, Any]) -> Iterator[str]:
    """The places of the evidence, with those of each record of its events."""
    yield from evidence.places.split()
    for number, link in links.items():
        if any(fnmatch(link["record"]["event"]["S"], wanted) for wanted in evidence.events.split()):
            yield from (f"{verify.AUDIT}#/{number}/record/{part}" for part in RECORD)


def _lines(documents: Mapping[str, Any], place: str) -> Iterator[Line]:
    """The lines of what stands at the place; none if nothing does."""
    file, _, pattern = place.partition("#/")
    kind: Kind = "declared" if file in verify.DECLARED else "verified"
    for keys, value in _standing(documents.get(file), pattern.split("/")):
        pointer = "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in keys)
        name = " ".join([key for key in keys if key not in ("record", "details", "S")][-3:])
        yield Line(name=name, value=verify.text_of(value), kind=kind, at=f"{file}#{pointer}")


def _standing(document: Any, pattern: Sequence[str]) -> Iterator[tuple[list[str], Any]]:
    """The keys and the value of each place that the pattern names, where something stands."""
    if not pattern:
        yield from [] if document in (None, "", [], {}) else [([], document)]
        return
    # The details of an audit record are JSON in a text.
    inner = json.loads(document) if isinstance(document, str) else document
    for key, value in inner.items() if isinstance(inner, dict) else enumerate(inner or ()):
        if pattern[0] in ("*", str(key)):
            yield from (([str(key), *keys], found) for keys, found in _standing(value, pattern[1:]))


def _recorded(environment: Environment, names: WorkloadNames, package: Package) -> Mapping[str, Mapping[str, str]]:
    """By evidence, what the stage says today."""
    known = describe_version(environment, names, package)
    watched = part(lambda: dict(_watched(environment, names)), FAILURES)
    return {
        "version": {name: f"{getattr(known, name) or ''}" for name in STATED},
        "monitoring": {"not read": watched.words} if isinstance(watched, Unread) else watched,
    }


def _watched(environment: Environment, names: WorkloadNames) -> Iterator[tuple[str, str]]:
    """The alarms as they stand, and the last judged windows."""
    runs = find_monitor_runs(environment, names, limit=MONITOR_RUNS)
    for alarm in find_alarm_states(environment, names, runs):
        if not alarm.is_of_stage:
            yield f"alarm {alarm.name}", f"{alarm.state} since {alarm.since:%Y-%m-%d %H:%M}"
    for each in windows(runs):
        error = "not known yet" if each.mean_error is None else f"{each.mean_error:.4g}, bound {each.error_bound}"
        yield f"window {each.start} to {each.end}", f"version {each.version}, {each.rows:,} rows, error {error}"
