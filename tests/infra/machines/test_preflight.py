"""Where a release preflights its version, and what the job is given."""

from __future__ import annotations

import pytest

from millrace.infra.machines import preflight, release
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


def test_a_version_that_has_passed_on_this_instance_type_is_not_started_again(context):
    states = release.definition(context("dev"))["States"]
    assert states["Preflights"]["Parameters"] == {
        "Bucket": "millrace-dev-artefacts-123456789012-eu-west-1",
        "Prefix.$": "States.Format('electricity/runs/{}/preflight/ml.m5.large.json', $.start_release.answer.run_name)",
    }
    (passed,) = states["Preflighted?"]["Choices"]
    assert passed == {"Variable": "$.preflights.records", "NumericGreaterThan": 0, "Next": "Model"}
    assert states["Preflighted?"]["Default"] == "Preflight"


def test_the_job_writes_its_record_where_the_next_release_looks(context):
    job = release.definition(context("dev"))["States"]["Preflight"]["Parameters"]
    (output,) = job["ProcessingOutputConfig"]["Outputs"]
    assert output["S3Output"]["S3Uri.$"] == (
        "States.Format('s3://millrace-dev-artefacts-123456789012-eu-west-1/electricity/runs/{}/preflight', "
        "$.start_release.answer.run_name)"
    )
    assert job["Environment"]["MILLRACE_INSTANCE"] == "ml.m5.large"


def test_the_job_runs_the_version_as_its_model_does(context):
    states = release.definition(context())["States"]
    job, container = states["Preflight"]["Parameters"], states["Model"]["Parameters"]["PrimaryContainer"]
    assert job["AppSpecification"]["ImageUri.$"] == container["Image.$"]
    assert container["Environment"].items() <= job["Environment"].items()
    cluster = job["ProcessingResources"]["ClusterConfig"]
    (variant,) = states["Live config"]["Parameters"]["ProductionVariants"]
    assert (cluster["InstanceType"], cluster["InstanceCount"]) == (variant["InstanceType"], 1)
    model, sample = (one["S3Input"]["S3Uri.$"] for one in job["ProcessingInputs"])
    assert model == container["ModelDataUrl.$"]
    assert "/evaluation/sample.json" in sample


@pytest.mark.parametrize(("stage", "bound"), [("local", "8192"), ("dev", None), ("prod", None)])
def test_memory_is_bounded_where_the_instance_is_only_a_name(context, stage, bound):
    environment = release.definition(context(stage))["States"]["Preflight"]["Parameters"]["Environment"]
    assert environment.get("MILLRACE_MEMORY_MB") == bound


def test_the_machine_may_list_the_records_and_run_its_job_alone(context):
    actions = {action for one in preflight.statements(context()) for action in one.actions}
    assert {action for action in actions if action.startswith("s3:")} == {"s3:ListBucket"}
    assert {action for action in actions if action.endswith("Job")} == {
        f"sagemaker:{verb}ProcessingJob" for verb in ("Create", "Describe", "Stop")
    }
