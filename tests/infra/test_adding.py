"""A function and a machine are added to a copy of the tree: how many files that touches, and that all know them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FUNCTION = {
    "functions/count_rows/handler.py": "def handler(event, context):\n    return {}\n",
    "functions/count_rows/requirements.txt": "aws-lambda-powertools\npydantic\npyyaml\n",
    "functions/count_rows/declaration.py": """
from millrace.settings.declaration import Declared, Grant
DECLARED = Declared(
    room="training", schedule="rate(1 day)", keeps_events=True,
    rights=lambda given: [Grant("buckets.LAKE.read", "iceberg"), Grant("state_table.own_items", may="GetItem")],
)
""",
}
MACHINE = {
    "infra/machines/count.py": """
from millrace.infra.machines import states
def definition(context):
    return states.machine("Counts", start="Done", states={"Done": states.succeed("Counted")}, timeout_s=60)
""",
    "names.py": ('"upkeep", QUERY)', '"upkeep", QUERY, "count")'),
    "infra/stacks/training.py": ("        self._retrain()\n", "        self._retrain()\n        self.machine(count)\n"),
}
ASKED = """
import json, sys
from pathlib import Path
from millrace.infra.app import build
from millrace.infra.rules.assembly import read
from millrace.infra.rules.catalogue import findings
from millrace.infra.settings import settings_for
settings = settings_for("dev", account="123456789012", region="eu-west-1")
build(settings, workloads=[Path("workloads/electricity").absolute()], outdir=sys.argv[1]).synth()
stacks = read(Path(sys.argv[1]))
assert findings(stacks) == []
found = [one for stack in stacks for one in stack.resources()]
prefix = "millrace-dev-electricity"
def named(kind, key, name):
    (one,) = [one.properties for one in found if one.kind == kind and one.properties[key] == f"{prefix}-{name}"]
    return one
assert named("AWS::Lambda::Function", "FunctionName", "count_rows")["DeadLetterConfig"]
called = named("AWS::Scheduler::Schedule", "Name", "count_rows")["Target"]["Arn"]
assert called.endswith(f"function:{prefix}-count_rows")
role = json.dumps(named("AWS::IAM::Role", "RoleName", "count_rows")["Policies"])
assert "dynamodb:GetItem" in role and "electricity/iceberg/*" in role and "PutItem" not in role
named("AWS::StepFunctions::StateMachine", "StateMachineName", "count")
for name in ("teardown-machines", "training"):
    assert f"stateMachine:{prefix}-count" in json.dumps(named("AWS::IAM::Role", "RoleName", name))
ended = [one for one in found if one.kind == "AWS::Events::Rule" and one.properties["Name"] == f"{prefix}-cleanup"]
assert f"stateMachine:{prefix}-count" in json.dumps(ended[0].properties["EventPattern"])
"""


def test_a_function_is_a_folder_of_three_files_and_a_machine_is_three_places(tmp_path: Path) -> None:
    made = Path(shutil.copytree(ROOT / "millrace", tmp_path / "millrace", ignore=shutil.ignore_patterns("__pycache__")))
    assert (len(FUNCTION), len({path.rpartition("/")[0] for path in FUNCTION}), len(MACHINE)) == (3, 1, 3)
    for name, change in (FUNCTION | MACHINE).items():
        path = made / name
        path.parent.mkdir(exist_ok=True)
        old, new = change if isinstance(change, tuple) else ("", change)
        text = path.read_text() if path.exists() else ""
        assert old in text, "the place is where it was"
        path.write_text(text.replace(old, new, 1) if old else new)
    stack = made / "infra" / "stacks" / "training.py"
    stack.write_text(stack.read_text().replace("machines import retrain", "machines import count, retrain"))
    words = [sys.executable, "-P", "-c", ASKED, str(tmp_path / "out")]
    subprocess.run(words, cwd=ROOT, env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"}, check=True)
