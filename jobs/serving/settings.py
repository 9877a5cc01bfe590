"""Settings of the serving container, from its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from millrace.errors import SettingsError

MB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All variables are optional: `docker run <image> serve` works as it is."""

    model_version: str = "unknown"
    """MILLRACE_MODEL_VERSION, the number of the model package; sent with every answer."""
    model_digest: str = ""
    """MILLRACE_MODEL_DIGEST of the artefact's members, as approved; empty without a version only: any artefact that is
    whole is served then, for a try on one's own machine."""
    port: int = 8080
    """SAGEMAKER_BIND_TO_PORT."""
    bind: str = "0.0.0.0"  # noqa: S104 # nosec B104 # a container is asked from outside; run bare, set 127.0.0.1
    """MILLRACE_BIND."""
    workers: int = 1
    """MILLRACE_WORKERS; `read` takes one for each core where the variable is not set."""
    batch: bool = False
    """SAGEMAKER_BATCH: the container serves a transform job, whose bodies are our own; Arrow streams are read then."""
    max_body_bytes: int = 6 * MB
    """SAGEMAKER_MAX_PAYLOAD_IN_MB of a transform job (100 at most); a real-time request has at most 6 MB."""

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Settings:
        """The settings; raises SettingsError that names the variable, also for a version without its digest."""
        version, approved = variables.get("MILLRACE_MODEL_VERSION", ""), variables.get("MILLRACE_MODEL_DIGEST", "")
        if version and not approved:
            expected = f"the digest of version {version}, as approved"
            raise SettingsError(where="environment", field="MILLRACE_MODEL_DIGEST", expected=expected, came="nothing")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return cls(
            model_version=version or cls.model_version,
            model_digest=approved,
            port=_integer(variables, "SAGEMAKER_BIND_TO_PORT", cls.port, 1, 65535),
            bind=variables.get("MILLRACE_BIND", cls.bind),
            workers=_integer(variables, "MILLRACE_WORKERS", cores, 1, 256),
            batch=variables.get("SAGEMAKER_BATCH", "") == "true",
            # 0 is SageMaker's word for no limit; 100 MB is the most that a transform job may send otherwise.
            max_body_bytes=_integer(variables, "SAGEMAKER_MAX_PAYLOAD_IN_MB", 6, 0, 100) * MB or 100 * MB,
        )


def _integer(variables: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = variables.get(name, str(default))
    if not text.isdecimal() or not low <= int(text) <= high:
        raise SettingsError(where="environment", field=name, expected=f"a whole number from {low} to {high}", came=text)
    return int(text)
