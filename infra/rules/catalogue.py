"""The rules by name. Add a rule here; its two fixtures are in `tests/infra/rules/<rule>.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial

from millrace.infra.rules import (
    addresses,
    asynchronous_function,
    customer_key,
    endpoints,
    history,
    inter_container,
    network_reach,
    policies,
    quotas,
    recursive_loop,
    rest_apis,
    retries,
    rollback_alarms,
    runtime_names,
    sagemaker_integration,
    sizes,
    snap_start,
    tags,
    values,
)
from millrace.infra.rules.assembly import Finding, Stack

Rule = Callable[[Sequence[Stack]], Iterator[Finding]]

TEMPLATE_RULES: Mapping[str, Rule] = {
    "addresses": addresses.check,
    "asynchronous-function": asynchronous_function.check,
    "customer-key": customer_key.check,
    "drop-memory": partial(values.check, values.DROP_MEMORY),
    "ephemeral-storage": partial(values.check, values.EPHEMERAL_STORAGE),
    "history": history.check,
    "inter-container": inter_container.check,
    "job-keys": partial(values.check, values.JOB_KEYS),
    "names": partial(values.check, values.RESOURCE_NAMES),
    "network-isolation": partial(values.check, values.NETWORK_ISOLATION),
    "network-reach": network_reach.check,
    "pass-role": policies.check_pass_role,
    "private-names": endpoints.check_private_names,
    "private-network": partial(values.check, values.PRIVATE_NETWORK),
    "quotas": quotas.check,
    "recursive-loop": recursive_loop.check,
    "refused-values": partial(values.check, values.REFUSED_VALUES),
    "rest-apis": rest_apis.check,
    "retries": retries.check,
    "rollback-alarms": rollback_alarms.check,
    "runtime-names": runtime_names.check,
    "sagemaker-integration": sagemaker_integration.check,
    "sizes": sizes.check,
    "snap-start": snap_start.check,
    "spot-training": partial(values.check, values.SPOT_TRAINING),
    "tags": tags.check,
    "transform-payload": partial(values.check, values.TRANSFORM_PAYLOAD),
    "wildcards": policies.check_wildcards,
}


def findings(stacks: Sequence[Stack], *, but: Collection[str] = ()) -> list[str]:
    """A sentence for each place that breaks a rule, with the rule's name, without the rules in `but`.

    It is empty if every rule holds."""
    rules = {name: check for name, check in TEMPLATE_RULES.items() if name not in but}
    return [f"{name}: {finding}" for name, check in rules.items() for finding in check(stacks)]
