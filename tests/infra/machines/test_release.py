"""What the release machine promises, read from its definition."""

from __future__ import annotations

import math
from typing import get_args

import pytest

from millrace.errors import EndpointChangingError, WorkloadError
from millrace.functions.start_release.request import label_of
from millrace.infra.machines import endpoints, release, release_alarms
from millrace.infra.machines.endpoints import SHORT, EndpointKind
from millrace.infra.rules import history
from millrace.infra.rules.assembly import Machine
from millrace.operations.alarms import ALARMS, ENDPOINT_ALARMS, STAGE_ALARMS
from millrace.workload.rollout import Idle
from tests.infra.machines.contexts import states_before


def test_no_traffic_before_the_probe_has_passed(context):
    definition = release.definition(context())
    states, before = definition["States"], states_before("Answered?", definition, without="Asleep")
    touching = {
        name
        for name in before
        if "millrace-prod-electricity" in str(states[name].get("Parameters", {}).get("EndpointName"))
    }
    assert {states[name]["Parameters"]["EndpointName"] for name in touching} == {"millrace-prod-electricity-challenger"}


def test_an_endpoint_that_slept_is_made_by_the_configuration_that_it_had(context):
    """Not by one of a version that has not answered yet."""
    definition = release.definition(context())
    states = definition["States"]
    assert states["Asleep"]["Parameters"] == {"name.$": "$.start_release.answer.sleeping_config"}
    assert (states["Asleep"]["ResultPath"], states["Asleep"]["Next"]) == ("$.live_config", "Create live")
    assert states["Create live"]["Parameters"]["EndpointConfigName.$"] == "$.live_config.name"
    assert [one["Next"] for one in states["Live before?"]["Choices"]] == ["Live", "Live"]


def test_the_live_update_is_watched_by_alarms_of_its_own_fleet(context, workload):
    states = release.definition(context(rollout={"traffic": "canary"}))["States"]
    for name in ("Alarm on errors", "Alarm on latency"):
        parameters = states[name]["Parameters"]
        for query in parameters["Metrics"]:
            dimensions = query.get("MetricStat", {}).get("Metric", {}).get("Dimensions")
            assert (
                "Expression" in query or {"Name": "EndpointConfigName", "Value.$": "$.live_config.name"} in dimensions
            )
        assert parameters["TreatMissingData"] == "notBreaching"
    assert states["Alarm on latency"]["Parameters"]["Threshold"] == workload.gates.latency.max_p99_ms * 1000
    for name in ("Update live", "Update live in steps"):
        parameters = states[name]["Parameters"]
        policy = parameters["DeploymentConfig"]["BlueGreenUpdatePolicy"]
        waits = policy["TerminationWaitInSeconds"] + policy["TrafficRoutingConfiguration"]["WaitIntervalInSeconds"]
        assert policy["MaximumExecutionTimeoutInSeconds"] > waits
        assert policy["TerminationWaitInSeconds"] >= release_alarms.PERIODS * release_alarms.PERIOD_S
        assert len(parameters["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]) == 2
        assert parameters["RetainAllVariantProperties"] is True


def test_latency_is_judged_by_what_a_minute_has_of_requests(context):
    *_, latency = release.definition(context())["States"]["Alarm on latency"]["Parameters"]["Metrics"]
    assert latency["Expression"] == "IF(requests >= 1000, p99, IF(requests >= 100, p90, p50))"


def test_a_rolled_back_update_is_a_failure_and_not_a_release(context):
    choices = release.definition(context())["States"]["Live in service?"]["Choices"]
    assert [choice["Next"] for choice in choices] == ["Scalable target", "Rolled back", "Rolled back"]
    assert {"Variable": "$.endpoint.config", "StringEqualsPath": "$.live_config.name"} in choices[0]["And"]


def test_only_the_alarms_of_its_own_rollout_are_made_by_a_release(context):
    """All others are resources of stacks: a release neither makes nor changes what `cdk diff` shows."""
    states = release.definition(context())["States"]
    made = {name: one for name, one in states.items() if ":cloudwatch:put" in one.get("Resource", "")}
    assert set(made) == {"Alarm on errors", "Alarm on latency"}
    assert all("$.live_config.name" in one["Parameters"]["AlarmName.$"] for one in made.values())


def test_challenger_and_live_have_the_same_variant_name(context):
    states = release.definition(context())["States"]
    names = [
        states[name]["Parameters"]["ProductionVariants"][0]["VariantName"]
        for name in ("Challenger config", "Live config")
    ]
    assert len(set(names)) == 1


@pytest.mark.parametrize("traffic", ["canary", "linear"])
def test_steps_need_two_instances(context, traffic):
    with pytest.raises(WorkloadError, match=r"min_instances: expected at least 2"):
        release.definition(context("dev", rollout={"traffic": traffic}))
    release.definition(context("dev", rollout={"traffic": traffic, "min_instances": 2}))
    routing = release.definition(context("prod", rollout={"traffic": traffic}))["States"]["Update live in steps"]
    policy = routing["Parameters"]["DeploymentConfig"]["BlueGreenUpdatePolicy"]
    assert policy["TrafficRoutingConfiguration"]["Type"] == traffic.upper()
    waits = 4 if traffic == "linear" else 2  # 33 % are four steps
    wait_s = policy["TrafficRoutingConfiguration"]["WaitIntervalInSeconds"]
    assert policy["MaximumExecutionTimeoutInSeconds"] == 3600 + waits * wait_s


@pytest.mark.parametrize(
    ("stage", "declared", "count"), [("dev", {}, 1), ("prod", {}, 2), ("prod", {"max_instances": 1}, 1),
                                     ("prod", {"min_instances": 1}, 1), ("dev", {"min_instances": 3}, 3)],
)  # fmt: skip
def test_in_production_two_instances_serve_at_least(context, stage, declared, count):
    states = release.definition(context(stage, rollout=declared))["States"]
    (variant,) = states["Live config"]["Parameters"]["ProductionVariants"]
    scaled, too_few = states["Scalable target"]["Parameters"], states["Too few?"]["Choices"][0]
    assert (variant["InitialInstanceCount"], scaled["MinCapacity"], too_few["NumericLessThan"]) == (count,) * 3


@pytest.mark.parametrize("instances", range(2, 30))
def test_a_step_is_at_most_half_of_any_fleet(instances):
    assert math.ceil(instances * endpoints.step_percent(instances) / 100) <= instances / 2


def test_no_state_waits_for_an_answer_that_nothing_sends(context):
    definition = str(release.definition(context()))
    assert ("waitForTaskToken" in definition, "Task.Token" in definition) == (False, False)


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_names_of_models_and_configurations_fit_the_longest_workload(stage):
    prefix = f"millrace-{stage}-" + 24 * "w"
    for kind in get_args(EndpointKind):
        assert len(f"{prefix}-{label_of('9999', 'execution')}-3-9-{kind[:SHORT]}") <= 63
    assert len(f"{prefix}-challenger") <= 63


def test_another_instance_type_stops_the_scaling_before_the_update(context, workload):
    states = release.definition(context())["States"]
    declared = workload.rollout.instance["prod"]
    (another,) = states["Another instance?"]["Choices"]
    assert another == {
        "Not": {"Variable": "$.live_config_now.instance", "StringEquals": declared},
        "Next": "Stop scaling",
    }
    assert states["Live config"]["Parameters"]["ProductionVariants"][0]["InstanceType"] == declared
    stop, again = states["Stop scaling"]["Parameters"], states["Scalable target"]["Parameters"]
    assert stop.items() <= again.items(), "what is deregistered is registered again"


@pytest.mark.parametrize(("few", "reset"), [("Declared count", ["DesiredInstanceCount"]), ("Present count", [])])
def test_a_fleet_below_the_declared_count_takes_it(context, few, reset):
    states = release.definition(context(rollout={"min_instances": 3, "traffic": "canary"}))["States"]
    (too_few,) = states["Too few?"]["Choices"]
    assert too_few == {"Variable": "$.live_fleet.instances", "NumericLessThan": 3, "Next": "Declared count"}
    assert states["Too few?"]["Default"] == "Present count"
    assert states[few]["Result"]["properties"] == [{"VariantPropertyType": one} for one in reset]
    for update in ("Update live", "Update live in steps"):
        parameters = states[update]["Parameters"]
        assert parameters["ExcludeRetainedVariantProperties.$"] == f"{states[few]['ResultPath']}.properties"


def path_of(states, start, *, outcome, **taken):
    """The states from `start` on, by the outcome of `start_release` and what `taken` says of other choices."""
    name = start
    while name:
        yield name
        state, by_outcome = states[name], {"Open?": None, "Live before?": None}
        if state["Type"] == "Choice":
            turns = {one.get("StringEquals"): one["Next"] for one in state["Choices"]}
            chosen = turns.get(outcome, state["Default"]) if name in by_outcome else None
            name = chosen or (state["Choices"][0]["Next"] if taken.get(name) else state["Default"])
        else:
            name = state.get("Next")


def test_a_restored_version_is_scaled_again(context):
    """Also where the endpoint serves it already: an update that failed may have cost it its scaling."""
    states = release.definition(context())["States"]
    came = [*path_of(states, "Open?", outcome="done", **{"Restored?": True})]
    assert came == ["Open?", "Restored?", "Scalable target", "Scaling policy", "Live before?", "Live"]
    assert [*path_of(states, "Open?", outcome="done")] == ["Open?", "Restored?", "Nothing to do"]
    assert [*path_of(states, "Open?", outcome="outdated")] == ["Open?", "Release refused", "Not released"]
    released = [*path_of(states, "Scalable target", outcome="open", **{"Updated?": True})]
    assert released == [
        *("Scalable target", "Scaling policy", "Live before?", "Advance release"),
        *("Delete challenger", "Updated?", "Delete alarms", "Released", "Tidy release", "Live"),
    ]


@pytest.mark.parametrize(("stage", "seconds"), [("prod", 7200), ("local", 1)])
def test_another_release_is_looked_for_now_and_then(context, stage, seconds):
    states = release.definition(context(stage))["States"]
    waits = states[next(name for name in path_of(states, "Open?", outcome="busy") if name != "Open?")]
    assert (waits["Type"], waits["Seconds"], waits["Next"]) == ("Wait", seconds, "Start release")


@pytest.mark.parametrize(("stage", "seconds"), [("prod", 120), ("local", 1)])
def test_a_change_of_an_endpoint_is_looked_at_for_as_long_as_it_may_last(context, stage, seconds):
    attempts = 8 * 3600 // 120
    start = release.definition(context(stage))["States"]["Start release"]
    *_, changing = start["Retry"]
    assert changing == {
        "ErrorEquals": [EndpointChangingError.__name__],
        "IntervalSeconds": seconds,
        "MaxAttempts": attempts,
        "BackoffRate": 1,
    }
    deployment = release.definition(context("prod"))["States"]["Update live"]["Parameters"]["DeploymentConfig"]
    longest_s = deployment["BlueGreenUpdatePolicy"]["MaximumExecutionTimeoutInSeconds"]
    assert longest_s <= release.CHANGE_S == 480 * 60


def test_no_alarm_is_on_the_errors_of_a_function_that_waits_by_them(context):
    names = context().names
    watched = [metric for alarm in (ALARMS | ENDPOINT_ALARMS).values() for metric in alarm.metrics(names)]
    watched += [metric for alarm in STAGE_ALARMS.values() for metric in alarm.metrics(names.platform)]
    of_errors = [metric.dimensions["FunctionName"] for metric in watched if metric.name == "Errors"]
    assert of_errors
    assert names.function("start_release") not in of_errors


def test_a_live_version_stays_live_when_tidying_fails_and_a_notice_is_sent(context):
    states = release.definition(context())["States"]
    tidy, notice = states["Tidy release"], states["Not tidied"]
    assert (tidy["Next"], [catch["Next"] for catch in tidy["Catch"]]) == ("Live", ["Not tidied"])
    assert (notice["Next"], states["Keep release.untidy"]["Next"]) == ("Live", "Live")
    (entry,) = notice["Parameters"]["Entries"]
    assert entry["DetailType"] == "release.untidy"
    assert entry["Detail"]["error.$"] == f"{tidy['Catch'][0]['ResultPath']}.Error"


def test_the_version_before_is_warm_only_where_it_is_declared(context):
    assert "Judge live" not in release.definition(context())["States"]
    states = release.definition(context("prod", rollout={"warm_hours": 48}))["States"]
    assert states["Tidy release"]["Next"] == states["Not tidied"]["Next"] == "Is one warm?"
    kept = states[states["Advance release"]["Next"]]
    assert [(one["Variable"], one["Next"]) for one in kept["Choices"]] == [
        ("$.start_release.answer.has_warm", "Updated?")
    ]
    assert kept["Default"] == "Delete challenger"
    update = states["Update warm"]["Parameters"]
    assert update["EndpointName"].endswith("-challenger")
    after = {one["StringEquals"]: one["Next"] for one in states["Live shown?"]["Choices"]}
    assert after == {"go_on": "Delete what was warm", "stop": "Roll back", "overtaken": "Live"}


def test_a_live_version_stays_live_when_its_event_is_not_put(context):
    states = release.definition(context())["States"]
    assert [catch["Next"] for catch in states["Released"]["Catch"]] == ["Keep model.released"]
    assert states["Keep model.released"]["Next"] == states["Released"]["Next"] == "Tidy release"


@pytest.mark.parametrize("phases", [("live",), ("shadow", "assisted", "canary", "live")])
@pytest.mark.parametrize("traffic", ["all_at_once", "linear"])
def test_the_longest_release_fits_one_history(context, phases, traffic):
    declared = {"phases": phases, "traffic": traffic, "idle": Idle(stop_after_hours=8), "warm_hours": 24 * 14}
    definition = release.definition(context("prod", rollout=declared))
    machine = Machine(where="release", definition=definition)
    longest = history.longest_history(machine, history.loops_of(machine), definition["TimeoutSeconds"])
    assert longest <= history.MOST
