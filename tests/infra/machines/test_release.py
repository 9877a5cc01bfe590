"""What the release machine promises, read from its definition."""

from __future__ import annotations

import math
from typing import get_args

import pytest

from functions.start_release.request import label_of
from infra.machines import endpoints, release, release_alarms
from infra.machines.endpoints import SHORT, EndpointKind
from millrace.errors import WorkloadError


def test_no_traffic_before_the_probe_has_passed(context):
    states = release.definition(context())["States"]
    before, waiting = set(), [release.definition(context())["StartAt"]]
    while waiting:
        name = waiting.pop()
        if name in before or name == "Answered?":
            continue
        before.add(name)
        state = states[name]
        waiting += [state[key] for key in ("Next", "Default") if key in state]
        waiting += [one["Next"] for one in state.get("Choices", [])]
    touching = {
        name
        for name in before
        if "millrace-prod-electricity" in str(states[name].get("Parameters", {}).get("EndpointName"))
    }
    assert {states[name]["Parameters"]["EndpointName"] for name in touching} == {"millrace-prod-electricity-challenger"}


def test_the_live_update_is_watched_by_alarms_of_its_own_fleet(context, workload):
    states = release.definition(context())["States"]
    for name in ("Alarm on errors", "Alarm on latency"):
        parameters = states[name]["Parameters"]
        for query in parameters["Metrics"]:
            dimensions = query.get("MetricStat", {}).get("Metric", {}).get("Dimensions")
            assert (
                "Expression" in query or {"Name": "EndpointConfigName", "Value.$": "$.live_config.name"} in dimensions
            )
        assert parameters["TreatMissingData"] == "notBreaching"
    assert states["Alarm on latency"]["Parameters"]["Threshold"] == workload.gates.latency.max_p99_ms * 1000
    for name in ("Update live", "Update live by canary"):
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


def test_challenger_and_live_have_the_same_variant_name(context):
    states = release.definition(context())["States"]
    names = [
        states[name]["Parameters"]["ProductionVariants"][0]["VariantName"]
        for name in ("Challenger config", "Live config")
    ]
    assert len(set(names)) == 1


def test_a_canary_needs_two_instances(context):
    phases = ("canary", "live")
    with pytest.raises(WorkloadError, match=r"min_instances: expected at least 2"):
        release.definition(context(rollout={"phases": phases}))
    release.definition(context(rollout={"phases": phases, "min_instances": 2}))


@pytest.mark.parametrize("instances", range(2, 30))
def test_a_canary_is_at_most_half_of_any_fleet(instances):
    assert math.ceil(instances * endpoints.canary_percent(instances) / 100) <= instances / 2


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
    states = release.definition(context(rollout={"min_instances": 3}))["States"]
    (too_few,) = states["Too few?"]["Choices"]
    assert too_few == {"Variable": "$.live_fleet.instances", "NumericLessThan": 3, "Next": "Declared count"}
    assert states["Too few?"]["Default"] == "Present count"
    assert states[few]["Result"]["properties"] == [{"VariantPropertyType": one} for one in reset]
    for update in ("Update live", "Update live by canary"):
        parameters = states[update]["Parameters"]
        assert parameters["ExcludeRetainedVariantProperties.$"] == f"{states[few]['ResultPath']}.properties"


def test_a_restored_version_is_scaled_again(context):
    states = release.definition(context())["States"]
    (restores,) = states["Restored?"]["Choices"]
    assert (restores["Next"], states["Restored?"]["Default"]) == ("Scale again", "Nothing to do")
    assert states["Scale again"]["Parameters"] == states["Scalable target"]["Parameters"]
    assert states["Scale by requests again"]["Parameters"] == states["Scaling policy"]["Parameters"]


@pytest.mark.parametrize(("outcome", "seconds"), [("changing", 2700), ("busy", 3600)])
def test_each_reason_to_wait_has_its_pause(context, outcome, seconds):
    states = release.definition(context())["States"]
    turns = {one["StringEquals"]: one["Next"] for one in states["Open?"]["Choices"]}
    waits = states[turns.get(outcome, states["Open?"]["Default"])]
    assert (waits["Type"], waits["Seconds"], waits["Next"]) == ("Wait", seconds, "Start release")


def test_a_live_version_stays_live_when_tidying_fails(context):
    tidy = release.definition(context())["States"]["Tidy release"]
    assert (tidy["Next"], [catch["Next"] for catch in tidy["Catch"]]) == ("Watched?", ["Watched?"])
