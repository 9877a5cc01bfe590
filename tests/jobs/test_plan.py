"""Which jobs an edit reaches, by running them on the real rows of electricity: `millrace plan` tells the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError

from millrace.artefact.artefact import Artefact, read_folder
from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.console.queries.plan import Declared, Step, edits_of
from millrace.errors import WorkloadError
from millrace.evaluation.gates.catalogue import judge_all
from millrace.evaluation.report import Evaluation
from millrace.workload.declaration import Workload
from millrace.workload.fit import check_fit
from tests.jobs.conftest import WORKLOAD, RunJob, Snapshot, declared_in, elec2, training_root, write_snapshot
from tests.jobs.processing import evaluated

Document = dict[str, Any]
MEASURED = ("latency_ms", "size_mb", "endpoint_ms")
"""What depends on the machine's moment."""
ON_A_GPU = ("precision", "compile")
"""What a processor ignores."""


def declared() -> Document:
    """Electricity with more of what a declaration can have, quickly trained; every default is written out."""
    document = declared_in(WORKLOAD)[1]
    document["training"]["parameters"] |= {"epochs": 1, "hidden": [8]}
    document["training"] |= {"walk_forward_steps": 1, "validation_days": 14, "test_days": 14}
    document["prediction"]["fallback"] = ["rule", {"constant": 0.4}]
    document["gates"] |= {"stability": {"seeds": 1, "max_spread": 0.1}, "simple": {"kind": "linear"}}
    document["gates"]["baseline"] = {"kind": "base_rate", "margin": 0.01}
    document["explanations"] = {"rows": 4, "nodes": 8}
    floor = {"labels": 336, "margin": 0.03}
    costs = {"false_positive": 2, "false_negative": 3, "review": 1}
    document["policy"] = {"automate": {"costs": costs}, "unlike_training": 0.1, "held_out": 0.01, "floor": floor}
    written = Workload.model_validate(document).model_dump(mode="json")
    del written["prediction"]["costs"]  # those of the policy
    return written


def edits(base: Document, at: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Each number and switch of the declaration, with another value."""
    for name, value in base.items():
        place = (*at, name)
        if isinstance(value, dict):
            yield from edits(value, place)
        elif isinstance(value, bool):
            yield place, not value
        elif isinstance(value, int | float):
            yield from ((place, other) for other in (value + 1, value + 2, value * 2, value / 2, value * 0.9) if other != value)


def edited(base: Document, place: tuple[str, ...], value: Any) -> Document | None:
    """The declaration with the other value; None if that is refused."""
    document = deepcopy(base)
    part = document
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    try:
        check_fit(Workload.model_validate(document), Declared.read(WORKLOAD).contract)
    except (ValidationError, WorkloadError, KeyError):
        return None
    return document


class Jobs:
    """The jobs of a run under the base declaration, and under an edited one."""

    def __init__(self, run_job: RunJob, folder: Path, base: Document) -> None:
        self.run_job, self.folder, self.number = run_job, folder, 0
        self.rows, self.contract = elec2(datetime.fromisoformat("1996-07-20")), declared_in(WORKLOAD)[0]
        model = self.train(snapshot := self.snapshot(base))
        assert model is not None
        self.model, self.report = model, Evaluation.model_validate(self.judge(snapshot, model)["evaluation.json"])
        self.trained, self.judged = weights_of(model), self.judgement(base, snapshot)

    def step(self, document: Document) -> Step:
        """What has to be done again under the declaration: what makes another model, or another judgement."""
        snapshot = self.snapshot(document)
        model = self.train(snapshot)
        if model is None or weights_of(model) != self.trained:
            return "retrain"
        return "redeploy" if self.judgement(document, snapshot) == self.judged else "judge again"

    def snapshot(self, document: Document) -> Snapshot:
        self.number += 1
        return write_snapshot(self.folder / f"{self.number}", self.rows, self.contract, document)

    def train(self, snapshot: Snapshot) -> Artefact | None:
        """The model; None if the job refuses the declaration for these rows."""
        root = training_root(snapshot.data.parent / "ml", snapshot)
        return None if self.run_job("millrace.jobs.training", root, "train").code else read_folder(root / "model")

    def judge(self, snapshot: Snapshot, model: Artefact) -> Document:
        root = snapshot.data.parent / f"judged-{self.number}"
        self.number += 1
        evaluated(root, snapshot, model, champion=model)
        found = [*root.glob("processing/evaluation/*.json"), *root.glob("processing/baseline/*.json")]
        return {path.name: json.loads(path.read_text()) for path in found}

    def judgement(self, document: Document, snapshot: Snapshot) -> list[Any]:
        gates = Workload.model_validate(document).gates
        verdicts = [judge_all(self.report, gates, against=each) for each in ("baseline", "non_inferiority")]
        return [unmeasured(self.judge(snapshot, self.model)), verdicts]


def weights_of(model: Artefact) -> tuple[Any, ...]:
    return replace(model.description, rows_per_pass=RowsPerPass()), model.weights, model.onnx


def unmeasured(value: Any) -> Any:
    if isinstance(value, list):
        return [unmeasured(each) for each in value]
    if isinstance(value, dict):
        return {name: unmeasured(each) for name, each in value.items() if name not in MEASURED}
    return value


@pytest.mark.parametrize("count", [6, pytest.param(200, marks=pytest.mark.night("200 trainings; by day six"))])
def test_an_edit_reaches_the_jobs_that_are_planned(count: int, run_job: RunJob, tmp_path: Path) -> None:
    base = declared()
    jobs, before = Jobs(run_job, tmp_path, base), Declared.read(WORKLOAD)
    before = replace(before, workload=Workload.model_validate(base))
    every = [one for one in edits(base) if one[0][-1] not in ON_A_GPU and edited(base, *one)]
    wrong = []
    for place, value in Random(40).sample(every, min(count, len(every))):
        document = edited(base, place, value)
        after = replace(before, workload=Workload.model_validate(document))
        planned = [edit.step for edit in edits_of(before, after)]
        done = jobs.step(document)
        print(place, value, planned, done, flush=True)
        if planned != [done]:
            wrong.append((".".join(place), value, planned, done))
    assert len(every) > 100
    assert wrong == []
