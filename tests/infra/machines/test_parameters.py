"""The check of Parameters against botocore's models: every machine passes it, planted mistakes do not."""

from copy import deepcopy

import pytest

from millrace.errors import ConfigurationError
from millrace.infra.machines.parameters import checked
from tests.infra.machines.contexts import DEFINITIONS


def tasks(definition):
    return {name: state for name, state in definition["States"].items() if state["Type"] == "Task"}


TRAINING, UPDATE = ("train", "Training"), ("release", "Update live in steps")

MISTAKES = {
    "missing: name": (TRAINING, lambda p: p.pop("TrainingJobName.$"), "TrainingJobName: missing"),
    "unknown key below": (TRAINING, lambda p: p["ResourceConfig"].update(Volume=1), "ResourceConfig.Volume: unknown"),
    "text for a number": (
        TRAINING,
        lambda p: p["ResourceConfig"].update(InstanceCount="1"),
        "ResourceConfig.InstanceCount: expected integer, got '1'",
    ),
    "truth for a number": (
        TRAINING,
        lambda p: p["StoppingCondition"].update(MaxRuntimeInSeconds=True),
        "MaxRuntimeInSeconds: expected integer",
    ),
    "word that AWS does not know": (
        TRAINING,
        lambda p: p["ResourceConfig"].update(InstanceType="ml.m5.tiny"),
        "ResourceConfig.InstanceType: expected one of",
    ),
    "number out of range": (
        TRAINING,
        lambda p: p["ResourceConfig"].update(InstanceCount=-1),
        "ResourceConfig.InstanceCount: expected 0 to",
    ),
    "name of the wrong form": (
        TRAINING,
        lambda p: (
            p.update({"TrainingJobName": "under_score", "TrainingJobName.$": "$.x"}) or p.pop("TrainingJobName.$")
        ),
        "TrainingJobName: expected",
    ),
    "value where a path must stand": (
        TRAINING,
        lambda p: p.update({"RoleArn.$": p.pop("RoleArn")}),
        "RoleArn: expected a path or an intrinsic function",
    ),
    "empty list": (TRAINING, lambda p: p["VpcConfig"].update(Subnets=[]), "VpcConfig.Subnets: expected 1 to"),
    "eleven alarms": (
        UPDATE,
        lambda p: p["DeploymentConfig"]["AutoRollbackConfiguration"].update(Alarms=[{"AlarmName": "a"}] * 11),
        "Alarms: expected 1 to 10 items, got 11",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_seen(context, mistake):
    (machine, task), plant, words = MISTAKES[mistake]
    planted = deepcopy(tasks(DEFINITIONS[machine](context("prod", rollout={"traffic": "canary"})))[task])
    plant(planted["Parameters"])
    with pytest.raises(ConfigurationError) as raised:
        checked(planted)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    "resource",
    ["arn:aws:states:::sagemaker:createTrainingJop.sync", "arn:aws:states:::aws-sdk:nothing:listThings", "x"],
)
def test_an_unknown_resource_is_seen(resource):
    with pytest.raises(ConfigurationError, match="Resource"):
        checked({"Resource": resource, "Parameters": {}})
