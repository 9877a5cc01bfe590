"""The Jinja templates of the pages, which lie here, and the pages of a model card and of the decisions of days."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from millrace.console.words import spelled
from millrace.decisions.record import Decision
from millrace.names import WorkloadNames
from millrace.release.registry import Package
from millrace.tasks.answer import in_words

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What a page may load: nothing but its own style and pictures. It has no script, and none that came in runs.

https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Content-Security-Policy"""


def template(name: str, **filters: Callable[..., Any]) -> Template:
    """The template of this name. Every value is escaped, and a value that is missing is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    environment.globals["policy"] = POLICY
    return environment.get_template(name)


def card_page(package: Package, card: Mapping[str, Any]) -> str:
    """The page as HTML."""
    return template("card.html.jinja").render(package=package, card=card)


MOST = 500
"""So many decisions are shown."""


def decisions_path(workload: str, first: date, last: date) -> str:
    """The page's path. Both days are shown."""
    return f"/{workload}/decisions?first={first}&last={last}"


def decisions_page(
    names: WorkloadNames, found: Sequence[Decision], words: Mapping[Any, str], *, first: date, last: date
) -> str:
    """The page as HTML, with the first MOST of the decisions. `words` are the task's, for its classes."""
    rows = [dict(_cells(one, words)) for one in found[:MOST]]
    filled = {name for row in rows for name, cell in row.items() if cell}
    rows = [{name: cell for name, cell in row.items() if name in filled} for row in rows]
    return template("decisions.html.jinja").render(
        names=names, rows=rows, first=first, last=last, is_whole=len(found) <= MOST, most=MOST
    )


def _cells(decision: Decision, words: Mapping[Any, str]) -> Iterator[tuple[str, str]]:
    yield "decision", decision.id
    yield "event time", f"{decision.event_time:%Y-%m-%d %H:%M}"
    yield "row", ", ".join(str(cell) for cell in decision.key.values())
    yield "answer", in_words(decision.output, words)
    dates = decision.predicted_for or ()
    first_and_last = [dates] if isinstance(dates, str) else [*dates[:1], *dates[1:][-1:]]
    yield "predicted for", " to ".join(moment[:16].replace("T", " ") for moment in first_and_last)
    yield "answered by", decision.answered_by or (f"version {decision.model_version}" if decision.model_version else "")
    yield "action", f"{decision.action}: {spelled(decision.reason)}" if decision.has_policy else ""
    yield "came by", decision.source
    yield "measured", ", ".join(f"{name} {value:.3g}" for name, value in decision.watched.items())
