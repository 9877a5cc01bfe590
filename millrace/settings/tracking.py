"""Settings of the tracking function."""

from __future__ import annotations

from millrace.settings.environment import Environment

RUN_ID_FILE = "mlflow_run"
"""The file beside a run's files that holds the id of the MLflow run that records it."""


class TrackingSettings(Environment):
    """The place where runs are recorded."""

    tracking_uri: str
    """MLflow's tracking URI: `sqlite:///<path>` locally, on AWS the ARN of an MLflow App or of a tracking server."""
