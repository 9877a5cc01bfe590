"""AWS's own images that training begins with, and the login to the registries that hold them and ours."""

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
"""AWS's images for training, as SageMaker's SDK names them."""


@cache
def training_base(root: Path, stage: str, region: str) -> str:
    """The URI of AWS's own PyTorch image for the workloads' training instances; one with a GPU decides for all.

    Raises ConfigurationError for a region without that image, and ValueError where AWS has none for our version of
    torch."""
    from sagemaker.core import image_uris

    instances = sorted(training_instances(root, stage), key=lambda name: name.split(".")[1][0] in "gp")
    torch = re.search(r"^torch==(\d+\.\d+)", (root / "constraints.txt").read_text(), re.M)
    assert torch is not None
    _check_region(image_uris.config_for_framework(FRAMEWORK)["training"]["versions"].get(torch[1], {}), region)
    uri: str = image_uris.retrieve(
        FRAMEWORK, region, version=torch[1], instance_type=instances[-1], image_scope="training"
    )
    return uri


def _check_region(version: Mapping[str, Any], region: str) -> None:
    """Raise ConfigurationError where a version of AWS's images lists its regions, and this one is not among them."""
    regions = version.get("registries", {region: ""})
    if region not in regions:
        expected = f"a region with SageMaker's image of torch{did_you_mean([region], regions)}: {', '.join(regions)}"
        raise ConfigurationError(where="context", field="region", expected=expected, came=region)


def training_instances(root: Path, stage: str) -> set[str]:
    """Those of every workload that can be read: one that cannot is deployed by nobody and must not stop the others."""
    found, broken = read_workloads(workloads_folder(root))
    if broken and not found:
        raise broken[0]
    instances = {workload.training.instance[stage] for workload in found if stage in workload.training.instance}
    if not instances:
        expected = f"an instance for the stage {stage}"
        raise ConfigurationError(where="workloads", field="training.instance", expected=expected, came="none")
    return instances


def login(ecr: Any, hosts: set[str]) -> None:
    """One token is good for every registry of the region that the caller may read."""
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, word = base64.b64decode(token).decode().partition(":")
    for host in sorted(hosts):
        subprocess.run(
            ["docker", "login", "--username", user, "--password-stdin", host], input=word, text=True, check=True
        )
