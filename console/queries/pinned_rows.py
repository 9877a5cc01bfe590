"""Fetch the rows that a run has pinned, in the form in which its jobs had them."""

from __future__ import annotations

import sys
import tempfile
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from millrace.aws.objects import download, read_object
from millrace.console.queries.stored import manifest_uris
from millrace.contract.load import load_contract
from millrace.datasets.examples import Examples, examples, read_rows
from millrace.features.catalogue import Features
from millrace.names import WorkloadNames
from millrace.workload.declaration import Workload
from millrace.workload.load import read_workload

CONFIGURATION = ("workload.yaml", "contract.yaml", "schema.json", "labels.json")
"""The files of the run's configuration that the rows are read by."""


@dataclass(frozen=True, kw_only=True)
class PinnedRows:
    """All rows that a run has pinned, also those without a label of their own, and the run's declaration."""

    table: pa.Table
    workload: Workload
    features: Features
    """The features of the model that is to be fed with the rows."""

    @property
    def examples(self) -> Examples:
        """The examples as the run's jobs made them; raises SnapshotError as `read_examples` does."""
        # A job prints into its log which rows it leaves out. Here that must not go to stdout, which is the command's
        # result.
        with redirect_stdout(sys.stderr):
            return examples(self.table, workload=self.workload, features=self.features)


def read_pinned(s3: Any, names: WorkloadNames, run: str, features: Features) -> PinnedRows:
    """The rows of the train execution `run`; raises SnapshotError as `read_rows` does."""
    with tempfile.TemporaryDirectory() as root:
        config, data = Path(root) / "config", Path(root) / "data"
        config.mkdir()
        data.mkdir()
        for file in CONFIGURATION:
            download(s3, names.run_uri(run, "config", file), config / file)
        for uri in pinned_files(s3, names, run):
            download(s3, uri, data / uri.rpartition("/")[2])
        workload, contract = read_workload(config / "workload.yaml"), load_contract(config)
        table = read_rows(data, config / "schema.json", workload=workload, contract=contract, features=features)
        return PinnedRows(table=table, workload=workload, features=features)


def pinned_files(s3: Any, names: WorkloadNames, run: str) -> list[str]:
    """The URIs of the data files that the train execution `run` has pinned."""
    return manifest_uris(read_object(s3, names.run_uri(run, "manifest.json")))
