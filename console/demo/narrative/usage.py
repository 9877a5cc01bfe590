"""How much of each service the runs used, as the services themselves report it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from console.local_cloud.local_cloud import LocalCloud
from console.queries.executions import Execution
from millrace.names import WorkloadNames

DAY_S = 86_400
MOST_DAYS = 366
"""Of one question for metrics: a day's sum is one of 100,800 points."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One SageMaker job that has ended."""

    kind: str
    """`training`, `processing` or `transform`."""
    instance: str
    count: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The live endpoint."""

    instance: str
    count: int
    hours: float
    """By the cloud's clock, from its creation until now."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What would be on the bill."""

    jobs: tuple[Job, ...]
    endpoint: Standing | None
    invocations: int
    """Of Lambda functions."""
    gb_seconds: float
    """Their memory times how long they ran."""
    transitions: int
    """States that Step Functions entered."""
    calls: Mapping[str, int]
    """API calls by `<service>:<operation>`."""


def used(cloud: LocalCloud, names: WorkloadNames, found: Sequence[Execution]) -> Usage:
    """The usage up to now: one call for each job, and a handful."""
    now, sagemaker = cloud.now(), cloud.client("sagemaker")
    invocations, gb_seconds = _functions(cloud, names.prefix, now)
    return Usage(
        jobs=(
            *_jobs(sagemaker, "training", ("ResourceConfig",), "TrainingStartTime", "TrainingEndTime"),
            *_jobs(
                sagemaker,
                "processing",
                ("ProcessingResources", "ClusterConfig"),
                "ProcessingStartTime",
                "ProcessingEndTime",
            ),
            *_jobs(sagemaker, "transform", ("TransformResources",), "TransformStartTime", "TransformEndTime"),
        ),
        endpoint=_endpoint(sagemaker, names.endpoint, now),
        invocations=invocations,
        gb_seconds=gb_seconds,
        transitions=sum(execution.transitions for execution in found),
        calls=cloud.calls_by_operation(),
    )


def _jobs(sagemaker: Any, kind: str, cluster: tuple[str, ...], start: str, end: str) -> list[Job]:
    """Every ended job of a kind; `cluster` leads to its instances in the description."""
    title = f"{kind.title()}Job"
    listed = getattr(sagemaker, f"list_{kind}_jobs")(MaxResults=100)[f"{title}Summaries"]
    describe = getattr(sagemaker, f"describe_{kind}_job")
    return [
        _job(kind, said, cluster, said[start], said[end])
        for each in listed
        if end in (said := describe(**{f"{title}Name": each[f"{title}Name"]}))
    ]


def _job(kind: str, said: Mapping[str, Any], cluster: tuple[str, ...], start: datetime, end: datetime) -> Job:
    resources = said
    for name in cluster:
        resources = resources[name]
    return Job(
        kind=kind,
        instance=resources["InstanceType"],
        count=resources["InstanceCount"],
        seconds=(end - start).total_seconds(),
    )


def _endpoint(sagemaker: Any, name: str, now: datetime) -> Standing | None:
    if not sagemaker.list_endpoints(NameContains=name)["Endpoints"]:
        return None
    said = sagemaker.describe_endpoint(EndpointName=name)
    config = sagemaker.describe_endpoint_config(EndpointConfigName=said["EndpointConfigName"])
    return Standing(
        instance=config["ProductionVariants"][0]["InstanceType"],
        count=sum(variant["CurrentInstanceCount"] for variant in said["ProductionVariants"]),
        hours=(now - said["CreationTime"]).total_seconds() / 3600,
    )


def _functions(cloud: LocalCloud, prefix: str, now: datetime) -> tuple[int, float]:
    """Invocations and GB-seconds of the workload's functions, from what Lambda tells CloudWatch."""
    pages = cloud.client("lambda").get_paginator("list_functions").paginate()
    listed = [each for page in pages for each in page["Functions"] if each["FunctionName"].startswith(f"{prefix}-")]
    memory_gb = [(each["FunctionName"], each["MemorySize"] / 1024) for each in listed]
    queries = [
        _query(f"{metric.lower()}{number}", metric, name)
        for number, (name, _) in enumerate(memory_gb)
        for metric in ("Invocations", "Duration")
    ]
    answer = cloud.client("cloudwatch").get_metric_data(
        MetricDataQueries=queries, StartTime=now - timedelta(days=MOST_DAYS), EndTime=now + timedelta(days=1)
    )
    sums = {each["Id"]: sum(each["Values"]) for each in answer["MetricDataResults"]}
    gb_seconds = sum(sums.get(f"duration{number}", 0) / 1000 * gb for number, (_, gb) in enumerate(memory_gb))
    return int(sum(value for name, value in sums.items() if name.startswith("invocations"))), gb_seconds


def _query(query_id: str, metric: str, function: str) -> dict[str, Any]:
    dimensions = [{"Name": "FunctionName", "Value": function}]
    named = {"Namespace": "AWS/Lambda", "MetricName": metric, "Dimensions": dimensions}
    return {"Id": query_id, "MetricStat": {"Metric": named, "Period": DAY_S, "Stat": "Sum"}}
