"""What differs between the stages; everything else is the same template."""

from __future__ import annotations

import os
import platform
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from infra.compilation import interpreter
from infra.options import MachineLog, Options
from millrace.errors import ConfigurationError
from millrace.names import SHARED, STAGE_PATTERN, STAGES, Platform

Tracking = Literal["none", "file", "app", "server"]
"""Where runs are recorded: nowhere, in a file of this machine, in an MLflow App of SageMaker (serverless), or in a
tracking server of SageMaker (billed by the hour)."""
MANAGED: dict[str, Tracking] = {"mlflow-app": "app", "mlflow-tracking-server": "server"}
"""By the type of resource in an ARN."""


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """One stage; `settings_for` makes it."""

    platform: Platform
    runtime: str
    """Lambda's runtime identifier, for example `python3.13`."""
    architecture: str
    """`arm64` or `x86_64`, as Lambda names them."""
    log_retention_days: int
    use_spot: bool
    poll_s: int
    """Seconds between two looks at an endpoint that is being made."""
    bake_s: int
    """Seconds that a new fleet is watched by the release's alarms before the old one goes."""
    decision_window_s: int
    """Seconds that decisions are gathered before they are written."""
    tracking: Tracking
    tracking_uri: str
    """MLflow's: `sqlite:///<path>` of a file, the ARN of an app or a server; empty where nothing is recorded."""

    machine_log: MachineLog
    """What the state machines log; the history of an execution, which is kept for 90 days, has all of it."""
    options: Options = field(default_factory=Options)
    """What the stage's owner has chosen."""

    def tags_of(self, component: str, *, workload: str = SHARED) -> dict[str, str]:
        """The tags of all that belongs to the room `component` of the workload, or to what all workloads share."""
        return {**self.options.tags, **self.platform.tags(component, workload=workload)}

    @property
    def python(self) -> str:
        """The runtime's Python version, for example `3.13`."""
        return self.runtime.removeprefix("python")

    @property
    def compiler(self) -> str | None:
        """A Python that compiles for the stage; None where the local cloud's own does, or where none is at hand."""
        return None if self.platform.stage == "local" else interpreter(self.python)

    @property
    def wheel_platform(self) -> str:
        """The platform tag that pip installs for; `host` for this machine's own."""
        if self.platform.stage == "local":
            return "host"
        return {"arm64": "manylinux2014_aarch64", "x86_64": "manylinux2014_x86_64"}[self.architecture]


def _build_folder() -> Path:
    """Where the local cloud's user wants its files; functions run elsewhere, so the path is whole."""
    return Path(os.environ.get("MILLRACE_BUILD", Path(__file__).resolve().parent.parent / "build")).resolve()


def _managed(arn: str) -> Tracking:
    """What MLflow the ARN names; none without one. Raises ConfigurationError for what is no MLflow."""
    if not arn:
        return "none"
    found = re.fullmatch(r"arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{12}:([a-z-]+)/[A-Za-z0-9-]+", arn)
    if found is None or found[1] not in MANAGED:
        expected = f"the ARN of a {' or a '.join(MANAGED)} of SageMaker"
        raise ConfigurationError(where="context", field="tracking", expected=expected, came=arn)
    return MANAGED[found[1]]


def settings_for(
    stage: str, *, account: str, region: str, tracking_arn: str = "", options: Options | None = None
) -> StageSettings:
    """The settings of `stage`; raises ConfigurationError on an unknown one.

    `tracking_arn` names the MLflow of SageMaker that records the runs of `dev` or `prod`; without it nothing does."""
    options = options or Options()
    names = Platform(stage=stage, account=account, region=region)
    if stage == "local":
        return StageSettings(
            platform=names,
            runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
            architecture="arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64",
            log_retention_days=7,
            use_spot=False,
            poll_s=1,
            bake_s=1,
            decision_window_s=0,
            tracking="file",
            tracking_uri=f"sqlite:///{_build_folder() / 'mlflow.db'}",
            machine_log=options.machine_log or "data",
            options=options,
        )
    kind = options.like or stage
    if re.fullmatch(STAGE_PATTERN, stage) and kind in ("dev", "prod"):
        production = kind == "prod"
        return StageSettings(
            platform=names,
            runtime="python3.13",
            architecture="arm64",
            log_retention_days=365 if production else 30,
            use_spot=True,
            poll_s=60,
            bake_s=600,
            decision_window_s=20,
            tracking=_managed(tracking_arn),
            tracking_uri=tracking_arn,
            machine_log=options.machine_log or ("events" if production else "data"),
            options=options,
        )
    expected = f"one of {', '.join(STAGES)}, or a name like {STAGE_PATTERN} with stages.<name>.like in the context"
    raise ConfigurationError(where="context", field="stage", expected=expected, came=stage)
