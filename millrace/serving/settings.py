"""The settings of the serving container, from its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from millrace.errors import SettingsError

MB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings by variable. All of them are optional: `docker run <image> serve` works as it is."""

    model_version: str = "unknown"
    """MILLRACE_MODEL_VERSION: the number of the model package, which is sent with every answer."""
    model_digest: str = ""
    """MILLRACE_MODEL_DIGEST: the digest of the artefact's members, as approved. It may be empty only without a version.
    Then any artefact that is whole is served, for a try on one's own machine."""
    model_name: str = "model"
    """MILLRACE_MODEL_NAME: the name of the model in the paths of the Open Inference Protocol."""
    port: int = 8080
    """SAGEMAKER_BIND_TO_PORT."""
    bind: str = "0.0.0.0"  # noqa: S104 # nosec B104 # a container is asked from outside; run bare, set 127.0.0.1
    """MILLRACE_BIND."""
    workers: int = 1
    """MILLRACE_WORKERS: the number of processes. Without the variable, `read` takes one for each core."""
    batch: bool = False
    """SAGEMAKER_BATCH: whether the container serves a transform job. Then the platform's own functions write the
    bodies, and Arrow streams are read too."""
    max_body_bytes: int = 6 * MB
    """SAGEMAKER_MAX_PAYLOAD_IN_MB of a transform job, at most 100 MB. A real-time request has at most 6 MB."""

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Settings:
        """The settings. Raises SettingsError, which names the variable, also for a version without its digest."""
        version, approved = variables.get("MILLRACE_MODEL_VERSION", ""), variables.get("MILLRACE_MODEL_DIGEST", "")
        if version and not approved:
            expected = f"the digest of version {version}, as approved"
            raise SettingsError(where="environment", field="MILLRACE_MODEL_DIGEST", expected=expected, came="nothing")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return cls(
            model_version=version or cls.model_version,
            model_digest=approved,
            model_name=variables.get("MILLRACE_MODEL_NAME", cls.model_name),
            port=_integer(variables, "SAGEMAKER_BIND_TO_PORT", cls.port, 1, 65535),
            bind=variables.get("MILLRACE_BIND", cls.bind),
            workers=_integer(variables, "MILLRACE_WORKERS", cores, 1, 256),
            batch=variables.get("SAGEMAKER_BATCH", "") == "true",
            # 0 means no limit to SageMaker. 100 MB is the most that a transform job may send otherwise.
            max_body_bytes=_integer(variables, "SAGEMAKER_MAX_PAYLOAD_IN_MB", 6, 0, 100) * MB or 100 * MB,
        )


def _integer(variables: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = variables.get(name, str(default))
    if not text.isdecimal() or not low <= int(text) <= high:
        raise SettingsError(where="environment", field=name, expected=f"a whole number from {low} to {high}", came=text)
    return int(text)
