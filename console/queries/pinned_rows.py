"""The rows that a run was pinned to, fetched as its jobs had them."""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.aws.objects import download, read_object
from millrace.contract.load import load_contract
from millrace.datasets.examples import Examples, read_examples
from millrace.workload.load import read_workload

if TYPE_CHECKING:
    from millrace.features.catalogue import Features
    from millrace.names import WorkloadNames

CONFIGURATION = ("workload.yaml", "contract.yaml", "schema.json")


def read_pinned(s3: Any, names: WorkloadNames, run: str, features: Features) -> Examples:
    """The rows of the train execution `run`, split by the run's own declaration; raises SnapshotError as
    `read_examples`."""
    with tempfile.TemporaryDirectory() as root:
        config, data = Path(root) / "config", Path(root) / "data"
        config.mkdir()
        data.mkdir()
        for file in CONFIGURATION:
            download(s3, names.run_uri(run, "config", file), config / file)
        for number, uri in enumerate(pinned_files(s3, names, run)):
            download(s3, uri, data / f"{number}.parquet")
        # What is left out is said on the way, as a job says it in its log.
        with redirect_stdout(sys.stderr):
            return read_examples(
                data,
                config / "schema.json",
                workload=read_workload(config / "workload.yaml"),
                contract=load_contract(config),
                features=features,
            )


def pinned_files(s3: Any, names: WorkloadNames, run: str) -> list[str]:
    """The URIs of the data files that the train execution `run` was pinned to."""
    listed, *keys = json.loads(read_object(s3, names.run_uri(run, "manifest.json")))
    return [f"{listed['prefix']}{key}" for key in keys]
