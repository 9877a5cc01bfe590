"""What the training machine promises, read from its definition."""

import re
from dataclasses import fields

from millrace.infra.machines import train
from millrace.jobs.training.job import _print
from millrace.jobs.training.loop import Epoch


def test_several_instances_encrypt_what_they_say_to_each_other(context):
    several = train.definition(context("prod", training={"instances": 2}))
    assert several["States"]["Training"]["Parameters"]["EnableInterContainerTrafficEncryption"] is True


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
