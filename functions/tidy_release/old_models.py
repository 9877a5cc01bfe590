"""Which models and endpoint configurations a release leaves behind it, and their deletion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from millrace.aws.deletion import delete_each
from millrace.aws.endpoints import find_endpoint
from millrace.aws.released_models import ReleasedModels
from millrace.names import WorkloadNames
from millrace.state.pointers import Pointers

AT_MOST = 50
"""Deletions of one kind in one release; what is left goes after the next one."""


def delete(sagemaker: Any, names: WorkloadNames, pointers: Pointers) -> list[str]:
    """What was deleted; nothing while no version is live.

    The champion's and the previous version's models stay, with the configurations that serve them, and whatever an
    endpoint serves. AWS forbids to delete a configuration that an endpoint uses:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeleteEndpointConfig.html"""
    if pointers.champion is None:
        return []
    models = ReleasedModels(sagemaker=sagemaker, names=names)
    kept = {version.model_name for version in (pointers.champion, pointers.previous) if version}
    used = {config for name in (names.endpoint, names.challenger) for config in _used(sagemaker, name)}
    configs = dict(models.configs())
    kept |= {model for config in used for model in configs.get(config, ())}
    old = [name for name, served in configs.items() if name not in used and kept.isdisjoint(served)]
    # A model is deleted after its configurations, which are found by it.
    kept |= {model for name in old[AT_MOST:] for model in configs[name]}
    unserved = (model for model in models.listed() if model not in kept)
    delete_config, delete_model = sagemaker.delete_endpoint_config, sagemaker.delete_model
    return [
        *delete_each("endpoint config", old, delete_config, parameter="EndpointConfigName", at_most=AT_MOST),
        *delete_each("model", unserved, delete_model, parameter="ModelName", at_most=AT_MOST),
    ]


def _used(sagemaker: Any, endpoint: str) -> Iterator[str]:
    """The configurations that an endpoint has, and is on its way to."""
    found = find_endpoint(sagemaker, endpoint) or {}
    for described in (found, found.get("PendingDeploymentSummary", {})):
        if config := described.get("EndpointConfigName"):
            yield config
