"""Where a release preflights its version, and what the job is given."""

from millrace.infra.machines import release
from tests.infra.machines.contexts import states_before


def test_nothing_is_made_before_the_version_has_passed(context):
    definition = release.definition(context())
    states, before = definition["States"], states_before("Model", definition, without="Asleep")
    made = {one["Resource"].rpartition(":")[2] for name in before if (one := states[name])["Type"] == "Task"}
    assert "createProcessingJob.sync" in made
    assert not made & {"createModel", "createEndpointConfig", "createEndpoint", "updateEndpoint"}
    ways = {
        name
        for name, state in states.items()
        for one in (state, *state.get("Choices", ()))
        if one.get("Next") == "Model"
    }
    assert ways == {"Preflighted?", "Preflight completed?"}
