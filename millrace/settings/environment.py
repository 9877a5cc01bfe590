"""The base classes of settings. `infra` renders a settings class as environment variables, the function parses it.

    Environment(stage="dev", account="123456789012", region="eu-west-1", workload="electricity").render()
    {"MILLRACE_STAGE": "dev", …, "MILLRACE_WORKLOAD": "electricity", "POWERTOOLS_SERVICE_NAME": "electricity", …}

So both sides agree on the names and types of all variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from millrace.errors import SettingsError
from millrace.names import Platform, WorkloadNames


class PlatformEnvironment(BaseModel):
    """The settings of every function. The stack calls `render`, the handler calls `parse` at its cold start."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str
    account: str
    region: str

    @property
    def platform(self) -> Platform:
        """The names of all resources of this environment."""
        return Platform(stage=self.stage, account=self.account, region=self.region)

    @property
    def service(self) -> str:
        """The name of the service in the function's log lines."""
        return "platform"

    def render(self) -> dict[str, str]:
        """The environment variables: `MILLRACE_<FIELD>` for each field, and those that powertools reads.

        A field that is None has no variable."""
        given = self.model_dump(mode="json", exclude_none=True)
        variables = {f"MILLRACE_{name.upper()}": str(value) for name, value in given.items()}
        return variables | {
            "POWERTOOLS_SERVICE_NAME": self.service,
            "POWERTOOLS_METRICS_NAMESPACE": self.platform.metrics,
        }

    @classmethod
    def parse(cls, variables: Mapping[str, str] = os.environ) -> Self:
        """The settings in the environment variables.

        Raises SettingsError, which names the variable, what was expected and what came, if one is missing or wrong."""
        given = {
            name: variables[f"MILLRACE_{name.upper()}"]
            for name in cls.model_fields
            if f"MILLRACE_{name.upper()}" in variables
        }
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            raise SettingsError(
                where="environment",
                field=f"MILLRACE_{name.upper()}",
                expected=first["msg"],
                came=given.get(name, "nothing"),
            ) from None


class Environment(PlatformEnvironment):
    """The settings of every function of a workload."""

    workload: str
    workloads: Path | None = None
    """The folder of the declarations. None, as in every bundle: `workloads`, as in the repository."""

    @property
    def names(self) -> WorkloadNames:
        """The names of the workload's resources in this environment."""
        return WorkloadNames(platform=self.platform, workload=self.workload)

    @property
    def folder(self) -> Path:
        """The folder of the workload's declaration."""
        return (self.workloads or Path(__file__).resolve().parents[2] / "workloads") / self.workload

    @property
    def service(self) -> str:
        return self.workload
