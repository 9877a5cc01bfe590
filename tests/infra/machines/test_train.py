"""What the training machine promises, read from its definition."""

import json
import re
from dataclasses import fields

import pytest

from millrace.infra.machines import jobs, monitor, release, retrain, score, states, train
from millrace.infra.rules.assembly import Stack
from millrace.infra.rules.catalogue import findings
from millrace.jobs.training.job import _print
from millrace.jobs.training.loop import Epoch


def test_several_instances_break_no_rule(context):
    """No workload that is shipped has several; its machine is held against the rules here."""
    several = context("prod", training={"instances": 2})
    properties = {"DefinitionString": json.dumps(train.definition(several))}
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": {**properties, "Tags": several.tags}}
    stacks = [Stack(name="training", template={"Resources": {"Train": machine}})]
    assert findings(stacks) == []
    spoilt = json.loads(json.dumps(stacks[0].template).replace("EnableInterContainerTrafficEncryption", "Spoilt"))
    assert {one.partition(":")[0] for one in findings([Stack(name="training", template=spoilt)])} == {
        "inter-container",
        "sagemaker-integration",
    }


def test_its_metrics_are_in_the_line_that_the_job_prints(context, capsys):
    kept, entry = (
        Epoch(**{field.name: at + number for number, field in enumerate(fields(Epoch))}) for at in (0.25, 3.5)
    )
    _print([kept, entry])
    line = capsys.readouterr().out
    metrics = train.definition(context())["States"]["Training"]["Parameters"]["AlgorithmSpecification"]
    found = {one["Name"]: [float(value) for value in re.findall(one["Regex"], line)]
             for one in metrics["MetricDefinitions"]}  # fmt: skip
    assert found == {
        "train:loss": [entry.train_loss],
        "validation:loss": [entry.validation_loss],
        "validation:error": [entry.validation_error],
        "kept:loss": [kept.validation_loss],
        "kept:error": [kept.validation_error],
    }


def test_a_training_that_dies_is_started_once_more_on_demand_and_no_other_job_is(context):
    found = train.definition(context("prod"))["States"]
    started = {name: state for name, state in found.items() if "sagemaker" in state.get("Resource", "")}
    caught = {name: [one["Next"] for one in state["Catch"]] for name, state in started.items() if "Catch" in state}
    assert caught == {"Training": ["Training on demand"]}
    retried = [[jobs.SERVICE_ERROR], [jobs.QUOTA_ERROR]]
    assert all([one["ErrorEquals"] for one in state["Retry"]] == retried for state in started.values())
    spot, second = (found[name]["Parameters"] for name in ("Training", "Training on demand"))
    assert [one["EnableManagedSpotTraining"] for one in (spot, second)] == [True, False]
    assert second["CheckpointConfig"] == spot["CheckpointConfig"]
    assert len({one["TrainingJobName.$"] for one in (spot, second)}) == 2


@pytest.mark.parametrize("machine", [train, monitor, score, release])
def test_nothing_follows_a_job_but_a_look_at_its_status(context, machine):
    found = machine.definition(context())["States"]
    started = [name for name, state in found.items() if state.get("Resource", "").endswith("Job.sync")]
    assert started
    for name in started:
        path = f"{found[name]['ResultPath']}.status"
        assert found[name]["ResultSelector"]["status.$"].endswith("JobStatus")
        look = found[found[name]["Next"]]
        assert (look["Choices"][0]["Variable"], look["Choices"][0]["StringEquals"]) == (path, "Completed")
        assert found[look["Default"]]["Type"] == "Fail"


def test_a_spot_instance_that_never_comes_is_replaced_by_one_on_demand(context):
    found = train.definition(context())["States"]
    completed, refused = found["Training completed?"]["Choices"]
    assert refused == {
        "Variable": "$.training.secondary_status",
        "StringEquals": "MaxWaitTimeExceeded",
        "Next": "Training on demand",
    }
    assert completed["Next"] == found["Training on demand completed?"]["Choices"][0]["Next"] == "Champion?"


def test_a_job_without_an_instance_waits_as_long_as_another_job_lasts(context):
    """`millrace doctor` is content with one instance for jobs of one kind: they run one after the other."""
    started = [state for state in train.definition(context("prod"))["States"].values()
               if state.get("Resource", "").endswith(".sync")]  # fmt: skip
    assert len(started) > 2
    for state in started:
        (waits,) = [one for one in state["Retry"] if one["ErrorEquals"] == [jobs.QUOTA_ERROR]]
        average_s = waits["IntervalSeconds"] / 2 * waits["MaxAttempts"]  # full jitter
        assert (waits["BackoffRate"], average_s) == (1.0, 1800)


@pytest.mark.parametrize(
    ("instance", "keyed"), [("ml.m5.xlarge", True), ("ml.g5.xlarge", False), ("ml.p5.48xlarge", False)]
)
def test_an_instance_with_its_own_disk_takes_no_volume_key(context, instance, keyed):
    resources = train.definition(context(training={"instance": {"prod": instance}}))["States"]["Training"][
        "Parameters"
    ]["ResourceConfig"]
    assert ("VolumeKmsKeyId" in resources) is keyed


def test_no_failure_is_caught_but_of_what_may_be_gone_or_comes_after_the_release(context):
    allowed = {
        train: ["Training"],
        retrain: [],
        release: ["Delete what was stopped", "Stop scaling", "Delete challenger", "Tidy release"],
    }
    for machine, names in allowed.items():
        found = machine.definition(context())["States"]
        caught = [name for name, state in found.items() if "Catch" in state and not keeps_an_event(state)]
        assert caught == names


def keeps_an_event(state):
    """Whether it puts an event that waits with the dead letters where the bus does not take it."""
    steps = [one["Next"].startswith("Keep ") for one in state["Catch"]]
    return steps == [True] and state["Resource"] == states.integration("events:putEvents")
