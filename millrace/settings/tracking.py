"""What the tracking function is told."""

from __future__ import annotations

from millrace.settings.environment import Environment


class TrackingSettings(Environment):
    """Where the runs are recorded."""

    tracking_uri: str
    """MLflow's: `sqlite:///<path>` locally, the ARN of SageMaker's managed server on AWS."""
