"""What the MLflow that records a stage's runs costs a month, whether anything is recorded or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from console.environment import Environment
from console.queries.idle import HOURS_PER_MONTH
from console.queries.usage import Rate
from millrace.names import WorkloadNames

APP = Rate(
    usd=0.0,
    source="aws.amazon.com/blogs/aws/accelerate-ai-development-using-amazon-sagemaker-ai-with-serverless-mlflow",
    as_of="2026-11-23",
)
"""An MLflow App costs nothing for being there."""
SERVERS: Mapping[str, Rate] = {
    "Small": Rate(usd=0.642, source="public SageMaker prices in open source code, us-east-2", as_of="2026-11-23")
}
"""The price of a tracking server for an hour, by its size. The platform makes a Small one."""


@dataclass(frozen=True, kw_only=True)
class TrackingCost:
    """The MLflow App or tracking server that records the runs of all workloads and stages that name it."""

    kind: Literal["mlflow-app", "mlflow-tracking-server"]
    name: str
    size: str
    """The size of a tracking server; empty for an App."""
    runs: bool
    """Whether it runs: a stopped server bills no hours."""
    usd_per_month: float | None
    """US dollars at list price, without what it stores; None for a size without a known price."""

    @property
    def sentence(self) -> str:
        if self.kind == "mlflow-app":
            return f"MLflow App {self.name}: no cost for being there"
        usd = "not known" if self.usd_per_month is None else f"{self.usd_per_month:.2f} USD a month"
        state = "for all that record there together" if self.runs else "as it is stopped"
        return f"MLflow tracking server {self.name} ({self.size}): {usd}, {state}"


def find_tracking_cost(environment: Environment, names: WorkloadNames) -> TrackingCost | None:
    """The cost of what the function `tracking` writes to; None if the stage has no MLflow of SageMaker."""
    client = environment.client("lambda")
    try:
        made = client.get_function_configuration(FunctionName=names.function("tracking"))
    except client.exceptions.ResourceNotFoundException:
        return None
    uri: str = made["Environment"].get("Variables", {}).get("MILLRACE_TRACKING_URI", "")
    # The address is an ARN: `arn:aws:sagemaker:…:mlflow-tracking-server/<name>`.
    kind, _, name = uri.rpartition(":")[2].partition("/")
    if kind == "mlflow-app":
        return TrackingCost(kind="mlflow-app", name=name, size="", runs=True, usd_per_month=APP.usd)
    return _of_server(environment, name) if kind == "mlflow-tracking-server" else None


def _of_server(environment: Environment, name: str) -> TrackingCost:
    found = environment.client("sagemaker").describe_mlflow_tracking_server(TrackingServerName=name)
    size, runs = found["TrackingServerSize"], found["IsActive"] == "Active"
    rate = SERVERS.get(size)
    # A stopped server costs nothing, even if its size has no known price.
    usd = None if rate is None else rate.usd * HOURS_PER_MONTH
    return TrackingCost(
        kind="mlflow-tracking-server", name=name, size=size, runs=runs, usd_per_month=usd if runs else 0.0
    )
