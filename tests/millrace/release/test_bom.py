"""A bill of materials is valid CycloneDX 1.6 and names the model, its rows, images and libraries."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from millrace.artefact.pretrained import PretrainedOrigin
from millrace.console.queries.documents import invalid
from millrace.errors import ArtefactError
from millrace.evaluation.environment import Installed, installed
from millrace.release.bom import bom_of
from millrace.release.card import card_of
from tests.millrace.release.test_card import external, records

LIBRARIES = Installed(python="3.13.1", packages={"onnxruntime": "1.31.1", "Jinja2": "3.1.6", "torch": "2.13.0+cpu"})


def test_it_is_valid_and_the_same_again() -> None:
    made = bom_of(records(), LIBRARIES)
    assert invalid(made) == ""
    assert made == bom_of(records(), LIBRARIES)
    assert invalid(bom_of(records(), installed())) == ""


def test_an_external_model_depends_on_no_rows_and_no_training_of_ours() -> None:
    made = json.loads(bom_of(external(), LIBRARIES))
    assert invalid(json.dumps(made)) == ""
    assert made["dependencies"][0] == {"ref": "model", "dependsOn": ["serving-image"]}
    assert "training-image" not in {one["bom-ref"] for one in made["components"]}


def test_a_part_that_was_learnt_elsewhere_is_named_with_its_licence() -> None:
    given = records()
    origin = PretrainedOrigin(name="minilm", source="a package 1.0", licence="MIT", digest="ab" * 32)
    given = replace(given, description=replace(given.description, pretrained=origin))
    made = json.loads(bom_of(given, LIBRARIES))
    assert invalid(json.dumps(made)) == ""
    [part] = [one for one in made["components"] if one["bom-ref"] == "pretrained"]
    assert (part["name"], part["licenses"]) == ("minilm", [{"license": {"name": "MIT"}}])
    assert part["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert "pretrained" in made["dependencies"][0]["dependsOn"]
    said = json.loads(card_of(given))["additional_information"]["custom_details"]
    assert {key: said[f"pretrained_{key}"] for key in ("name", "licence", "digest")} == {
        "name": "minilm",
        "licence": "MIT",
        "digest": "ab" * 32,
    }


def test_a_version_whose_libraries_nobody_wrote_down_has_none() -> None:
    with pytest.raises(ArtefactError, match="expected the libraries of the evaluation, got none"):
        bom_of(records(), Installed(python="3.13.1", packages={}))
