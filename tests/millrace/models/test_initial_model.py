"""A network starts from another model's weights: what it takes, what stays as it is, what is refused."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from millrace.artefact.artefact import Digests
from millrace.errors import ArtefactError
from millrace.features.category import Category
from millrace.features.image import Image
from millrace.features.number import Number
from millrace.features.tokens import Tokens
from millrace.models.catalogue import FAMILIES
from millrace.models.export import exporter
from millrace.models.initial_model import InitialModel
from millrace.models.parameters import Parameters
from millrace.models.predictor import Predictor, build
from millrace.tasks.binary import Binary
from millrace.tasks.multiclass import Multiclass
from tests import builders
from tests.millrace.models.test_families import ROWS, make_rows, of_torch, signature_of

BINARY, CLASSES = Binary(), Multiclass(classes=("a", "b", "c"))


def predictor(family: str, task: Any = BINARY, seed: int = 0, **parameters: object) -> Predictor:
    torch.manual_seed(seed)
    found = build(FAMILIES[family](**parameters), signature_of(family), task.objective)
    found.fit(of_torch(make_rows(seed)), torch.zeros(ROWS, dtype=torch.int64))
    return found


def initial(family: str, source: Predictor, *, is_frozen: bool = False, **words: Any) -> InitialModel:
    weights = save({name: value.contiguous() for name, value in source.state_dict().items()})
    description = builders.description(
        family=family,
        features=(),
        task=BINARY,
        digests=Digests(**dict.fromkeys(("data", "contract", "config", "code", "weights", "onnx"), "")),
        torch="",
    )
    return InitialModel(weights=weights, description=replace(description, **words), is_frozen=is_frozen)


def trunk(found: Predictor, parameters: Parameters) -> dict[str, Tensor]:
    state = found.network.state_dict()
    return {name: value for name, value in state.items() if name.split(".")[0] not in parameters.behind_trunk}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_frozen_trunk_stays_and_what_is_behind_it_learns(family: str) -> None:
    parameters, source, own = FAMILIES[family](), predictor(family, seed=1), predictor(family, CLASSES)
    assert trunk(source, parameters), f"{family} has no trunk: {parameters.behind_trunk} are all of it"
    initial(family, source, is_frozen=True).apply(own.network, parameters)
    before = {name: value.clone() for name, value in own.network.state_dict().items()}
    learning = [parameter for parameter in own.network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=0.1)
    own.train()
    own.loss(own.network(**of_torch(make_rows())), torch.arange(ROWS) % 3).backward()
    optimiser.step()
    expected = trunk(source, parameters)
    for name, value in own.network.state_dict().items():
        if name in expected:
            torch.testing.assert_close(value, expected[name], rtol=0, atol=0, msg=name)
    assert any((value != before[name]).any() for name, value in own.network.state_dict().items())


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_model_of_the_same_form_is_taken_whole_and_tuned(family: str) -> None:
    source, own = predictor(family, seed=1), predictor(family)
    initial(family, source).apply(own.network, FAMILIES[family]())
    for name, value in source.network.state_dict().items():
        torch.testing.assert_close(own.network.state_dict()[name], value, rtol=0, atol=0, msg=name)
    assert all(parameter.requires_grad for parameter in own.network.parameters())


def test_tensors_that_do_not_fit_are_named() -> None:
    source, own = predictor("cnn", channels=(8, 16)), predictor("cnn", channels=(4, 16))
    with pytest.raises(ArtefactError, match=r"blocks\.0\.first\.weight: expected \[4, 4, 3, 3\], got \[8, 8, 3, 3\]"):
        initial("cnn", source).apply(own.network, FAMILIES["cnn"]())
    deeper = predictor("transformer", layers=3)
    with pytest.raises(ArtefactError, match=r"trunk\.layers\.2\.\S+: expected \[.+\], got no such tensor; .+ more"):
        initial("transformer", predictor("transformer")).apply(deeper.network, FAMILIES["transformer"]())


def test_a_model_of_another_family_is_refused() -> None:
    own = predictor("gru")
    with pytest.raises(ArtefactError, match="expected a model of the family gru, got lstm"):
        initial("lstm", predictor("lstm")).apply(own.network, FAMILIES["gru"]())


def test_a_text_is_read_as_the_model_reads_it_and_columns_as_their_own_rows_say() -> None:
    theirs = Tokens(name="note", pieces=("a", "b"), length=9, optional=False)
    own = Tokens(name="note", pieces=("z",), length=3, optional=True)
    hue, other_hue = Category(name="hue", words=("red",)), Category(name="hue", words=("blue", "green"))
    scan, number = Image(name="scan", encoding="raw", shape=(1, 8, 8)), Number(name="n")
    given = initial("transformer", predictor("transformer"), features=(theirs, other_hue))
    found = given.encoders((own, hue, number, scan), FAMILIES["transformer"]())
    assert found == (replace(theirs, optional=True), hue, number, scan)
    assert given.encoders((hue,), FAMILIES["feedforward"]()) == (other_hue,)


def test_a_text_that_the_model_does_not_read_is_refused() -> None:
    given = initial("transformer", predictor("transformer"), features=(Number(name="n"),))
    with pytest.raises(ArtefactError, match="expected a model that reads note by tokens, got n by number"):
        given.encoders((Tokens(name="note"),), FAMILIES["transformer"]())


REPOSITORY = Path(__file__).resolve().parents[3]
TRAINING = """
import multiprocessing, time
from millrace.models.export import exporter
with exporter():
    print(multiprocessing.active_children()[0].pid, flush=True)
    time.sleep(60)
"""


def test_no_process_is_left_after_the_block() -> None:
    with exporter():
        assert multiprocessing.active_children()
    assert not multiprocessing.active_children()


def test_the_process_ends_when_the_training_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", TRAINING], cwd=REPOSITORY, stdout=subprocess.PIPE) as training:
        assert training.stdout is not None
        exporting = int(training.stdout.readline())
        os.kill(training.pid, signal.SIGKILL)
    for _ in range(600):
        # An orphan that has ended may stay a zombie where nothing reaps it.
        stat = Path(f"/proc/{exporting}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.1)
    os.kill(exporting, signal.SIGKILL)
    pytest.fail("the process waits for a request that cannot come")


def test_an_export_whose_process_ends_says_so() -> None:
    with exporter() as graph:
        [process] = multiprocessing.active_children()
        process.kill()
        process.join()
        with pytest.raises(ArtefactError, match=r"model\.onnx: the export failed: its process ended"):
            graph.finish({})
