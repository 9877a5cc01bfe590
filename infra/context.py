"""The context of a stack: everything that its constructs need to know of the workload, the stage and the platform."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ssm as ssm

from millrace.infra.settings import StageSettings
from millrace.names import OWNER_TAG, Platform, WorkloadNames
from millrace.operations.dead_letters import EVENTS, dead
from millrace.workload.declaration import Workload
from millrace.workload.rollout import Approval


@dataclass(frozen=True, kw_only=True)
class StageContext:
    """What every stack of a stage knows."""

    settings: StageSettings
    key_arn: str
    """The customer key; a deploy-time value."""

    @property
    def platform(self) -> Platform:
        return self.settings.platform

    @property
    def dead_events_arn(self) -> str:
        return self.platform.arn("sqs", self.platform.queue(dead(EVENTS)))

    def environment(self) -> dict[str, str]:
        """The fields that every settings class of the stack has: `Environment(**context.environment(), ...)`."""
        return {"stage": self.platform.stage, "account": self.platform.account, "region": self.platform.region}


@dataclass(frozen=True, kw_only=True)
class PlatformContext(StageContext):
    """One stage, for a stack that all workloads share."""

    folder: None = None
    """Such a stack has no declaration of a workload."""

    @property
    def names(self) -> Platform:
        return self.settings.platform


@dataclass(frozen=True, kw_only=True)
class Context(StageContext):
    """One workload in one stage, for a stack of the workload."""

    workload: Workload
    folder: Path
    """`workloads/<name>`."""
    subnet_ids: tuple[str, ...]
    """Isolated subnets of the jobs; deploy-time values, empty if nothing of the stack runs in the network."""
    security_group_id: str
    component: str
    """The room of the stack, such as `training`."""
    images: Mapping[str, str]
    """The URI of the image of each container that the stack runs; deploy-time values, except in the stage `local`."""
    signing_key_arn: str = ""
    """The key that signs versions; a deploy-time value, empty if the stack neither signs nor verifies."""

    @property
    def names(self) -> WorkloadNames:
        return WorkloadNames(platform=self.settings.platform, workload=self.workload.name)

    @property
    def least_instances(self) -> int:
        """The least instances of the live endpoint."""
        return self.workload.rollout.least_instances(production=self.settings.is_production)

    @property
    def approval(self) -> Approval:
        """Who approves a version before it is released."""
        return self.workload.approval(production=self.settings.is_production)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of everything in the stack, and of everything that its machines make."""
        # A tag's value takes fewer characters than `owner` of workload.yaml, and 256 at most.
        owner = re.sub(r"[^\w +=.:/@-]", "-", self.workload.owner)[:256] or "-"
        return {**self.settings.options.tags, **self.names.tags(self.component), OWNER_TAG: owner}

    @property
    def dead_events_url(self) -> str:
        """The URL of the queue of `dead_events_arn`, which SQS takes in place of an ARN."""
        return self.platform.queue_url(self.platform.queue(dead(EVENTS)))

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "workload": self.workload.name}


Owner = Context | PlatformContext
"""The owner of a function or a role: one workload, or all workloads together."""


def deployed(settings: StageSettings, name: str, description: str) -> dict[str, Any]:
    """The arguments of a stack of the stage with this name."""
    env = cdk.Environment(account=settings.platform.account, region=settings.platform.region)
    named = {"id": name, "stack_name": name, "description": description}
    return {**named, "env": env, "termination_protection": settings.is_production}


def platform_context(stack: cdk.Stack, settings: StageSettings) -> PlatformContext:
    """The context of a stack that all workloads share. The key's ARN is read from SSM at deployment."""
    name = settings.platform.parameter("key-arn")
    return PlatformContext(settings=settings, key_arn=ssm.StringParameter.value_for_string_parameter(stack, name))
