"""The model that a training started from is a link of the chain: digested again, and broken where it is another one."""

from pathlib import Path

import pytest
import yaml

from millrace.artefact.artefact import Artefact, Digests, digest, read_archive, write_archive
from millrace.aws.objects import split_uri
from millrace.console.queries.lineage import Chain
from millrace.console.queries.link import Link
from millrace.features.number import Number
from millrace.names import WorkloadNames
from tests import builders
from tests.console.conftest import DEV, make_stores, stage_of

NAMES = WorkloadNames(platform=DEV, workload="reviews")
DECLARED = Path(__file__).resolve().parents[3] / "workloads" / "reviews" / "workload.yaml"
SOURCE = NAMES.lake_uri("models", "1", "model.tar.gz")


@pytest.fixture
def chain(account: None) -> Chain:
    found = stage_of(NAMES.platform)
    make_stores(found, "artefacts", "lake")
    return Chain(environment=found, names=NAMES, package=builders.package(metadata={"run": "run-1"}))


def put(chain: Chain, uri: str, content: bytes) -> None:
    bucket, key = split_uri(uri)
    chain.s3.put_object(Bucket=bucket, Key=key, Body=content)


def put_model(chain: Chain, folder: Path, weights: bytes) -> str:
    """The digest of a model with these weights, which lies at SOURCE."""
    description = builders.description(
        family="bag",
        features=(Number(name="n"),),
        digests=Digests(
            **dict.fromkeys(("data", "contract", "config", "code"), ""), weights=digest(weights), onnx=digest(b"")
        ),
        torch="",
    )
    path = folder / "model.tar.gz"
    write_archive(path, Artefact(description=description, weights=weights, onnx=b"", history=b""))
    put(chain, SOURCE, path.read_bytes())
    return read_archive(path).digest


def declare(chain: Chain, digest: str, source: str = SOURCE) -> None:
    """The run's own declaration starts from it."""
    document = yaml.safe_load(DECLARED.read_text())
    document["training"]["weights"] = {"from": source, "digest": f"sha256:{digest}", "freeze": "trunk"}
    put(chain, NAMES.run_uri("run-1", "config", "workload.yaml"), yaml.safe_dump(document).encode())


def initial(chain: Chain) -> list[Link]:
    return list(chain._initial())


def test_the_model_is_digested_again(chain: Chain, tmp_path: Path) -> None:
    declare(chain, put_model(chain, tmp_path, b"weights"))
    [link] = initial(chain)
    assert (link.what, link.identity, link.state) == ("initial weights", SOURCE, "checked")
    assert "its trunk frozen" in link.detail


def test_another_model_in_its_place_breaks_the_chain(chain: Chain, tmp_path: Path) -> None:
    declare(chain, put_model(chain, tmp_path, b"weights"))
    put_model(chain, tmp_path, b"others")
    assert [link.state for link in initial(chain)] == ["broken"]
    put(chain, SOURCE, b"no archive")
    assert [link.state for link in initial(chain)] == ["broken"]
    bucket, key = split_uri(SOURCE)
    chain.s3.delete_object(Bucket=bucket, Key=key)
    assert [link.state for link in initial(chain)] == ["broken"]


def test_weights_alone_are_digested_as_a_file(chain: Chain) -> None:
    source = SOURCE.replace("model.tar.gz", "trunk.safetensors")
    declare(chain, digest(b"weights"), source)
    put(chain, source, b"weights")
    assert [(link.identity, link.state) for link in initial(chain)] == [(source, "checked")]
    put(chain, source, b"others")
    assert [link.state for link in initial(chain)] == ["broken"]


def test_a_training_from_random_weights_has_no_such_link(chain: Chain) -> None:
    assert initial(chain) == []
    put(chain, NAMES.run_uri("run-1", "config", "workload.yaml"), DECLARED.read_bytes())
    assert initial(chain) == []
