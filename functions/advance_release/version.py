"""What the release's state says of the version that it releases."""

from __future__ import annotations

from typing import Literal

from millrace.messages.envelope import ExecutionInput, Message, StepInput, StepResult
from millrace.names import WorkloadNames
from millrace.release.promotion import Rollback
from millrace.state.table import Version
from millrace.timestamps import stamp


class Opened(Message):
    package_arn: str
    version: str
    previous_version: str
    run_name: str
    model_data_url: str


class Named(Message):
    name: str


class Releasing(ExecutionInput):
    start_release: StepResult[Opened]
    rollback: Rollback | None = None
    model: Named
    live_config: Named | None = None
    """The live endpoint's configuration; none before the live phase."""


class Conclusion(StepInput[Releasing]):
    """A machine's call, with the phase that the release has come to."""

    phase: Literal["shadow", "assisted", "canary", "live"]
    token: str = ""
    """The task token that a person's approval sends back."""


def version_of(call: Conclusion, names: WorkloadNames) -> Version:
    """The version as the pointers keep it."""
    opened, config = call.state.start_release.answer, call.state.live_config
    return Version(
        package_arn=opened.package_arn,
        version=opened.version,
        model_name=call.state.model.name,
        endpoint_config=config.name if config else "",
        run=opened.run_name,
        released_at=stamp(call.state.as_of),
        baseline_uri=names.run_uri(opened.run_name, "baseline.json"),
        model_data_url=opened.model_data_url,
    )
