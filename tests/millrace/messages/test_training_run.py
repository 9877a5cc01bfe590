from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from millrace.artefact.artefact import Digests
from millrace.console.queries.versions import DIGESTS
from millrace.errors import SettingsError
from millrace.messages.training_run import PINNED, Run, read_run

RUN = {
    "run": "r",
    "snapshot_id": 1,
    "tag": "t",
    "data_digest": "d",
    "contract_digest": "c",
    "config_digest": "k",
    "code_digest": "o",
    "rows": 3,
    "as_of": "1997-06-01T06:00:00Z",
    "reason": "alarm",
    "gate": "non_inferiority",
}


def write(tmp_path: Path, **words: Any) -> Path:
    (tmp_path / "run.json").write_text(json.dumps(RUN | words))
    return tmp_path / "run.json"


def test_a_run_is_read_and_words_of_later_versions_let_through(tmp_path: Path) -> None:
    run = read_run(write(tmp_path, later="word"))
    assert run.gate == "non_inferiority"
    assert run.as_of.isoformat() == "1997-06-01T06:00:00+00:00"


def test_a_wrong_word_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"run\.json: gate: expected .*'baseline' or 'non_inferiority', got 'none'"):
        read_run(write(tmp_path, gate="none"))


def test_every_digest_of_a_run_is_pinned_and_named_by_its_model(tmp_path: Path) -> None:
    named = tuple(field.name for field in fields(Digests))
    assert {name for name in Run.model_fields if name.endswith("_digest")} == {f"{what}_digest" for what in PINNED}
    assert read_run(write(tmp_path)).digests == {"data": "d", "contract": "c", "config": "k", "code": "o"}
    assert named[: len(PINNED)] == PINNED
    assert DIGESTS[: len(named)] == named, "people see all of them"
