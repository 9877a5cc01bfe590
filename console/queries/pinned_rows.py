"""The rows that a run was pinned to, fetched as its jobs had them."""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.aws.objects import download, read_object
from millrace.contract.load import load_contract
from millrace.datasets.examples import Examples, examples, read_rows
from millrace.workload.load import read_workload

if TYPE_CHECKING:
    import pyarrow as pa

    from millrace.features.catalogue import Features
    from millrace.names import WorkloadNames
    from millrace.workload.declaration import Workload

CONFIGURATION = ("workload.yaml", "contract.yaml", "schema.json")


@dataclass(frozen=True, kw_only=True)
class PinnedRows:
    """All rows of a run, those without a label of their own among them, and its declaration."""

    table: pa.Table
    workload: Workload
    features: Features
    """Of the model that is to be fed with them."""

    @property
    def examples(self) -> Examples:
        """As the run's jobs made them; raises SnapshotError as `read_examples`."""
        # What is left out is said on the way, as a job says it in its log.
        with redirect_stdout(sys.stderr):
            return examples(self.table, workload=self.workload, features=self.features)


def read_pinned(s3: Any, names: WorkloadNames, run: str, features: Features) -> PinnedRows:
    """The rows of the train execution `run`; raises SnapshotError as `read_rows`."""
    with tempfile.TemporaryDirectory() as root:
        config, data = Path(root) / "config", Path(root) / "data"
        config.mkdir()
        data.mkdir()
        for file in CONFIGURATION:
            download(s3, names.run_uri(run, "config", file), config / file)
        for number, uri in enumerate(pinned_files(s3, names, run)):
            download(s3, uri, data / f"{number}.parquet")
        workload, contract = read_workload(config / "workload.yaml"), load_contract(config)
        table = read_rows(data, config / "schema.json", workload=workload, contract=contract, features=features)
        return PinnedRows(table=table, workload=workload, features=features)


def pinned_files(s3: Any, names: WorkloadNames, run: str) -> list[str]:
    """The URIs of the data files that the train execution `run` was pinned to."""
    listed, *keys = json.loads(read_object(s3, names.run_uri(run, "manifest.json")))
    return [f"{listed['prefix']}{key}" for key in keys]
