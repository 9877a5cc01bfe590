"""What people can declare, in `workload.yaml` or below `stages` of cdk.json, is read by some code.

A key that nothing reads would be refused by nobody and do nothing."""

from __future__ import annotations

import ast

from pydantic import BaseModel

from millrace.evaluation.gates.catalogue import Gates
from millrace.evaluation.gates.fairness import Fairness
from millrace.infra.options import Options
from millrace.models.catalogue import FAMILIES
from millrace.workload.declaration import Workload
from millrace.workload.places import models_in
from tests.documentation.pages import ROOT

ROOMS = ("millrace", "functions", "jobs", "console", "infra")
ONLY_JUDGING = {"accepts", "misfit", "suits"}
"""Functions that refuse a value and, as validators, give it no effect."""
BY_NAME = {(Fairness.__name__, name) for name in Fairness.model_fields if name[:4] in ("max_", "min_")}
BY_NAME |= {(Gates.__name__, name) for name in Gates.model_fields}
"""Read by `Fairness.bars` and `Gates.declared`, which go over the names."""


def declared(*models: type[BaseModel]) -> set[tuple[str, str]]:
    """Class and key of all that can be declared in these models and within them."""
    waiting, seen = list(models), set(models)
    found = set()
    while waiting:
        model = waiting.pop()
        for name, field in model.model_fields.items():
            found.add((model.__name__, name))
            new = set(models_in(field.annotation)) - seen
            seen |= new
            waiting += new
    return found


class Reads(ast.NodeVisitor):
    """The names of attributes that are read, but for those that only decide whether a value is refused."""

    def __init__(self) -> None:
        self.found: set[str] = set()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        is_validator = any("validator" in ast.unparse(decorator) for decorator in node.decorator_list)
        if not is_validator and node.name not in ONLY_JUDGING:
            self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.ctx, ast.Load):
            self.found.add(node.attr)
        self.generic_visit(node)


def read_names(*sources: str) -> set[str]:
    reads = Reads()
    for source in sources:
        reads.visit(ast.parse(source))
    return reads.found


def production() -> list[str]:
    """The sources of the product."""
    paths = (path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")))
    return [path.read_text() for path in paths]


def test_each_key_is_read() -> None:
    names = read_names(*production())
    unread = {(model, key) for model, key in declared(Workload, Options, *FAMILIES.values()) if key not in names}
    assert unread - BY_NAME == set()
