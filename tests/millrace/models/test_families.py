"""What every family of the catalogue must do; a new entry is tested unasked."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch

from millrace import models
from millrace.models.catalogue import FAMILIES, Parameters

ROWS, FEATURES = 257, 7


@pytest.fixture
def rows() -> npt.NDArray[np.float32]:
    """Columns of different scale, the third constant."""
    rows = np.random.default_rng(0).normal(
        [3, 0.5, 0, 1e4, -2, 0, 0.4], [2, 0.3, 1, 500, 1e-3, 1, 0.1], (ROWS, FEATURES)
    )
    rows[:, 2] = 0.003467
    return rows.astype(np.float32)


@pytest.fixture(params=sorted(FAMILIES))
def network(request: pytest.FixtureRequest, rows: npt.NDArray[np.float32]) -> Any:
    """An untrained network of each family, standardised on the rows, at a temperature other than 1."""
    torch.manual_seed(1)
    network = import_module(f"millrace.models.{request.param}.network").build(FAMILIES[request.param](), FEATURES)
    network.standardise(torch.from_numpy(rows))
    network.temperature.fill_(1.7)
    return network.eval()


def run(network: Any, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    graph = import_module(type(network).__module__).graph(network)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    [probability] = session.run(["probability"], {"features": rows})
    return probability


def test_each_family_is_one_folder_and_one_line() -> None:
    folders = {path.parent.name for path in Path(models.__file__).parent.glob("*/network.py")}
    assert folders == set(FAMILIES)
    for name, parameters in FAMILIES.items():
        assert issubclass(parameters, Parameters)
        assert get_type_hints(import_module(f"millrace.models.{name}.network").build)["parameters"] is parameters


@pytest.mark.parametrize("count", [1, 2, ROWS])
def test_the_graph_answers_as_torch_does(network: Any, rows: npt.NDArray[np.float32], count: int) -> None:
    with torch.no_grad():
        expected = network.probability(torch.from_numpy(rows[:count])).numpy()
    found = run(network, rows[:count])
    assert found.dtype == np.float32
    assert found.shape == (count,)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_the_temperature_is_part_of_the_answer(network: Any, rows: npt.NDArray[np.float32]) -> None:
    warm = run(network, rows)
    network.temperature.fill_(1.0)
    assert np.abs(run(network, rows) - warm).max() > 1e-3


def test_a_column_that_never_varied_in_training_has_no_say(network: Any, rows: npt.NDArray[np.float32]) -> None:
    changed = rows.copy()
    changed[:, 2] = 1e6
    np.testing.assert_array_equal(run(network, changed), run(network, rows))
    changed[:, 0] += 1
    assert np.abs(run(network, changed) - run(network, rows)).max() > 1e-4  # others have


def test_a_column_that_hardly_varies_is_not_taken_for_constant(network: Any, rows: npt.NDArray[np.float32]) -> None:
    standardised = (torch.from_numpy(rows) - network.mean_F) * network.scale_F
    varying = [0, 1, 3, 4, 5, 6]
    np.testing.assert_allclose(standardised.std(0)[varying], 1, atol=0.02)


def test_the_same_seed_gives_the_same_network(network: Any, rows: npt.NDArray[np.float32]) -> None:
    torch.manual_seed(1)
    again = import_module(type(network).__module__).build(FAMILIES[type(network).__module__.split(".")[-2]](), FEATURES)
    again.standardise(torch.from_numpy(rows))
    again.temperature.fill_(1.7)
    np.testing.assert_array_equal(run(again.eval(), rows), run(network, rows))


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_a_missing_number_counts_as_the_mean(name: str, rows: npt.NDArray[np.float32]) -> None:
    torch.manual_seed(1)
    network = import_module(f"millrace.models.{name}.network").build(FAMILIES[name](), FEATURES, may_miss=True)
    rows[::3, 1] = np.nan
    network.standardise(torch.from_numpy(rows))
    filled = np.where(np.isnan(rows), np.nanmean(rows, axis=0, keepdims=True), rows).astype(np.float32)
    network.eval()
    with torch.no_grad():
        expected = network.probability(torch.from_numpy(filled)).numpy()
        np.testing.assert_allclose(network.probability(torch.from_numpy(rows)).numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(run(network, rows), expected, atol=1e-6)


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_nan_stays_nan_where_nothing_may_be_missing(name: str, rows: npt.NDArray[np.float32]) -> None:
    network = import_module(f"millrace.models.{name}.network").build(FAMILIES[name](), FEATURES)
    network.standardise(torch.from_numpy(rows))
    rows[0, 1] = np.nan
    assert np.isnan(run(network.eval(), rows)[0])
