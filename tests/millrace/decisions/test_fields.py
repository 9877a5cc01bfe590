"""A field of a decision is one line of its class: writer, reader, files, Athena and the REST API know it by that."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
AFTER = '    caller: str | None = in_line(_TEXT, default=None, needs="called", api=TEXT)\n'
DEVICE = '    device: str | None = in_line(_TEXT, default=None, column="cell", api=TEXT)\n'
ASKED = """

from dataclasses import replace
from millrace.decisions import absorbed, record
from millrace.infra.stacks.serving import decision_columns
from tests.millrace.decisions.test_record import DECISION
line = record.to_line(replace(DECISION, device="edge-7"))
assert '"device":"edge-7",' in line and '"device"' not in record.to_line(DECISION)
assert record.from_line(line).device == "edge-7"
assert absorbed._OURS.search(line.encode()) and absorbed.COLUMNS["device"] == "string"
assert "device:string" in decision_columns()["millrace"]
assert ["action:" in decision_columns(**has)["millrace"] for has in ({}, {"acted": True})] == [False, True]
assert record.to_document(record.from_line(line), acts=False)["device"] == "edge-7"
assert [one.name for one in record.api_fields(acts=False)][-1] == "device"
"""


def test_a_new_field_is_one_line(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "millrace", tmp_path / "millrace", ignore=shutil.ignore_patterns("__pycache__"))
    record = tmp_path / "millrace" / "decisions" / "record.py"
    record.write_text(record.read_text().replace(AFTER, AFTER + DEVICE))
    subprocess.run([sys.executable, "-P", "-c", ASKED], env={"PYTHONPATH": f"{tmp_path}:{ROOT}"}, check=True)
