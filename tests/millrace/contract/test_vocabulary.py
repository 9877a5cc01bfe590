"""A misspelt value in a contract is refused like a misspelt key: each word that the contract's vocabulary enumerates.

The standard allows any text in the fields for people, of which no word is enumerated or read: `status`, `domain`,
`version`, `description`, `dataGranularityDescription`, `driver`, `team`, the unit of a column, and the `physicalType`
of an object."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from millrace.contract.csv_form import ENCODINGS
from millrace.contract.freshness import AGREEMENTS, HOURS
from millrace.contract.load import DECLARED_TYPES, GENERATED, ROLES, load_contract
from millrace.contract.odcs import API_VERSIONS, check_contract
from millrace.errors import WorkloadError

WORKLOADS = Path(__file__).resolve().parents[3] / "workloads"
LATENCY = {"property": "latency", "value": 2, "unit": "d", "element": "rows.timestamp"}
CUSTOM = {"image", "input", "unit", "role", "generated", "missingValues", "csv"}
VOCABULARY: dict[str, set[str]] = {
    "kind": {"DataContract"},
    "apiVersion": {*API_VERSIONS},
    "logicalType": {*DECLARED_TYPES, "object"},
    "physicalType": {word for kinds in DECLARED_TYPES.values() for word in kinds},
    "type": {"library", "text"},
    "metric": {"invalidValues", "nullValues", "duplicateValues", "rowCount"},
    "dimension": {"conformity"},
    "role": {*ROLES},
    "generated": {*GENERATED},
    "property": {*AGREEMENTS, *CUSTOM},
    "encoding": {"png", "raw", "jpeg", *ENCODINGS},
}
"""The enumerated words by the field, or the custom property, that holds them."""


def texts(document: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str, str]]:
    """Every text of a document: its place, its field, and the text. The field of a custom property is its name."""
    entries = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in entries:
        if isinstance(value, dict | list):
            yield from texts(value, (*place, key))
        elif isinstance(value, str):
            yield (*place, key), document["property"] if key == "value" and "property" in document else key, value


def misspelt(word: str, known: set[str]) -> set[str]:
    """With a letter too few, and with one too many."""
    return {word[:-1], word + word[-1]} - {*known, ""}


def refuses(document: dict[str, Any], folder: Path) -> bool:
    (folder / "contract.yaml").write_text(yaml.safe_dump(document))
    try:
        # The reader of functions and jobs is quick; the standard's schema is asked about what it takes.
        load_contract(folder)
        check_contract(folder)
    except WorkloadError:
        return True
    return False


def test_every_misspelt_word_of_the_shipped_contracts_is_refused(tmp_path: Path) -> None:
    seen, taken = set[tuple[str, str]](), []
    for path in sorted(WORKLOADS.glob("*/contract.yaml")):
        document = yaml.safe_load(path.read_text())
        for place, field, word in texts(document):
            known = VOCABULARY.get(field, set())
            if word not in known or (field, word) in seen:
                continue
            seen.add((field, word))
            for wrong in misspelt(word, known):
                changed = copy.deepcopy(document)
                at: Any = changed
                for key in place[:-1]:
                    at = at[key]
                at[place[-1]] = wrong
                taken += [(path.parent.name, place, wrong)] if not refuses(changed, tmp_path) else []
    assert taken == []
    assert {field for field, _ in seen} == VOCABULARY.keys()


@pytest.mark.parametrize(
    ("field", "known"), [("property", AGREEMENTS), ("unit", tuple(HOURS))], ids=["agreements", "units"]
)
def test_every_misspelt_word_of_an_agreement_is_refused(field: str, known: tuple[str, ...], tmp_path: Path) -> None:
    """Those of the standard's tables, which the shipped contracts hardly use."""
    document = yaml.safe_load((WORKLOADS / "electricity" / "contract.yaml").read_text())
    for word in known:
        assert not refuses(document | {"slaProperties": [LATENCY | {field: word}]}, tmp_path), word
        for wrong in misspelt(word, set(known)):
            assert refuses(document | {"slaProperties": [LATENCY | {field: wrong}]}, tmp_path), wrong


def test_every_misspelt_type_of_a_column_is_refused(tmp_path: Path) -> None:
    document = yaml.safe_load((WORKLOADS / "electricity" / "contract.yaml").read_text())
    column = document["schema"][0]["properties"][3]
    column.pop("logicalTypeOptions", None)
    for logical, kinds in DECLARED_TYPES.items():
        for word in filter(None, kinds):
            for wrong in misspelt(word, set(kinds)):
                column |= {"logicalType": logical, "physicalType": wrong}
                assert refuses(document, tmp_path), (logical, wrong)
