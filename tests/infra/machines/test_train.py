"""What the training machine promises, read from its definition."""

import json
import re
from dataclasses import fields

from millrace.infra.machines import train
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
    assert '"EnableInterContainerTrafficEncryption": true' in properties["DefinitionString"]


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
