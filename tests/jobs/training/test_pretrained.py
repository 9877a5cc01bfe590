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
from millrace.artefact.pretrained import VECTORS, PretrainedFile
from millrace.contract.odcs import check_contract
from millrace.features.tokens import FIRST, Tokens
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from tests import wordllama
from tests.jobs.conftest import Ended, write_snapshot

INTENTS = Path(__file__).resolve().parents[3] / "workloads" / "intents"
TRAINING, OTHERS = 600, 300
"""Rows that train, and rows that validate, and test: four sentences of each of 150 intents."""
TABLE = "network.bags.0.vectors.weight"


@dataclass(frozen=True, kw_only=True)
class Trained:
    artefact: Artefact
    output: str


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
    """Trains on the sentences with the vectors of the part; `declared` changes what is said of it."""
    path, header = part

    def run(**declared: str) -> Ended | Trained:
        folder = tmp_path_factory.mktemp("training")
        document = yaml.safe_load((INTENTS / "workload.yaml").read_text())
        document["prediction"]["features"] = [{"name": "text", "encoder": "tokens"}]
        usual = {"from": "parts/words.safetensors", "digest": f"sha256:{header.digest}", "licence": "MIT"}
        recipe = wordllama.RECIPE | {"epochs": 2, "patience": 2}
        document["training"] |= {"parameters": recipe, "pretrained": usual | {"mode": "frozen"} | declared}
        contract = yaml.safe_load((INTENTS / "contract.yaml").read_text())
        snapshot = write_snapshot(folder, sentences(), contract, document)
        root = training_at(folder / "ml", snapshot)
        channels = root / "input" / "config" / "inputdataconfig.json"
        channels.write_text(json.dumps(json.loads(channels.read_text()) | {"pretrained": {}}))
        (root / "input" / "data" / "pretrained").mkdir()
        shutil.copy(path, root / "input" / "data" / "pretrained" / f"{header.digest}.safetensors")
        check_fit(load_workload(snapshot.config), check_contract(snapshot.config))
        ended: Ended = run_job("millrace.jobs.training", root)
        if ended.code:
            return ended
        return Trained(artefact=read_folder(root / "model"), output=ended.output)

    return run


@pytest.fixture(scope="module")
def frozen(train: Callable[..., Trained]) -> Trained:
    found = train()
    assert isinstance(found, Trained), found
    return found


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


def test_another_file_or_another_licence_is_refused(train: Callable[..., Ended | Trained]) -> None:
    for wrong, said in (({"digest": f"sha256:{'0' * 64}"}, "expected sha256:0000"), ({"licence": "GPL"}, "GPL, the")):
        ended = train(**wrong)
        assert isinstance(ended, Ended)
        assert "training.pretrained: expected" in ended.output
        assert said in ended.output
