"""`millrace openapi`: the document by which programs ask a workload."""

from __future__ import annotations

from console.cli.options import Workload


def openapi(workload: Workload) -> None:
    """Print the OpenAPI document of a workload's REST API: its operations, its rows by the contract, its answers.

    A deployment gives the same to API Gateway. Nothing need be deployed.

    Example: millrace openapi --workload electricity > electricity.json"""
    import json

    from millrace.contract.load import load_contract
    from millrace.errors import EnvironmentNotFoundError
    from millrace.workload.load import load_workload, workload_folders, workloads_folder
    from millrace.workload.openapi import openapi as rendered

    folders = {folder.name: folder for folder in workload_folders(workloads_folder())}
    name = workload or (next(iter(folders)) if len(folders) == 1 else "")
    if name not in folders:
        raise EnvironmentNotFoundError(f"--workload: expected one of {sorted(folders)}, got {name or 'none'}")
    document = rendered(load_workload(folders[name]), load_contract(folders[name]))
    print(json.dumps(document, indent=1, ensure_ascii=False))
