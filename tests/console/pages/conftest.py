"""The sample story; it lies beside the tests in a file that is also looked at by eye."""

import runpy
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def story() -> Any:
    return runpy.run_path(str(Path(__file__).with_name("story_sample.py")))["STORY"]
