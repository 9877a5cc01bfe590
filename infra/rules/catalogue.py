"""The rules by name. Add a rule here; its two fixtures are in `tests/infra/rules/<rule>.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from millrace.infra.rules import customer_key, functions, history, policies, sizes, tags
from millrace.infra.rules.assembly import Finding, Stack

Rule = Callable[[Sequence[Stack]], Iterator[Finding]]

TEMPLATE_RULES: Mapping[str, Rule] = {
    "asynchronous-function": functions.check_asynchronous,
    "customer-key": customer_key.check,
    "history": history.check,
    "pass-role": policies.check_pass_role,
    "recursive-loop": functions.check_loops,
    "sizes": sizes.check,
    "tags": tags.check,
}


def findings(stacks: Sequence[Stack], *, but: Collection[str] = ()) -> list[str]:
    """A sentence for each place that breaks a rule, with the rule's name, without the rules in `but`.

    It is empty if every rule holds."""
    rules = {name: check for name, check in TEMPLATE_RULES.items() if name not in but}
    return [f"{name}: {finding}" for name, check in rules.items() for finding in check(stacks)]
