"""Finds AWS's own image on which training is built, and logs docker in to the registries of AWS and of the account."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from millrace.errors import ConfigurationError
from millrace.spelling import did_you_mean
from millrace.workload.load import read_workloads, workloads_folder

FRAMEWORK = "pytorch-amzn2023"
"""SageMaker's SDK calls AWS's images for training by this name."""


@cache
def training_base(root: Path, stage: str, region: str) -> str:
    """The URI of AWS's own PyTorch image for the training instances of all workloads.

    If one of the instances has a GPU, it is the image for GPUs. Raises ConfigurationError if the region does not have
    the image, and ValueError if AWS has none for our version of torch."""
    from sagemaker.core import image_uris

    # Families of instances with a GPU begin with g or p. They are sorted to the end, so the last instance decides.
    instances = sorted(training_instances(stage), key=lambda name: name.split(".")[1][0] in "gp")
    torch = re.search(r"^torch==(\d+\.\d+)", (root / "millrace" / "constraints.txt").read_text(), re.M)
    assert torch is not None
    _check_region(image_uris.config_for_framework(FRAMEWORK)["training"]["versions"].get(torch[1], {}), region)
    uri: str = image_uris.retrieve(
        FRAMEWORK, region, version=torch[1], instance_type=instances[-1], image_scope="training"
    )
    return uri


def _check_region(version: Mapping[str, Any], region: str) -> None:
    """Raise ConfigurationError if a version of AWS's images lists its regions, and this one is not among them."""
    regions = version.get("registries", {region: ""})
    if region not in regions:
        expected = f"a region with SageMaker's image of torch{did_you_mean([region], regions)}: {', '.join(regions)}"
        raise ConfigurationError(where="context", field="region", expected=expected, came=region)


def training_instances(stage: str) -> set[str]:
    """The training instances of every workload that can be read, for the stage.

    A workload that cannot be read is deployed by nobody, and must not stop the others. Raises its WorkloadError if no
    workload can be read, and ConfigurationError if no workload has an instance for the stage."""
    found, broken = read_workloads(workloads_folder())
    if broken and not found:
        raise broken[0]
    instances = {workload.training.instance[stage] for workload in found if stage in workload.training.instance}
    if not instances:
        expected = f"an instance for the stage {stage}"
        raise ConfigurationError(where="workloads", field="training.instance", expected=expected, came="none")
    return instances


def login(ecr: Any, hosts: set[str]) -> None:
    """Log docker in to these registries. One token is good for every registry of a region that the caller may read."""
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, word = base64.b64decode(token).decode().partition(":")
    for host in sorted(hosts):
        subprocess.run(
            ["docker", "login", "--username", user, "--password-stdin", host], input=word, text=True, check=True
        )
