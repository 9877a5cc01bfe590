"""Tidies up after a release: deletes the models and configurations of versions before the previous one.

Their packages stay in the registry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from millrace.aws.deletion import delete_each
from millrace.aws.endpoints import find_endpoint
from millrace.aws.released_models import ReleasedModels
from millrace.functions.room import Room
from millrace.messages.envelope import StepInput
from millrace.messages.events import ReleaseUntidy
from millrace.messages.release import LiveState
from millrace.names import WorkloadNames
from millrace.state.pointers import Pointers

AT_MOST = 50
"""The most deletions of one kind after one release. What is left is deleted after the next release."""


def tidy(room: Room[Any], sagemaker: Any, call: StepInput[LiveState], pointers: Pointers) -> None:
    """Delete what is old. The version is live already, so what cannot be deleted now is told to a person."""
    try:
        room.logger.info("tidied", extra={"deleted": delete_old(sagemaker, room.names, pointers)})
    except (ClientError, BotoCoreError) as error:
        room.tell(ReleaseUntidy, cause=call.state.cause, run=call.execution_arn, error=str(error))


def delete_old(sagemaker: Any, names: WorkloadNames, pointers: Pointers) -> list[str]:
    """Delete old models and configurations, and return what was deleted. Nothing is deleted while no version is live.

    The models of the champion and of the previous version stay, with the configurations that serve them. What an
    endpoint uses stays too: AWS forbids to delete a configuration that an endpoint uses:
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DeleteEndpointConfig.html"""
    if pointers.champion is None:
        return []
    models = ReleasedModels(sagemaker=sagemaker, names=names)
    # Keep the models of champion and previous version, and those of all configurations that an endpoint uses.
    kept = {version.model_name for version in (pointers.champion, pointers.previous) if version}
    used = {config for name in (names.endpoint, names.challenger) for config in _used(sagemaker, name)}
    configs = dict(models.configs())
    kept |= {model for config in used for model in configs.get(config, ())}
    old = [name for name, served in configs.items() if name not in used and kept.isdisjoint(served)]
    # A configuration is found by its model, so a model must outlive its configurations: the models of configurations
    # that are left for the next time stay too.
    kept |= {model for name in old[AT_MOST:] for model in configs[name]}
    unserved = (model for model in models.listed() if model not in kept)
    delete_config, delete_model = sagemaker.delete_endpoint_config, sagemaker.delete_model
    return [
        *delete_each("endpoint config", old, delete_config, parameter="EndpointConfigName", at_most=AT_MOST),
        *delete_each("model", unserved, delete_model, parameter="ModelName", at_most=AT_MOST),
    ]


def _used(sagemaker: Any, endpoint: str) -> Iterator[str]:
    """The configurations that the endpoint uses: its present one, and the one that an update is bringing."""
    found = find_endpoint(sagemaker, endpoint) or {}
    for described in (found, found.get("PendingDeploymentSummary", {})):
        if config := described.get("EndpointConfigName"):
            yield config
