"""Lists the SageMaker models that the releases of one workload have made, and their endpoint configurations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from millrace.aws.endpoints import find_model
from millrace.names import MODEL_ROLE, WorkloadNames


@dataclass(frozen=True, kw_only=True)
class ReleasedModels:
    """The models of one workload's releases. `sagemaker` is boto3's client.

    A model is known by its role, since its name alone may belong to another workload."""

    sagemaker: Any
    names: WorkloadNames
    _known: dict[str, bool] = field(default_factory=dict)

    def is_ours(self, model: str) -> bool:
        # The answers are kept: each is a call to SageMaker, and several configurations serve the same model.
        if model not in self._known:
            # Other names are not looked up: the role of the function may describe only models with our prefix.
            self._known[model] = model.startswith(f"{self.names.prefix}-v") and self._has_our_role(model)
        return self._known[model]

    def listed(self) -> Iterator[str]:
        pages = self.sagemaker.get_paginator("list_models").paginate(NameContains=f"{self.names.prefix}-v")
        yield from (one["ModelName"] for page in pages for one in page["Models"] if self.is_ours(one["ModelName"]))

    def configs(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The endpoint configurations that serve such a model, each with the names of its models."""
        pages = self.sagemaker.get_paginator("list_endpoint_configs").paginate(NameContains=f"{self.names.prefix}-v")
        for name in (one["EndpointConfigName"] for page in pages for one in page["EndpointConfigs"]):
            variants = self.sagemaker.describe_endpoint_config(EndpointConfigName=name)["ProductionVariants"]
            models = tuple(variant["ModelName"] for variant in variants)
            if any(self.is_ours(model) for model in models):
                yield name, models

    def _has_our_role(self, model: str) -> bool:
        found = find_model(self.sagemaker, model)
        return found is not None and bool(found["ExecutionRoleArn"] == self.names.role_arn(MODEL_ROLE))
