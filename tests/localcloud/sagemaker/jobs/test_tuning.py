"""Tuning jobs: training jobs with drawn hyperparameters, the best of them, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.sagemaker.jobs.tuning import draws
from tests.localcloud import tiny_images
from tests.localcloud.sagemaker.jobs.test_jobs import ended as job_ended
from tests.localcloud.waiting import until


@pytest.fixture
def tuning(bucket: str, role: str, fresh: Callable[..., str]) -> Callable[..., dict[str, Any]]:
    """A CreateHyperParameterTuningJob request whose trainings print `loss=<the hyperparameter rate>;`."""

    def make(
        *, jobs: int = 3, parallel: int = 2, config: dict[str, Any] | None = None, **static: str
    ) -> dict[str, Any]:
        return {
            "HyperParameterTuningJobName": fresh("tune"),
            "HyperParameterTuningJobConfig": {
                "Strategy": "Bayesian",
                "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
                "ResourceLimits": {"MaxNumberOfTrainingJobs": jobs, "MaxParallelTrainingJobs": parallel},
                "ParameterRanges": {
                    "ContinuousParameterRanges": [
                        {"Name": "rate", "MinValue": "0.001", "MaxValue": "0.1", "ScalingType": "Logarithmic"}
                    ],
                    "IntegerParameterRanges": [{"Name": "layers", "MinValue": "1", "MaxValue": "4"}],
                    "CategoricalParameterRanges": [{"Name": "hidden", "Values": ["[64]", "[64, 64]"]}],
                },
                **(config or {}),
            },
            "TrainingJobDefinition": {
                "StaticHyperParameters": {"workload": "tiny", "say": "rate", **static},
                **tiny_images.training(bucket, role),
            },
            "Tags": [{"Key": "millrace:workload", "Value": "tiny"}],
        }

    return make


@pytest.fixture
def ended(sagemaker: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def run(request: dict[str, Any]) -> dict[str, Any]:
        sagemaker.create_hyper_parameter_tuning_job(**request)
        return end_of(sagemaker, request["HyperParameterTuningJobName"])

    return run


def end_of(sagemaker: Any, name: str) -> dict[str, Any]:
    describe = sagemaker.describe_hyper_parameter_tuning_job
    return job_ended(describe, "HyperParameterTuningJobStatus", HyperParameterTuningJobName=name)


def test_the_best_of_the_drawn_hyperparameters_is_found(tuning: Any, ended: Any, sagemaker: Any) -> None:
    request = tuning()
    name = request["HyperParameterTuningJobName"]
    found = ended(request)
    assert found["HyperParameterTuningJobStatus"] == "Completed"
    assert found["TrainingJobStatusCounters"]["Completed"] == 3
    summaries = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    rows = sorted(summaries["TrainingJobSummaries"], key=lambda row: float(row["TunedHyperParameters"]["rate"]))
    drawn = [row["TunedHyperParameters"] for row in rows]
    assert sorted(map(str, drawn)) == sorted(map(str, draws(request)))
    assert all(0.001 <= float(one["rate"]) <= 0.1 and one["layers"] in "1234" for one in drawn)
    assert [row["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] for row in rows] == pytest.approx(
        sorted(float(one["rate"]) for one in drawn), rel=1e-6
    )
    assert found["BestTrainingJob"]["TrainingJobName"] == rows[0]["TrainingJobName"]
    job = sagemaker.describe_training_job(TrainingJobName=rows[0]["TrainingJobName"])
    assert job["TuningJobArn"] == found["HyperParameterTuningJobArn"]
    assert job["HyperParameters"] == {
        "workload": "tiny", "say": "rate", "_tuning_objective_metric": "loss", **drawn[0]
    }  # fmt: skip
    assert sagemaker.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"] == request["Tags"]
    [listed] = sagemaker.list_hyper_parameter_tuning_jobs(NameContains=name)["HyperParameterTuningJobSummaries"]
    assert listed["HyperParameterTuningJobStatus"] == "Completed"


def test_a_tuning_whose_trainings_all_fail_has_failed(tuning: Any, ended: Any) -> None:
    found = ended(tuning(jobs=1, parallel=1, fail="no", say=""))
    assert found["HyperParameterTuningJobStatus"] == "Failed"
    assert found["TrainingJobStatusCounters"]["NonRetryableError"] == 1
    assert "BestTrainingJob" not in found


def test_a_stopped_tuning_stops_its_trainings(tuning: Any, sagemaker: Any) -> None:
    request = tuning(jobs=3, parallel=1, sleep="60")
    sagemaker.create_hyper_parameter_tuning_job(**request)
    name = {"HyperParameterTuningJobName": request["HyperParameterTuningJobName"]}
    until(lambda: sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(**name)["TrainingJobSummaries"] or None)
    sagemaker.stop_hyper_parameter_tuning_job(**name)
    found = end_of(sagemaker, request["HyperParameterTuningJobName"])
    assert found["HyperParameterTuningJobStatus"] == "Stopped"
    assert found["TrainingJobStatusCounters"]["Stopped"] == 1
    with pytest.raises(ClientError, match="in status Stopped"):
        sagemaker.stop_hyper_parameter_tuning_job(**name)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"Strategy": "Grid"}, "does not cover the strategy Grid"),
        (
            {"HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "beauty"}},
            r"the objective metric beauty is none of the MetricDefinitions \['loss'\]",
        ),
        ({"ResourceLimits": {"MaxParallelTrainingJobs": 1}}, "covers tuning with MaxNumberOfTrainingJobs"),
        (
            {
                "ParameterRanges": {
                    "ContinuousParameterRanges": [
                        {"Name": "rate", "MinValue": "0", "MaxValue": "1", "ScalingType": "Logarithmic"}
                    ]
                }
            },
            "a logarithmic scale begins above 0",
        ),
    ],
)
def test_what_cannot_be_is_refused(tuning: Any, sagemaker: Any, config: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        sagemaker.create_hyper_parameter_tuning_job(**tuning(config=config))
