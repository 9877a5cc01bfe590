"""Finds a function's code and layers on disk: where they were staged, or unzipped once under their digest."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

from localcloud.kernel.clock import locate
from localcloud.kernel.cloud import Cloud

REFERENCE = ".asset.json"
"""The only member of a zip that refers to a staged file or folder. Its content is `{"path": "/absolute/path"}`.

`localcloud.deploy` makes such zips, so that no large asset is copied."""
RUNTIME_MODULES = (
    "awslambdaric",
    "runtime_client",
    "simplejson",
    "snapshot_restore_py",
    "boto3",
    "botocore",
    "s3transfer",
    "jmespath",
    "dateutil",
    "six",
    "urllib3",
)
"""The modules that AWS's managed Python runtime brings: its client with two dependencies, and the SDK."""

# Workers of several functions may start at once with the same layers: one of them unzips, the others wait.
_unzipping = threading.Lock()


def code_root(cloud: Cloud, function: Any) -> Path:
    """The folder that is `/var/task` of this function (moto's `LambdaFunction`)."""
    return _unpacked(function.code_bytes, cloud.workspace / "functions" / "code")


def layer_roots(cloud: Cloud, function: Any) -> list[Path]:
    """The folders that together are `/opt` on AWS, the strongest first: that is the last in the function's list."""
    models: Any = import_module("moto.awslambda.models")
    backend = models.lambda_backends[function.account_id][function.region]
    versions = [backend.layers_versions_by_arn(layer["Arn"]) for layer in function.layers]
    # Outside of the workspace, which is each cloud's own: the next cloud finds the large layers unzipped.
    layers = cloud.workspace.parent / "layers"
    return [_unpacked(version.code_bytes, layers) for version in reversed(versions)]


def runtime_root(cloud: Cloud) -> Path:
    """A folder of links to the modules that the managed runtime brings, without any other package of the host.

    So a function that forgot to bundle a package fails here as it would on AWS."""
    root = cloud.workspace / "functions" / "runtime"
    with _unzipping:
        if not root.exists():
            building = root.with_name("runtime.new")
            building.mkdir(parents=True, exist_ok=True)
            for name in RUNTIME_MODULES:
                source = locate(name)
                link = building / source.name
                if not link.exists():
                    link.symlink_to(source)
            # Renamed once it is whole: a cloud that is killed in between leaves no half-filled folder under the name.
            building.rename(root)
    return root


def _unpacked(content: bytes, folder: Path) -> Path:
    """The folder with the zip's members, or with what the zip refers to. Raises FileNotFoundError for no bytes."""
    if not content:
        raise FileNotFoundError("expected a zip as the code of the function or layer, got no bytes")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if archive.namelist() != [REFERENCE]:
            return _unzipped(archive, folder / hashlib.sha256(content).hexdigest())
        staged = Path(json.loads(archive.read(REFERENCE))["path"])
    # A folder runs where it was staged; an archive is unzipped under the digest of its own bytes.
    if staged.is_dir():
        return staged
    with zipfile.ZipFile(staged) as archive, staged.open("rb") as file:
        return _unzipped(archive, folder / hashlib.file_digest(file, "sha256").hexdigest())


def _unzipped(archive: zipfile.ZipFile, root: Path) -> Path:
    with _unzipping:
        if not root.exists():
            building = root.with_name(f"{root.name}.new")
            archive.extractall(building)
            building.rename(root)
    return root
