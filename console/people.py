"""Which rights each command and each act of the page needs. `millrace.people` says which role has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from millrace.people import Right, who_may

HERE = "try, init, new, schemas, openapi, simulate, part, clock, demo, console, mcp, contract check"
"""Commands that ask AWS nothing, and those that show what the caller may see."""
BEYOND = "up down restore doctor erase"
"""What no role may: the account's administrators deploy, take down, compare quotas, and let somebody erase."""
_NEEDS: Mapping[tuple[Right, ...], str] = {
    ("look",): "status, runs, show, logs, versions, live, monitor, held, labels, audit list, incident list",
    ("look", "watch"): "alarms, cost, dead, consumers",
    ("documents",): "card, bom, verify",
    ("records",): "audit verify, access",
    ("look", "documents", "records"): "dossier",
    ("look", "data"): "report, decisions, why, quarantine, query, plan, validate",
    ("look", "tables"): "data log, contract diff",
    ("drop",): "drop, predict",
    ("train",): "train, retrain, register, tune, pull",
    ("operate",): (
        "rerun, release, rollback, monitor --start, alarms --acknowledge, automate, held --accept, held --refuse, "
        "dead --redrive, dead --delete, data revert, contract rewrite, incident open, incident close"
    ),
    ("approve",): "approve, refuse",
    ("review",): "review",
}
NEEDS: Mapping[str, Sequence[Right]] = {
    command: rights for rights, commands in _NEEDS.items() for command in commands.split(", ")
}
"""The rights that a command needs, by its words. With an option that is named beside it, it needs those."""
PAGES: Mapping[str, str] = {
    "/": "status",
    "/{workload}": "report",
    "/{workload}/review/answers": "review",
    "/{workload}/versions/{version}": "card",
    "acknowledge": "alarms --acknowledge",
    "pause": "automate",
    "resume": "automate",
}
"""The command that needs the same rights as a page or an act of one. Others are named as their commands."""


def command_of(page: str) -> str:
    """The command that needs the same rights as the page or the act."""
    return PAGES.get(page) or page.rpartition("/")[2]


def who_in_words(command: str) -> str:
    """Who may, where a person may not: "`millrace train` takes the role scientist"."""
    rights = NEEDS.get(command)
    roles = " or ".join(who_may(rights)) if rights else ""
    return f"`millrace {command}` takes the role {roles}" if roles else ""
