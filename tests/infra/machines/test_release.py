"""What the release machine promises, read from its definition."""

from typing import get_args

import pytest

from millrace.functions.start_release.request import label_of
from millrace.infra.machines import release, release_alarms
from millrace.infra.machines.endpoints import SHORT, EndpointKind
from millrace.infra.rules import history
from millrace.infra.rules.assembly import Machine
from tests.infra.machines.contexts import states_before


def test_no_traffic_before_the_probe_has_passed(context):
    definition = release.definition(context())
    states, before = definition["States"], states_before("Answered?", definition)
    touching = {
        name
        for name in before
        if "millrace-prod-electricity" in str(states[name].get("Parameters", {}).get("EndpointName"))
    }
    assert {states[name]["Parameters"]["EndpointName"] for name in touching} == {"millrace-prod-electricity-challenger"}


def test_the_old_fleet_stays_until_the_alarms_have_judged_the_new_one(context, workload):
    """An alarm that read both fleets would be raised by the old one, and so refuse every fix of it."""
    states = release.definition(context())["States"]
    errors, latency, update = (
        states[name]["Parameters"] for name in ("Alarm on errors", "Alarm on latency", "Update live")
    )
    assert latency["Threshold"] == workload.gates.latency.max_p99_ms * 1000
    deployment = update["DeploymentConfig"]
    longest_s = release_alarms.PERIODS * release_alarms.PERIOD_S
    assert deployment["BlueGreenUpdatePolicy"]["TerminationWaitInSeconds"] >= longest_s
    assert update["RetainAllVariantProperties"], "else the instances that scaling has set are lost"
    watching = [one["AlarmName.$"] for one in deployment["AutoRollbackConfiguration"]["Alarms"]]
    assert watching == [errors["AlarmName.$"], latency["AlarmName.$"]]
    for query in [one["MetricStat"] for alarm in (errors, latency) for one in alarm["Metrics"] if "MetricStat" in one]:
        assert "EndpointConfigName" in [one["Name"] for one in query["Metric"]["Dimensions"]]
    assert {alarm["TreatMissingData"] for alarm in (errors, latency)} == {"notBreaching"}


@pytest.mark.parametrize(
    ("stage", "declared", "count"), [("dev", {}, 1), ("prod", {}, 2), ("prod", {"max_instances": 1}, 1),
                                     ("prod", {"min_instances": 1}, 1), ("dev", {"min_instances": 3}, 3)],
)  # fmt: skip
def test_in_production_two_instances_serve_at_least(context, stage, declared, count):
    states = release.definition(context(stage, rollout=declared))["States"]
    (variant,) = states["Live config"]["Parameters"]["ProductionVariants"]
    scaled, too_few = states["Scalable target"]["Parameters"], states["Too few?"]["Choices"][0]
    assert (variant["InitialInstanceCount"], scaled["MinCapacity"], too_few["NumericLessThan"]) == (count,) * 3


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_names_of_models_and_configurations_fit_the_longest_workload(stage):
    prefix = f"millrace-{stage}-" + 24 * "w"
    for kind in get_args(EndpointKind):
        assert len(f"{prefix}-{label_of('9999', 'execution')}-3-9-{kind[:SHORT]}") <= 63
    assert len(f"{prefix}-challenger") <= 63


@pytest.mark.parametrize("phases", [("live",), ("shadow", "assisted", "canary", "live")])
def test_the_longest_release_fits_one_history(context, phases):
    declared = {"phases": phases, "warm_hours": 24 * 14}
    definition = release.definition(context("prod", rollout=declared))
    machine = Machine(where="release", definition=definition)
    longest = history.longest_history(machine, history.loops_of(machine), definition["TimeoutSeconds"])
    assert longest <= history.MOST
