"""The standard's agreement `latency`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.contract.freshness import AllowedAge
from millrace.contract.odcs import check_contract
from millrace.errors import WorkloadError
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload

ELECTRICITY = Path(__file__).resolve().parents[3] / "workloads" / "electricity"
LATENCY = {"property": "latency", "value": 2, "unit": "d", "element": "rows.timestamp"}


def contract_with(folder: Path, *agreements: dict[str, Any]) -> Path:
    own = folder / "electricity"
    own.mkdir()
    shutil.copy(ELECTRICITY / "workload.yaml", own)
    document = yaml.safe_load((ELECTRICITY / "contract.yaml").read_text()) | {"slaProperties": list(agreements)}
    (own / "contract.yaml").write_text(yaml.safe_dump(document))
    return own


@pytest.mark.parametrize(
    ("change", "hours"), [({}, 48), ({"unit": "h"}, 2), ({"value": 0.5, "unit": "days"}, 12), ({"unit": "y"}, 17520)]
)
def test_the_latency_of_the_event_time_is_read(change: dict[str, Any], hours: float, tmp_path: Path) -> None:
    folder = contract_with(tmp_path, {"property": "retention", "value": 3, "unit": "y"}, LATENCY | change)
    contract = check_fit(load_workload(folder), check_contract(folder))
    assert contract.freshness == AllowedAge(column="timestamp", hours=hours)


@pytest.mark.parametrize(
    "agreements",
    [
        [LATENCY, LATENCY],
        [LATENCY | {"value": 0}],
        [LATENCY | {"value": "2"}],
        [LATENCY | {"value": True}],
        [LATENCY | {"unit": "m"}],
        [LATENCY | {"element": "labels.timestamp"}],
        [LATENCY | {"element": "rows"}],
        [{"property": "latency", "value": 2}],
        [LATENCY | {"element": "rows.period"}],
    ],
)
def test_a_latency_that_cannot_be_kept_is_refused(agreements: list[dict[str, Any]], tmp_path: Path) -> None:
    folder = contract_with(tmp_path, *agreements)
    with pytest.raises(WorkloadError, match="slaProperties: expected"):
        check_fit(load_workload(folder), check_contract(folder))
