"""The chain from data to model: it is checked here, and the package's metadata keeps it.

Each link is a SHA-256. `data`, `contract`, `config` and `code` must be the same in `run.json` and in the model. The
archive must be the one that was evaluated. The model card and the bill of materials are made of the same records."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from millrace.artefact.artefact import ARCHIVE, Description, digest, read_archive
from millrace.aws.objects import download, put_object, read_object
from millrace.errors import ArtefactError
from millrace.evaluation.agreement import SAMPLE_FILE
from millrace.evaluation.environment import ENVIRONMENT_FILE, Installed
from millrace.evaluation.report import EVALUATION_FILE, Evaluation
from millrace.evaluation.sample import sample_digest
from millrace.functions.room import WorkloadRoom
from millrace.messages.monitor import BASELINE_FILE
from millrace.messages.train import GateVerdict
from millrace.messages.training_run import Run
from millrace.names import WorkloadNames, hash_of_run
from millrace.release.bom import BOM_FILE, bom_of
from millrace.release.card import CARD_FILE, Records, card_of, create_card
from millrace.release.promotion import NONE
from millrace.release.provenance import PROVENANCE_FILE, provenance_of
from millrace.release.registry import ORIGIN
from millrace.release.signatures import ORIGIN_FILE, SigningKey, automation_digest
from millrace.settings.training import RegistrationSettings
from millrace.timestamps import format_utc
from millrace.workload.declaration import check_card


@dataclass(frozen=True, kw_only=True)
class Chain:
    """The checked records of a run."""

    run: Run
    evaluation: Evaluation
    description: Description
    installed: Installed
    """The Python and the packages of the process that evaluated the model."""
    metadata: dict[str, str]
    """The package's metadata: the digests (SHA-256), and what else leads from the package back to its rows."""
    members: Mapping[str, str]
    """The SHA-256 of each member of the archive."""

    @property
    def digests(self) -> dict[str, str]:
        """The digests in the metadata: {"data_digest": "dddd…", "onnx_digest": "9f86…", …}."""
        return {name: value for name, value in self.metadata.items() if name.endswith("_digest")}


def read_chain(client: Any, names: WorkloadNames, *, run: str, model_data_url: str) -> Chain:
    """The checked records of the run. `client` is boto3's S3 client.

    Raises ArtefactError if the artefact does not match its own digests, those that the run pinned, or the digest that
    was evaluated."""
    # The files of the run: what it pinned, then what the evaluation wrote.
    pinned = Run.model_validate_json(read_object(client, names.run_uri(run, "config", "run.json")))
    report = read_object(client, names.run_uri(run, "evaluation", EVALUATION_FILE))
    environment = read_object(client, names.run_uri(run, "evaluation", ENVIRONMENT_FILE))
    baseline = read_object(client, names.run_uri(run, BASELINE_FILE))
    sample = read_object(client, names.run_uri(run, "evaluation", SAMPLE_FILE))
    evaluation = Evaluation.model_validate_json(report)
    if not (evaluated := evaluation.model_digest):
        raise ArtefactError(f"{run}: {EVALUATION_FILE}: expected the digest of what was evaluated, got none")
    # The archive is read only if its members have the digest that was evaluated.
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / ARCHIVE
        download(client, model_data_url, archive)
        artefact = read_archive(archive, approved=evaluated)
        metadata = {
            **_links(pinned, artefact.description),
            "model_digest": artefact.digest,
            "baseline_digest": digest(baseline),
            "artefact_digest": digest(archive.read_bytes()),
            "evaluation_digest": digest(report),
            "sample_digest": sample_digest(sample),
            "snapshot_id": str(pinned.snapshot_id),
            "tag": pinned.tag,
            "rows": str(pinned.rows),
            "as_of": format_utc(pinned.as_of),
            "reason": pinned.reason,
            "gate": pinned.gate,
            "beside": evaluation.beside or NONE,
            **_origin(client, names, pinned),
            **_automation(evaluation),
        }
    return Chain(
        run=pinned,
        evaluation=evaluation,
        description=artefact.description,
        installed=Installed.model_validate_json(environment),
        metadata=metadata,
        members=artefact.members,
    )


def _origin(client: Any, names: WorkloadNames, run: Run) -> dict[str, str]:
    """Of a pulled version: where it comes from, its signature there, and the rows and gates that judged it here."""
    if not run.pulled:
        return {}
    signature = read_object(client, names.run_uri(run.run, ORIGIN_FILE))
    judged_by = {"rows_digest": run.data_digest, "declaration_digest": run.config_digest}
    return {ORIGIN: run.pulled, "origin_digest": digest(signature), **judged_by}


def _automation(evaluation: Evaluation) -> dict[str, str]:
    """The promised error, the confidence that keeps it if there is one, and their digest; or the digest of the costs.

    Every digest is signed."""
    if evaluation.costs is not None:
        return {"costs_digest": evaluation.costs.digest}
    if (found := evaluation.automation) is None:
        return {}
    kept = {} if found.threshold is None else {"automate_from": repr(found.threshold)}
    promise = {"promised_error": repr(found.promised_error), **kept}
    return {**promise, "automation_digest": automation_digest(promise)}


def _links(run: Run, description: Description) -> dict[str, str]:
    """The digests of the model, as metadata. Raises ArtefactError if one is not the digest that the run pinned."""
    for link, expected in run.digests.items():
        if (came := getattr(description.digests, link)) != expected:
            raise ArtefactError(f"{run.run}: {link} digest: expected {expected} as the run pinned, got {came}")
    return {f"{link}_digest": value for link, value in vars(description.digests).items() if value}


SHORT = 12
"""The characters of a run's hash that are in the name of its card. A card's name may have 63 characters."""


@dataclass(frozen=True, kw_only=True)
class Documents:
    """Writes the documents beside the run's files, and the card to SageMaker too. A repeated call writes the same."""

    s3: Any
    sagemaker: Any
    room: WorkloadRoom[RegistrationSettings]
    key: SigningKey

    def write(self, chain: Chain, *, run: str, model_data_url: str, verdicts: Sequence[GateVerdict]) -> dict[str, str]:
        """Write the documents. Returns their entries for the package's metadata.

            {"bom_digest": "1b2c…", "card": "millrace-dev-electricity-card-1f0e4a0d3e5c", "card_digest": "5e0a…"}

        Only in the stage `local` the workload may have no card: then only the bill of materials is written. Raises
        ArtefactError if the card has an empty field."""
        check_card(self.room.workload, self.room.names.platform.stage)
        records = Records(
            workload=self.room.workload,
            run=chain.run,
            evaluation=chain.evaluation,
            verdicts=verdicts,
            description=chain.description,
            image=self.room.settings.inference_image,
            evaluation_image=self.room.settings.processing_image,
            model_data_url=model_data_url,
            manifest_uri=self.room.names.run_uri(run, "manifest.json"),
            digests=chain.digests,
        )
        bom = bom_of(records, chain.installed)
        put_object(self.s3, self.room.names.run_uri(run, BOM_FILE), bom.encode())
        found = {"bom_digest": digest(bom.encode())}
        provenance = provenance_of(records, builder=self.room.names.machine_arn("train"))
        put_object(self.s3, self.room.names.run_uri(run, PROVENANCE_FILE), self.key.sign(provenance))
        if self.room.workload.card is None:
            return found
        content = card_of(records)
        # The name is made of the run, so that a repeated call finds the card of the first one.
        name = self.room.names.model_card(hash_of_run(run)[:SHORT])
        put_object(self.s3, self.room.names.run_uri(run, CARD_FILE), content.encode())
        tags = self.room.names.tag_list("training")
        create_card(self.sagemaker, name, content, key_arn=self.room.settings.key_arn, tags=tags)
        return {**found, "card": name, "card_digest": digest(content.encode())}
