"""What goes with a version for people and auditors: its model card and its bill of materials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from functions.registration.chain import Chain
from millrace.artefact.artefact import digest
from millrace.aws.objects import put_object
from millrace.messages.train import GateVerdict
from millrace.names import WorkloadNames, hash_of_run
from millrace.release.bom import BOM_FILE, bom_of
from millrace.release.card import CARD_FILE, Records, card_of
from millrace.workload.declaration import Workload, check_card

SHORT = 12
"""Characters of a run's hash in the name of its card, which has room for 63."""


@dataclass(frozen=True, kw_only=True)
class Documents:
    """Writes beside the run's report and to SageMaker; a call that comes twice writes the same."""

    s3: Any
    sagemaker: Any
    names: WorkloadNames
    workload: Workload
    image: str
    evaluation_image: str
    key_arn: str
    """Of the customer key, that the card is encrypted with."""

    def write(self, chain: Chain, *, run: str, model_data_url: str, verdicts: Sequence[GateVerdict]) -> dict[str, str]:
        """What the package's metadata say of the documents: their names and digests.

        Only the stage `local` does without a card. Raises ArtefactError for one with an empty field."""
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
        name = self.names.model_card(hash_of_run(run)[:SHORT])
        put_object(self.s3, self.names.run_uri(run, CARD_FILE), content.encode())
        self._create_card(name, content)
        return {**found, "card": name, "card_digest": digest(content.encode())}

    def _create_card(self, name: str, content: str) -> None:
        """An earlier attempt of the same run may have made it."""
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
