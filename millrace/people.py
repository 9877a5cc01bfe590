"""The roles of people and their rights. Infra makes a policy of each role, the console says what needs a right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

Role = Literal["scientist", "operator", "approver", "reviewer", "auditor"]
Right = Literal[
    "look", "watch", "tables", "documents", "records", "data", "drop", "train", "operate", "approve", "review"
]
"""Of `look`, `watch`, `documents` and `records` none shows a row of a customer:

- `look`: how machines and versions stand, and why.
- `watch`: who is told of alarms, dead letters, money.
- `tables`: which drop brought what, and the bounds of columns; no row.
- `documents`: the card, the bill of materials, the signature and the archive of a version.
- `records`: the audit's chain in the locked bucket, and who of the stage read which object.
- `data`: rows, decisions, refused rows, labels.
- `drop`: drop files, and ask the live version.
- `train`: trainings and experiments.
- `operate`: reruns, stops, releases, monitors, held drops, dead letters, withdrawals, the switch of automation.
- `approve`: say which version may be released.
- `review`: answer what waits for a person, and read it."""
RIGHTS: Mapping[Role, Sequence[Right]] = {
    "scientist": ("look", "tables", "documents", "data", "drop", "train"),
    "operator": ("look", "watch", "tables", "operate"),
    "approver": ("look", "documents", "approve"),
    "reviewer": ("review",),
    "auditor": ("look", "watch", "documents", "records"),
}
ROLES: Sequence[Role] = get_args(Role)
WORKLOAD, SLUG = "millrace:workload", "millrace:slug"
"""The tags of a person's role or session: the workload, `air_quality`, and the same with dashes, `air-quality`."""


def may(role: Role, rights: Sequence[Right]) -> bool:
    """Whether the role has all of these rights."""
    return set(rights) <= {*RIGHTS[role]}


def who_may(rights: Sequence[Right]) -> Sequence[Role]:
    """The roles that have all of these rights."""
    return [role for role in ROLES if may(role, rights)]
