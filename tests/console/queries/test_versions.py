"""What a person reads of a registered version."""

from __future__ import annotations

from console.queries.versions import _registered, as_document
from millrace.release.registry import Package
from millrace.state.pointers import Pointers


def test_a_version_says_what_another_training_can_start_from() -> None:
    package = Package(
        arn="arn:aws:sagemaker:eu-west-1:123456789012:model-package/shop/3",
        version="3",
        image="inference",
        model_data_url="s3://artefacts/shop/runs/r-3/model.tar.gz",
        approval="Approved",
        metadata={"model_digest": "of the members", "artefact_digest": "of the archive"},
    )
    document = as_document(_registered(package, pointers=Pointers(), gates={}, records=()))
    assert document["model_data_url"] == "s3://artefacts/shop/runs/r-3/model.tar.gz"
    assert document["digests"] == {"model": "of the members", "artefact": "of the archive"}
