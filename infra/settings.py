"""What differs between the stages; everything else is the same template."""

from __future__ import annotations

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from millrace.errors import ConfigurationError
from millrace.names import STAGES, Platform


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
    tracking_uri: str
    """Where MLflow is: the ARN of the managed server on AWS, a file locally."""

    @property
    def python(self) -> str:
        """The runtime's Python version, for example `3.13`."""
        return self.runtime.removeprefix("python")

    @property
    def wheel_platform(self) -> str:
        """The platform tag that pip installs for; `host` for this machine's own."""
        if self.platform.stage == "local":
            return "host"
        return {"arm64": "manylinux2014_aarch64", "x86_64": "manylinux2014_x86_64"}[self.architecture]


def _build_folder() -> Path:
    """Where the local cloud's user wants its files; functions run elsewhere, so the path is whole."""
    return Path(os.environ.get("MILLRACE_BUILD", Path(__file__).resolve().parent.parent / "build")).resolve()


def settings_for(stage: str, *, account: str, region: str) -> StageSettings:
    """The settings of `stage`; raises ConfigurationError on an unknown one."""
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
            tracking_uri=f"sqlite:///{_build_folder() / 'mlflow.db'}",
        )
    if stage in ("dev", "prod"):
        production = stage == "prod"
        return StageSettings(
            platform=names,
            runtime="python3.13",
            architecture="arm64",
            log_retention_days=365 if production else 30,
            use_spot=True,
            poll_s=60,
            bake_s=600,
            decision_window_s=20,
            tracking_uri=f"arn:aws:sagemaker:{region}:{account}:mlflow-tracking-server/{names.prefix}",
        )
    raise ConfigurationError(where="context", field="stage", expected=f"one of {', '.join(STAGES)}", came=stage)
