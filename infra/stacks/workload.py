"""The base of the stacks of a workload."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import aws_cdk as cdk
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from millrace.infra.constructs.function import Function
from millrace.infra.constructs.machine import Machine
from millrace.infra.constructs.role import write_roles
from millrace.infra.constructs.schedule import Schedule
from millrace.infra.constructs.tags import tag
from millrace.infra.context import Context, deployed
from millrace.infra.iam.resource import Resource, Statement
from millrace.infra.settings import StageSettings
from millrace.names import WorkloadNames
from millrace.settings.declaration import Declared, Grant
from millrace.workload.declaration import Workload
from millrace.workload.load import SUITE

OF_CONTEXT = ("names", "key_arn", "signing_key_arn")
"""First parameters of rights that are the context's own."""


@cache
def declarations() -> Mapping[str, Declared]:
    """What the functions declare beside their handlers, by their folders."""
    folders = sorted(path.parent.name for path in SUITE.glob("millrace/functions/*/declaration.py"))
    return {name: import_module(f"millrace.functions.{name}.declaration").DECLARED for name in folders}


def statements_of(context: Context, rights: Iterable[Grant]) -> Iterator[Statement]:
    """The statements of these rights of a function of the workload.

    Raises ModuleNotFoundError or AttributeError for a right that no module of `infra.iam` has."""
    for right in rights:
        module, _, name = right.of.partition(".")
        make = attrgetter(name)(import_module(f"millrace.infra.iam.{module}"))
        first = next(iter(inspect.signature(make).parameters), "")
        made = make(*([getattr(context, first)] if first in OF_CONTEXT else []), *right.given, **right.more)
        if isinstance(made, Resource):
            yield made.may(*right.may)
        else:
            yield from [made] if isinstance(made, Statement) else made


class WorkloadStack(cdk.Stack):
    """One room of one workload. A subclass sets `room` and makes its resources in `build`."""

    room: ClassVar[str]
    in_network: bool = False
    """Whether jobs or models of this room run in the network's subnets."""
    has_signatures: ClassVar[bool] = False
    """Whether functions of this room sign versions or verify signatures."""
    images: tuple[str, ...] = ()
    """The containers that this room runs or registers."""

    def __init__(
        self, scope: Construct, *, settings: StageSettings, workload: Workload, folder: Path, tags: Mapping[str, str]
    ) -> None:
        names = WorkloadNames(platform=settings.platform, workload=workload.name)
        super().__init__(scope, **deployed(settings, names.stack(self.room), f"Millrace {workload.name}: {self.room}"))
        self.context = self._context_of(settings, workload, folder, tags)
        self.build()
        write_roles(self)
        tag(self, self.context.tags)

    def _context_of(
        self, settings: StageSettings, workload: Workload, folder: Path, tags: Mapping[str, str]
    ) -> Context:
        """The context of the stack. The ARNs and ids that the platform publishes are read from SSM at deployment.

        A stack reads only the parameters that it needs: those of the network if it is `in_network`, the digests of its
        `images`, whose `tags` are given, and the signing key if it `has_signatures`."""
        platform = settings.platform

        def published(name: str) -> str:
            return ssm.StringParameter.value_for_string_parameter(self, platform.parameter(name))

        def image(name: str) -> str:
            if platform.stage == "local":  # the local cloud runs the entry point of `containers/<name>`, no image
                return f"{platform.repository_uri(name)}:{tags[name]}"
            digest = ssm.StringParameter.value_for_string_parameter(self, platform.digest_parameter(name, tags[name]))
            return f"{platform.repository_uri(name)}@{digest}"

        subnets = range(settings.subnets if self.in_network else 0)
        return Context(
            settings=settings,
            workload=workload,
            folder=folder,
            key_arn=published("key-arn"),
            subnet_ids=tuple(published(f"subnet-{one}") for one in subnets),
            security_group_id=published("security-group") if self.in_network else "",
            component=self.room,
            images={name: image(name) for name in self.images},
            signing_key_arn=published("signing-key-arn") if self.has_signatures else "",
        )

    def function(
        self, name: str, *, statements: Sequence[Statement] = (), more: Mapping[str, Any] | None = None, **settings: Any
    ) -> Function:
        """The function as `functions/<name>/declaration.py` declares it, with these settings and rights besides.

        `more` are arguments of `Function` that no declaration knows."""
        context, declared = self.context, declarations()[name]
        function = Function(
            self,
            name,
            context=context,
            role=declared.role or None,
            settings=declared.settings(**context.environment(), **settings),
            statements=[*statements_of(context, declared.rights(context)), *statements],
            keeps_events=declared.keeps_events,
            timeout_s=declared.timeout_s,
            memory_mb=declared.memory_mb,
            **more or {},
        )
        if declared.schedule:
            when = declared.local_schedule if context.platform.stage == "local" else declared.schedule
            Schedule.of_function(function, context=context, expression=when or declared.schedule, is_on=bool(when))
        return function

    def machine(self, module: ModuleType, **more: str) -> Machine:
        """The state machine that a module of `infra/machines` defines."""
        statements = module.statements(self.context) if hasattr(module, "statements") else ()
        definition = module.definition(self.context, **more)
        name = module.__name__.rpartition(".")[2]
        return Machine(self, name, context=self.context, definition=definition, statements=statements)

    def functions(self, *but: str) -> None:
        """Every function that is declared for this room and needed, but for these."""
        for name, declared in declarations().items():
            if declared.room == self.room and name not in but and declared.is_needed(self.context):
                self.function(name)

    def build(self) -> None:
        """Make the room's resources from `self.context`."""
        raise NotImplementedError
