"""The environment that a command works in: its names, and the clients that reach it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import boto3

from millrace.console.local_cloud.instance import UP_FILE, find_instance
from millrace.console.local_cloud.local_cloud import PLATFORM, LocalCloud
from millrace.console.stages import ACT_AS, declared_stages
from millrace.errors import EnvironmentNotFoundError
from millrace.names import STAGES, Platform, WorkloadNames
from millrace.people import ROLES, SLUG, WORKLOAD
from millrace.workload.load import workload_folders, workloads_folder


@dataclass(frozen=True, kw_only=True)
class Environment:
    """One environment, on this machine or on AWS."""

    platform: Platform
    client: Callable[[str], Any]
    """The boto3 client of a service, with the caller's credentials. Each service has one client."""
    cloud: LocalCloud | None = None
    """The local cloud; None on AWS."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """The caller's keys, for libraries that make clients of their own; empty for those of the default chain."""

    def now(self) -> datetime:
        """The environment's own time: the clock of a local cloud can be moved."""
        return self.cloud.now() if self.cloud else datetime.now(UTC)

    def listed(self, service: str, operation: str, key: str, **parameters: Any) -> Iterator[Any]:
        """The entries below `key` of a listing, fetched page by page."""
        pages = self.client(service).get_paginator(operation).paginate(**parameters)
        return (entry for page in pages for entry in page.get(key, ()))

    def identity(self) -> str:
        """The ARN of who calls: a person, or a role that a person has taken on."""
        return str(self.client("sts").get_caller_identity()["Arn"])

    def names(self, workload: str) -> WorkloadNames:
        """The names of a workload. An empty string means the only workload folder, or the only one that is deployed
        here.

        Raises EnvironmentNotFoundError if there is no folder of workloads, if this workload has no folder, or if
        several could be meant."""
        known = self.declared()
        if not known:
            raise EnvironmentNotFoundError(
                f"expected a folder of workloads at {workloads_folder().resolve()}, got none: run it in a "
                "project (`millrace init` writes one), or name the folder in MILLRACE_WORKLOADS"
            )
        if not workload:
            # The deployed workloads are only looked up if the folders leave a choice: that takes calls.
            possible = known if len(known) == 1 else self.deployed()
            if len(possible) == 1:
                return possible[0]
            listed = [names.workload for names in possible or known]
            raise EnvironmentNotFoundError(f"--workload: expected one of {listed}, got none")
        for names in known:
            if names.workload == workload:
                return names
        listed = [names.workload for names in known]
        raise EnvironmentNotFoundError(
            f"--workload: expected one of {listed} (the folders of {workloads_folder()}/), got {workload!r}"
        )

    def deployed(self) -> list[WorkloadNames]:
        """The workloads that have a folder and whose state machines exist here, sorted by name."""
        machines = {each["name"] for each in self.listed("stepfunctions", "list_state_machines", "stateMachines")}
        return [names for names in self.declared() if names.machine("ingest") in machines]

    def declared(self) -> list[WorkloadNames]:
        """The names of each workload that has a folder."""
        folders = workload_folders(workloads_folder())
        return [WorkloadNames(platform=self.platform, workload=folder.name) for folder in folders]


def find_environment(stage: str, build: Path, workload: str = "") -> Environment:
    """The environment of a stage, as the role that ACT_AS names reaches it; without one as the caller does.

    `local` is the cloud at AWS_ENDPOINT_URL, else the one that `millrace up` started. All other stages are in the
    account and region of the caller's credentials. `workload` is the one that a local role may work on; "" means the
    only one.
    Raises EnvironmentNotFoundError if there is no such environment."""
    # Stages that need no declaration first, then those that `cdk.json` declares.
    if stage not in (known := [*STAGES, *sorted(set(declared_stages()) - set(STAGES))]):
        raise EnvironmentNotFoundError(f"--stage: expected one of {known}, got {stage!r}")
    environment = _local(build) if stage == "local" else _on_aws(stage)
    if not (role := os.environ.get(ACT_AS)):
        return environment
    return as_role(environment, role, workload or os.environ.get("MILLRACE_WORKLOAD", ""))


def as_role(environment: Environment, role: str, workload: str = "") -> Environment:
    """The environment as a session of the role reaches it: `approver/ann` is the role `approver`, its session `ann`.

    In a local cloud the roles of `millrace.people` are made when they are first taken, one for each workload.
    Raises EnvironmentNotFoundError for a role that is not there."""
    name, _, session = role.partition("/")
    if environment.cloud:
        name = _local_role(environment, name, workload)
    arn = f"arn:{environment.platform.partition}:iam::{environment.platform.account}:role/{name}"
    assumed = environment.client("sts").assume_role(RoleArn=arn, RoleSessionName=session or "millrace")
    key, secret, token = (assumed["Credentials"][part] for part in ("AccessKeyId", "SecretAccessKey", "SessionToken"))
    keys = {"aws_access_key_id": key, "aws_secret_access_key": secret, "aws_session_token": token}
    if environment.cloud:
        return replace(environment, client=cache(partial(environment.cloud.client, key=key, token=token)), keys=keys)
    own = boto3.Session(**keys, region_name=environment.platform.region)
    return replace(environment, client=cache(own.client), keys=keys)


def _local_role(environment: Environment, name: str, workload: str) -> str:
    """The name of the local cloud's role: of a person's role for this workload, with the stage's policy of it."""
    iam, platform = environment.client("iam"), environment.platform
    missing = iam.exceptions.NoSuchEntityException
    if name not in ROLES:
        try:
            return str(iam.get_role(RoleName=name)["Role"]["RoleName"])
        except missing:
            known = f"one of {', '.join(ROLES)}, or a role of the account"
            raise EnvironmentNotFoundError(f"--as: expected {known}, got {name!r}") from None
    names = environment.names(workload)
    trust = {"Effect": "Allow", "Principal": {"AWS": platform.account}, "Action": "sts:AssumeRole"}
    tags = {WORKLOAD: names.workload, SLUG: names.slug}
    own, policy = f"{name}-{names.slug}", platform.arn("iam", f"policy/{platform.role(name)}")
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(
            RoleName=own,
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )
    try:
        iam.attach_role_policy(RoleName=own, PolicyArn=policy)
    except missing:
        raise EnvironmentNotFoundError(
            f"--as: expected the policy {policy}, got none: is the stage deployed?"
        ) from None
    return own


def _local(build: Path) -> Environment:
    url = os.environ.get("AWS_ENDPOINT_URL")
    return local_environment(LocalCloud(endpoint_url=url) if url else _running(build))


def _on_aws(stage: str) -> Environment:
    session = boto3.Session()
    if session.region_name is None:
        raise EnvironmentNotFoundError("expected a region in AWS_REGION or in the profile, got none")
    account = session.client("sts").get_caller_identity()["Account"]
    platform = Platform(stage=stage, account=account, region=session.region_name)
    return Environment(platform=platform, client=cache(session.client))


def local_environment(cloud: LocalCloud) -> Environment:
    """The environment inside a local cloud that is running."""
    keys = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}  # pragma: allowlist secret
    return Environment(platform=PLATFORM, client=cache(cloud.client), cloud=cloud, keys=keys)


def _running(build: Path) -> LocalCloud:
    """The cloud that `millrace up` started. Raises EnvironmentNotFoundError if none was, or its process has ended."""
    if instance := find_instance(build):
        return instance.cloud
    path = build / UP_FILE
    came = f"the process of {path} has gone: `millrace up`"
    if not path.is_file():
        came = f"got none ({path} is not there): start one with `millrace up`"
    raise EnvironmentNotFoundError(f"expected a running local cloud, {came}")
