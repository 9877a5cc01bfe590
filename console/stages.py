"""What the repository's `cdk.json` says of its stages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from millrace.workload.load import workloads_folder

REPOSITORY = Path(__file__).resolve().parents[1]


def declared_stages() -> Mapping[str, Any]:
    """What is below `stages` in the context of `cdk.json`, by stage: of the file beside the folder of workloads, or
    else of the repository's own."""
    beside, own = workloads_folder().parent / "cdk.json", REPOSITORY / "cdk.json"
    path = beside if beside.is_file() else own
    context = json.loads(path.read_text()).get("context", {}) if path.is_file() else {}
    found: Mapping[str, Any] = context.get("stages", {})
    return found


def declared_bus(stage: str) -> str | None:
    """The name of the account's bus that the stage takes; None for a bus of its own."""
    name: str | None = (declared_stages().get(stage) or {}).get("event_bus")
    return name
