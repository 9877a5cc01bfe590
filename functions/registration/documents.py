"""The documents of a version for people and auditors: its model card and its bill of materials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from millrace.artefact.artefact import digest
from millrace.aws.objects import put_object
from millrace.functions.registration.chain import Chain
from millrace.messages.train import GateVerdict
from millrace.names import WorkloadNames, hash_of_run
from millrace.release.bom import BOM_FILE, bom_of
from millrace.release.card import CARD_FILE, Records, card_of
from millrace.workload.declaration import Workload, check_card

SHORT = 12
"""The characters of a run's hash that are in the name of its card. A card's name may have 63 characters."""


@dataclass(frozen=True, kw_only=True)
class Documents:
    """Writes the documents beside the run's files, and the card to SageMaker too. A repeated call writes the same."""

    s3: Any
    sagemaker: Any
    names: WorkloadNames
    workload: Workload
    image: str
    """The image that serves the model."""
    evaluation_image: str
    key_arn: str
    """The customer key that encrypts the card."""

    def write(self, chain: Chain, *, run: str, model_data_url: str, verdicts: Sequence[GateVerdict]) -> dict[str, str]:
        """Write the documents. Returns their entries for the package's metadata.

            {"bom_digest": "1b2c…", "card": "millrace-dev-electricity-card-1f0e4a0d3e5c", "card_digest": "5e0a…"}

        Only in the stage `local` the workload may have no card: then only the bill of materials is written. Raises
        ArtefactError if the card has an empty field."""
        check_card(self.workload, self.names.platform.stage)
        records = Records(
            workload=self.workload,
            run=chain.run,
            evaluation=chain.evaluation,
            verdicts=verdicts,
            description=chain.description,
            image=self.image,
            evaluation_image=self.evaluation_image,
            model_data_url=model_data_url,
            manifest_uri=self.names.run_uri(run, "manifest.json"),
            digests=chain.digests,
        )
        bom = bom_of(records, chain.installed)
        put_object(self.s3, self.names.run_uri(run, BOM_FILE), bom.encode())
        found = {"bom_digest": digest(bom.encode())}
        if self.workload.card is None:
            return found
        content = card_of(records).to_json()
        # The name is made of the run, so that a repeated call finds the card of the first one.
        name = self.names.model_card(hash_of_run(run)[:SHORT])
        put_object(self.s3, self.names.run_uri(run, CARD_FILE), content.encode())
        self._create_card(name, content)
        return {**found, "card": name, "card_digest": digest(content.encode())}

    def _create_card(self, name: str, content: str) -> None:
        """Create the card in SageMaker, unless an earlier attempt of the same run has made it."""
        tags = self.names.tag_list("training")
        try:
            self.sagemaker.create_model_card(
                ModelCardName=name,
                Content=content,
                ModelCardStatus="PendingReview",
                SecurityConfig={"KmsKeyId": self.key_arn},
                Tags=tags,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConflictException":
                raise
