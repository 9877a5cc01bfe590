"""A settings class as environment variables: rendered by infra, parsed by the function."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from millrace.errors import SettingsError
from millrace.names import Platform, WorkloadNames


class PlatformEnvironment(BaseModel):
    """The settings of every function: the stack calls `render`, the handler calls `parse` at cold start."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str
    account: str
    region: str
    event_bus: str | None = None
    """Where it is not the stage's own."""

    @property
    def platform(self) -> Platform:
        """The names of this environment."""
        return Platform(stage=self.stage, account=self.account, region=self.region, event_bus=self.event_bus)

    @property
    def service(self) -> str:
        """Whose function it is, as its log lines name it."""
        return "platform"

    def render(self) -> dict[str, str]:
        """The environment variables, `MILLRACE_<FIELD>` each, plus what powertools reads."""
        given = self.model_dump(mode="json", exclude_none=True)
        variables = {f"MILLRACE_{name.upper()}": str(value) for name, value in given.items()}
        return variables | {"POWERTOOLS_SERVICE_NAME": self.service, "POWERTOOLS_METRICS_NAMESPACE": "Millrace"}

    @classmethod
    def parse(cls, variables: Mapping[str, str] = os.environ) -> Self:
        """The settings; raises SettingsError that names the variable, what was expected and what came."""
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

    @property
    def names(self) -> WorkloadNames:
        """The names of this workload in this environment."""
        return WorkloadNames(platform=self.platform, workload=self.workload)

    @property
    def folder(self) -> Path:
        """The folder of the workload's declaration: the root of a bundle mirrors the repository's."""
        return Path(__file__).resolve().parents[2] / "workloads" / self.workload

    @property
    def service(self) -> str:
        return self.workload
