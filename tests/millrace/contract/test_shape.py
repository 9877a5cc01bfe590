"""Whatever is written in contract.yaml: the contract loads, or WorkloadError names a field."""

import copy
import datetime
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from millrace.contract.load import load_contract
from millrace.errors import WorkloadError

WORKLOADS = Path(__file__).parents[3] / "workloads"
CONTRACTS = [yaml.safe_load(path.read_bytes()) for path in sorted(WORKLOADS.glob("*/contract.yaml"))]
VALUES = (
    *(None, 5, -1, 0.5, True, "text", "", "(((", [], {}, [1], [[]], [{}], [None], {"name": 5}, 10**400, float("inf")),
    *(datetime.date(2020, 1, 1), b"bytes", {1}, {1: 2}, [{"metric": [1]}], [{"property": [1], "value": 1}]),
    [{"metric": "rowCount", "mustBeGreaterThan": "x"}],
)


def places(document: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value below the document."""
    if before:
        yield before
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        if isinstance(value, dict | list):
            yield from places(value, (*before, key))
        else:
            yield (*before, key)


def altered(random: Random) -> str:
    """A contract of ours with one or two values taken out or replaced."""
    document = copy.deepcopy(random.choice(CONTRACTS))
    for _ in range(random.randint(1, 2)):
        *way, last = random.choice(list(places(document["schema"])) or [(0,)])
        holder = document["schema"]
        for step in way:
            holder = holder[step]
        if isinstance(holder, dict) and random.random() < 0.2:
            del holder[last]
        else:
            holder[last] = copy.deepcopy(random.choice(VALUES))
    return yaml.safe_dump(document)


def loads(folder: Path, text: str | bytes) -> bool:
    (folder / "contract.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        load_contract(folder)
    except WorkloadError as error:
        return not error.field
    return True


@pytest.mark.parametrize(
    "drawn",
    [
        range(100),
        pytest.param(range(100, 20_000), marks=pytest.mark.night("by day a hundred of the 20,000 alterations")),
    ],
    ids=str,
)
def test_an_altered_contract_loads_or_names_its_field(drawn: range, tmp_path: Path) -> None:
    found = [loads(tmp_path, altered(Random(seed))) for seed in drawn]
    assert any(found)
    assert not all(found)


WHOLE = yaml.safe_dump(CONTRACTS[0])


@pytest.mark.parametrize(
    "text",
    [
        *("", "5", "- 1", "schema: 5", "schema: [5]", "schema: !!set {a}", "a: 2020-99-99", "a: " + "9" * 5_000),
        *("[" * 3_000, "a: &a [*a]", "? {a: b}\n: c", "a: b: c", "a: !!python/object:os.system x", b"\xff", b"\0"),
        *("schema:\n- name: rows\n  properties: text", WHOLE + "x: &x [*x]\n", WHOLE + "5: 6\n", "a: {1: 2, b: 3}"),
    ],
)
def test_a_document_that_is_no_contract_names_its_field(text: str | bytes, tmp_path: Path) -> None:
    assert not loads(tmp_path, text)
