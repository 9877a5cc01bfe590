"""Decisions of every family, answered again by their archived version: how many bits differ.

`python -m benchmarks.replay [decisions]`; the last line is JSON. Each shipped workload, and one for each family
that none of them has, trains a model of its sample for an epoch by the training job. The container's application
answers rows as requests of 1 to 64 rows, several to a turn, and as shards of a file; the decisions are kept as lines,
some absorbed, and as a delivered file. Then `millrace why --replay`'s own code answers them again from the signed
archive, in a process of its own: all of them 500 at a time, and some of them alone. S3, the registry and KMS are moto.

The bar: no decision has another bit, in no family. What that promise costs a family is `benchmarks.company`.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from moto import mock_aws

from benchmarks import conclude
from benchmarks.quality.trained import train_document
from millrace.artefact.artefact import ARCHIVE, Artefact, digest, digests_of, read_members
from millrace.artefact.batch import CONTENT_TYPE, read_answers
from millrace.artefact.inference import Model
from millrace.artefact.signing import SIGNATURE_FILE
from millrace.aws.objects import put_object
from millrace.console.actions.past import Pasts, json_rows
from millrace.console.environment import Environment
from millrace.console.queries.replay import ArchivedVersion, archived
from millrace.console.queries.stored import find_object
from millrace.contract.load import load_contract
from millrace.contract.schema import LINE, Contract
from millrace.contract.validate import validate
from millrace.decisions import captured, online, road, scored
from millrace.decisions.absorption import FEWEST, absorb
from millrace.decisions.endpoint import read_response, request_body, split_rejected
from millrace.decisions.record import lines_by_date, object_key
from millrace.decisions.store import LocatedDecision, find_decision, read_days, stored_days
from millrace.features import catalogue as encoders
from millrace.files.origin import Origin
from millrace.files.sniff import read_drop
from millrace.functions.delivery.joining import join
from millrace.functions.validation.shards import Shards
from millrace.jobs.serving.application import JSON, Application
from millrace.jobs.serving.settings import Settings
from millrace.messages.ingest import Staging
from millrace.messages.score import delivered_schema
from millrace.models.catalogue import FAMILIES
from millrace.names import Platform, WorkloadNames
from millrace.release.registry import Candidate, Registry
from millrace.release.signatures import SigningKey, signed_version
from millrace.workload.declaration import Workload
from millrace.workload.load import load_workload
from tests.archives import write_archive
from tests.builders import invocation
from tests.credentials import set_credentials
from tests.shipped import SHIPPED
from tests.signing_key import create_signing_key
from tests.state_table import create_table

DECISIONS, LEARNT, ALONE = 10_000, 4_000, 40
"""Decisions in all, rows that a model learns from, and decisions of a model that are replayed alone too."""
LARGEST, TURN, SHARD_BYTES = 64, 4, 2**20
"""The most rows of a request, requests of a turn, and bytes of a shard."""
OTHERS = {"transformer": "intents", "gru": "air_quality", "lstm": "air_quality", "rnn": "air_quality"}
"""The workload for each family that no shipped workload has."""
PLATFORM = Platform(stage="dev", account="123456789012", region="eu-west-1")
FOLDERS = {folder.name: folder for folder in SHIPPED}
VERSION, AT = "1", datetime(2026, 6, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A model of a workload's sample, and rows that it answers."""

    names: WorkloadNames
    family: str
    workload: Workload
    contract: Contract
    artefact: Artefact
    rows: pa.Table
    """With LINE and the past of each row."""
    sent: Sequence[Mapping[str, Any]]
    """The same rows as a caller sends them."""

    def application(self) -> Application:
        """As an endpoint and as a transform job serve it."""
        variables = {"MILLRACE_MODEL_VERSION": VERSION, "MILLRACE_MODEL_DIGEST": self.artefact.digest}
        return Application(Model(self.artefact), Settings.read({**variables, "SAGEMAKER_BATCH": "true"}))


def make(workload: str, family: str, most: int) -> Made:
    """The workload's model, or one of another family, and at most so many rows."""
    folder = FOLDERS[workload]
    contract, rows = load_contract(folder), sample_of(folder)
    document = yaml.safe_load((folder / "workload.yaml").read_text())
    declared = document["training"]
    if declared["family"] == family:
        declared["parameters"] |= {"epochs": 1}
    else:
        declared |= {"family": family, "parameters": {"epochs": 1, "seed": 7}}
    trained = train_document(rows, yaml.safe_load((folder / "contract.yaml").read_text()), document)
    features = trained.artefact.description.features
    histories = encoders.histories(features)
    with_past = encoders.add_histories(features, rows)
    whole_N = np.logical_and.reduce([encoder.takes(with_past) for encoder in features])
    for history in histories:
        whole_N &= ~history.is_too_short(rows)
    chosen = np.flatnonzero(whole_N)[:most]
    past, plain = Pasts(rows, histories), rows.take(chosen)
    names = contract.table("scoring").names
    sent = [
        {name: cell for name, cell in cells.items() if name in names} | past.of(row)
        for cells, row in zip(json_rows(plain), plain.to_pylist(), strict=True)
    ]
    return Made(
        names=WorkloadNames(platform=PLATFORM, workload=workload),
        family=family,
        workload=load_workload(folder),
        contract=contract,
        artefact=trained.artefact,
        rows=with_past.take(chosen).append_column(LINE, pa.array(np.arange(1, len(chosen) + 1))),
        sent=sent,
    )


def sample_of(folder: Path) -> pa.Table:
    """LEARNT rows of the sample by the road of a drop: the first ones if the model reads a past, else evenly spread."""
    table = load_contract(folder).table("training")
    [sample] = (folder / "sample").iterdir()
    origin = Origin(name=sample.name, at=AT, digest="0" * 64, fetch=lambda *_: b"")
    parts = [
        validate(part.rows, table).accepted.drop_columns([LINE]) for part in read_drop(sample, table, origin=origin)
    ]
    rows = pa.concat_tables(parts)
    features = encoders.declare(load_workload(folder).prediction.features, load_contract(folder).table("scoring"))
    if encoders.histories(features):
        return rows.slice(0, LEARNT)
    return rows.take(np.unique(np.linspace(0, len(rows) - 1, LEARNT, dtype=np.int64)))


def asked(application: Application, bodies: Sequence[bytes], content_type: str) -> list[bytes]:
    """The answers to requests of one turn."""
    answers = application.answer([invocation(body, content_type) for body in bodies])
    assert {answer.status for answer in answers} == {200}, answers[0].body
    return [answer.body for answer in answers]


def keep_requests(made: Made, sent: Sequence[Mapping[str, Any]], rng: np.random.Generator) -> None:
    """Answer the rows as requests, and keep their decisions as lines in the lake."""
    spec, task = made.workload.prediction, made.artefact.description.task
    table = made.contract.read_by_models(spec.tensor_columns).table("scoring")
    histories = encoders.histories(made.artefact.description.features)
    ids = [f"r-{place}" for place in range(len(sent))]
    admitted, rejected = road.check_rows(road.complete(sent, table, histories, at=AT, ids=ids), table, histories)
    assert not rejected, rejected[:1]
    ends = np.cumsum(rng.integers(1, LARGEST + 1, len(admitted)))
    groups = [group.tolist() for group in np.split(np.arange(len(admitted)), ends[ends < len(admitted)])]
    long = captured.LongCells(columns=captured.long_columns(table), under=made.names.lake_uri(captured.FOLDER, ""))
    client, application, written = boto3.client("s3"), made.application(), list[str]()
    for turn in range(0, len(groups), TURN):
        requests = [[admitted[place] for place in group] for group in groups[turn : turn + TURN]]
        bodies = asked(application, [request_body(rows, spec.inputs) for rows in requests], JSON)
        for rows, body in zip(requests, bodies, strict=True):
            answer = read_response(body, rows=len(rows), task=task)
            answered, _ = split_rejected(rows, answer, table)
            inputs, contents = long.split(row.cells for row in answered)
            captured.keep(client, contents)
            call = road.Call(ids=ids, workload=made.names.workload, phase="live", latency_ms=1.0, at=AT)
            decided = road.decide(answered, answer, inputs=inputs, prediction_spec=spec, call=call)
            written += [one.line for one in online.write_lines(answered, decided)[0]]
    days = lines_by_date(written)
    for day, found in days.items():
        for place in range(FEWEST):
            body = "\n".join(line for line, _ in found[place::FEWEST]).encode()
            put_object(client, uri_of(object_key(made.names.workload, day, [f"{day} {place}"])), body)
    # The days before the middle one become Parquet files, the others stay lines.
    middle = datetime.combine(sorted(days)[len(days) // 2], datetime.min.time(), UTC)
    absorb(client, PLATFORM.bucket("lake"), made.names.workload, as_of=middle)


def keep_file(made: Made, rows: pa.Table) -> None:
    """Answer the rows as a file's, and keep the delivered file, the shards and the reference of each day."""
    client, task, drop = boto3.client("s3"), made.artefact.description.task, "drop"
    spec, schema = made.workload.prediction, delivered_schema(made.contract, task)
    staging, pieces = Staging(names=made.names, of=drop), list[bytes]()
    shards = Shards(lambda _, body: pieces.append(body), spec.inputs, limit=SHARD_BYTES)
    shards.add(rows)
    shards.finish()
    for number, piece in enumerate(pieces):
        put_object(client, uri_of(staging.shard(number)), piece)
    application = made.application()
    answers = (
        read_answers(body, model_version=VERSION, fields=task.answer)
        for piece in pieces
        for body in asked(application, [piece], CONTENT_TYPE)
    )
    joined = join(
        rows.combine_chunks().to_batches(),
        answers,
        fields=task.answer,
        schema=schema,
        model_version=VERSION,
        refuse=print,
    )
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, write_page_checksum=True, compression="zstd") as writer:
        for batch in joined:
            writer.write_batch(batch)
    put_object(client, uri_of(scored.delivered_key(made.names.workload, drop)), sink.getvalue().to_pybytes())
    for day, count in scored.rows_by_day(rows[spec.event_time]).items():
        known = scored.ScoredDay(
            source="s3://landing/sample",
            source_digest="0" * 64,
            run=drop,
            first_shard=0,
            shards=len(pieces),
            rows=count,
            inferred_at=AT,
            phase="live",
            key=spec.key,
            event_time=spec.event_time,
            answer=tuple(field.name for field in task.answer),
        )
        put_object(
            client, uri_of(scored.reference_key(made.names.workload, day, drop)), known.model_dump_json().encode()
        )


def register(made: Made) -> None:
    """Put the version into the registry, with its signed archive."""
    client, run = boto3.client("s3"), "run-1"
    boto3.client("sagemaker").create_model_package_group(ModelPackageGroupName=made.names.package_group)
    uri = made.names.run_uri(run, "output", ARCHIVE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ARCHIVE
        write_archive(path, made.artefact)
        content, members = path.read_bytes(), digests_of(read_members(path))
    put_object(client, uri, content)
    candidate = Candidate(
        run=run,
        image="i",
        model_data_url=uri,
        evaluation_uri="s3://b/e",
        instances=("ml.m5.large",),
        metadata={"artefact_digest": digest(content), "model_digest": made.artefact.digest},
    )
    package = Registry(boto3.client("sagemaker"), group=made.names.package_group).register(candidate)
    signed = signed_version(made.names, run=run, members=members, metadata=package.metadata)
    key = SigningKey(boto3.client("kms"), PLATFORM.signing_key_alias)
    put_object(client, made.names.run_uri(run, SIGNATURE_FILE), key.sign(signed))


def kept(names: WorkloadNames, *, has_images: bool) -> list[LocatedDecision]:
    """All decisions of the lake, each as `millrace why` finds it."""
    client, bucket = boto3.client("s3"), PLATFORM.bucket("lake")
    days = list(stored_days(client, bucket, names.workload))
    references = {
        day: scored.ScoredDay.model_validate_json(body)
        for day in days
        if (body := find_object(client, uri_of(scored.reference_key(names.workload, day, "drop"))))
    }
    found = []
    for one in read_days(client, bucket, names.workload, days).decisions:
        at, known = one.event_time.date(), None
        if one.source == "batch":
            known = references[at]
            # Images are read row by row: a listing of decisions has no bytes of them.
            whole = find_decision(client, bucket, names.workload, one.id, [at]) if has_images else None
            one = whole.decision if whole else one
        found.append(LocatedDecision(uri="", decision=one, scored=known))
    return found


def replayed(version: ArchivedVersion, decisions: Sequence[LocatedDecision]) -> dict[str, int]:
    """How many decisions were answered again, together and some of them alone, and how many have another bit."""
    together = version.replay(decisions)
    alone = [version.replay([one])[0] for one in decisions[:: max(1, len(decisions) // ALONE)]]
    other = {one.decision: one for one in (*together, *alone) if one.differences}
    for one in other.values():
        print(f"  {one.decision}: {one.differences[0]}")
    return {"decisions": len(together), "alone": len(alone), "other": len(other)}


def measure(workload: str, family: str, count: int) -> dict[str, Any]:
    """The figures of one model; three of five decisions are of requests, the others of a file."""
    made = make(workload, family, count)
    requests = min(len(made.sent), count) * 3 // 5
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        set_credentials(patch)
        for purpose in ("lake", "artefacts"):
            where: Any = {"LocationConstraint": PLATFORM.region}
            boto3.client("s3").create_bucket(Bucket=PLATFORM.bucket(purpose), CreateBucketConfiguration=where)
        create_table(boto3.client("dynamodb"), PLATFORM.state_table)
        create_signing_key(boto3.client("kms"), PLATFORM)
        register(made)
        keep_requests(made, made.sent[:requests], np.random.default_rng(7))
        keep_file(made, made.rows.slice(requests))
        features = made.artefact.description.features
        decisions = kept(made.names, has_images=bool(encoders.images(features)))
        environment = Environment(platform=PLATFORM, client=boto3.client)
        with archived(environment, made.names, VERSION) as version:
            found = replayed(version, decisions)
    sources = {name: sum(one.decision.source == name for one in decisions) for name in ("api", "batch")}
    return {"workload": workload, "family": family, **sources, **found}


def verdict(models: Sequence[Mapping[str, Any]], *, wanted: int) -> dict[str, Any]:
    """The result: decisions with another bit, of so many; it holds if none has one and none is missing."""
    other, decisions = (sum(one[name] for one in models) for name in ("other", "decisions"))
    result = {"name": "replay", "figure": other, "unit": f"of {decisions} decisions with another bit", "bar": 0}
    return {**result, "holds": other == 0 and decisions >= wanted, "models": list(models)}


def main() -> None:
    """Print the figures; the last line says whether the bar holds, and the exit status is 1 where it is missed."""
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else DECISIONS
    shipped = {folder.name: load_workload(folder).training.family for folder in SHIPPED}
    cases = [*shipped.items(), *((workload, family) for family, workload in OTHERS.items())]
    assert {family for _, family in cases} == set(FAMILIES), "a family has no workload here"
    models = []
    for workload, family in cases:
        models.append(measure(workload, family, -(-wanted // len(cases))))
        print(models[-1], flush=True)
    conclude(verdict(models, wanted=wanted))


def uri_of(key: str) -> str:
    return f"s3://{PLATFORM.bucket('lake')}/{key}"


if __name__ == "__main__":
    main()
