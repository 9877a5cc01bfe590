"""A model beside an encoder that a package ships, of texts or images: trained by the job, served with equal answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load, load_file

from millrace.artefact.artefact import Artefact, read_folder
from millrace.artefact.inference import Model
from millrace.artefact.pretrained import PretrainedFile
from millrace.console.actions.part import make_part
from millrace.contract.odcs import check_contract
from millrace.features.catalogue import encode, fit
from millrace.features.tokens import BEGIN, END, LONGEST_SENTENCE, Tokens
from millrace.models.pretrained import PretrainedEncoder, read_encoder
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from millrace.workload.training import Pretrained
from tests.jobs.conftest import Ended, declared_in, write_snapshot

WORKLOADS = Path(__file__).resolve().parents[3] / "workloads"
KNOWN = (0.0677, 0.0635, 0.0487, 0.0793, 0.0374, 0.0027, 0.0394, -0.0071)
"""The first numbers of "This is an example sentence", as the page of all-MiniLM-L6-v2 has them."""


TRAINING, OTHERS = 600, 260
"""Rows that train, and rows that validate, and test: of texts four of each of 150 intents."""
RECIPE = {"epochs": 12, "batch_size": 64, "learning_rate": 0.008, "schedule": "cosine", "seed": 7}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A workload, the feature that the encoder reads, and the encoder's place in its network."""

    workload: str
    feature: Mapping[str, str]
    encoder: str
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def rows(self) -> pa.Table:
        [sample] = (WORKLOADS / self.workload / "sample").glob("*.parquet")
        table, parts = pq.read_table(sample), []
        table = table.filter(pc.not_equal(table.columns[-1].cast(pa.string()), "oos"))
        for name, most in (("train", TRAINING), ("validation", OTHERS), ("test", OTHERS)):
            part = table.filter(pc.equal(table["split"], name))
            parts.append(part.take(np.linspace(0, len(part) - 1, most).astype(np.int64)))
        found = pa.concat_tables(parts)
        at = pa.array([datetime(2024, 1, 1, tzinfo=UTC)] * len(found), pa.timestamp("us", "UTC"))
        return found.add_column(1, "at", at)


SMALL = {"channels": [4]}
TOKENS = {"name": "text", "encoder": "tokens"}
CASES = {
    "minilm": Case(workload="intents", feature=TOKENS, encoder="network.sentences.0.encoder."),
    "efficientnet-lite0": Case(
        workload="xray", feature={"name": "image"}, encoder="network.backbone.encoder.", recipe=SMALL
    ),
}
Part = tuple[Path, PretrainedFile]


@dataclass(frozen=True, kw_only=True)
class Trained:
    artefact: Artefact
    output: str


@pytest.fixture(scope="module", params=CASES)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def case(model: str) -> Case:
    return CASES[model]


@pytest.fixture(scope="module")
def part(model: str, tmp_path_factory: pytest.TempPathFactory) -> Part:
    path = tmp_path_factory.mktemp("part") / f"{model}.safetensors"
    return path, make_part(model, path)


@pytest.fixture(scope="module")
def train(
    case: Case, part: Part, run_job: Any, training_at: Any, tmp_path_factory: Any
) -> Callable[..., Ended | Trained]:
    """Trains on the rows with the encoder of the part; `declared` changes what is said of it."""
    path, known = part[0], part[1].origin.digest

    def run(**declared: str) -> Ended | Trained:
        folder = tmp_path_factory.mktemp("training")
        contract, document = declared_in(WORKLOADS / case.workload)
        document["prediction"]["features"] = [case.feature]
        usual = {"from": f"parts/{path.name}", "digest": f"sha256:{known}", "licence": "Apache-2.0"}
        document["training"] |= {"parameters": RECIPE | case.recipe, "pretrained": usual | declared}
        document["explanations"] = {"rows": 0}
        snapshot = write_snapshot(folder, case.rows(), contract, document)
        root = training_at(folder / "ml", snapshot)
        channels = root / "input" / "config" / "inputdataconfig.json"
        channels.write_text(json.dumps(json.loads(channels.read_text()) | {"pretrained": {}}))
        (root / "input" / "data" / "pretrained").mkdir()
        shutil.copy(path, root / "input" / "data" / "pretrained" / f"{known}.safetensors")
        check_fit(load_workload(snapshot.config), check_contract(snapshot.config))
        ended: Ended = run_job("millrace.jobs.training", root)
        if ended.code:
            return ended
        return Trained(artefact=read_folder(root / "model"), output=ended.output)

    return run


@pytest.fixture(scope="module")
def trained(train: Callable[..., Trained]) -> Trained:
    found = train()
    assert isinstance(found, Trained), found
    return found


@pytest.fixture(scope="module")
def encoder(part: Part) -> PretrainedEncoder:
    path, header = part
    declared = Pretrained(source=path.name, digest=f"sha256:{header.origin.digest}", licence="Apache-2.0")
    return read_encoder(path.read_bytes(), declared, "bag", (Tokens(name="text"),))


@pytest.mark.parametrize("model", ["minilm"], indirect=True)
def test_the_vector_of_a_sentence_is_the_published_one(encoder: PretrainedEncoder) -> None:
    rows = pa.table({"text": ["This is an example sentence", "a longer one, whose padding the other has", ""]})
    tensors = encode(fit(encoder.declare((Tokens(name="text"),)), rows), rows)
    [vectors] = encoder.vectors(tensors).values()
    np.testing.assert_allclose(vectors[0, : len(KNOWN)], KNOWN, atol=2e-4)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 0], atol=1e-5)


@pytest.mark.parametrize("model", ["minilm"], indirect=True)
def test_pieces_are_the_longest_that_fit_between_two_marks(encoder: PretrainedEncoder) -> None:
    text = "Café naïve, isn't it? Unhappiest xyzzy ☃"
    [tokens] = encoder.declare((Tokens(name="text"),))
    assert isinstance(tokens, Tokens)
    pieces = ("[PAD]", "[UNK]", *encoder.file.pieces)
    expected = [BEGIN, "cafe", "naive", ",", "isn", "'", "t", "it", "?", "un", "##ha", "##pp", "##iest"]
    assert [pieces[one] for one in tokens.ids(text)] == [*expected, "x", "##y", "##zzy", "[UNK]", END]
    words, origins = tokens.origins(text)
    assert (words[:2], origins) == (["café", "naïve"], [0, *range(9), 8, 8, 8, 9, 9, 9, 10, 10])
    long = tokens.ids("word " * 100)
    assert (len(long), pieces[long[-1]]) == (LONGEST_SENTENCE, END)


def test_the_encoder_stays_as_it_is_and_the_graph_contains_it(case: Case, trained: Trained, part: Part) -> None:
    given, kept = load_file(part[0]), load(trained.artefact.weights)
    for name, value in given.items():
        np.testing.assert_array_equal(kept[case.encoder + name], value.astype(np.float32))
    assert len(trained.artefact.onnx) > 2 * part[0].stat().st_size


def test_few_rows_are_enough_and_an_answer_has_the_same_bits_in_any_company(case: Case, trained: Trained) -> None:
    rows = case.rows().slice(TRAINING + OTHERS)
    model, description = Model(trained.artefact), trained.artefact.description
    tensors = encode(description.features, rows)
    together = model.outputs(tensors)
    said = description.task.answers(together)["value"]
    assert np.mean(np.asarray(said) == np.asarray(rows.columns[-1].to_pylist())) > 0.8
    for first, last in ((0, 1), (5, 6), (7, 40)):
        alone = model.outputs({name: value[first:last] for name, value in tensors.items()})
        np.testing.assert_array_equal(alone, together[first:last])


def test_the_artefact_says_where_it_comes_from(model: str, trained: Trained, part: Part) -> None:
    assert trained.artefact.description.pretrained == part[1].origin
    said = f"reads {CASES[model].feature['name']} by {model}, Apache-2.0, sha256:{part[1].origin.digest}"
    assert said in trained.output


def test_another_file_or_another_licence_is_refused(train: Callable[..., Ended | Trained]) -> None:
    for wrong, said in (({"digest": f"sha256:{'0' * 64}"}, "expected sha256:0000"), ({"licence": "MIT"}, "MIT, the")):
        ended = train(**wrong)
        assert isinstance(ended, Ended)
        assert "training.pretrained: expected" in ended.output
        assert said in ended.output
