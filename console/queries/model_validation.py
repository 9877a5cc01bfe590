"""Validate a candidate model before it may be released. Each check has a finding, and one failure refuses the model.

A registered package is checked with its run, its report and the audit."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
from safetensors import SafetensorError
from safetensors.numpy import load

from millrace.artefact import graph
from millrace.artefact.artefact import ARCHIVE, Artefact, read_archive
from millrace.artefact.inference import Model
from millrace.artefact.signing import SignedVersion
from millrace.aws.objects import download
from millrace.console.environment import Environment
from millrace.console.queries.documents import verify_version
from millrace.console.queries.stored import find_object
from millrace.console.queries.versions import audit_of, find_judgement, find_package
from millrace.contract.kinds import arrow_type, parse_cell
from millrace.contract.load import load_contract
from millrace.contract.schema import Contract, Table
from millrace.errors import ArtefactError
from millrace.evaluation.agreement import SAMPLE_FILE, first_disagreement
from millrace.evaluation.gates.catalogue import judge_all, passed
from millrace.evaluation.report import EVALUATION_FILE, Evaluation
from millrace.evaluation.sample import Sample, read_sample
from millrace.features import catalogue as encoders
from millrace.messages.train import GateVerdict
from millrace.messages.training_run import PINNED
from millrace.names import WorkloadNames
from millrace.release.registry import Package
from millrace.release.signatures import check_members
from millrace.tasks import catalogue as tasks
from millrace.workload.declaration import Workload
from millrace.workload.load import load_workload, workloads_folder

PICKLED = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04", b"\x1f\x8b", b"\x93NUMPY")
"""First bytes of pickles and of files that may contain one: archives of torch and numpy, and compressed files."""


@dataclass(frozen=True, kw_only=True)
class Registered:
    """What the registry, the run and the audit say about a candidate."""

    metadata: Mapping[str, str]
    run: Mapping[str, Any]
    """The content of run.json: the pinned snapshot and digests."""
    report: bytes
    """The content of evaluation.json; empty if there is none."""
    sample: bytes
    """The content of sample.jsonl: rows of the test days and the graph's answers to them."""
    judged: tuple[GateVerdict, ...]
    """The verdicts with which gating let the run pass, from the audit; empty if it never did."""
    signed: SignedVersion | str
    """What was signed; a sentence if the signature is refused, or a document of the run that it covers."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Everything that the checks look at."""

    archive: Path
    workload: Workload
    """The declaration as it is now."""
    contract: Contract
    """The contract as it is now."""
    registered: Registered


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The result of one check."""

    check: str
    passed: bool | None
    """None if nothing was looked at, as an earlier check has failed."""
    sentence: str


Check = Callable[[Candidate, Artefact], str]
"""Returns the finding as a sentence. Raises ArtefactError if the candidate fails."""


def validate(candidate: Candidate) -> tuple[Finding, ...]:
    """One finding for each check, in the order of the catalogue.

    If the archive is invalid, or has more than plain data, the candidate fails at once and nothing of it is loaded."""
    try:
        artefact = read_archive(candidate.archive)
    except ArtefactError as error:
        return _unopened(Finding(check="members", passed=False, sentence=str(error)))
    members = Finding(check="members", passed=True, sentence="each allowed member once, by the digests of model.json")
    # Reading the archive runs nothing of it; later checks load the graph, which must be plain data by then.
    plain = _finding("plain data", _plain_data, candidate, artefact)
    if not plain.passed:
        return _unopened(members, plain)
    return (members, plain, *((_finding(name, check, candidate, artefact) for name, check in CHECKS.items())))


def _unopened(*found: Finding) -> tuple[Finding, ...]:
    """The findings so far; all later checks have none, as nothing was loaded."""
    # The findings so far stand for the first checks of the list.
    names = [*OPENING, *CHECKS][len(found) :]
    return (*found, *(Finding(check=name, passed=None, sentence="not loaded, for what stands above") for name in names))


def is_valid(findings: tuple[Finding, ...]) -> bool:
    """Whether every check passed."""
    return all(one.passed for one in findings)


def validate_package(environment: Environment, names: WorkloadNames, wanted: str) -> tuple[Finding, ...]:
    """The findings on a registered version, by its number or its package's ARN. Its files are fetched into a temporary
    folder.

    Raises EnvironmentNotFoundError if there is no such version."""
    package = find_package(environment, names, wanted.removeprefix(names.package_arn("")))
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / ARCHIVE
        download(environment.client("s3"), package.model_data_url, archive)
        home, known = workloads_folder() / names.workload, _registered(environment, names, package)
        workload, contract = load_workload(home), load_contract(home)
        return validate(Candidate(archive=archive, workload=workload, contract=contract, registered=known))


def _registered(environment: Environment, names: WorkloadNames, package: Package) -> Registered:
    """The package's metadata, and the files of its run; missing files are empty."""
    s3, run = environment.client("s3"), package.metadata.get("run", "")

    def file(*parts: str) -> bytes:
        return find_object(s3, names.run_uri(run, *parts)) or b""

    judgement = find_judgement(audit_of(environment, names), run)
    return Registered(
        metadata=package.metadata,
        run=json.loads(file("config", "run.json") or b"{}"),
        report=file("evaluation", EVALUATION_FILE),
        sample=file("evaluation", SAMPLE_FILE),
        judged=judgement.verdicts if judgement and judgement.passed else (),
        signed=_signed(environment, names, package.version),
    )


def _signed(environment: Environment, names: WorkloadNames, version: str) -> SignedVersion | str:
    try:
        return verify_version(environment, names, version)[0]
    except ArtefactError as error:
        return str(error)


def _finding(name: str, check: Check, candidate: Candidate, artefact: Artefact) -> Finding:
    """The check's finding; its errors become findings too."""
    try:
        return Finding(check=name, passed=True, sentence=check(candidate, artefact))
    except ArtefactError as error:
        return Finding(check=name, passed=False, sentence=str(error))


def _plain_data(_: Candidate, artefact: Artefact) -> str:
    """Whether the archive has only tensors and standard operators: nothing that runs when it is loaded."""
    for name, content in (("weights.safetensors", artefact.weights), ("model.onnx", artefact.onnx)):
        if content.startswith(PICKLED):
            raise ArtefactError(f"{name}: expected tensors, it begins as a pickle or an archive: {content[:4]!r}")
    try:
        load(artefact.weights)
    except SafetensorError as error:
        raise ArtefactError(f"weights.safetensors: expected safetensors, got {error}") from None
    operators = graph.check_plain(graph.parse(artefact.onnx))
    return f"safetensors and {operators} standard operators, no pickle, nothing of its own"


def _finite_weights(_: Candidate, artefact: Artefact) -> str:
    """Whether all weights, and all constants of the graph, are finite."""
    initializers = graph.parse(artefact.onnx).graph.initializer
    tensors = {f"weights.safetensors: {name}": tensor for name, tensor in load(artefact.weights).items()}
    tensors |= {f"model.onnx: {one.name}": onnx.numpy_helper.to_array(one) for one in initializers}
    for name, tensor in tensors.items():
        if np.issubdtype(tensor.dtype, np.floating) and not np.isfinite(tensor).all():
            raise ArtefactError(f"{name}: expected finite weights, {int((~np.isfinite(tensor)).sum())} are not")
    return f"{sum(tensor.size for tensor in tensors.values()):,} numbers in {len(tensors)} tensors, all finite"


def _contract(candidate: Candidate, artefact: Artefact) -> str:
    """Whether the model was trained under the present contract, with the declared features and label."""
    described, prediction = artefact.description, candidate.workload.prediction
    if described.digests.contract != candidate.contract.digest:
        message = f"expected {candidate.contract.digest}, as contract.yaml is now, got {described.digests.contract}"
        raise ArtefactError(f"contract digest: {message}")
    declared, came = (
        [(encoder.kind, encoder.name) for encoder in features]
        for features in (encoders.declare(prediction.features, candidate.contract.rows), described.features)
    )
    if came != declared:
        raise ArtefactError(f"features: expected {_describe(declared)}, as declared, got {_describe(came)}")
    task = tasks.declare(prediction, candidate.contract.label)
    if (described.label, described.task) != (prediction.label, task):
        expected = f"{task.kind} {prediction.label}"
        raise ArtefactError(f"label: expected {expected}, as declared, got {described.task.kind} {described.label}")
    return f"the contract as it is now, {len(declared)} features in their order"


def _describe(features: list[tuple[str, str]]) -> str:
    return ", ".join(f"{name} ({kind})" for kind, name in features)


def _chain(candidate: Candidate, artefact: Artefact) -> str:
    """Whether the digests agree: of the artefact, of the package, and of what the run has pinned."""
    known, description = candidate.registered, artefact.description
    links = {f"{link}_digest": value for link, value in vars(description.digests).items()}
    required = ("contract",) if known.run.get("pulled") else PINNED
    pinned = {f"{link}_digest": str(known.run.get(f"{link}_digest")) for link in required}
    for name, came in links.items():
        # A digest that the run did not pin is only compared with the package.
        for where, expected in (("package", known.metadata.get(name)), ("run", pinned.get(name, came))):
            if expected != came:
                raise ArtefactError(f"{name}: expected {expected}, as the {where} says, got {came}")
    return f"{len(links)} digests, recomputed, are those of the package and of run {known.metadata.get('run')}"


def _signature(candidate: Candidate, artefact: Artefact) -> str:
    """Whether the archive's members are the signed ones, and all files of the run that the signature covers."""
    signed = candidate.registered.signed
    if isinstance(signed, str):
        raise ArtefactError(signed)
    check_members(signed, artefact.members)
    return f"{len(signed.members)} members and {len(signed.digests)} digests, signed as {signed.name}"


def _gates(candidate: Candidate, _: Artefact) -> str:
    """Whether the gates pass by their present bounds. The gating must have let the model pass, too."""
    known = candidate.registered
    if not known.report:
        raise ArtefactError(f"{EVALUATION_FILE}: expected the run's report, there is none")
    if not known.judged:
        raise ArtefactError(f"expected a record `model.passed` of run {known.metadata.get('run')}, there is none")
    against = known.run.get("gate", "baseline")
    verdicts = judge_all(Evaluation.model_validate_json(known.report), candidate.workload.gates, against=against)
    if not passed(verdicts):
        raise ArtefactError("; ".join(f"{one.name}: {one.sentence}" for one in verdicts if not one.passed))
    # A gate that was declared since was not judged then, so its verdict of now is not enough.
    if missing := {one.name for one in verdicts} - {one.name for one in known.judged if one.passed}:
        raise ArtefactError(f"expected a passed verdict of every gate in the audit, missing {sorted(missing)}")
    return f"{len(verdicts)} gates passed then, by the audit, and pass now: {', '.join(one.name for one in verdicts)}"


def _answers(candidate: Candidate, artefact: Artefact) -> str:
    """Whether the graph answers the rows of the test days as it did in the evaluation."""
    sample = read_sample(candidate.registered.sample)
    if not sample.rows:
        raise ArtefactError(f"{SAMPLE_FILE}: expected rows of the test days, there are none")
    model = artefact.description
    table = _typed(sample, candidate.contract.rows, model.columns)
    answers = model.task.answers(Model(artefact).outputs(encoders.encode(model.features, table)))
    # From columns to rows: `answers` has an array for each field of the answer.
    came = [dict(zip(answers, row, strict=True)) for row in zip(*(v.tolist() for v in answers.values()), strict=True)]
    if other := first_disagreement(came, sample.answers):
        raise ArtefactError(other)
    return f"{len(came)} rows of the test days answered as in the evaluation"


def _typed(sample: Sample, declared: Table, columns: Sequence[str]) -> pa.Table:
    """The sample's rows in the contract's types."""
    return pa.table(
        {
            name: pa.array(
                [parse_cell(row.get(name), declared.column(name).kind) for row in sample.rows], arrow_type(kind)
            )
            for name in columns
            for kind in [declared.column(name).kind]
        }
    )


def _owner(candidate: Candidate, _: Artefact) -> str:
    """Whether the declaration names who answers for the workload."""
    if not (owner := candidate.workload.owner.strip()):
        raise ArtefactError("workload.yaml: expected an owner, who answers for the workload, got none")
    return f"owned by {owner}"


OPENING = ("members", "plain data")
"""The first two checks, in this order, before anything is loaded."""
CHECKS: dict[str, Check] = {
    "finite weights": _finite_weights,
    "contract": _contract,
    "chain of digests": _chain,
    "signature": _signature,
    "gates": _gates,
    "answers": _answers,
    "owner": _owner,
}
"""All other checks, in their order."""
