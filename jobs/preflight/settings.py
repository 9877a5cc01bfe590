"""The settings of a preflight, from the environment of its job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from millrace.errors import SettingsError

NAMES = ("MODEL_VERSION", "MODEL_DIGEST", "SAMPLE_DIGEST", "INSTANCE")
"""The variables that must be set, without their prefix MILLRACE_."""


@dataclass(frozen=True, kw_only=True)
class PreflightSettings:
    """Which version is started, and how. The serving container reads version and digest from the same variables."""

    model_version: str
    model_digest: str
    sample_digest: str
    """The digest of sample.jsonl as registered."""
    instance: str
    """The instance type of the endpoint. The job runs on the same type."""
    memory_mb: int = 0
    """If the instance type is simulated, the most memory of each process of the container, in MiB; 0 for no bound."""
    port: int = 8080
    """SAGEMAKER_BIND_TO_PORT: the port on which the container listens."""

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> PreflightSettings:
        """The settings. Raises SettingsError, which names the variable that is missing."""
        for name in NAMES:
            if not variables.get(f"MILLRACE_{name}"):
                raise SettingsError(where="environment", field=f"MILLRACE_{name}", expected="a text", came="nothing")
        return cls(
            **{name.lower(): variables[f"MILLRACE_{name}"] for name in NAMES},
            memory_mb=int(variables.get("MILLRACE_MEMORY_MB", "0")),
            port=int(variables.get("SAGEMAKER_BIND_TO_PORT", cls.port)),
        )
