"""Which drops a job of Spark judges in place of a function."""

from __future__ import annotations

from millrace.contract.schema import Contract
from millrace.files.origin import image_columns
from millrace.workload.declaration import Workload


def needs_functions(workload: Workload, contract: Contract) -> str:
    """Why functions alone judge the drops of the workload, whatever their size; empty if a job may."""
    if image_columns(contract.rows):
        return "functions alone fetch the images of a drop"
    return "functions alone write what is known of its keys, for `known_keys`" if workload.known_keys else ""
