"""Hyperparameter tuning jobs: training jobs with hyperparameters that are drawn at random, several at once.

Contract: https://docs.aws.amazon.com/sagemaker/latest/dg/automatic-model-tuning.html
Weaker than AWS: the strategy Bayesian draws at random, as Random does, and early stopping stops no training.
Refused by name, as not covered: the strategies Grid and Hyperband, several training job definitions, warm start,
Autotune, reversed logarithmic scales, a limit of time.
"""

from __future__ import annotations

import math
import random
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from localcloud.kernel.cloud import Cloud
from localcloud.sagemaker.api import (
    Fields,
    RefusedError,
    answer,
    arn,
    check_role,
    invalid,
    new_fields,
    page,
    records,
)
from localcloud.sagemaker.jobs import training
from localcloud.sagemaker.jobs.jobs import TRAINING, create, jobs

RESOURCE = "hyper-parameter-tuning-job"
NAME, ARN, STATUS = "HyperParameterTuningJobName", "HyperParameterTuningJobArn", "HyperParameterTuningJobStatus"
CONFIG, DEFINITION = "HyperParameterTuningJobConfig", "TrainingJobDefinition"
OBJECTIVE = "HyperParameterTuningJobObjective"
_REFUSED = ("TrainingJobDefinitions", "WarmStartConfig", "Autotune")


@dataclass(kw_only=True)
class Tuning:
    """One tuning job in progress."""

    fields: Fields
    """What Describe answers, without what follows from the training jobs."""
    trainings: list[str] = field(default_factory=list)
    """The names of its training jobs, in the order in which they were started."""
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Guards `trainings` and the drawing of hyperparameters: the workers share both."""


class Tunings(dict[str, Tuning]):
    """The tuning jobs of one cloud that have not ended, by name."""


def pending(cloud: Cloud) -> list[str]:
    """The tuning jobs in progress, as `tuning job NAME`."""
    return [f"tuning job {name}" for name in list(cloud.part(Tunings))]


def serve_tuning(cloud: Cloud) -> None:
    """Answer Create, Describe, Stop, List and Delete of tuning jobs, and the list of a tuning job's training jobs."""
    kept: dict[str, Tuning] = {}

    def find(request: Fields) -> Tuning:
        if (found := kept.get(request[NAME])) is None:
            raise RefusedError("ResourceNotFound", f"Tuning job {request[NAME]} does not exist")
        return found

    def stop(request: Fields) -> Fields:
        found = find(request)
        if found.fields[STATUS] != "InProgress":
            raise invalid(f"The request was rejected because the tuning job is in status {found.fields[STATUS]}.")
        found.fields[STATUS] = "Stopping"
        found.stop.set()
        for name in list(found.trainings):
            if job := jobs(cloud).running.get(arn(cloud, "training-job", name)):
                job.stop.set()
        return {}

    def listed(request: Fields) -> Fields:
        rows = [{**described(cloud, one), "Name": name, "Status": one.fields[STATUS]} for name, one in [*kept.items()]]
        found = page(rows, request, "HyperParameterTuningJobSummaries")
        for row in found["HyperParameterTuningJobSummaries"]:
            row |= {"Strategy": row[CONFIG]["Strategy"], "ResourceLimits": row[CONFIG]["ResourceLimits"]}
        return found

    def create_tuning(request: Fields) -> Fields:
        if request[NAME] in kept:
            raise RefusedError("ResourceInUse", f"A tuning job with the name {request[NAME]} already exists")
        kept[request[NAME]] = begin(cloud, request)
        return {ARN: kept[request[NAME]].fields[ARN]}

    def trainings(request: Fields) -> Fields:
        rows = [{**row, "Name": row["TrainingJobName"], "Status": row["TrainingJobStatus"]}
                for row in summaries(cloud, find(request))]  # fmt: skip
        if request.get("SortBy") == "FinalObjectiveMetricValue":
            raise invalid("the local cloud does not cover SortBy FinalObjectiveMetricValue")
        return page(rows, request, "TrainingJobSummaries")

    answer("CreateHyperParameterTuningJob", create_tuning)
    answer("DescribeHyperParameterTuningJob", lambda request: described(cloud, find(request)))
    answer("StopHyperParameterTuningJob", stop)
    answer("ListHyperParameterTuningJobs", listed)
    answer("ListTrainingJobsForHyperParameterTuningJob", trainings)


def begin(cloud: Cloud, request: Fields) -> Tuning:
    """Begin the tuning job: its first trainings are about to start. Raises RefusedError as `check` does."""
    check(cloud, request)
    fields = new_fields(cloud, request, ARN, arn(cloud, RESOURCE, request[NAME]))
    found = Tuning(fields={**fields, STATUS: "InProgress", "LastModifiedTime": fields["CreationTime"]})
    cloud.part(Tunings)[request[NAME]] = found
    limits = request[CONFIG]["ResourceLimits"]
    # One thread for each training that may run at once; one more waits for these threads and writes the end.
    drawn = draws(request)
    workers = [
        cloud.background(f"{request[NAME]}-{number}", lambda: _work(cloud, found, drawn, request.get("Tags", [])))
        for number in range(int(limits["MaxParallelTrainingJobs"]))
    ]
    cloud.background(f"{request[NAME]}-end", lambda: _end(cloud, found, workers))
    return found


def check(cloud: Cloud, request: Fields) -> None:
    """Raise RefusedError for a request that AWS would refuse, or that the local cloud does not cover."""
    for name in _REFUSED:
        if request.get(name):
            raise invalid(f"the local cloud does not cover {name}")
    config = request[CONFIG]
    if config["Strategy"] not in {"Bayesian", "Random"}:
        raise invalid(f"the local cloud does not cover the strategy {config['Strategy']}")
    if "MaxNumberOfTrainingJobs" not in config["ResourceLimits"] or config["ResourceLimits"].get("MaxRuntimeInSeconds"):
        raise invalid("the local cloud covers tuning with MaxNumberOfTrainingJobs and without MaxRuntimeInSeconds")
    metrics = {one["Name"] for one in request[DEFINITION]["AlgorithmSpecification"].get("MetricDefinitions", [])}
    if (objective := config.get(OBJECTIVE, {}).get("MetricName")) not in metrics:
        raise invalid(f"the objective metric {objective} is none of the MetricDefinitions {sorted(metrics)}")
    for values in (*_of(config, "Continuous"), *_of(config, "Integer")):
        if values.get("ScalingType") == "ReverseLogarithmic":
            raise invalid(f"{values['Name']}: the local cloud does not cover the scale ReverseLogarithmic")
        if values.get("ScalingType") == "Logarithmic" and float(values["MinValue"]) <= 0:
            raise invalid(f"{values['Name']}: a logarithmic scale begins above 0, got {values['MinValue']}")
    check_role(request[DEFINITION]["RoleArn"])
    training.prepare(cloud, _request(request[DEFINITION]))


def _of(config: Fields, kind: str) -> list[Fields]:
    found: list[Fields] = config.get("ParameterRanges", {}).get(f"{kind}ParameterRanges", [])
    return found


def draws(request: Fields) -> Iterator[dict[str, str]]:
    """Yields the hyperparameters of each training, as text. The same RandomSeed, or else the same name, draws the same.

    An example: `{"learning_rate": "0.0031", "layers": "2", "optimizer": "adam"}`."""
    config = request[CONFIG]
    chance = random.Random(config.get("RandomSeed", zlib.crc32(request[NAME].encode())))  # noqa: S311 # nosec B311
    for _ in range(int(config["ResourceLimits"]["MaxNumberOfTrainingJobs"])):
        drawn = {one["Name"]: repr(_between(chance, one)) for one in _of(config, "Continuous")}
        drawn |= {one["Name"]: str(round(_between(chance, one))) for one in _of(config, "Integer")}
        drawn |= {one["Name"]: chance.choice(one["Values"]) for one in _of(config, "Categorical")}
        yield drawn


def _between(chance: random.Random, values: Fields) -> float:
    low, high = float(values["MinValue"]), float(values["MaxValue"])
    if values.get("ScalingType") == "Logarithmic":
        return min(high, max(low, math.exp(chance.uniform(math.log(low), math.log(high)))))
    return chance.uniform(low, high)


def _request(definition: Fields) -> Fields:
    """The part of the definition that is a request of CreateTrainingJob."""
    left_out = {"DefinitionName", "TuningObjective", "HyperParameterRanges", "StaticHyperParameters", "RetryStrategy"}
    return {key: value for key, value in definition.items() if key not in left_out}


def _work(cloud: Cloud, tuning: Tuning, drawn: Iterator[dict[str, str]], tags: list[dict[str, str]]) -> None:
    """Run one training after the other, until none is left to draw or the tuning job is stopped."""
    definition, objective = tuning.fields[DEFINITION], tuning.fields[CONFIG][OBJECTIVE]["MetricName"]
    while not (tuning.stop.is_set() or cloud.stopping.is_set()):
        with tuning.lock:
            if (chosen := next(drawn, None)) is None:
                return
            name = f"{tuning.fields[NAME]}-{len(tuning.trainings) + 1:03d}-{zlib.crc32(repr(chosen).encode()):08x}"
            tuning.trainings.append(name)
        given = {**definition.get("StaticHyperParameters", {}), **chosen, "_tuning_objective_metric": objective}
        request = {**_request(definition), "TrainingJobName": name, "HyperParameters": given, "Tags": tags}
        made = create(cloud, TRAINING, request)["TrainingJobArn"]
        records(cloud).of("training-job")[name] |= {"TuningJobArn": tuning.fields[ARN], "TunedHyperParameters": chosen}
        # A stop finds the trainings that run. It may have come after the look above and before this one ran.
        if tuning.stop.is_set() and (job := jobs(cloud).running.get(made)):
            job.stop.set()
        # Short waits, since a job that the cloud's end interrupts never sets `ended`.
        ended = jobs(cloud).ended[made]
        while not (ended.wait(0.1) or cloud.stopping.is_set()):
            pass


def _end(cloud: Cloud, tuning: Tuning, workers: list[threading.Thread]) -> None:
    for worker in workers:
        worker.join()
    if cloud.stopping.is_set():
        return
    now = cloud.clock.now()
    tuning.fields |= {"HyperParameterTuningEndTime": now, "LastModifiedTime": now}
    has_one = any(row["ObjectiveStatus"] == "Succeeded" for row in summaries(cloud, tuning))
    if tuning.stop.is_set():
        tuning.fields[STATUS] = "Stopped"
    elif has_one:
        tuning.fields[STATUS] = "Completed"
    else:
        tuning.fields |= {"FailureReason": "All training jobs failed.", STATUS: "Failed"}
    cloud.part(Tunings).pop(tuning.fields[NAME], None)


def summaries(cloud: Cloud, tuning: Tuning) -> list[Fields]:
    """The trainings in the order of their start, as ListTrainingJobsForHyperParameterTuningJob shows them."""
    store = records(cloud).of("training-job")
    metric = tuning.fields[CONFIG][OBJECTIVE]
    return [_summary(store[name], metric) for name in list(tuning.trainings) if name in store]


def _summary(job: Fields, objective: Fields) -> Fields:
    values = {one["MetricName"]: one["Value"] for one in job.get("FinalMetricDataList", [])}
    value, status = values.get(objective["MetricName"]), job["TrainingJobStatus"]
    final = {"MetricName": objective["MetricName"], "Type": objective["Type"], "Value": value}
    counts = "Failed" if value is None or status == "Failed" else "Succeeded"
    wanted = ("TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime",
              "TrainingJobStatus", "FailureReason")  # fmt: skip
    return {
        **{key: job[key] for key in wanted if key in job},
        "TunedHyperParameters": job.get("TunedHyperParameters", {}),
        "ObjectiveStatus": counts if status in {"Completed", "Failed", "Stopped"} else "Pending",
        **({} if value is None else {"FinalHyperParameterTuningJobObjectiveMetric": final}),
    }


def _value_of(row: Fields) -> Any:
    return row.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("Value")


def described(cloud: Cloud, tuning: Tuning) -> Fields:
    """What Describe answers: the request, the counters, and the best training so far."""
    rows = summaries(cloud, tuning)
    jobs_by = Counter(row["TrainingJobStatus"] for row in rows)
    objectives_by = Counter(row["ObjectiveStatus"] for row in rows)
    # The sign turns "the largest" into "the smallest".
    sign = 1 if tuning.fields[CONFIG][OBJECTIVE]["Type"] == "Minimize" else -1
    done = [row for row in rows if row["TrainingJobStatus"] == "Completed" and _value_of(row) is not None]
    best = min(done, key=lambda row: sign * _value_of(row), default=None)
    return {
        **tuning.fields,
        "TrainingJobStatusCounters": {
            "Completed": jobs_by["Completed"],
            "InProgress": jobs_by["InProgress"] + jobs_by["Stopping"],
            "RetryableError": 0,
            "NonRetryableError": jobs_by["Failed"],
            "Stopped": jobs_by["Stopped"],
        },
        "ObjectiveStatusCounters": {name: objectives_by[name] for name in ("Succeeded", "Pending", "Failed")},
        **({"BestTrainingJob": best} if best else {}),
    }
