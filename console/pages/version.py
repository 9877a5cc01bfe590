"""The page on which a person approves or refuses a version: how it was judged, and what it is beside the live one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from millrace.artefact.signing import SignedVersion
from millrace.console.commands import command
from millrace.console.pages.page import MODEL_FILTERS, model_parts
from millrace.console.pages.template import template
from millrace.console.queries.report import JudgedModel
from millrace.console.queries.runs import SHORT
from millrace.console.queries.stored import Unread
from millrace.console.queries.versions import WaitingVersion
from millrace.console.words import age
from millrace.names import WorkloadNames
from millrace.release.promotion import objection_to
from millrace.release.registry import APPROVED, PENDING, Package

WATCHED = ("shadow", "assisted", "canary")
"""The phases of a release that a person may end."""
LINKS = ("data", "contract", "config", "code", "model")
"""The digests that are compared with those of the live version."""


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A version and what a person needs to decide about it."""

    names: WorkloadNames
    package: Package
    model: JudgedModel
    live: JudgedModel | None
    """None if no version is live, or if it is this one."""
    signature: SignedVersion | Unread
    waiting: WaitingVersion
    now: datetime
    who: str
    """The identity that looks at the page."""
    is_released: bool
    """Whether a release runs."""

    @property
    def objection(self) -> str:
        """Why `who` may not approve the version; empty if they may."""
        return objection_to(self.who, own_roles=self.names.sessions, asked_by=self.package.asked_by)

    @property
    def stands(self) -> str:
        """What became of the version so far, as the end of a sentence about it."""
        status, package = self.model.version.status, self.package
        if status == "registered" and package.approval == APPROVED:
            runs = ", a release runs" if self.is_released else ", and no release of it runs"
            return f"is approved by {package.changed_by.rpartition('/')[2]}{runs}"
        words = {
            "waits": "waits for a person",
            "refused": "was refused",
            **{one: f"is in its {one}" for one in WATCHED},
        }
        return words.get(status, f"is {status}")


def version_path(workload: str, version: str) -> str:
    """The path of the page in the console."""
    return f"/{workload}/versions/{version}"


def waits(one: WaitingVersion, now: datetime) -> str:
    """Since when, until when, and asked by whom: `waits for 5 h, until 2026-11-30 10:00 UTC; asked for by …/bob`."""
    asked = f"asked for by {one.asked_by.rpartition(':')[2]}" if one.asked_by else "no person asked for it"
    return f"Waits for {age(now - one.since)}, until {one.until:%Y-%m-%d %H:%M} UTC; {asked}"


def version_page(found: Decided, *, asked: str, token: str, message: str = "") -> str:
    """The page as HTML. `asked` is the question that the model answers, `token` the secret of the form."""
    names, version = found.names, found.model.version
    return template("version.html.jinja", **MODEL_FILTERS).render(
        title=f"{names.workload}, version {found.package.version}",
        names=names,
        model=found.model,
        live=found.live.version if found.live else None,
        stands=found.stands,
        waits=waits(found.waiting, found.now) if version.status == "waits" else "",
        is_watched=version.status in WATCHED,
        objection=found.objection,
        who=found.who,
        said="" if found.package.approval == PENDING else found.package.said,
        signature=found.signature,
        source=list(_source(found)),
        card=command(names, "card", found.package.version),
        asked=asked,
        token=token,
        message=message,
        **model_parts(names),
    )


def _source(found: Decided) -> Iterator[tuple[str, str, str]]:
    """What the version was made of, then the same of the live one."""
    own, live = (_cells(one) if one else {} for one in (found.model, found.live))
    for what, cell in own.items():
        yield what, cell, live.get(what, "")


def _cells(model: JudgedModel) -> dict[str, str]:
    version, report = model.version, model.evaluation
    quality = report.error.quality(report.metrics.get("error")) if report else "not known"
    beside = f"version {report.beside}" if report and report.beside else "no version"
    return {
        "asked for by": version.asked_by.rpartition(":")[2] or "no person",
        "trained": f"{version.trained_at:%Y-%m-%d %H:%M} UTC ({version.reason})" if version.trained_at else "elsewhere",
        "run": version.run[:SHORT],
        "rows": f"{version.rows or 0:,}, snapshot {version.snapshot_id}",
        "on its test rows": quality,
        "evaluated beside": beside,
        **{f"digest of its {name}": version.digests[name][:12] for name in LINKS if name in version.digests},
    }
