"""The settings in which stages differ. Everything else in the templates is the same."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from millrace.errors import ConfigurationError
from millrace.infra.compilation import interpreter
from millrace.infra.options import MachineLog, Options
from millrace.names import STAGE_PATTERN, STAGES, Platform

Tracking = Literal["none", "file", "app", "server"]
"""Where runs are recorded: nowhere, in a file of this machine, in an MLflow App of SageMaker (serverless), or in a
tracking server of SageMaker (billed by the hour)."""
ZONES, TWO_ZONES = 3, ("us-west-1",)
"""How many subnets the platform makes, each in a zone of its own; in these regions an account has two zones only.
https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html"""
MANAGED: dict[str, Tracking] = {"mlflow-app": "app", "mlflow-tracking-server": "server"}
"""The MLflow that SageMaker manages, by the type of resource in its ARN."""


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """The settings of one stage. `settings_for` makes them."""

    platform: Platform
    runtime: str
    """Lambda's runtime identifier, for example `python3.13`."""
    architecture: str
    """`arm64` or `x86_64`, as Lambda names them."""
    log_retention_days: int
    audit_lock: Literal["GOVERNANCE", "COMPLIANCE"]
    """Mode of the Object Lock on the audit's chain.

    Under COMPLIANCE nobody can delete a version before its time, not even the account's root. Under GOVERNANCE
    somebody with the right to bypass it can."""
    audit_lock_days: int
    poll_s: int
    """Seconds between two looks at an endpoint that is being made."""
    bake_s: int
    """Seconds for which the release's alarms watch a new fleet before the old one goes."""
    decision_window_s: int
    """Seconds for which decisions are gathered before they are written."""
    tracking: Tracking
    tracking_uri: str
    """The URI of MLflow: `sqlite:///<path>` of a file, or the ARN of an app or a server.

    Empty if nothing is recorded. Also empty if the platform makes the MLflow, since its ARN is only known when it is
    deployed."""
    alarm_email: str | None
    """The e-mail address to which alarms are sent once its owner has confirmed it."""

    machine_log: MachineLog
    """What the state machines log. In any case the history of an execution has every event, for 90 days."""
    options: Options = field(default_factory=Options)
    """What the stage's owner has chosen."""

    def tags_of(self, component: str) -> dict[str, str]:
        """The tags of resources that all workloads share. `component` is the stack, such as `platform`."""
        return {**self.options.tags, **self.platform.tags(component)}

    @property
    def subnets(self) -> int:
        """The number of subnets of jobs and models: those of the account's network, else the platform's own."""
        if self.options.network:
            return len(self.options.network.subnets)
        return 2 if self.platform.region in TWO_ZONES else ZONES

    @property
    def is_production(self) -> bool:
        """Whether it is `prod` or set up as `prod`."""
        return (self.options.like or self.platform.stage) == "prod"

    @property
    def audits_access(self) -> bool:
        """Whether a trail records who reads which object."""
        return self.is_production if self.options.access_audit is None else self.options.access_audit

    @property
    def targets(self) -> tuple[str, ...] | None:
        """Patterns of what workloads may reach outside the stage; None: everything."""
        return () if self.options.targets is None and self.is_production else self.options.targets

    @property
    def moves(self) -> str:
        """CodeDeploy's configuration by which requests move to another version of a function.

        In a canary they are a tenth for ten minutes: two periods of the alarm that watches them.
        https://docs.aws.amazon.com/codedeploy/latest/userguide/deployment-configurations.html"""
        return f"CodeDeployDefault.Lambda{'Canary10Percent10Minutes' if self.is_production else 'AllAtOnce'}"

    @property
    def makes_mlflow(self) -> bool:
        """Whether the platform makes the MLflow that records the stage's runs."""
        return self.tracking in MANAGED.values() and not self.tracking_uri

    @property
    def python(self) -> str:
        """The runtime's Python version, for example `3.13`."""
        return self.runtime.removeprefix("python")

    @property
    def compiler(self) -> str | None:
        """The path of a Python that compiles for the stage.

        None in the local cloud, which compiles with its own Python, and if this machine has no such Python."""
        return None if self.platform.stage == "local" else interpreter(self.python)

    @property
    def wheel_platform(self) -> str:
        """The platform for which pip installs wheels, such as `manylinux2014_aarch64`; `host` for this machine."""
        if self.platform.stage == "local":
            return "host"
        return {"arm64": "manylinux2014_aarch64", "x86_64": "manylinux2014_x86_64"}[self.architecture]


def _check(stage: str, region: str, options: Options) -> None:
    """Raise ConfigurationError for starts of functions that the stage lacks, and for a key of another region."""
    expected: dict[str, str] = {}
    if options.prediction_provisioned and stage == "local":
        expected["prediction_provisioned"] = "none: the local cloud keeps no function started before its first call"
    if options.key_arn and options.key_arn.split(":")[3] != region:
        expected["key_arn"] = f"a key of the stage's region {region}"
    for name, said in expected.items():
        came = getattr(options, name)
        raise ConfigurationError(where="context", field=f"stages.{stage}.{name}", expected=said, came=came)


def settings_for(stage: str, *, account: str, region: str, options: Options | None = None) -> StageSettings:
    """The settings of `stage`. Raises ConfigurationError for an unknown stage or an impossible value."""
    options = options or Options()
    _check(stage, region, options)
    names = Platform(stage=stage, account=account, region=region)
    # The local cloud: short waits, short retention, and this machine's own Python.
    if stage == "local":
        return StageSettings(
            platform=names,
            runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
            architecture="arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64",
            log_retention_days=7,
            audit_lock="GOVERNANCE",
            audit_lock_days=1,
            poll_s=1,
            bake_s=1,
            decision_window_s=0,
            tracking="file",
            tracking_uri=f"sqlite:///{Path(os.environ.get('MILLRACE_BUILD', 'build')).resolve() / 'mlflow.db'}",
            machine_log=options.machine_log or "data",
            options=options,
            alarm_email="operator@example.com",
        )
    # A stage of its own name is set up as `dev` or `prod`, as its options say.
    kind = options.like or stage
    # A stage like `prod` keeps its logs longer than one like `dev`, and nobody can bypass the lock of its audit.
    if re.fullmatch(STAGE_PATTERN, stage) and kind in ("dev", "prod"):
        production = kind == "prod"
        mlflow = options.tracking or "none"
        return StageSettings(
            platform=names,
            runtime="python3.13",
            architecture="arm64",
            log_retention_days=365 if production else 30,
            audit_lock="COMPLIANCE" if production else "GOVERNANCE",
            audit_lock_days=365 if production else 30,
            poll_s=60,
            bake_s=600,
            decision_window_s=20,
            tracking=MANAGED.get(mlflow.split(":")[-1].split("/")[0]) or cast("Tracking", mlflow),
            tracking_uri=mlflow if mlflow.startswith("arn:") else "",
            machine_log=options.machine_log or ("events" if production else "data"),
            options=options,
            alarm_email=options.alarm_email,
        )
    expected = f"one of {', '.join(STAGES)}, or a name like {STAGE_PATTERN} with stages.<name>.like in the context"
    raise ConfigurationError(where="context", field="stage", expected=expected, came=stage)
