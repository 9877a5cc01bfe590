"""A text model on vectors that a package ships: trained by the job, in the graph, served with the same answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from safetensors.numpy import load, load_file

from millrace.artefact.artefact import Artefact, read_folder
from millrace.artefact.inference import Model
from millrace.artefact.pretrained import VECTORS, PretrainedFile
from millrace.contract.load import load_contract
from millrace.contract.odcs import check_contract
from millrace.datasets.examples import LABEL, Examples, read_examples
from millrace.features import catalogue as encoders
from millrace.features.tokens import FIRST, Tokens
from millrace.jobs.serving.rows import RowReader
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from tests import wordllama
from tests.jobs.conftest import Ended, Snapshot, write_snapshot
from tests.jobs.processing import evaluated

INTENTS = Path(__file__).resolve().parents[3] / "workloads" / "intents"
TRAINING, OTHERS = 600, 300
"""Rows that train, and rows that validate, and test: four sentences of each of 150 intents."""
TABLE = "network.bags.0.vectors.weight"


@dataclass(frozen=True, kw_only=True)
class Trained:
    snapshot: Snapshot
    artefact: Artefact
    output: str

    @property
    def examples(self) -> Examples:
        return read_examples(
            self.snapshot.data,
            self.snapshot.config / "schema.json",
            workload=load_workload(self.snapshot.config),
            contract=load_contract(self.snapshot.config),
            features=self.artefact.description.features,
        )

    @property
    def accuracy(self) -> float:
        """The share of right answers to the test rows, by the graph."""
        found, task = self.examples, self.artefact.description.task
        test = found.part(found.parts.test)
        output = Model(self.artefact).outputs(encoders.encode(self.artefact.description.features, test))
        return float(1 - task.errors(output, task.targets(test[LABEL])).mean())


def sentences() -> pa.Table:
    table = pq.read_table(INTENTS / "sample" / "clinc150.parquet")
    table = table.filter(pc.not_equal(table["intent"], "oos"))
    parts = []
    for name, most in (("train", TRAINING), ("validation", OTHERS), ("test", OTHERS)):
        part = table.filter(pc.equal(table["split"], name))
        parts.append(part.take(np.linspace(0, len(part) - 1, most).astype(np.int64)))
    found = pa.concat_tables(parts)
    at = pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * len(found), pa.timestamp("us", "UTC"))
    return (
        found.select(["id"])
        .append_column("at", at)
        .append_column("split", found["split"])
        .append_column("text", found["text"])
        .append_column("intent", found["intent"])
    )


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, PretrainedFile]:
    path = tmp_path_factory.mktemp("part") / "words.safetensors"
    return path, wordllama.write(path)


@pytest.fixture(scope="module")
def train(
    part: tuple[Path, PretrainedFile], run_job: Any, training_at: Any, tmp_path_factory: Any
) -> Callable[..., Ended | Trained]:
    """Trains on the sentences: `train()` the workload's own model, `train(mode="frozen")` one with the vectors."""
    path, header = part

    def run(**declared: str) -> Ended | Trained:
        folder = tmp_path_factory.mktemp("training")
        document = yaml.safe_load((INTENTS / "workload.yaml").read_text())
        if declared:
            document["prediction"]["features"] = [{"name": "text", "encoder": "tokens"}]
            usual = {"from": "parts/words.safetensors", "digest": f"sha256:{header.digest}", "licence": "MIT"}
            document["training"] |= {"parameters": wordllama.RECIPE, "pretrained": usual | declared}
        else:
            document["training"]["parameters"] |= {"epochs": 12, "batch_size": 64}
        contract = yaml.safe_load((INTENTS / "contract.yaml").read_text())
        snapshot = write_snapshot(folder, sentences(), contract, document)
        root = training_at(folder / "ml", snapshot)
        if declared:
            channels = root / "input" / "config" / "inputdataconfig.json"
            channels.write_text(json.dumps(json.loads(channels.read_text()) | {"pretrained": {}}))
            (root / "input" / "data" / "pretrained").mkdir()
            shutil.copy(path, root / "input" / "data" / "pretrained" / f"{header.digest}.safetensors")
        check_fit(load_workload(snapshot.config), check_contract(snapshot.config))
        ended: Ended = run_job("millrace.jobs.training", root)
        if ended.code:
            return ended
        return Trained(snapshot=snapshot, artefact=read_folder(root / "model"), output=ended.output)

    return run


@pytest.fixture(scope="module")
def frozen(train: Callable[..., Trained]) -> Trained:
    found = train(mode="frozen")
    assert isinstance(found, Trained), found
    return found


def test_few_sentences_of_many_intents_gain_by_them(train: Callable[..., Trained], frozen: Trained) -> None:
    usual = train()
    assert frozen.accuracy > usual.accuracy + 0.04, (frozen.accuracy, usual.accuracy)


def test_the_vectors_stay_as_they_are_and_the_graph_contains_them(
    frozen: Trained, part: tuple[Path, PretrainedFile]
) -> None:
    given, kept = load_file(part[0])[VECTORS].astype(np.float32), load(frozen.artefact.weights)[TABLE]
    length = np.linalg.norm(given, axis=1).mean()
    np.testing.assert_allclose(kept[FIRST:] * length, given, rtol=1e-5, atol=1e-6)
    assert not kept[:FIRST].any()
    assert len(frozen.artefact.onnx) > kept.nbytes


def test_the_artefact_says_where_they_come_from(frozen: Trained, part: tuple[Path, PretrainedFile]) -> None:
    assert frozen.artefact.description.pretrained == part[1].origin(is_frozen=True)
    assert f"takes the vectors of l2_supercat_256, MIT, sha256:{part[1].digest} for text, frozen" in frozen.output
    [text] = frozen.artefact.description.features
    assert isinstance(text, Tokens)
    assert text.pieces == part[1].pieces


def test_a_request_has_the_answer_of_its_row_in_a_table(frozen: Trained) -> None:
    examples, features = frozen.examples, frozen.artefact.description.features
    reader, model = RowReader(features), Model(frozen.artefact)
    test = examples.part(examples.parts.test).slice(0, 50)
    requests = [{"text": text} for text in test["text"].to_pylist()]
    rows = reader.read(json.dumps({"rows": requests}).encode(), "application/json")
    whole = model.outputs(encoders.encode(features, test))
    np.testing.assert_array_equal(model.outputs(reader.together([rows])), whole)


def test_it_is_evaluated_and_explained_like_any_other(frozen: Trained, tmp_path: Path) -> None:
    found = evaluated(tmp_path, frozen.snapshot, frozen.artefact)
    assert found.metrics["error"] == pytest.approx(1 - frozen.accuracy)
    assert found.explanations is not None
    assert found.explanations.endpoint_difference < 0.9


def test_another_file_or_another_licence_is_refused(train: Callable[..., Ended | Trained]) -> None:
    for wrong, said in (({"digest": f"sha256:{'0' * 64}"}, "expected sha256:0000"), ({"licence": "GPL"}, "GPL, the")):
        ended = train(**wrong)
        assert isinstance(ended, Ended)
        assert "training.pretrained: expected" in ended.output
        assert said in ended.output
