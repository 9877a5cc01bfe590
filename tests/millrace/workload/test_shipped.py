"""What the shipped workloads declare: between them every section, so that each is deployed and read by somebody."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import BaseModel

from millrace.contract.load import read_document
from millrace.workload.declaration import SET_ELSEWHERE, Workload
from millrace.workload.load import SUITE
from millrace.workload.places import models_in

ELSEWHERE = {
    "consumers": "they are queues, buses and addresses of the account",
    "policy.automate.costs": "what a wrong answer costs is its owner's to say",
    "gates.finite_weights": "without the key too, it judges every model",
    "gates.parts": "no shipped workload has an answer of several parts",
    "jobs": "the stage needs the option `api`",
    "queries": "they read a table of the account",
    "sources": "they are databases and APIs of the account's owner",
    "stream": "a stream costs 29 USD a month where nothing comes, too",
    "training.pretrained": "the part is a file of its own",
    "tuning": "without it `millrace tune` makes the usual search",
    "training.weights": "they are those of a model of the account",
}
"""Sections that no shipped workload can declare, and why."""


def _sections(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        for inner in () if prefix == "prediction." and name in SET_ELSEWHERE else models_in(field.annotation):
            yield f"{prefix}{name}"
            yield from _sections(inner, f"{prefix}{name}.")


def _places(value: object, prefix: str = "") -> Iterator[str]:
    for key, inner in value.items() if isinstance(value, dict) else ():
        yield f"{prefix}{key}"
        for one in inner if isinstance(inner, list) else [inner]:
            yield from _places(one, f"{prefix}{key}.")


def test_every_section_is_declared_by_a_shipped_workload() -> None:
    files = SUITE.glob("workloads/*/workload.yaml")
    missing = set(_sections(Workload)) - {place for one in files for place in _places(read_document(one))}
    assert {next((of for of in ELSEWHERE if one.startswith(of)), one) for one in missing} == set(ELSEWHERE)
