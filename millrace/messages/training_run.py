"""The file `run.json`: what a training run was started with. The run's jobs read it."""

from __future__ import annotations

from pathlib import Path

from millrace.errors import SettingsError
from millrace.messages.envelope import read_message
from millrace.messages.train import PinnedRun

PINNED = ("data", "contract", "config", "code")
"""What a run pins by a SHA-256. The model that the run makes must name the same digests."""


class Run(PinnedRun):
    """One training run. Unknown fields are ignored, since newer code may write more of them.

    {"run": "7c1b2f0e-first", "snapshot_id": 4821940093718391, "tag": "7c1b2f0e-first", "data_digest": "dddd…",
     "contract_digest": "cccc…", "config_digest": "ffff…", "code_digest": "eeee…", "rows": 11424,
     "as_of": "1997-01-01T00:10:00Z", "reason": "first", "gate": "baseline"}"""

    snapshot_id: int
    """The Iceberg snapshot of the table `rows`."""
    pulled: str = ""
    """As `TrainInput.pulled`."""

    @property
    def digests(self) -> dict[str, str]:
        """The digests that the model must name: {"data": "dddd…", "contract": "cccc…", …}.

        They are the four of PINNED. A pulled version was made elsewhere, of other rows: it must name the contract."""
        return {what: str(getattr(self, f"{what}_digest")) for what in (("contract",) if self.pulled else PINNED)}


def read_run(path: Path) -> Run:
    """The run in the file `path`.

    Raises SettingsError, which says field, expected and came, if the file cannot be read or does not fit."""
    try:
        return read_message(Run, path.read_bytes(), path.name)
    except OSError as error:
        raise SettingsError(where=str(path), field="(file)", expected="JSON", came=str(error)) from None
