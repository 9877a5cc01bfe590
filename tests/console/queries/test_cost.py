"""The cost of a month has the jobs of every machine. `tests/end_to_end/test_operator_records.py` reads one."""

from __future__ import annotations

from console.queries.cost import BESIDE
from tests.infra.machines.contexts import DEFINITIONS, all_states, context_of


def test_each_machine_that_runs_jobs_is_in_the_cost_of_a_month() -> None:
    resources = {
        name: [str(state.get("Resource")) for state in all_states(define(context_of())).values()]
        for name, define in DEFINITIONS.items()
    }
    with_jobs = {name for name, found in resources.items() if any("Job.sync" in one for one in found)}
    assert with_jobs == {"train", "release", *BESIDE}
