"""What `bulk` may say; the application, its role and the machine that runs its jobs are in the records."""

from __future__ import annotations

import pytest

from millrace.errors import ConfigurationError
from millrace.infra.options import options_of


@pytest.mark.parametrize("bulk", [{"above_mb": 513}, {"above_mb": 0}, {"vcpus": 4}, {"vcpus": 18}, {"instances": 2}])
def test_an_application_that_could_run_no_job_is_refused(bulk: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError) as error:
        options_of({"dev": {"bulk": bulk}}, "dev")
    assert next(iter(bulk)) in str(error.value)
