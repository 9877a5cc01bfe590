"""environment.json: the Python and the packages of the process that evaluated a model.

The serving image is built with the same version constraints."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import distributions

from pydantic import BaseModel, ConfigDict

ENVIRONMENT_FILE = "environment.json"


class Installed(BaseModel):
    """A Python and its packages: `{"python": "3.11.9", "packages": {"numpy": …, "onnx": …}}`."""

    model_config = ConfigDict(defer_build=True, frozen=True)

    python: str
    packages: Mapping[str, str]
    """The version of each package by its name."""


def installed() -> Installed:
    """The Python of this process, and the packages that it could import, in the order of their names."""
    found = {one.metadata["Name"]: one.version for one in distributions() if one.metadata["Name"]}
    return Installed(python=platform.python_version(), packages=dict(sorted(found.items())))
