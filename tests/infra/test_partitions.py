"""China and GovCloud: every ARN of a template is in the partition of its region."""

from __future__ import annotations

from pathlib import Path

import pytest

from millrace.infra.app import build
from millrace.infra.rules.assembly import machines, read
from millrace.infra.rules.catalogue import findings
from millrace.infra.settings import settings_for
from tests.infra.conftest import ELECTRICITY


@pytest.mark.parametrize(("region", "partition"), [("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")])
def test_no_template_names_another_partition(tmp_path: Path, region: str, partition: str) -> None:
    """Step Functions refuses a machine with a task of another partition; the rules read the tasks all the same."""
    build(
        settings_for("dev", account="123456789012", region=region), workloads=[ELECTRICITY], outdir=str(tmp_path)
    ).synth()
    stacks = read(tmp_path)
    for machine in machines(stacks):
        assert all(task.state["Resource"].startswith(f"arn:{partition}:states:::") for task in machine.tasks())
    assert [path.name for path in tmp_path.glob("*.template.json") if "arn:aws:" in path.read_text()] == []
    assert findings(stacks) == []
