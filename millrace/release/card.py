"""The model card of a version: SageMaker's own form, filled from the records of the run and from the declaration.

Fields and lengths are those of AWS's schema, which a test holds it to:
https://docs.aws.amazon.com/sagemaker/latest/dg/model-cards.html#model-cards-json-schema. AWS refuses a card with an
empty field.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from millrace.artefact.artefact import EXTERNAL, Description
from millrace.aws.errors import has_code, passed_over
from millrace.errors import ArtefactError
from millrace.evaluation.evidence import Estimate
from millrace.evaluation.gates.fairness import FairnessEvidence
from millrace.evaluation.gates.slices import SlicesEvidence
from millrace.evaluation.report import Evaluation
from millrace.messages.train import GateVerdict
from millrace.messages.training_run import Run
from millrace.timestamps import format_utc
from millrace.workload.declaration import Card, Workload

CARD_FILE = "card.json"
MOST_PARTS = 60
"""The most slices, or groups, that a card names. evaluation.json has all of them."""
Part = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Records:
    """What a card and a bill of materials are made of."""

    workload: Workload
    run: Run
    evaluation: Evaluation
    verdicts: Sequence[GateVerdict]
    description: Description
    image: str
    """The image that serves the model, by its digest."""
    evaluation_image: str
    """The image in which the model was evaluated, by its digest."""
    model_data_url: str
    manifest_uri: str
    """The manifest of the pinned rows."""
    digests: Mapping[str, str]
    """The SHA-256 of each link of the chain from data to model: {"data_digest": …, "onnx_digest": …}."""

    @property
    def is_external(self) -> bool:
        """Whether the model was not trained here, so that nothing is known of its training."""
        return self.description.family == EXTERNAL or bool(self.run.pulled)

    @property
    def groups(self) -> Sequence[str]:
        """The columns by whose groups of people the errors were measured."""
        fairness = self.evaluation.of(FairnessEvidence)
        return sorted({one.column for one in fairness.groups}) if fairness else ()


def card_of(records: Records) -> str:
    """The content of `CreateModelCard`, as JSON.

    Raises ArtefactError if the workload declares none. Another field that is empty or too long AWS itself refuses."""
    if (card := records.workload.card) is None:
        raise ArtefactError("workload.yaml: card: expected intended_use and the other fields of a model card, got none")
    made = {
        "model_overview": _overview(records),
        "intended_uses": _uses(card),
        "training_details": training_of(records),
        "evaluation_details": [_evaluation(records)],
        "additional_information": _additional(records, card),
    }
    return json.dumps(made, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _overview(records: Records) -> Part:
    workload, task, origin = records.workload, records.evaluation.task, records.run.pulled
    maker = f"{origin}; pulled by " if origin else "not known; registered by " if records.is_external else ""
    return {
        "model_id": records.run.run,  # one execution registers one version
        "model_name": workload.name,
        "model_description": f"Answers {workload.prediction.label} of {workload.name}, a task of the kind {task}",
        "problem_type": task,
        "algorithm_type": f"{records.description.family}: {records.description.answers}".removesuffix(": "),
        "model_creator": f"{maker}millrace, run {records.run.run}",
        "model_owner": workload.owner,
        "model_artifact": [records.model_data_url],
        "inference_environment": {"container_image": [records.image]},
    }


def _uses(card: Card) -> Part:
    return {
        "purpose_of_model": card.intended_use,
        "intended_uses": f"Intended: {card.intended_use} Not intended: {card.out_of_scope}",
        "factors_affecting_model_efficiency": card.limitations,
        "risk_rating": card.risk.capitalize(),
        "explanations_for_risk_rating": card.risk_reason,
    }


def training_of(records: Records) -> Part:
    """The card's `training_details`."""
    run, family = records.run, records.description.parameters
    if run.pulled:
        rows = records.description.digests.data
        return {"training_observations": f"Trained as {run.pulled}, on the rows with the digest {rows}"}
    if records.is_external:
        where = "Trained elsewhere, on rows that are not known"
        return {"training_observations": f"{where}; the files have the digest {family['digest']}"}
    return {
        "training_observations": (
            f"{run.rows:,} rows of dataset version {run.snapshot_id} ({run.tag}), as of {format_utc(run.as_of)}, "
            f"started by: {run.reason}"
        ),
        "training_job_details": {
            "training_datasets": [records.manifest_uri],
            "training_environment": {"container_image": [f"sha256:{run.code_digest}"]},
            "hyper_parameters": [{"name": n, "value": f"{value}"[:255]} for n, value in family.items() if f"{value}"],
        },
    }


def _evaluation(records: Records) -> Part:
    report = records.evaluation
    error, naive = report.metrics.get("error"), report.naive.metrics.get("error")
    unseen = " that the model never saw"
    unknown = ", whether the model has seen them in training is not known"
    return {
        "name": "test rows",
        "evaluation_observation": (
            f"{report.rows.test:,} rows{unknown if records.is_external else unseen}: {report.error.quality(error)}, "
            f"by the rule {report.naive.rule}: {report.error.quality(naive)}"
        ),
        "datasets": [records.manifest_uri],
        "metadata": {"from": report.split.from_, "to": report.split.to, "rows": str(report.rows.test)},
        "metric_groups": [{"name": name, "metric_data": [*data]} for name, data in _groups(records) if data],
    }


def _groups(records: Records) -> Iterator[tuple[str, tuple[Part, ...]]]:
    """The metric groups by their headings. A group may be empty.

    Texts are cut to the lengths of AWS's schema: 63 characters of a heading, 255 of a name, 1024 of a note."""
    report = records.evaluation
    yield "metrics", tuple(_numbers(report.metrics))
    yield "intervals", tuple(found for name, one in report.intervals.items() for found in _estimate(name, one))
    beside = {one.name: one.improvements.get("error") for one in report.contenders if one.who == "beside"}
    yield "better than", tuple(found for name, one in beside.items() if one for found in _estimate(name, one))
    yield f"naive rule {report.naive.rule}"[:63], tuple(_numbers(report.naive.metrics))
    yield (
        "gates",
        tuple(
            _metric(verdict.name, verdict.passed, verdict.sentence[:1024], kind="boolean")
            for verdict in records.verdicts
        ),
    )
    if (acting := report.automation) is not None:
        promised = _metric("promised error", acting.promised_error)
        found = [] if acting.threshold is None else [_metric("confidence", acting.threshold)]
        shares = (*_estimate("share of the rows", acting.coverage), *_estimate("error", acting.error))
        yield "answers that act by themselves", (promised, *found, *shares)
    if (costs := report.costs) is not None:
        reviewed = _metric("all reviewed", costs.all_reviewed)
        by_policy = _estimate("by the policy", costs.by_policy.measured)
        automated = _estimate("all automated", costs.all_automated.measured)
        acts = _estimate("share that acts", costs.coverage)
        yield f"cost of 1,000 rows, {costs.currency}"[:63], (*acts, *by_policy, *automated, reviewed)
    # A slice with too few rows has no error.
    measured = report.of(SlicesEvidence)
    slices = [(one.error, one) for one in (measured.slices if measured else ()) if one.error is not None]
    yield (
        "error by slice",
        tuple(
            metric
            for error, one in slices[:MOST_PARTS]
            for metric in _estimate(f"{one.column} = {one.value}"[:255], error, rows=one.rows)
        ),
    )
    if fairness := report.of(FairnessEvidence):
        yield (
            "error by group",
            tuple(
                _metric(f"{one.column} = {one.value}"[:255], one.error, f"{one.rows} rows")
                for one in fairness.groups[:MOST_PARTS]
                if math.isfinite(one.error)
            ),
        )
        yield (
            "differences between groups",
            tuple(
                metric
                for one in fairness.disparities
                for metric in _estimate(f"{one.column}: {one.measure}"[:255], one.figure)
            ),
        )


def _metric(name: str, value: float, notes: str = "", *, kind: str = "number") -> Part:
    return {"name": name, "type": kind, "value": value if kind == "boolean" else float(value), "notes": notes}


def _numbers(metrics: Mapping[str, float | None]) -> Iterator[Part]:
    for name, value in metrics.items():
        if value is not None and math.isfinite(value):
            yield _metric(name, value)


def _estimate(name: str, one: Estimate, *, rows: int | None = None) -> Iterator[Part]:
    """The estimate as a metric, with its interval in the notes. Nothing if the value is not finite: JSON has no NaN.

    An estimate of too few rows has no interval."""
    if not math.isfinite(one.value):
        return
    notes = f"95 % interval {one.low:.4g} to {one.high:.4g}" if math.isfinite(one.low + one.high) else "no interval"
    yield _metric(name, one.value, f"{notes}, {rows} rows" if rows else notes)


def _additional(records: Records, card: Card) -> Part:
    groups = (
        f"Measured by group of {', '.join(records.groups)}." if records.groups else "Not measured by groups of people."
    )
    made_by = {"torch": records.description.torch} if records.description.torch else {}
    if origin := records.description.pretrained:
        made_by |= {f"pretrained_{name}": f"{value}"[:1024] for name, value in asdict(origin).items()}
    duties = {f"{duty}_duty": who for duty, who in records.workload.duties.items()}
    return {
        "ethical_considerations": f"{groups} Risk: {card.risk_reason}",
        "caveats_and_recommendations": f"Not for: {card.out_of_scope} Limitations: {card.limitations}",
        "custom_details": {**records.digests, "snapshot_id": str(records.run.snapshot_id), **made_by, **duties},
    }


def create_card(sagemaker: Any, name: str, content: str, *, key_arn: str, tags: list[dict[str, str]]) -> None:
    """Create the card in SageMaker, unless it is there. `sagemaker` is boto3's client."""
    with passed_over(has_code("ConflictException")):
        sagemaker.create_model_card(
            ModelCardName=name,
            Content=content,
            ModelCardStatus="PendingReview",
            SecurityConfig={"KmsKeyId": key_arn},
            Tags=tags,
        )
