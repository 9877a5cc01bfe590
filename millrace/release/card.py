"""The model card of a version: SageMaker's own form, filled from the records of the run and from the declaration.

The classes are the parts of AWS's schema, with its fields and lengths:
https://docs.aws.amazon.com/sagemaker/latest/dg/model-cards.html#model-cards-json-schema. A field that AWS leaves
optional is required here if a card of ours must say it. A card with an empty field is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from millrace.artefact.artefact import EXTERNAL, Description
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
MOST_CHARACTERS = 100_000
"""The most characters of a card's content, by AWS's API."""
MOST_PARTS = 60
"""The most slices, or groups, that a card names. evaluation.json has all of them."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=255, strip_whitespace=True)]
Heading = Annotated[str, StringConstraints(min_length=1, max_length=63)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=1024, strip_whitespace=True)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2048, strip_whitespace=True)]


class CardPart(BaseModel):
    """A part of a card. An unknown key is refused here, since AWS would refuse the card for it."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)


class InferenceEnvironment(CardPart):
    container_image: tuple[Line, ...]


class Overview(CardPart):
    model_id: Line
    """The name of the train execution. One execution registers one version."""
    model_name: Line
    model_description: Line
    problem_type: Line
    algorithm_type: Line
    model_creator: Line
    model_owner: Line
    model_artifact: tuple[Line, ...]
    inference_environment: InferenceEnvironment


class IntendedUses(CardPart):
    purpose_of_model: Text
    intended_uses: Text
    factors_affecting_model_efficiency: Text
    risk_rating: Literal["High", "Medium", "Low"]
    explanations_for_risk_rating: Text


class Named(CardPart):
    name: Name
    value: Name


class TrainingEnvironment(CardPart):
    container_image: tuple[Line, ...]


class TrainingJob(CardPart):
    training_datasets: tuple[Line, ...]
    training_environment: TrainingEnvironment
    hyper_parameters: tuple[Named, ...]


class TrainingDetails(CardPart):
    training_observations: Line
    training_job_details: TrainingJob | None = None
    """None for an external model."""


class Metric(CardPart):
    name: Name
    type: Literal["number", "boolean"] = "number"
    value: bool | float
    notes: Annotated[str, StringConstraints(max_length=1024)] = ""


class MetricGroup(CardPart):
    name: Heading
    metric_data: tuple[Metric, ...]


class EvaluationDetail(CardPart):
    name: Heading
    evaluation_observation: Text
    datasets: tuple[Line, ...]
    metadata: Mapping[str, Line]
    metric_groups: Annotated[tuple[MetricGroup, ...], Field(min_length=1)]


class AdditionalInformation(CardPart):
    ethical_considerations: Text
    caveats_and_recommendations: Text
    custom_details: Mapping[str, Line]


class ModelCard(CardPart):
    """The content of `CreateModelCard`."""

    model_overview: Overview
    intended_uses: IntendedUses
    training_details: TrainingDetails
    evaluation_details: tuple[EvaluationDetail, ...]
    additional_information: AdditionalInformation

    def to_json(self) -> str:
        """The content as JSON. Raises ArtefactError if it is longer than AWS allows."""
        content = self.model_dump_json(exclude_none=True)
        if len(content) > MOST_CHARACTERS:
            raise ArtefactError(f"model card: expected at most {MOST_CHARACTERS} characters, got {len(content)}")
        return content


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


def card_of(records: Records) -> ModelCard:
    """The card. Raises ArtefactError, which names the field, if the records or the declaration leave a field empty."""
    if (card := records.workload.card) is None:
        raise ArtefactError("workload.yaml: card: expected intended_use and the other fields of a model card, got none")
    try:
        return ModelCard(
            model_overview=_overview(records),
            intended_uses=_uses(card),
            training_details=_training(records),
            evaluation_details=(_evaluation(records),),
            additional_information=_additional(records, card),
        )
    except ValidationError as error:
        # One error is enough for the message. `title` is the class of the part, such as `Overview`.
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ArtefactError(f"model card: {error.title}.{field}: {first['msg']}, got {first['input']!r:.80}") from None


def _overview(records: Records) -> Overview:
    workload, task = records.workload, records.evaluation.task
    return Overview(
        model_id=records.run.run,
        model_name=workload.name,
        model_description=f"Answers {workload.prediction.label} of {workload.name}, a task of the kind {task}",
        problem_type=task,
        algorithm_type=f"{records.description.family}: {records.description.answers}".removesuffix(": "),
        model_creator=f"{_maker(records)}millrace, run {records.run.run}",
        model_owner=workload.owner,
        model_artifact=(records.model_data_url,),
        inference_environment=InferenceEnvironment(container_image=(records.image,)),
    )


def _maker(records: Records) -> str:
    if records.run.pulled:
        return f"{records.run.pulled}; pulled by "
    return "not known; registered by " if records.is_external else ""


def _uses(card: Card) -> IntendedUses:
    rating: dict[str, Literal["High", "Medium", "Low"]] = {"high": "High", "medium": "Medium", "low": "Low"}
    return IntendedUses(
        purpose_of_model=card.intended_use,
        intended_uses=f"Intended: {card.intended_use} Not intended: {card.out_of_scope}",
        factors_affecting_model_efficiency=card.limitations,
        risk_rating=rating[card.risk],
        explanations_for_risk_rating=card.risk_reason,
    )


def _training(records: Records) -> TrainingDetails:
    run, family = records.run, records.description.parameters
    if run.pulled:
        rows = records.description.digests.data
        return TrainingDetails(training_observations=f"Trained as {run.pulled}, on the rows with the digest {rows}")
    if records.is_external:
        where = "Trained elsewhere, on rows that are not known"
        return TrainingDetails(training_observations=f"{where}; the files have the digest {family['digest']}")
    parameters = [Named(name=name, value=f"{value}"[:255]) for name, value in family.items() if f"{value}"]
    return TrainingDetails(
        training_observations=(
            f"{run.rows:,} rows of dataset version {run.snapshot_id} ({run.tag}), as of {format_utc(run.as_of)}, "
            f"started by: {run.reason}"
        ),
        training_job_details=TrainingJob(
            training_datasets=(records.manifest_uri,),
            training_environment=TrainingEnvironment(container_image=(f"sha256:{run.code_digest}",)),
            hyper_parameters=tuple(parameters),
        ),
    )


def _evaluation(records: Records) -> EvaluationDetail:
    report = records.evaluation
    error, naive = report.metrics.get("error"), report.naive.metrics.get("error")
    unseen = " that the model never saw"
    unknown = ", whether the model has seen them in training is not known"
    return EvaluationDetail(
        name="test rows",
        evaluation_observation=(
            f"{report.rows.test:,} rows{unknown if records.is_external else unseen}: {report.error.quality(error)}, "
            f"by the rule {report.naive.rule}: {report.error.quality(naive)}"
        ),
        datasets=(records.manifest_uri,),
        metadata={"from": report.split.from_, "to": report.split.to, "rows": str(report.rows.test)},
        metric_groups=tuple(MetricGroup(name=name, metric_data=data) for name, data in _groups(records) if data),
    )


def _groups(records: Records) -> Iterator[tuple[str, tuple[Metric, ...]]]:
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
            Metric(name=verdict.name, type="boolean", value=verdict.passed, notes=verdict.sentence[:1024])
            for verdict in records.verdicts
        ),
    )
    if (acting := report.automation) is not None:
        promised = Metric(name="promised error", value=acting.promised_error)
        found = [] if acting.threshold is None else [Metric(name="confidence", value=acting.threshold)]
        shares = (*_estimate("share of the rows", acting.coverage), *_estimate("error", acting.error))
        yield "answers that act by themselves", (promised, *found, *shares)
    if (costs := report.costs) is not None:
        reviewed = Metric(name="all reviewed", value=costs.all_reviewed)
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
                Metric(name=f"{one.column} = {one.value}"[:255], value=one.error, notes=f"{one.rows} rows")
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


def _numbers(metrics: Mapping[str, float | None]) -> Iterator[Metric]:
    for name, value in metrics.items():
        if value is not None and math.isfinite(value):
            yield Metric(name=name, value=float(value))


def _estimate(name: str, one: Estimate, *, rows: int | None = None) -> Iterator[Metric]:
    """The estimate as a metric, with its interval in the notes. Nothing if the value is not finite: JSON has no NaN.

    An estimate of too few rows has no interval."""
    if not math.isfinite(one.value):
        return
    notes = f"95 % interval {one.low:.4g} to {one.high:.4g}" if math.isfinite(one.low + one.high) else "no interval"
    yield Metric(name=name, value=one.value, notes=f"{notes}, {rows} rows" if rows else notes)


def _additional(records: Records, card: Card) -> AdditionalInformation:
    fairness = records.evaluation.of(FairnessEvidence)
    watched = sorted({one.column for one in fairness.groups}) if fairness else []
    groups = f"Measured by group of {', '.join(watched)}." if watched else "Not measured by groups of people."
    made_by = {"torch": records.description.torch} if records.description.torch else {}
    if origin := records.description.pretrained:
        made_by |= {f"pretrained_{name}": f"{value}"[:1024] for name, value in asdict(origin).items()}
    return AdditionalInformation(
        ethical_considerations=f"{groups} Risk: {card.risk_reason}",
        caveats_and_recommendations=f"Not for: {card.out_of_scope} Limitations: {card.limitations}",
        custom_details={**records.digests, "snapshot_id": str(records.run.snapshot_id), **made_by},
    )
