"""Which jobs an edit reaches, by running them on the real rows of electricity: `millrace plan` tells the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from millrace.artefact.artefact import Artefact, read_folder
from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.console.queries.plan import Declared, edits_of
from millrace.errors import WorkloadError
from millrace.evaluation.gates.catalogue import judge_all
from millrace.evaluation.report import Evaluation
from millrace.messages.train import GateBaseline
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
    document["gates"]["non_inferiority"]["recent_days"] = 7
    document["gates"]["baseline"] = {"kind": "base_rate", "margin": 0.01}
    document["monitors"] |= {"window_days": 1, "error_bound": 0.4}
    document["explanations"] = {"rows": 4, "nodes": 8}
    floor, costs = {"labels": 336, "margin": 0.03}, {"false_positive": 2, "false_negative": 3, "review": 1}
    document["policy"] = {"automate": {"costs": costs}, "unlike_training": 0.1, "held_out": 0.01, "floor": floor}
    written = Workload.model_validate(document).model_dump(mode="json")
    del written["prediction"]["costs"]  # those of the policy
    return written


def edits(document: Document, part: Document) -> Iterator[Document]:
    """The declaration with each number and switch of a part of it changed, if that is taken."""
    for name, value in part.items():
        if isinstance(value, dict):
            yield from edits(document, value)
        elif isinstance(value, bool | int | float) and name not in ON_A_GPU:
            for other in {not value} if isinstance(value, bool) else {value + 1, value * 2, value / 2, value * 0.9}:
                part[name] = other
                try:
                    check_fit(Workload.model_validate(document), Declared.read(WORKLOAD).contract)
                    yield deepcopy(document)
                except (ValidationError, WorkloadError):
                    pass
            part[name] = value


def unmeasured(found: Document) -> Document:
    return {name: value for name, value in found.items() if name not in MEASURED}


def judgement(root: Path, document: Document, model: Artefact, report: Evaluation | None) -> tuple[Any, ...]:
    """What the evaluation of the model leaves, but for times, and the gates' verdicts on a report."""
    snapshot = Snapshot(data=root / "data", config=root / "config" / document["name"])
    own = evaluated(root / "judged", snapshot, model, champion=model)
    paths = sorted(root.glob("judged/processing/[be]*/*.json"))
    files = [json.loads(path.read_text(), object_hook=unmeasured) for path in paths]
    gates = Workload.model_validate(document).gates
    return report or own, files, [judge_all(report or own, gates, against=by) for by in get_args(GateBaseline)]


@pytest.mark.parametrize("count", [4, pytest.param(150, marks=pytest.mark.night("150 trainings; by day four"))])
def test_an_edit_reaches_the_jobs_that_are_planned(count: int, run_job: RunJob, tmp_path: Path) -> None:
    def train(root: Path, document: Document) -> Artefact | None:
        """The model; None if the job refuses the declaration for these rows."""
        snapshot = write_snapshot(root, rows, contract, document)
        ended = run_job("millrace.jobs.training", training_root(root / "ml", snapshot), "train")
        found = None if ended.code else read_folder(root / "ml" / "model")
        return found and replace(found, description=replace(found.description, rows_per_pass=RowsPerPass()))

    def parts(model: Artefact | None) -> Any:
        return model and (model.description, model.weights)

    rows, contract, base = elec2(datetime.fromisoformat("1996-07-20")), declared_in(WORKLOAD)[0], declared()
    model = train(tmp_path / "base", base)
    assert model is not None
    first = judgement(tmp_path / "base", base, model, None)
    before = replace(Declared.read(WORKLOAD), workload=Workload.model_validate(base))
    every, wrong = [*edits(base, base)], []
    for number, document in enumerate(Random(40).sample(every, count)):
        root = tmp_path / f"{number}"
        done = "retrain"
        if parts(train(root, document)) == parts(model):
            done = "redeploy" if judgement(root, document, model, first[0]) == first else "judge again"
        planned = [*edits_of(before, replace(before, workload=Workload.model_validate(document)))]
        if [edit.step for edit in planned] != [done]:
            wrong.append((planned, done))
    assert wrong == []
