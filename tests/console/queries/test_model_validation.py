"""A candidate that is fine passes every check; each check refuses the one fault that it is for, and no other does."""

import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from millrace.artefact.artefact import (
    MEMBERS,
    Artefact,
    Description,
    Digests,
    digest,
    digests_of,
    read_members,
    write_archive,
)
from millrace.artefact.signing import SignedVersion
from millrace.console.queries.model_validation import (
    CHECKS,
    OPENING,
    Candidate,
    Finding,
    Registered,
    is_valid,
    validate,
)
from millrace.contract.load import load_contract
from millrace.errors import ArtefactError
from millrace.evaluation.gates.catalogue import judge_all
from millrace.evaluation.report import Evaluation
from millrace.evaluation.sample import write_sample
from millrace.features.number import Number
from millrace.messages.train import GateVerdict
from millrace.workload.load import load_workload
from tests import builders
from tests.archives import tarred, untarred
from tests.functions.conftest import REPORT
from tests.recorded import compare

ELECTRICITY = Path(__file__).resolve().parents[3] / "workloads" / "electricity"
WORKLOAD, CONTRACT = load_workload(ELECTRICITY), load_contract(ELECTRICITY)
FEATURES = WORKLOAD.prediction.feature_columns
RUN = "7c1b2f0e-first"
WEIGHTS = np.linspace(-1, 1, len(FEATURES), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a candidate is built of; a test changes one."""

    weights: bytes
    onnx: bytes
    contract: str = CONTRACT.digest
    features: tuple[str, ...] = FEATURES
    label: str = WORKLOAD.prediction.label
    report: Mapping[str, Any]
    judged: tuple[str, ...] = ("finite_weights", "calibration", "latency", "size", "baseline")
    """Gates with a passed verdict in the audit."""
    metadata: Mapping[str, str]
    """Over those that are right."""
    answers: float = 0.0
    """By how much the sample's answers are off."""
    owner: str = WORKLOAD.owner
    extra: Mapping[str, bytes]
    """Members beside the allowed ones."""
    signed: Mapping[str, str] | str = field(default_factory=dict)
    """Digests of members over those that are right, or why the signature is refused."""


def graph(weights: np.ndarray, *, operator: str = "MatMul", domain: str = "") -> bytes:
    """The probability of a row: the sigmoid of its product with the weights."""
    nodes = [
        helper.make_node(operator, ["numbers", "w"], ["product"], domain=domain),
        helper.make_node("Sigmoid", ["product"], ["output"]),
    ]
    inputs = [helper.make_tensor_value_info("numbers", TensorProto.FLOAT, ["rows", len(weights)])]
    outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, ["rows", 1])]
    made = helper.make_graph(nodes, "graph", inputs, outputs, [numpy_helper.from_array(weights.reshape(-1, 1), "w")])
    opsets = [helper.make_opsetid("", 21), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(made, opset_imports=opsets, ir_version=10).SerializeToString()


def outside(model: bytes) -> bytes:
    """The same graph with its weights in a file that it names."""
    changed = onnx.load_model_from_string(model)
    tensor = changed.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.ClearField("raw_data")
    tensor.external_data.add(key="location", value="/etc/passwd")
    return changed.SerializeToString()


FINE = Parts(weights=save({"w": WEIGHTS}), onnx=graph(WEIGHTS), report=REPORT, metadata={}, extra={})


def build(parts: Parts, folder: Path) -> Candidate:
    links = {"data": "d" * 64, "contract": parts.contract, "config": "f" * 64, "code": "a" * 64}
    digests = Digests(**links, weights=digest(parts.weights), onnx=digest(parts.onnx))
    artefact = Artefact(description=described(parts, digests), weights=parts.weights, onnx=parts.onnx, history=b"[]")
    archive = folder / "model.tar.gz"
    write_archive(archive, artefact)
    if parts.extra:
        add(archive, parts.extra)
    right = {f"{name}_digest": value for name, value in vars(digests).items()} | {"run": RUN}
    registered = Registered(
        metadata={**right, **parts.metadata},
        run={f"{name}_digest": value for name, value in links.items()} | {"gate": "baseline"},
        report=json.dumps(parts.report).encode(),
        sample=sample(parts.answers),
        judged=tuple(GateVerdict(name=name, passed=True, measured=1, bound=1, sentence="") for name in parts.judged),
        signed=parts.signed if isinstance(parts.signed, str) else signed_of(archive, parts.signed),
    )
    workload = WORKLOAD.model_copy(update={"owner": parts.owner})
    return Candidate(archive=archive, workload=workload, contract=CONTRACT, registered=registered)


def signed_of(archive: Path, wrong: Mapping[str, str]) -> SignedVersion | str:
    """What was signed of the archive; an archive that is none was never signed."""
    try:
        members = digests_of(read_members(archive))
    except ArtefactError as error:
        return str(error)
    return SignedVersion(name=f"millrace-local-electricity/{RUN}", members=members | wrong, digests={})


def described(parts: Parts, digests: Digests) -> Description:
    return builders.description(
        features=tuple(Number(name=name) for name in parts.features), label=parts.label, digests=digests
    )


def sample(off: float) -> bytes:
    cells = [0.0 if name == "day_of_week" else round(0.1 * (n + 1), 3) for n, name in enumerate(FEATURES)]
    rows = [{**dict(zip(FEATURES, cells, strict=True)), "day_of_week": n} for n in range(3)]
    products = [float(np.array(list(row.values()), np.float32) @ WEIGHTS) for row in rows]
    probabilities = [1 / (1 + np.exp(-product)) for product in products]
    answers = [
        {"value": int(p >= 0.5), "probability": float(p + np.nan_to_num(off)), "confidence": float(max(p, 1 - p))}
        for p in probabilities
    ]
    content = write_sample({"row": row, "answer": one} for row, one in zip(rows, answers, strict=True))
    # The writer refuses NaN, so another one has written it.
    return re.sub(rb'"probability": [^,]+', b'"probability": NaN', content) if np.isnan(off) else content


def add(archive: Path, members: Mapping[str, bytes]) -> None:
    """The archive with more members; gzip cannot be appended to, so it is written anew."""
    archive.write_bytes(tarred({**untarred(archive.read_bytes()), **members}))


def spoilt(weights: np.ndarray, value: float) -> np.ndarray:
    changed = weights.copy()
    changed[0] = value
    return changed


def failed(findings: tuple[Finding, ...]) -> dict[str, str]:
    return {one.check: one.sentence for one in findings if one.passed is False}


def test_a_fine_candidate_passes_every_check(tmp_path: Path) -> None:
    findings = validate(build(FINE, tmp_path))
    assert [one.check for one in findings] == [*OPENING, *CHECKS]
    assert failed(findings) == {}
    assert all(one.passed for one in findings)
    assert is_valid(findings)


FAULTS: dict[str, tuple[Parts, str]] = {
    "a member more": (replace(FINE, extra={"data.pkl": b"x"}), "members"),
    "a path outside": (replace(FINE, extra={"../escape": b"x"}), "members"),
    "pickled weights": (replace(FINE, weights=pickle.dumps({"w": [1.0]}, protocol=4)), "plain data"),
    "weights of another format": (replace(FINE, weights=b"weights"), "plain data"),
    "an operator of somebody's own": (
        replace(FINE, onnx=graph(WEIGHTS, operator="Run", domain="com.example")),
        "plain data",
    ),
    "weights in another file": (replace(FINE, onnx=outside(FINE.onnx)), "plain data"),
    "a weight that is NaN": (replace(FINE, weights=save({"w": spoilt(WEIGHTS, np.nan)})), "finite weights"),
    "a number of the graph that is infinite": (replace(FINE, onnx=graph(spoilt(WEIGHTS, np.inf))), "finite weights"),
    "another contract": (replace(FINE, contract="c" * 64), "contract"),
    "other features": (replace(FINE, features=FEATURES[::-1]), "contract"),
    "another label": (replace(FINE, label="price"), "contract"),
    "a package of other rows": (replace(FINE, metadata={"data_digest": "0" * 64}), "chain of digests"),
    "no signature": (replace(FINE, signed="version 1: there is none"), "signature"),
    "a signature of another graph": (replace(FINE, signed={"model.onnx": "0" * 64}), "signature"),
    "a gate that fails": (
        replace(FINE, report={**REPORT, "latency_ms": {"p50": 99, "p99": 9999, "rows": 1}}),
        "gates",
    ),
    "no verdict in the audit": (replace(FINE, judged=()), "gates"),
    "a gate that was never judged": (replace(FINE, judged=FINE.judged[:-1]), "gates"),
    "other answers": (replace(FINE, answers=0.01), "answers"),
    "answers that are no numbers": (replace(FINE, answers=float("nan")), "answers"),
    "no owner": (replace(FINE, owner=" "), "owner"),
}


def test_each_fault_is_refused_by_its_check(tmp_path: Path) -> None:
    lines = []
    for fault, (parts, check) in FAULTS.items():
        findings = validate(build(parts, tmp_path))
        assert not is_valid(findings), fault
        assert check in failed(findings), fault
        lines += [fault, *(f"    {name}: {words}" for name, words in failed(findings).items())]
    compare(Path(__file__).parents[1] / "recorded/faults.txt", re.sub("[0-9a-f]{64}", "…", "\n".join(lines)))


def test_what_is_no_archive_fails_the_first_check_alone(tmp_path: Path) -> None:
    candidate = build(FINE, tmp_path)
    candidate.archive.write_bytes(b"no archive")
    findings = validate(candidate)
    assert list(failed(findings)) == ["members"]
    assert {one.passed for one in findings[1:]} == {None}
    assert not is_valid(findings)


def test_the_control_has_the_shape_of_a_real_run() -> None:
    """Else the faults would be refused for another reason."""
    verdicts = judge_all(Evaluation.model_validate(REPORT), WORKLOAD.gates, against="baseline")
    assert {one.name for one in verdicts} == set(FINE.judged)
    assert set(MEMBERS) == {"weights.safetensors", "model.onnx", "model.json", "history.json"}
