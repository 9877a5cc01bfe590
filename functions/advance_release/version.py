"""The version that a release makes live, made of the release's state."""

from __future__ import annotations

from millrace.messages.monitor import BASELINE_FILE
from millrace.messages.release import LiveState
from millrace.names import WorkloadNames
from millrace.state.pointers import Version


def version_of(state: LiveState, names: WorkloadNames) -> Version:
    """The version in the form that the release pointers store."""
    release = state.start_release.answer
    return Version(
        package_arn=release.package_arn,
        version=release.version,
        model_name=state.model.name,
        run=release.run_name,
        baseline_uri=names.run_uri(release.run_name, BASELINE_FILE),
        model_data_url=release.model_data_url,
        model_digest=release.model_digest,
        baseline_digest=release.baseline_digest,
    )
