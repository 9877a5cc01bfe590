"""The rules by name. Add a rule here; its two fixtures are in `tests/infra/rules/<rule>.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from infra.rules import (
    asynchronous_function,
    customer_key,
    drop_memory,
    ephemeral_storage,
    history,
    inter_container,
    job_keys,
    names,
    network_isolation,
    network_reach,
    pass_role,
    private_network,
    quotas,
    recursive_loop,
    refused_values,
    retries,
    rollback_alarms,
    runtime_names,
    sagemaker_integration,
    sizes,
    snap_start,
    spot_training,
    tags,
    transform_payload,
    wildcards,
)
from infra.rules.assembly import Stack
from infra.rules.finding import Finding

Rule = Callable[[Sequence[Stack]], Iterator[Finding]]

TEMPLATE_RULES: Mapping[str, Rule] = {
    "asynchronous-function": asynchronous_function.check,
    "customer-key": customer_key.check,
    "drop-memory": drop_memory.check,
    "ephemeral-storage": ephemeral_storage.check,
    "history": history.check,
    "inter-container": inter_container.check,
    "job-keys": job_keys.check,
    "names": names.check,
    "network-isolation": network_isolation.check,
    "network-reach": network_reach.check,
    "pass-role": pass_role.check,
    "private-network": private_network.check,
    "quotas": quotas.check,
    "recursive-loop": recursive_loop.check,
    "refused-values": refused_values.check,
    "retries": retries.check,
    "rollback-alarms": rollback_alarms.check,
    "runtime-names": runtime_names.check,
    "sagemaker-integration": sagemaker_integration.check,
    "sizes": sizes.check,
    "snap-start": snap_start.check,
    "spot-training": spot_training.check,
    "tags": tags.check,
    "transform-payload": transform_payload.check,
    "wildcards": wildcards.check,
}


def findings(stacks: Sequence[Stack]) -> list[str]:
    """A sentence for each place that breaks a rule, with the rule's name; empty if every rule holds."""
    return [f"{name}: {finding}" for name, check in TEMPLATE_RULES.items() for finding in check(stacks)]
