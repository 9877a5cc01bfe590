"""run.json: what a run was started with, as its jobs read it."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from millrace.errors import SettingsError
from millrace.messages.train import GateBaseline, TrainingReason

PINNED = ("data", "contract", "config", "code")
"""What a run pins, each by its SHA-256, and the model that it makes must name."""


class Run(BaseModel):
    """One run; later fields may come, so unknown ones are let through."""

    model_config = ConfigDict(defer_build=True, extra="ignore", frozen=True)

    run: str
    """The train execution's name."""
    snapshot_id: int
    tag: str
    data_digest: str
    contract_digest: str
    config_digest: str
    code_digest: str
    rows: int
    as_of: datetime
    reason: TrainingReason
    gate: GateBaseline

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of what is pinned, by its word in PINNED."""
        return {what: str(getattr(self, f"{what}_digest")) for what in PINNED}


def read_run(path: Path) -> Run:
    """The run described in `path`; raises SettingsError that says field, expected and came."""
    try:
        return Run.model_validate(json.loads(path.read_bytes()))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise SettingsError(where=path.name, field=field, expected=first["msg"], came=first["input"]) from None
    except (OSError, ValueError) as error:
        raise SettingsError(where=str(path), field="(file)", expected="JSON", came=str(error)) from None
