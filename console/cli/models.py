"""The commands on versions: `versions`, `card`, `bom`, `verify`, `dossier`, `validate`, `register`, and `plan`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from millrace.console.cli.options import Build, Json, Stage, Target, Version, chosen_folders, several_workloads
from millrace.console.cli.printing import show, show_json, show_rows
from millrace.console.cli.runs import AsOf, Wait, end
from millrace.console.stages import command
from millrace.console.words import days
from millrace.tasks.figures import words
from millrace.workload.load import workloads_folder

if TYPE_CHECKING:
    from millrace.console.queries.versions import CallTimes, ModelVersion
    from millrace.evaluation.report import Evaluation


WORTH = ("r2", "auc", "recall", "macro_recall")
"""Figures that show that a model is hardly worth anything although its error is below that of its naive rule."""
Workloads = Annotated[list[str] | None, several_workloads("all", "Only this folder of workloads/; may be repeated.")]
Against = Annotated[
    str, typer.Option(metavar="COMMIT", show_default="what is deployed", help="Compare with a commit, such as HEAD.")
]


def versions(target: Target, as_json: Json) -> None:
    """List the model versions: status, quality on the test rows, gates (figure against bound), time of one row by HTTP.

    Example: millrace versions. The newest is first. `live` answers, `previous` is what `millrace rollback` brings back,
    `retired` was live, `shadow` and `canary` are phases of a release, `waits` wants `millrace approve` or `refuse`,
    `registered` was not released, `refused` did not pass a gate (it has no number) or a person refused it. A first
    model must beat its naive rule; a later one is compared with the live version too."""
    from millrace.console.queries.live import find_climb, sentence_of
    from millrace.console.queries.runs import SHORT
    from millrace.console.queries.versions import find_versions, read_call_times, read_evaluation

    environment, names = target.find_deployed()
    s3, found = environment.client("s3"), find_versions(environment, names)
    judged = [
        (
            version,
            read_evaluation(s3, names, version.run),
            # Only a registered version has a preflight, which measures the times.
            read_call_times(s3, names, version.run) if version.version and version.run else (),
        )
        for version in found
    ]
    climb = find_climb(environment, names)
    if as_json:
        documents = [_version_document(*each) for each in judged]
        for document in documents:
            if climb and document["version"] == climb.version:
                document["climb"] = climb.model_dump(mode="json")
        show_json(documents)
        return
    show_rows([_version_row(*each) for each in judged], as_json=False, nothing="No model was trained yet.")
    for version in found:
        if version.next_step and version.status in ("live", "registered", "refused"):
            what = f"Version {version.version}" if version.version else f"The model of run {version.run[:SHORT]}"
            print(f"\n{what}: {version.next_step.sentence}:\n  {command(names, *version.next_step.words)}")
    if climb:
        print(f"\nVersion {climb.version}: {sentence_of(climb)}.")


def _version_row(version: ModelVersion, evaluation: Evaluation | None, times: Sequence[CallTimes]) -> dict[str, Any]:
    from millrace.console.presenters.gates import compared, mark

    gates = [f"{mark(gate)} {gate.name}: {compared(gate)}" for gate in version.gates]
    return {
        "version": version.version or "-",
        "status": version.status,
        "trained": f"{version.trained_at:%Y-%m-%d %H:%M}" if version.trained_at else "",
        "because": version.reason,
        "rows": version.rows,
        "on_test_rows": _quality(evaluation),
        "gates": "\n".join(gates),
        **({"decision": version.decision} if version.decision else {}),
        "one_row_by_http": "\n".join(f"{one.p50_ms:.2g} ms, p99 {one.p99_ms:.2g} ms\n{one.instance}" for one in times),
        "dataset_version": version.snapshot_id,
        "model_digest": version.digests.get("model", "")[:12],
        "run": version.run[:18],
    }


def _quality(evaluation: Evaluation | None) -> str:
    """The task's main figure, the naive rule's, and the rows on which both were measured."""
    from millrace.console.queries.versions import losses_beside

    if evaluation is None:
        return "not known: it has no evaluation"
    quality, span = evaluation.error.quality, evaluation.split
    own, naive = evaluation.metrics.get("error"), evaluation.naive.metrics.get("error")
    more = "".join(
        f"{words(name)} {figure:.3g}\n" for name in WORTH if (figure := evaluation.metrics.get(name)) is not None
    )
    # A first model that is right less often than its rule is compared with the rule by the log loss: then both losses
    # are shown.
    losses = losses_beside(evaluation)
    compared = "" if evaluation.champion else ": compared by it"
    by_loss = f"log loss {losses[0]:.4f}, the rule's {losses[1]:.4f}{compared}\n" if losses else ""
    on = f" ({evaluation.naive.rows:,} rows)" if evaluation.naive.rows != evaluation.rows.test else ""
    rule = f"naive rule {quality(naive)}{on}\n{by_loss}"
    return f"{quality(own)}\n{more}{rule}{evaluation.rows.test:,} rows\n{days(span.from_, span.to)}"


def _version_document(
    version: ModelVersion, evaluation: Evaluation | None, times: Sequence[CallTimes]
) -> dict[str, Any]:
    from millrace.console.queries.versions import as_document
    from millrace.evaluation.gates.cases import CasesEvidence

    measured = evaluation and {
        "rows": evaluation.rows.test,
        "from": evaluation.split.from_,
        "to": evaluation.split.to,
        "error_name": evaluation.error.name,
        "metrics": dict(evaluation.metrics),
        "naive": dict(evaluation.naive.metrics),
    }
    cases = evaluation.of(CasesEvidence) if evaluation else None
    found = {
        "on_test_rows": measured,
        "named_rows": [one.model_dump() for one in cases.cases] if cases else [],
        "one_row_by_http": [asdict(one) for one in times],
    }
    return as_document(version) | found


CardOutput = Annotated[
    Path | None,
    typer.Option(show_default="card-<workload>-<stage>-<version>.html in the build folder", help="The HTML file."),
]


def card(target: Target, json: Json, version: Version = "", output: CardOutput = None) -> None:
    """Write the model card of a version as a page: use, limits, risk, figures with intervals, gates, data, digests.

    The card is as registration wrote it, for SageMaker as well. A card that was altered since is refused. What people
    change in SageMaker's copy is not shown.

    Example: millrace card 3 --output card.html"""
    from millrace.console.pages.template import card_page
    from millrace.console.queries.documents import find_document
    from millrace.release.card import CARD_FILE

    environment, names = target.find_deployed()
    package, content = find_document(environment, names, version, file=CARD_FILE)
    if json:
        show_json(content)
        return
    path = output or target.build / f"card-{names.workload}-{target.stage}-{package.version}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(card_page(package, content), encoding="utf-8")
    print(path)


def bom(target: Target, version: Version = "") -> None:
    """Print the AI-BOM of a version: the model, its rows, images and libraries, in CycloneDX 1.7.

    A document that was altered is refused.

    Example: millrace bom 3 > bom.cdx.json"""
    from millrace.console.queries.documents import find_document
    from millrace.release.bom import BOM_FILE

    show_json(find_document(*target.find(), version, file=BOM_FILE)[1])


VerifyOutput = Annotated[
    Path | None,
    typer.Option(show_default="nothing is written", help="A folder for the members, the signature and the key."),
]


def verify(target: Target, as_json: Json, version: Version = "", output: VerifyOutput = None) -> None:
    """Check a version's signature, then each digest in it: of the archive, of the run's files, of the registry.

    The exit status is 1 if the signature is absent or wrong. What --output writes can be verified by others too.

    Example: millrace verify 3 --output signed"""
    from millrace.artefact.signing import SIGNATURE_FILE
    from millrace.console.queries.documents import PUBLIC_KEY, verify_version

    signed, found = verify_version(*target.find(), version, folder=output)
    show(found, as_json=as_json, nothing="")
    if as_json:
        return
    print(f"signed as {signed.name}")
    if output:
        key, signature = output / PUBLIC_KEY, output / SIGNATURE_FILE
        print(f"model_signing verify key {output / 'model'} --signature {signature} --public_key {key}")


DossierOutput = Annotated[
    Path | None, typer.Option(show_default="dossier-<workload>-<stage>-<version> in the build folder", help="A folder.")
]


def dossier(target: Target, as_json: Json, version: Version = "", output: DossierOutput = None) -> None:
    """Write what an auditor and a buyer ask of a version, with its records, as a folder that verifies itself offline.

    Each line of dossier.html is declared, recorded or verified; what no record says is named as the owner's. Its reader
    runs verify.py, and compares `key` and `head` with what you tell him on another way. audit.jsonl names people.

    Example: millrace dossier 3 --output dossier"""
    from millrace.console.dossier.folder import write_dossier
    from millrace.console.queries.versions import find_package

    environment, names = target.find()
    package = find_package(environment, names, version)
    folder = output or target.build / f"dossier-{names.workload}-{target.stage}-{package.version}"
    lines, key, head = write_dossier(environment, names, package, folder)
    if as_json:
        show_json({"folder": f"{folder}", "lines": lines, "key": key, "head": head})
        return
    print(f"{folder}\nverified: {lines} lines\nkey  {key}\nhead {head}")


Candidate = Annotated[str, typer.Argument(metavar="VERSION", help="A version's number, or a model package's ARN.")]


def validate(candidate: Candidate, target: Target, json: Json) -> None:
    """Check whether a candidate model may be released. The exit status is 1 if it may not.

    Digests are recomputed, weights looked through, gates judged and rows answered again.

    Example: millrace validate 3"""
    from millrace.console.queries.model_validation import is_valid, validate_package

    findings = validate_package(*target.find(), candidate)
    words = {True: "passed", False: "FAILED", None: "not looked at"}
    rows = [asdict(one) if json else {**asdict(one), "passed": words[one.passed]} for one in findings]
    show_rows(rows, as_json=json, nothing="")
    if not is_valid(findings):
        raise typer.Exit(1)


Folder = Annotated[Path, typer.Argument(help="A folder with model.onnx, its data files and signature.json.")]


def register(folder: Folder, target: Target, json: Json, as_of: AsOf = "", wait: Wait = False) -> None:
    """Have an external model judged, registered and released by the same gates and steps as a trained one.

    The graph takes the tensors of the workload's features, and gives the numbers of which the task makes its answers. A
    graph with other inputs or outputs is refused here. One that fails on real rows is refused by the machine.

    Example: millrace register my_model --wait"""
    from millrace.console.actions.start import read_model
    from millrace.console.actions.start import register as start
    from millrace.console.cli.follow import when

    moment = when(as_of, "--as-of")
    environment, names = target.find_deployed()
    model = read_model(folder, workloads_folder() / names.workload)
    run = start(environment.client("s3"), environment.client("stepfunctions"), names, model, as_of=moment)
    end(environment, names, run, how="started", wait=wait, as_json=json)


def plan(stage: Stage, build: Build, as_json: Json, workload: Workloads = None, against: Against = "") -> None:
    """Tell what your edits of workloads/ lead to: trainings, judgements, deployments, with minutes and dollars.

    It changes nothing. The exit status is 1 where an edit is refused, or where CloudFormation would make anew what is
    there.

    Example: millrace plan --stage dev; millrace plan --against origin/main. Against a stage the templates are compared,
    too, and each model with what its version was trained by; a commit needs no cloud."""
    from millrace.console.environment import find_environment
    from millrace.console.queries.plan import plan_deployed, plan_on_paper
    from millrace.console.queries.upgrade import synthesized

    folders = chosen_folders(workload)
    if against:
        steps = plan_on_paper(folders, against, stage)
    else:
        environment = find_environment(stage, build)
        steps = plan_deployed(environment, folders, synthesized(environment, build))
    show(steps, as_json=as_json, nothing=f"{workloads_folder()}/ has no workload.")
    if any(one.step in ("refused", "replace") for one in steps):
        raise typer.Exit(1)
