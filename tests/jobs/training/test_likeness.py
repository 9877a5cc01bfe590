"""A model measures how far a row is from its training rows, the same in every engine, and rows like them are near."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from millrace.errors import TrainingError
from millrace.jobs.training.job import check_held_out, measure_held_out
from millrace.jobs.training.loader import Resident
from millrace.models.catalogue import FAMILIES
from millrace.models.export import export, with_weights
from millrace.models.likeness import MOST_HELD, kept
from millrace.models.predictor import build
from millrace.tasks.binary import Binary
from tests.millrace.models.test_families import make_rows, of_torch, signature_of

OBJECTIVE = Binary().objective


def resident(tensors: dict[str, torch.Tensor]) -> Resident:
    return Resident(tensors=tensors, target_N=torch.zeros(len(next(iter(tensors.values())))))


NIGHT = pytest.mark.night("by day the other cell of the kind")


@pytest.mark.parametrize("family", [pytest.param(one, marks=[NIGHT] * (one in ("lstm", "rnn"))) for one in FAMILIES])
def test_the_graph_measures_the_same_distance(family: str) -> None:
    import onnxruntime

    signature = signature_of(family)
    torch.manual_seed(0)
    predictor = build(FAMILIES[family](), signature, OBJECTIVE, measures_likeness=True).eval()
    rows = of_torch(make_rows())
    tensors: dict[str, Any] = {spec.name: rows[spec.name] for spec in signature}
    predictor.network.fit(tensors, torch.zeros(len(next(iter(tensors.values())))))  # type: ignore[operator]
    held = measure_held_out(predictor, train=resident(tensors), validation=resident(tensors))
    fresh = build(FAMILIES[family](), signature, OBJECTIVE, measures_likeness=True)
    graph = with_weights(export(fresh, signature), predictor.state_dict())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # as whoever answers with it
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_outputs()] == ["output", "distance"]
    output_NW, distance_N1 = session.run(["output", "distance"], {name: t.numpy() for name, t in tensors.items()})
    with torch.no_grad():
        np.testing.assert_allclose(output_NW, predictor(**tensors).numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.sort(distance_N1[:, 0]), held, rtol=1e-3, atol=1e-4)
    # A distance has the same bits in any company, as an answer has.
    fewest = FAMILIES[family].rows_per_pass.fewest
    expected_N1, *found = (
        np.concatenate(
            [
                session.run(["distance"], {name: t[at : at + size].numpy() for name, t in tensors.items()})[0]
                for at in range(0, len(distance_N1) // size * size, size)
            ]
        )
        for size in (fewest, fewest + 1, fewest + 6, 32)
    )
    for one in found:
        np.testing.assert_array_equal(one, expected_N1[: len(one)])


def test_rows_far_out_are_unlike_and_the_promised_share_of_others_is() -> None:
    rng, signature = np.random.default_rng(3), signature_of("feedforward")
    numbers = next(spec for spec in signature if spec.name == "numbers")

    def rows(count: int, *, moved: float = 0.0) -> dict[str, torch.Tensor]:
        # Numbers that hang together, as in a table: a row can be odd though no single cell is.
        common = rng.normal(size=(count, 1))
        values = common + 0.3 * rng.normal(size=(count, numbers.shape[0])) + moved
        found = {"numbers": torch.from_numpy(values.astype(np.float32))}
        others = {spec.name: torch.zeros((count, *spec.shape), dtype=torch.int64) for spec in signature}
        return others | found

    torch.manual_seed(0)
    predictor = build(FAMILIES["feedforward"](), signature, OBJECTIVE, measures_likeness=True).eval()
    train = rows(4000)
    predictor.network.fit(train, torch.zeros(4000))  # type: ignore[operator]
    held = measure_held_out(predictor, train=resident(train), validation=resident(rows(1000)))

    def unlike(tensors: dict[str, torch.Tensor]) -> float:
        with torch.no_grad():
            *_, distance_N1 = predictor.outputs(**tensors)
        at_least = len(held) - np.searchsorted(held, distance_N1[:, 0].numpy().astype(float))
        return float(((1 + at_least) / (1 + len(held)) < 0.05).mean())

    assert unlike(rows(4000)) == pytest.approx(0.05, abs=0.025)
    assert unlike(rows(1000, moved=6.0)) > 0.95


def test_so_few_held_out_rows_that_none_could_be_unlike_are_refused() -> None:
    check_held_out(0.01, 100)
    with pytest.raises(TrainingError, match="at least 100 validation rows"):
        check_held_out(0.01, 99)


def test_kept_distances_have_the_ranks_of_all() -> None:
    everything = np.arange(12_345, dtype=float)
    some = kept(everything.tolist())
    assert (len(some), some[-1]) == (MOST_HELD, 12_344)
    for at in (0.5, 0.9, 0.99):
        assert np.mean(np.array(some) >= at * 12_345) == pytest.approx(1 - at, abs=2 / MOST_HELD)
