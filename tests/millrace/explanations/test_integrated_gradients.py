"""Integrated gradients of every family: they add up, a column without a say gets nothing, captum says the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from millrace.explanations.integrated_gradients import EntryAttributions, integrated_gradients
from millrace.models.catalogue import FAMILIES
from millrace.models.entrance import EVERYWHERE, Entrance, watched
from millrace.models.predictor import Predictor
from millrace.workload.declaration import Explanations
from tests.millrace.models.test_families import CONSTANT, fitted, make_rows, signature_of

ROWS = 4
NODES = Explanations().nodes
MOST_ERROR = 0.03
"""Of the completeness, as a share of the largest change; NEAR holds all but the steepest rows to 0.02."""


@pytest.fixture(params=sorted(FAMILIES), scope="module")
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def predictor(family: str) -> Predictor:
    """Untrained; its first numbers say much, its categories little."""
    return fitted(family)


def references(family: str) -> dict[str, torch.Tensor]:
    """Means of amounts, 0 for a category; the words of a text become the word 1."""
    found = {}
    for spec in signature_of(family):
        value = make_rows()[spec.name]
        if spec.dtype == "int64":
            found[spec.name] = torch.from_numpy((value[:ROWS] > 0).astype(np.int64) * (spec.name != "categories"))
        else:
            axes = tuple(range(value.ndim - 1)) if spec.dtype == "float32" else (0, 2, 3)
            mean = np.nanmean(value, axis=axes, keepdims=True).astype(spec.dtype)
            found[spec.name] = torch.from_numpy(np.broadcast_to(mean, value[:ROWS].shape).copy())
    return found


def given(family: str) -> dict[str, torch.Tensor]:
    return {spec.name: torch.from_numpy(make_rows()[spec.name][:ROWS]) for spec in signature_of(family)}


@pytest.fixture(scope="module")
def found(family: str, predictor: Predictor) -> EntryAttributions:
    at = np.arange(ROWS, dtype=np.int64) % 3
    return integrated_gradients(predictor, given(family), references(family), at, nodes=NODES)


def test_what_the_entries_add_is_the_change_of_the_score(found: EntryAttributions) -> None:
    change = np.abs(found.output_N - found.base_N)
    assert change.max() > 0.01
    assert found.completeness_error.max() < MOST_ERROR * change.max()


def test_a_column_that_never_varied_in_training_adds_nothing(family: str, found: EntryAttributions) -> None:
    if "numbers" in found.entries:
        assert not found.entries["numbers"][:, CONSTANT].any()
        assert np.abs(found.entries["numbers"]).max() > 0


def _explained(predictor: Predictor, family: str) -> EntryAttributions:
    at = np.zeros(ROWS, np.int64)
    return integrated_gradients(predictor, given(family), references(family), at, nodes=NODES)


def test_the_answers_are_the_same_bits_after_an_explanation(family: str) -> None:
    predictor = fitted(family)
    with torch.no_grad():
        before = predictor(**given(family))
    _explained(predictor, family)
    with torch.no_grad():
        assert torch.equal(predictor(**given(family)), before)
    assert not any(module._forward_hooks for module in predictor.modules())


@pytest.mark.filterwarnings("ignore:Multiple layers provided:UserWarning")
def test_captum_says_the_same(family: str, predictor: Predictor) -> None:
    captum: Any = pytest.importorskip("captum.attr")
    names = [spec.name for spec in signature_of(family)]
    here, there = given(family), references(family)

    def log_odds(*tensors: torch.Tensor) -> torch.Tensor:
        p = predictor(**dict(zip(names, tensors, strict=True)))[:, 1].double()
        return torch.log(p / (1 - p))

    with watched(predictor) as entrances:
        used = [one for one in entrances if one.tensor or one.owners]
        reference = captum.LayerIntegratedGradients(log_odds, used).attribute(
            tuple(here[name] for name in names),
            baselines=tuple(there[name] for name in names),
            n_steps=24,
            method="gausslegendre",
        )
    sums = sum(one.detach().reshape(ROWS, -1).sum(1).double().numpy() for one in reference)
    at = np.ones(ROWS, np.int64)
    ours = integrated_gradients(predictor, here, there, at, nodes=NODES)
    np.testing.assert_allclose(
        sum(value.reshape(ROWS, -1).sum(1) for value in ours.entries.values()), sums, atol=2e-3 * np.abs(sums).max()
    )
    for entrance, one in zip(used, reference, strict=True):
        if entrance.axes == 2 and entrance.tensor:
            # A history enters twice, as what is known and as what is missing.
            continue
        if entrance.tensor:
            folded = one.detach().flatten(1 + entrance.axes).sum(-1) if one.ndim > 1 + entrance.axes else one.detach()
            folded = folded + _of_all_cells(
                entrance.tensor, used, reference, here[entrance.tensor] != there[entrance.tensor]
            )
            np.testing.assert_allclose(ours.entries[entrance.tensor], folded.numpy(), atol=2e-3 * np.abs(sums).max())


def _of_all_cells(
    name: str, used: Sequence[Entrance], reference: Sequence[torch.Tensor], differs: torch.Tensor
) -> torch.Tensor:
    """What belongs to all cells of the tensor alike, spread over those that differ."""
    whole_N = torch.zeros(ROWS)
    for entrance, one in zip(used, reference, strict=True):
        for place, owner in enumerate(entrance.owners):
            if owner == (name, EVERYWHERE):
                whole_N += one.detach()[:, place]
    share = differs / differs.flatten(1).sum(1).view(-1, *[1] * (differs.ndim - 1))
    return whole_N.view(-1, *[1] * (differs.ndim - 1)) * share
