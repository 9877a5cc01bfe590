"""The page of all workloads of a stage, with what waits for whom, and the page on which a person decides a version."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup

from millrace.console.image_folder import data_uri
from millrace.console.pages.plot import Scale, element, together, trace
from millrace.console.pages.template import template
from millrace.console.pages.version import version_path, waits
from millrace.console.presenters.catalogue import titled
from millrace.console.presenters.gates import contribution_rows
from millrace.console.presenters.presenter import Tone
from millrace.console.queries.live import Automates, RecentRuns, UnreadWorkload, WorkloadState
from millrace.console.queries.reviews import Question, ShownItem, Waiting
from millrace.console.queries.runs import SHORT
from millrace.console.queries.stored import PartT, Unread
from millrace.console.stages import command
from millrace.console.words import age, count, figure, spelled
from millrace.contract.kinds import INTEGERS, NUMBERS
from millrace.contract.schema import Table
from millrace.decisions.review import ReviewItem
from millrace.names import Platform, WorkloadNames


def act_path(workload: str, act: str, of: str = "") -> str:
    """The path of the page on which a person confirms the act on the run, alarm or version `of`."""
    return f"/{workload}/acts/{act}?{urlencode({'of': of})}"


SHAPES = {"good": "●", "bad": "▲", "watch": "◆", "plain": ""}
"""A sign for each tone of a cell, for readers who do not see the colours."""


Cell = tuple[str, Tone]
"""The text and the tone of one cell of a workload's row."""


@dataclass(frozen=True, kw_only=True)
class OpenPoint:
    """One thing that waits for a person."""

    workload: str
    """Empty for one of the stage."""
    what: str
    detail: str = ""
    command: str = ""
    """What a person can type; empty if nothing helps."""
    href: str = ""
    """The page of the console where it is done; empty if there is none."""
    link: str = ""
    """The words of the link to it."""


def overview_page(
    platform: Platform,
    states: Sequence[WorkloadState | UnreadWorkload],
    place: Mapping[str, int],
    *,
    now: datetime,
    denied: Unread | None = None,
) -> str:
    """The page as HTML. `place` says which `page` of how many `pages` it is, and the number of all `workloads`.

    `denied` says why the deployed workloads are not known; then `states` is of all folders."""
    read = [state for state in states if isinstance(state, WorkloadState)]
    # An alarm of the stage is found once for each workload, but is one.
    waiting = list(dict.fromkeys(one for state in read for one in _waiting(state)))
    rows = [
        (state.workload, state.why.words, []) if isinstance(state, UnreadWorkload)
        else (state.names.workload, "", list(_cells(state)))
        for state in states
    ]  # fmt: skip
    return template("overview.html.jinja").render(
        platform=platform, rows=rows, place=place, waiting=waiting, now=now, denied=denied, shapes=SHAPES
    )


def _cells(state: WorkloadState) -> Iterator[Cell]:
    """The cells of a row, in the order of the table's head."""
    yield _part(state.champion, lambda _: (state.live, "plain"))
    yield _part(state.automates, _acting)
    yield _part(state.alarms, lambda alarms: _wrong(spelled(one.name) for one in alarms if not one.is_of_stage))
    yield _part(state.runs, lambda runs: (", ".join(f"{run.machine} {run.name[:SHORT]} for "
                f"{age(state.now - run.started)}" for run in runs.running) or "–", "plain"))  # fmt: skip
    yield _part(state.freshness, lambda steps: _wrong(one.words for one in steps if one.state == "late"))


def _part(found: PartT | Unread, shown: Callable[[PartT], Cell]) -> Cell:
    return (found.words, "bad") if isinstance(found, Unread) else shown(found)


def _acting(automates: Automates | None) -> Cell:
    is_paused = automates and automates.switch.is_paused
    return ("paused", "watch") if is_paused else (automates.words if automates else "–", "plain")


def _wrong(things: Iterable[str]) -> Cell:
    text = ", ".join(things)
    return (text, "bad") if text else ("none", "good")


def _waiting(state: WorkloadState) -> Iterator[OpenPoint]:
    """What waits for a person: first what is stopped, then what failed, then what calls."""
    workload, names = state.names.workload, state.names
    if state.automates and not isinstance(state.automates, Unread) and state.automates.switch.is_paused:
        yield OpenPoint(workload=workload, what="Automation is paused", detail=state.automates.words,
                      command=command(names, "automate", "--resume"),
                      href=act_path(workload, "resume"), link="resume it")  # fmt: skip
    if state.waiting and not isinstance(state.waiting, Unread):
        yield OpenPoint(workload=workload, what="Drops wait", detail=state.waiting.sentence)
    for what, part in (("The queue of drops", state.waiting), ("Decisions that a person makes", state.reviews),
                       ("Versions that a person approves", state.unapproved)):  # fmt: skip
        if isinstance(part, Unread):
            yield OpenPoint(workload=workload, what=what, detail=part.words)
    if state.reviews and not isinstance(state.reviews, Unread) and state.reviews.count:
        many = f"{'' if state.reviews.is_exact else 'at least '}{count(state.reviews.count, 'decision')}"
        since = f"The oldest waits for {age(state.now - state.reviews.oldest)}" if state.reviews.oldest else ""
        since = "; ".join(filter(None, [since, state.agreement if isinstance(state.agreement, str) else ""]))
        what, href = f"{many[:1].upper()}{many[1:]} to be made by a person", f"/{workload}/review"
        yield OpenPoint(workload=workload, what=what, detail=since, href=href, link="answer them")
    for one in () if isinstance(state.unapproved, Unread) else state.unapproved:
        what, href = f"Version {one.version} waits for approval", version_path(workload, one.version)
        yield OpenPoint(workload=workload, what=what, detail=waits(one, state.now), href=href, link="decide")
    if isinstance(state.runs, RecentRuns):
        for run in state.runs.failed:
            yield OpenPoint(workload=workload, what=f"{titled(names, run)} failed {age(state.now - run.started)} ago",
                          detail=run.failure, command=command(names, "rerun", run.name[:SHORT]),
                      href=act_path(workload, "rerun", run.name), link="rerun it")  # fmt: skip
    for alarm in state.alarms if not isinstance(state.alarms, Unread) else ():
        what = f"Alarm {spelled(alarm.name)} since {alarm.since:%Y-%m-%d %H:%M} UTC"
        detail = f"What to do: {alarm.runbook}" if alarm.runbook else ""
        href = "" if alarm.is_of_stage else act_path(workload, "acknowledge", alarm.name)
        yield OpenPoint(workload="" if alarm.is_of_stage else workload, what=what, detail=detail,
                        href=href, link="acknowledge it")  # fmt: skip


MOST_BUTTONS = 10
"""Up to ten choices are buttons, with a digit as their key; of more one is typed."""
WIDTH, HEIGHT = 320.0, 64.0
"""Of a curve, in pixels."""
SHORTEST = 5
"""A list with fewer numbers is written."""


def review_page(
    names: WorkloadNames,
    question: Question,
    *,
    asked: str,
    item: ReviewItem | None,
    shown: ShownItem | Unread | None,
    table: Table,
    token: str,
    waiting: Waiting,
    message: str = "",
    can_undo: bool = False,
    explanation: Mapping[str, Any] | None = None,
) -> str:
    """The page as HTML; without an item it says that none waits. `table` is the contract's table of rows to score.

    `asked` is the question that the model answers, `token` the secret of the forms. `explanation` is the answer taken
    apart, if the person has asked for it."""
    label, keys = question.label, {choice: key for key, choice in question.keys.items() if len(key) == 1}
    return template("review.html.jinja", spelled=spelled).render(
        title=f"{names.workload}, review",
        names=names,
        question=question,
        item=item,
        shown=shown if isinstance(shown, ShownItem) else None,
        unread=shown if isinstance(shown, Unread) else None,
        rows=list(_rows(shown, table)) if isinstance(shown, ShownItem) else [],
        asked=asked,
        choices=[(choice, str(label.word(choice)), keys.get(choice, "")) for choice in label.classes],
        most_buttons=MOST_BUTTONS,
        label=label,
        is_number=label.kind in NUMBERS,
        step="1" if label.kind in INTEGERS else "any",
        ends=age(item.expires_at - item.opened_at) if item else "",
        waiting=waiting,
        token=token,
        message=message,
        can_undo=can_undo,
        explanation=contribution_rows(explanation) if explanation else None,
    )


def _rows(shown: ShownItem, table: Table) -> Iterator[tuple[str, str, str | Markup]]:
    """Name, unit and cell of each column: images first, since they are what is looked at."""
    units = {column.name: column.unit for column in table.columns}
    for name, content in shown.images.items():
        yield name, "", _picture(name, content)
    for name, cell in shown.row.items():
        yield name, units.get(name, ""), _cell(name, cell)


def _picture(name: str, content: bytes) -> Markup | str:
    source = data_uri(content)
    if source is None:
        return f"{len(content):,} bytes, which a browser cannot show"
    return element("img", src=source, alt=f"the image {name}")


def _cell(name: str, cell: Any) -> Markup | str:
    """The cell as text; a list of numbers, and each column of a past, as a curve."""
    if not isinstance(cell, list):
        return _text(cell)
    if cell and all(isinstance(one, Mapping) for one in cell):
        series = {key: [one.get(key) for one in cell] for key in cell[-1]}
        numbers = {key: values for key, values in series.items() if _are_numbers(values)}
        return together(*(element("div", key, _curve(key, values)) for key, values in numbers.items()))
    return _curve(name, cell) if len(cell) >= SHORTEST and _are_numbers(cell) else ", ".join(map(_text, cell))


def _text(cell: Any) -> str:
    """The whole cell: a person decides by it, so that no text is cut."""
    return "missing" if cell is None else f"{cell:.10g}" if isinstance(cell, float) else str(cell)


def _are_numbers(values: Sequence[Any]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)


def _curve(name: str, values: Sequence[float | None]) -> Markup:
    """The values in their order, the newest on the right; a gap is left out."""
    known = [(at, value) for at, value in enumerate(values) if value is not None and math.isfinite(value)]
    if not known:
        return element("span", "no value")
    numbers = [value for _, value in known]
    low, high = min(numbers), max(numbers)
    x = Scale(low=0, high=max(len(values) - 1, 1), start=2, stop=WIDTH - 2)
    y = Scale(low=low, high=high if high > low else low + 1, start=HEIGHT - 4, stop=4)
    said = f"{name}: {len(values)} values from {figure(low)} to {figure(high)}, the last {figure(numbers[-1])}"
    picture = trace(((x(at), y(value)) for at, value in known), "curve validation")
    svg = element("svg", picture, viewBox=f"0 0 {WIDTH:.0f} {HEIGHT:.0f}", role="img", aria_label=said)
    return together(svg, element("span", said.partition(": ")[2], class_="detail"))
