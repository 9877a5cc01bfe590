from __future__ import annotations

import pytest

from millrace.errors import SettingsError
from millrace.jobs.serving.settings import Settings


def test_a_registered_version_is_not_served_without_its_digest() -> None:
    with pytest.raises(SettingsError, match="MILLRACE_MODEL_DIGEST: expected the digest of version 17, as approved"):
        Settings.read({"MILLRACE_MODEL_VERSION": "17"})


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "70000", "8080.0"])
def test_a_wrong_port_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="SAGEMAKER_BIND_TO_PORT: expected a whole number from 1 to 65535"):
        Settings.read({"SAGEMAKER_BIND_TO_PORT": text})
