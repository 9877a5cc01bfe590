"""What the cloud holds at the end, beside the executions: reports, evaluations, models, quarantine, records."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from console.demo.answers import Gated, Registered, answer
from console.demo.narrative.usage import Usage, used
from console.local_cloud.local_cloud import LocalCloud
from console.queries.executions import Execution
from console.queries.lineage import unpack
from millrace.artefact.artefact import digest
from millrace.aws.objects import keys_below, read_object
from millrace.decisions.record import Decision, from_line
from millrace.evaluation.report import Evaluation
from millrace.messages.envelope import Moment, Part
from millrace.messages.monitor import REPORT_FILE, Planned, Report, read_report
from millrace.names import WorkloadNames
from millrace.release.registry import Package, Registry
from millrace.state import audit


class Epoch(Part):
    """One line of history.json."""

    epoch: int
    """From 0."""
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    seconds: float = 0.0


class Record(Part):
    """One record of the audit table."""

    sk: str
    who: str
    what: str
    as_of: Moment


class _Bound(Part):
    bound: float


class _Baseline(Part):
    error: _Bound | None = None


@dataclass(frozen=True, kw_only=True)
class Model:
    """The artefact of one training, read whole; its weights and its graph match the digests that it names."""

    digest: str
    """SHA-256 of model.tar.gz as it lies in S3."""
    weights_digest: str
    onnx_digest: str
    data_digest: str
    epochs: tuple[Epoch, ...]


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Rows of one execution that were quarantined for the same reason."""

    reason: str
    rows: int
    example: str
    """The first row's detail: column, what was expected, what came."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One decision and where it lies."""

    uri: str
    decision: Decision


@dataclass(frozen=True, kw_only=True)
class Findings:
    """Everything that a story needs beside the executions."""

    reports: Mapping[str, Report]
    """By ARN of the monitor execution."""
    error_bounds: Mapping[str, float]
    """By baseline URI; none for a baseline without one."""
    evaluations: Mapping[str, Evaluation]
    """By run, the name of the train execution; so are the models."""
    models: Mapping[str, Model]
    refused: Mapping[str, tuple[Refused, ...]]
    """By name of the execution that quarantined."""
    packages: Mapping[str, Package]
    """By version."""
    kept: Kept | None
    """The first decision of the last day that has some."""
    records: tuple[Record, ...]
    """In order of time."""
    usage: Usage


def read(cloud: LocalCloud, names: WorkloadNames, found: Sequence[Execution]) -> Findings:
    """What the cloud holds; some 60 calls for a dozen monitor runs and three trainings."""
    s3, sagemaker = cloud.client("s3"), cloud.client("sagemaker")
    kept = audit.rows(cloud.client("dynamodb"), table=names.platform.audit_table, workload=names.workload)
    registry = Registry(sagemaker, group=names.package_group)
    trained = [each for each in found if each.machine == "train" and "training" in each.output]
    registered = [made for each in trained if (made := answer(each, "registration", Registered))]
    return Findings(
        reports={each.arn: _report(s3, plan) for each, plan in _watched(found)},
        error_bounds=_error_bounds(s3, {plan.baseline_uri for _, plan in _watched(found)}),
        evaluations={each.name: _evaluation(s3, names, each) for each in trained if answer(each, "gating", Gated)},
        models={each.name: _model(s3, each.output["training"]["model_data_url"]) for each in trained},
        refused=_refused(s3, names),
        packages={made.version: registry.describe(made.package_arn) for made in registered},
        kept=_kept(s3, names),
        records=tuple(map(Record.model_validate, kept)),
        usage=used(cloud, names, found),
    )


def _watched(found: Iterable[Execution]) -> list[tuple[Execution, Planned]]:
    """The monitor runs that judged something."""
    plans = ((each, answer(each, "plan_windows", Planned)) for each in found if "publish_metrics" in each.output)
    return [(each, plan) for each, plan in plans if plan]


def _report(s3: Any, plan: Planned) -> Report:
    return read_report(read_object(s3, f"{plan.report_uri}/{REPORT_FILE}"))


def _error_bounds(s3: Any, uris: Iterable[str]) -> dict[str, float]:
    baselines = {uri: _Baseline.model_validate_json(read_object(s3, uri)) for uri in sorted(uris)}
    return {uri: baseline.error.bound for uri, baseline in baselines.items() if baseline.error}


def _evaluation(s3: Any, names: WorkloadNames, train: Execution) -> Evaluation:
    return Evaluation.model_validate_json(read_object(s3, names.run_uri(train.name, "evaluation", "evaluation.json")))


def _model(s3: Any, uri: str) -> Model:
    """Raises ArtefactError when a member is not what its digest says."""
    content = read_object(s3, uri)
    artefact = unpack(content)
    digests = artefact.description.digests
    return Model(
        digest=digest(content),
        weights_digest=digests.weights,
        onnx_digest=digests.onnx,
        data_digest=digests.data,
        epochs=tuple(Epoch.model_validate(epoch) for epoch in json.loads(artefact.history)),
    )


def _refused(s3: Any, names: WorkloadNames) -> dict[str, tuple[Refused, ...]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    bucket = names.platform.bucket("lake")
    keys = keys_below(s3, bucket, f"{names.workload}/quarantine/")
    files = (s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys)
    tables = [pq.read_table(io.BytesIO(file), columns=["run", "reason", "detail"]) for file in files]
    return count_reasons(pa.concat_tables(tables).to_pylist()) if tables else {}


def count_reasons(rows: Iterable[Mapping[str, str]]) -> dict[str, tuple[Refused, ...]]:
    """Quarantined rows (run, reason, detail) by run and reason, the most frequent reason first."""
    counted: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for row in rows:
        group = (row["run"], row["reason"])
        counted[group] += 1
        examples.setdefault(group, row["detail"])
    found: dict[str, tuple[Refused, ...]] = {}
    for (run, reason), number in counted.most_common():
        refused = Refused(reason=reason, rows=number, example=examples[run, reason])
        found[run] = (*found.get(run, ()), refused)
    return found


def _kept(s3: Any, names: WorkloadNames) -> Kept | None:
    bucket = names.platform.bucket("lake")
    key = max(keys_below(s3, bucket, f"{names.workload}/decisions/"), default=None)
    if key is None:
        return None
    lines = s3.get_object(Bucket=bucket, Key=key)["Body"].read().splitlines()
    return Kept(uri=f"s3://{bucket}/{key}", decision=from_line(lines[0])) if lines else None
