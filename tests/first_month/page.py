"""The page of the first month, which the command prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from tests.first_month.month import BURST_HOURS, BURSTS, DAYS, LATENCY_DAYS, MONTHLY_USD, FirstMonth, Incident
from tests.mails import ADDRESS

INTRODUCTION = f"""\
A workload's first {DAYS} days in the local cloud, from the deployed templates: {{drops}} and a call for 48
predictions a day, and on six days a fault. The workload is `electricity`: {MONTHLY_USD:g} USD a month for trainings
and rows of {LATENCY_DAYS} days at most; mails go to {ADDRESS}, posts to a chat over https.

{{how}}People dropped files, asked for predictions and typed what is shown; the clock moved, and
`python -m tests.first_month` wrote this page. What is cut off ends with `…`."""
IN_BURSTS = f"""\
The drops come in {BURSTS} bursts a day, {BURST_HOURS} hours apart.

"""
LONGEST = 120
"""Characters of a line; one that is longer ends with `…`."""


def shortcomings(lived: FirstMonth) -> list[str]:
    """What was lost, or is left, or was told to nobody; nothing where the month was good."""
    found = {
        f"{lived.rows:,} rows in the table, {lived.expected_rows:,} were dropped": lived.rows != lived.expected_rows,
        f"{lived.told:,} drops of {lived.drops:,} have an outcome": lived.told != lived.drops,
        f"{lived.fallbacks} rows were answered without a model": lived.fallbacks > 0,
        f"{lived.dead_letters} dead letters": lived.dead_letters > 0,
        f"held at the end: {', '.join(lived.held)}": bool(lived.held),
        f"after the teardown: {', '.join(lived.left)}": any("endpoint" in line for line in lived.left),
    }
    return [text for text, is_so in found.items() if is_so]


def page(lived: FirstMonth, *, drops_a_day: int) -> str:
    """The page as Markdown."""
    return "\n".join(
        [
            "# The first month",
            "",
            _introduction(drops_a_day),
            "",
            "| at the end | |",
            "|---|---|",
            f"| drops, of which a run says what became of them | {lived.drops:,}, {lived.told:,} |",
            f"| runs of `ingest` for them | {lived.runs:,} |",
            f"| CPU of the whole cloud, a day | {median(lived.cpu_s):.0f} s, {max(lived.cpu_s):.0f} s at most |",
            f"| rows dropped, rows in the table | {lived.expected_rows:,}, {lived.rows:,} |",
            f"| predictions, answered without a model | {lived.predictions:,}, {lived.fallbacks:,} |",
            f"| dead letters, slots and leases held | {lived.dead_letters}, {len(lived.held)} |",
            f"| on the bill before the teardown | {'; '.join(lived.standing)} |",
            f"| after it, until the stacks are deleted | {'; '.join(lived.left)} |",
            "",
            *(line for incident in lived.incidents for line in _incident(incident)),
            "## The other days",
            "",
            *_listed("mailed or posted", lived.unexplained),
            "",
        ]
    )


def _introduction(drops_a_day: int) -> str:
    drops = f"{drops_a_day} drop{'s' if drops_a_day > 1 else ''}"
    return INTRODUCTION.format(drops=drops, how=IN_BURSTS if drops_a_day >= BURSTS else "")


def _incident(incident: Incident) -> Iterator[str]:
    yield f"## Day {incident.day}: {incident.fault}"
    yield ""
    if incident.mails == incident.posts:
        yield from _listed("mailed and posted", incident.mails)
    else:
        yield from _listed("mailed", incident.mails)
        yield from _listed("posted", incident.posts)
    yield from _listed("typed", incident.typed)
    yield f"- the end: {incident.end}"
    yield ""


def _listed(how: str, lines: Sequence[str]) -> Iterator[str]:
    """One line of a list each; of equal ones the first, with their number."""
    for line in dict.fromkeys(lines):
        times = f" ({lines.count(line)} times)" if lines.count(line) > 1 else ""
        text = line if len(line) <= LONGEST else f"{line[:LONGEST]}…"
        yield f"- {how}: {text}{times}"
    if not lines:
        yield f"- {how}: nothing"
