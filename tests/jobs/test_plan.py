"""Which jobs an edit of a shipped workload reaches, by running them on real rows: `millrace plan` tells the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from functools import reduce
from itertools import islice
from operator import getitem
from pathlib import Path
from random import Random
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
import yaml

from millrace.artefact.artefact import Artefact, read_folder
from millrace.artefact.rows_per_pass import RowsPerPass
from millrace.console.new.contract import read_rows
from millrace.console.queries.plan import FILES, STEPS, Declared, edits_of
from millrace.console.schemas import declaration_schema
from millrace.contract.schema import LINE, Contract, Table, parsed_schema
from millrace.errors import WorkloadError
from millrace.evaluation.gates.catalogue import judge_all
from millrace.evaluation.report import Evaluation
from millrace.messages.train import GateBaseline
from millrace.workload.declaration import Workload
from tests.jobs.conftest import RunJob, Snapshot, declared_in, training_root, write_snapshot
from tests.jobs.processing import evaluated
from tests.millrace.contract.test_validate import places
from tests.shipped import SHIPPED

Document = dict[str, Any]
MEASURED = ("latency_ms", "size_mb")
"""What depends on the machine's moment."""
LEFT_OUT = ("precision", "compile", "name", "id", "logicalType", "physicalType")
"""What a processor ignores, and what another table would be."""
NIGHTLY = pytest.mark.night("216 edits, most with a training; by day four")
WORDS = re.findall(r'"(\w+)"', json.dumps(declaration_schema()))
"""The words of the schema, in place of a word; most are refused there."""
ROWS, QUICK = 1_500, {"epochs": 1, "hidden": [8], "channels": [4, 4], "dimension": 4, "buckets": 1024}
"""So many rows are trained on, and what makes a training of any family short."""


def quick(folder: Path) -> list[Document]:
    """The documents of the workload, quickly trained; every default is written out."""
    contract, document = declared_in(folder)
    family = Workload.model_validate(document).training.family_parameters().model_dump(mode="json")
    short = {name: value for name, value in QUICK.items() if isinstance(family.get(name), type(value))}
    document["training"]["parameters"] = family | short
    if "split" not in document["training"]:
        document["training"] |= {"walk_forward_steps": 1, "validation_days": 14, "test_days": 14}
        document["gates"]["non_inferiority"]["recent_days"] = 7
    written = Workload.model_validate(document).model_dump(mode="json", by_alias=True)
    written["prediction"].pop("costs", None)  # those of the policy
    return [written, contract]


def declared(root: Path, documents: list[Document]) -> Declared:
    folder = root / documents[0]["name"]
    folder.mkdir(parents=True)
    for name, document in zip(FILES, documents, strict=True):
        (folder / name).write_text(yaml.safe_dump(document))
    return Declared.read(folder)


def edits(root: Path, base: list[Document]) -> Iterator[tuple[Declared, list[Document]]]:
    """The workload with one value of a document changed, or taken away, where the commands take that."""
    chosen, every = Random(40), [(at, place) for at, document in enumerate(base) for place in places(document)]
    for number in range(10**6):
        documents = deepcopy(base)
        at, (*way, key) = chosen.choice(every)
        parent = reduce(getitem, way, documents[at])
        if key in LEFT_OUT:
            continue
        value = parent[key]
        numbers = [not value, value + 1, value * 2, value / 2, value * 0.9] if isinstance(value, int | float) else []
        parent[key] = chosen.choice([*(WORDS if isinstance(value, str) else numbers), None])
        if parent[key] is None:
            del parent[key]
        try:
            yield declared(root / f"{number}", documents), documents
        except WorkloadError:
            continue


def unmeasured(found: Document) -> Document:
    return {name: value for name, value in found.items() if name not in MEASURED}


def judgement(root: Path, document: Document, model: Artefact, report: Evaluation | None) -> tuple[Any, ...]:
    """What the evaluation of the model leaves, but for times, and the gates' verdicts on a report."""
    snapshot = Snapshot(data=root / "data", config=root / "config" / document["name"])
    own = evaluated(root / "judged", snapshot, model, champion=model)
    paths = sorted(root.glob("judged/processing/[be]*/*.json"))
    files = [json.loads(path.read_text(), object_hook=unmeasured) for path in paths]
    gates = Workload.model_validate(document).gates
    verdicts = [judge_all(report or own, gates, against=by) for by in get_args(GateBaseline)]
    return report or own, files, verdicts, gates.cases  # a case's answer is written in few digits


def with_defaults(one: Declared) -> tuple[Workload, Contract]:
    """What is declared, whether or not a default is written out."""
    training = one.workload.training
    parameters = training.family_parameters().model_dump(mode="json")
    return one.workload.model_copy(
        update={"training": training.model_copy(update={"parameters": parameters})}
    ), one.contract


def is_stored_alike(before: Table, after: Table) -> bool:
    """Whether the columns of both are stored in one type."""
    old, new = parsed_schema(before), parsed_schema(after)
    return all(old.field(name).type == new.field(name).type for name in {*old.names} & {*new.names})


@pytest.mark.parametrize(
    ("folder", "count"),
    [(SHIPPED[1], 4), *(pytest.param(each, 36, marks=NIGHTLY) for each in SHIPPED)],
)
def test_an_edit_reaches_the_jobs_that_are_planned(folder: Path, count: int, run_job: RunJob, tmp_path: Path) -> None:
    def train(root: Path, documents: list[Document]) -> Artefact | None:
        """The model; None if the job refuses the declaration for these rows."""
        snapshot = write_snapshot(root, rows, documents[1], documents[0])
        ended = run_job("millrace.jobs.training", training_root(root / "ml", snapshot), "train")
        found = None if ended.code else read_folder(root / "ml" / "model")
        return found and replace(found, description=replace(found.description, rows_per_pass=RowsPerPass()))

    def parts(model: Artefact | None) -> Any:
        return model and (model.description, model.weights)

    base = quick(folder)
    [sample] = (folder / "sample").iterdir()
    before, wrong = declared(tmp_path / "declared", base), []
    rows = read_rows(sample, before.contract.rows, at=datetime(2020, 1, 1, tzinfo=UTC))[0].drop_columns([LINE])
    is_in_time = base[0]["training"]["validation_days"] > 0
    rows = rows.slice(0, 2 * ROWS) if is_in_time else rows.take(np.linspace(0, len(rows) - 1, ROWS).astype(int))
    rows = rows.append_column("_source", pa.array([f"{folder.name}/training/x.csv"] * len(rows)))
    model = train(tmp_path / "base", base)
    assert model is not None
    first = judgement(tmp_path / "base", base[0], model, None)
    for number, (after, documents) in enumerate(islice(edits(tmp_path / "edits", base), count)):
        root = tmp_path / f"{number}"
        done = "nothing" if with_defaults(after) == with_defaults(before) else "retrain"
        if not is_stored_alike(before.contract.rows, after.contract.rows):
            done = "refused"
        if done == "retrain" and parts(train(root, documents)) == parts(model):
            done = "redeploy" if judgement(root, documents[0], model, first[0]) == first else "judge again"
        planned = [*edits_of(before, after)]
        if min([edit.step for edit in planned] or ["nothing"], key=STEPS.index) != done:
            wrong.append((planned, done))
    assert wrong == []
