"""What families do with the padding of texts, with n-grams that no training text has, and with several inputs."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from millrace.features.signature import Signature, TensorSpec
from millrace.models.bag.declaration import Bag
from millrace.models.export import export
from millrace.models.parameters import Parameters
from millrace.models.predictor import Predictor, build
from millrace.models.transformer.declaration import Transformer
from millrace.tasks.binary import Binary

ROWS, IDS = 64, 30
NOTE = TensorSpec(name="note", dtype="int64", shape=(8,), cardinalities=(IDS,))


def rows(signature: Signature, seed: int = 0) -> dict[str, Tensor]:
    """Texts of ids below 20, the second half padding; the other ids never occur."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for spec in signature:
        shape = (ROWS, *(size or 1 for size in spec.shape))
        if spec.dtype == "float32":
            found[spec.name] = torch.randn(shape, generator=generator)
            continue
        ids = torch.rand((ROWS, 19), generator=generator).argsort(1)[:, : shape[1]] + 1
        ids[:, shape[1] // 2 :] = 0
        found[spec.name] = ids
    return found


def fitted(parameters: Parameters, signature: Signature) -> Predictor:
    torch.manual_seed(0)
    predictor = build(parameters, signature, Binary().objective)
    predictor.fit(rows(signature), torch.zeros(ROWS))
    return predictor.eval()


def answers(predictor: Predictor, tensors: dict[str, Tensor]) -> np.ndarray:
    with torch.no_grad():
        return predictor(**tensors).numpy()


@pytest.mark.parametrize("parameters", [Bag(), Transformer()], ids=["bag", "transformer"])
def test_padding_has_no_say(parameters: Parameters) -> None:
    """Were the network changed by it, the longest text of a training would change the answers to all others."""
    predictor = fitted(parameters, (NOTE,))
    before = answers(predictor, rows((NOTE,)))
    vectors = next(module for module in predictor.modules() if isinstance(module, torch.nn.Embedding))
    with torch.no_grad():
        vectors.weight[0] += 100
    np.testing.assert_array_equal(answers(predictor, rows((NOTE,))), before)
    with torch.no_grad():
        vectors.weight[1:] += torch.randn(IDS - 1, vectors.weight.shape[1])
    assert np.abs(answers(predictor, rows((NOTE,))) - before).max() > 1e-3


@pytest.mark.parametrize("parameters", [Bag(), Transformer()], ids=["bag", "transformer"])
def test_a_text_without_any_id_has_an_answer(parameters: Parameters) -> None:
    predictor = fitted(parameters, (NOTE,))
    empty = {"note": torch.zeros_like(rows((NOTE,))["note"])}
    found = answers(predictor, empty)
    assert np.isfinite(found).all()
    assert np.ptp(found) == 0


def test_an_ngram_that_no_training_text_has_counts_nothing() -> None:
    predictor = fitted(Bag(), (NOTE,))
    known = rows((NOTE,))
    new = {"note": known["note"].clone()}
    new["note"][:, -1] = IDS - 1
    np.testing.assert_array_equal(answers(predictor, new), answers(predictor, known))
    new["note"][:, -1] = 1
    assert np.abs(answers(predictor, new) - answers(predictor, known)).max() > 1e-4


def test_the_order_of_pieces_matters_to_a_transformer_and_not_to_a_bag() -> None:
    for parameters, matters in ((Transformer(), True), (Bag(), False)):
        predictor = fitted(parameters, (NOTE,))
        given = rows((NOTE,))
        turned = {"note": torch.cat([given["note"][:, :4].flip(1), given["note"][:, 4:]], dim=1)}
        difference = np.abs(answers(predictor, turned) - answers(predictor, given)).max()
        assert bool(difference > 1e-4) is matters


def test_a_dimension_that_the_heads_cannot_share_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"expected a multiple of heads \(3\), got 64"):
        Transformer(heads=3)


def test_texts_of_any_length_have_the_same_bits_alone_and_in_company() -> None:
    """Rows of 86 numbers begin at other places of a register each; a sum over such a row is added in another order."""
    note = TensorSpec(name="note", dtype="int64", shape=(86,), cardinalities=(4096,))
    ids = torch.randint(1, 4096, (300, 86), generator=torch.Generator().manual_seed(0)).square() // 4096
    torch.manual_seed(0)
    predictor = build(Bag(dimension=16), (note,), Binary().objective)
    predictor.fit({"note": ids}, torch.zeros(300))
    session = onnxruntime.InferenceSession(export(predictor.eval(), (note,)), providers=["CPUExecutionProvider"])
    [together] = session.run(["output"], {"note": ids.numpy()})
    two = [session.run(["output"], {"note": ids[[at, at]].numpy()})[0][:1] for at in range(len(ids))]
    np.testing.assert_array_equal(np.concatenate(two), together)
