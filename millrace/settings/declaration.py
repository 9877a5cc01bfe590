"""How a function is deployed, as `functions/<name>/declaration.py` declares it beside the handler.

    DECLARED = Declared(
        room="training",
        rights=lambda _: [Grant("state_table.own_items", may="GetItem PutItem")],
    )

The stack of the room makes every function that is declared for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from millrace.names import LIVE, WorkloadNames
from millrace.settings.environment import Environment

if TYPE_CHECKING:
    from millrace.workload.declaration import Workload
    from millrace.workload.rollout import Approval


TABLE_MEMORY_MB = 3008
"""Of a function that holds the rows of a drop, or parts of a table."""


class Deployment(Protocol):
    """What a declaration may depend on: the workload, and who approves its versions in the stage."""

    @property
    def workload(self) -> Workload: ...
    @property
    def folder(self) -> Path: ...
    @property
    def names(self) -> WorkloadNames: ...
    @property
    def approval(self) -> Approval: ...


class Grant:
    """What a function may do: `of` names a function in `infra/iam`, which gets the workload's names and `given`.

    It makes a statement, or resources on which the actions `may` are allowed: `"GetItem PutItem"`."""

    def __init__(self, of: str, *given: object, may: str = "", **more: str) -> None:
        self.of, self.given, self.may, self.more = of, given, may.split(), more


def asks_challenger(given: Deployment) -> Grant:
    """The right to ask a version that is not live (`millrace.release.challenger`)."""
    if given.workload.rollout.has_no_endpoint:
        return Grant("functions.invoke", f"{given.names.function_arn('prediction')}:{LIVE}")
    return Grant("sagemaker_endpoints.challenger", may="InvokeEndpoint")


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A function of every workload, or of those for which it `is_needed`."""

    room: str
    """The stack that makes it."""
    rights: Callable[[Deployment], Iterable[Grant]]
    role: str = ""
    """The owner of the role that it shares (see `Role` in `infra/constructs`). Empty: it has a role of its own."""
    settings: type[Environment] = Environment
    timeout_s: int = 30
    memory_mb: int = 512
    keeps_events: bool = False
    """It is called asynchronously: an event that fails three times goes to the dead letters."""
    schedule: str = ""
    local_schedule: str = ""
    """In the local cloud, whose clock is moved by months. Empty: it is switched off there."""
    is_needed: Callable[[Deployment], bool] = lambda _: True
