"""PARITY.md: what the templates of every stage hold, and what the local cloud does of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from localcloud.ledger.inventory import LedgerGapError
from localcloud.ledger.ledger import MARK, as_markdown, ledger

PAGE = Path(__file__).resolve().parents[2] / "localcloud" / "PARITY.md"


def test_the_page_is_up_to_date(assemblies: dict[str, Path]) -> None:
    assert PAGE.read_text().partition(f"{MARK}\n\n")[2] == as_markdown(ledger(*assemblies.values())), (
        "`make parity` writes it anew"
    )


def test_another_workload_has_a_row_for_everything(other_workloads: Path) -> None:
    """A gap is an error."""
    assert ledger(other_workloads)


@pytest.mark.parametrize("stage", ["local", "dev", "prod"])
def test_nothing_in_a_template_lacks_a_row(assemblies: dict[str, Path], tmp_path: Path, stage: str) -> None:
    assembly = tmp_path / stage
    shutil.copytree(assemblies[stage], assembly, ignore=shutil.ignore_patterns("asset.*"))
    before = as_markdown(ledger(assembly))
    template = next(assembly.glob("*-training.template.json"))
    changed = json.loads(template.read_text())
    changed["Resources"]["Queue"] = {"Type": "AWS::Kinesis::StreamConsumer"}
    template.write_text(json.dumps(changed))
    # The negative control: one feature that nobody has looked at is named.
    with pytest.raises(LedgerGapError, match=r"no row for resource type AWS::Kinesis::StreamConsumer$"):
        ledger(assembly)
    changed["Resources"]["Queue"] = {"Type": "AWS::CloudWatch::Dashboard", "Properties": {}}
    template.write_text(json.dumps(changed))
    assert as_markdown(ledger(assembly)) != before, "one more feature makes another page"
