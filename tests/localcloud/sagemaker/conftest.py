"""SageMaker of a cloud whose images are tiny."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.localcloud import tiny_images


@pytest.fixture(scope="module")
def bucket(cloud: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bucket, and the tiny images as the cloud's images."""
    return tiny_images.bucket(cloud, "tiny", tmp_path_factory.mktemp("repository"))


@pytest.fixture(scope="module")
def role(cloud: Any) -> str:
    return tiny_images.role(cloud.client("iam"), "tiny", "s3:*")


@pytest.fixture
def sagemaker(client: Callable[[str], Any]) -> Any:
    return client("sagemaker")
