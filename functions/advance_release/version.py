"""What the release's state says of the version that it releases."""

from __future__ import annotations

from millrace.messages.envelope import Answered, Asked, Invocation, Part
from millrace.names import WorkloadNames
from millrace.release.promotion import Rollback
from millrace.state.table import Version


class Opened(Part):
    package_arn: str
    version: str
    previous_version: str
    run_name: str
    model_data_url: str


class Named(Part):
    name: str


class Releasing(Asked):
    start_release: Answered[Opened]
    rollback: Rollback | None = None
    model: Named


class Conclusion(Invocation[Releasing]):
    """The machine's call once the live endpoint serves the version."""


def version_of(call: Conclusion, names: WorkloadNames) -> Version:
    """The version as the pointers keep it."""
    opened = call.state.start_release.answer
    return Version(
        package_arn=opened.package_arn,
        version=opened.version,
        model_name=call.state.model.name,
        run=opened.run_name,
        baseline_uri=names.run_uri(opened.run_name, "baseline.json"),
        model_data_url=opened.model_data_url,
    )
