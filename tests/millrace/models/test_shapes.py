"""The shapes at the ends of lines are those that the tensors have: as many axes, rows first."""

from __future__ import annotations

import linecache
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from torch import Tensor

from millrace.models import catalogue
from millrace.models.catalogue import FAMILIES
from millrace.models.predictor import build
from millrace.tasks.multiclass import Multiclass
from tests.millrace.models.test_families import ROWS, make_rows, of_torch, signature_of

FOLDER = Path(catalogue.__file__).parent
STATED = re.compile(r"^\s*(\w+)(?:: Tensor)?(?:, \w+)* = .*  # (?:each )?(\(.*)$")
"""`x = …  # (N, T, F)`; of several shapes one is that of the first tensor."""
Line = tuple[str, list[list[str]], list[Tensor]]
"""Where it stands, the axes of each shape, and what came."""


def stated(family: str) -> Iterator[Line]:
    """Each line of the family's forward pass that states a shape, as often as it is passed."""
    found: list[Line] = []

    def enter(frame: FrameType, _event: str, _given: Any) -> Any:
        return _follow(found) if Path(frame.f_code.co_filename).is_relative_to(FOLDER) else None

    rows = of_torch(make_rows())
    predictor = build(FAMILIES[family](), signature_of(family), Multiclass(classes=("a", "b", "c")).objective)
    predictor.fit(rows, torch.zeros(ROWS, dtype=torch.int64))
    before = sys.gettrace()
    sys.settrace(enter)
    try:
        predictor.network(**{spec.name: rows[spec.name] for spec in signature_of(family)})
    finally:
        sys.settrace(before)
    yield from found


def _follow(found: list[Line]) -> Any:
    """A line's tensors are there when the next one begins."""
    done: list[int] = []

    def line(frame: FrameType, _event: str, _given: Any) -> Any:
        file = frame.f_code.co_filename
        if done and (match := STATED.match(linecache.getline(file, done[-1]))):
            value = frame.f_locals.get(match[1])
            tensors = value if isinstance(value, list) else [value]
            shapes = [shape.split(", ") for shape in re.findall(r"\(([^()]*)\)", match[2])]
            found.append((f"{Path(file).name}:{done[-1]}", shapes, [one for one in tensors if isinstance(one, Tensor)]))
        done.append(frame.f_lineno)
        return line

    return line


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_stated_shape_is_that_of_the_tensor(family: str) -> None:
    lines = list(stated(family))
    assert len({where for where, _, _ in lines}) >= 3
    for where, shapes, tensors in lines:
        for tensor in tensors:
            assert any(_is_of(tensor, axes) for axes in shapes), (where, tuple(tensor.shape))


def _is_of(tensor: Tensor, axes: list[str]) -> bool:
    if (tensor.dim(), axes[0], len(tensor)) != (len(axes), "N", ROWS):
        return False
    return all(axis != "1" or size == 1 for axis, size in zip(axes, tensor.shape, strict=True))
