"""PreflightSettings of a preflight, from the environment of its job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from millrace.errors import SettingsError

NAMES = ("MODEL_VERSION", "MODEL_DIGEST", "INSTANCE")


@dataclass(frozen=True, kw_only=True)
class PreflightSettings:
    """What is started, and by what it is known; the serving container reads the first two as well."""

    model_version: str
    model_digest: str
    instance: str
    """The instance type of the endpoint, on which the job runs."""
    sample_digest: str = ""
    """Of sample.json as registered; empty for a version from before it was kept."""
    memory_mb: int = 0
    """Where the instance type is simulated: what each process of the container may take; 0 is no bound."""
    port: int = 8080
    """SAGEMAKER_BIND_TO_PORT, by which the container listens on another one."""

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> PreflightSettings:
        """The settings; raises SettingsError that names the variable."""
        for name in NAMES:
            if not variables.get(f"MILLRACE_{name}"):
                raise SettingsError(where="environment", field=f"MILLRACE_{name}", expected="a text", came="nothing")
        return cls(
            model_version=variables["MILLRACE_MODEL_VERSION"],
            model_digest=variables["MILLRACE_MODEL_DIGEST"],
            instance=variables["MILLRACE_INSTANCE"],
            sample_digest=variables.get("MILLRACE_SAMPLE_DIGEST", ""),
            memory_mb=int(variables.get("MILLRACE_MEMORY_MB", "0")),
            port=int(variables.get("SAGEMAKER_BIND_TO_PORT", cls.port)),
        )
