"""What all consumers have in common: which decisions they get, where, and what they may do there.

A kind of consumer is one class. It says what workload.yaml declares, which rights its function needs, and how its
function acts on documents, which `millrace.decisions.portion` makes of decisions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from millrace.names import Platform
from millrace.workload.policy import Action
from millrace.workload.section import Section, Stage

Consumed = Literal[Action, "answered", "unanswered"]
"""What comes to a consumer: a decision by its action; what a person has answered whose decision waited for that; or
that no answer comes, and why."""
Document = Mapping[str, Any]
"""A decision as consumers get it: `id`, `key`, `answer`, `action` and so on."""
Client = Callable[[str], Any]
"""Makes boto3's client of a service: `boto3.client`."""
Act = Callable[[Sequence[Document]], None]
"""Acts on decisions. Raises ConsumerError, or an error of boto3, unless the target has taken all of them.

They all come again then, so what is done must not be done twice for one id."""
Secret = Annotated[str, Field(pattern=r"^[A-Za-z0-9/_+=.@-]{1,512}$")]
"""The name of a secret in Secrets Manager, in the stage's account and region."""
LOOPBACK = ("localhost", "127.0.0.1")
"""Hosts of targets on this machine, which the stage `local` alone may have."""
KeyArn = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+$")]


def arn_of(named: str, platform: Platform, service: str, *, kind: str = "") -> str:
    """The ARN of a target that is named by itself or, in the stage's account and region, by its name.

    `kind` goes before the name: `event-bus/`."""
    return named if named.startswith("arn:") else platform.arn(service, f"{kind}{named}")


@dataclass(frozen=True, kw_only=True)
class Right:
    """What the function of a consumer may do, and where."""

    actions: tuple[str, ...]
    """With their service: `sqs:SendMessage`."""
    arn: str


class Consumer(Section):
    """What every consumer may declare."""

    takes_files: ClassVar[bool] = True
    """Whether it gets the decisions on the rows of dropped files too."""
    reads_rows: ClassVar[bool] = False
    """Whether its documents have the decided row, under `row`."""
    passes_on: ClassVar[bool] = False
    """Whether others wait for what the target makes of a decision."""
    actions: Annotated[tuple[Consumed, ...], Field(min_length=1)] = ("automated", "answered", "unanswered")
    """The decisions that it gets, by their action."""
    stages: tuple[Stage, ...] = ()
    """The stages that have it. Empty: all. A target of `prod` must not get what `dev` decides."""
    at_once: Annotated[int, Field(ge=2, le=100)] = 2
    """How often its function runs at the same time at most."""
    key_arn: KeyArn | None = None
    """The customer key of the target or of the secret. None: it has no customer key."""

    def rights(self, platform: Platform) -> tuple[Right, ...]:
        """What the function may do beside reading its own queue."""
        raise NotImplementedError

    def connect(self, client: Client, platform: Platform) -> Act:
        """What the function does with decisions."""
        raise NotImplementedError

    def may_put(self, action: str, arn: str) -> tuple[Right, ...]:
        """The right to put decisions into a target of AWS, and to encrypt them with its customer key."""
        return (Right(actions=(action,), arn=arn), *self.may_use_key("kms:Decrypt", "kms:GenerateDataKey"))

    def may_use_key(self, *actions: str) -> tuple[Right, ...]:
        """The right to these actions of KMS on the customer key; empty without one."""
        return (Right(actions=actions, arn=self.key_arn),) if self.key_arn else ()


class Outside(Consumer):
    """A consumer that is no service of AWS: its function has a secret for it."""

    secret: Secret
    """The name of the secret that signs, in Secrets Manager."""

    def rights(self, platform: Platform) -> tuple[Right, ...]:
        """The right to read the secret."""
        arn = platform.secret_arn(self.secret)
        return (Right(actions=("secretsmanager:GetSecretValue",), arn=arn), *self.may_use_key("kms:Decrypt"))
