"""What an edit of a workload's declaration or contract leads to, and what that takes.

refused       the tables hold a column as another type
rewrite       the same, and their rows can be written anew: until then no drop comes in
replace       CloudFormation makes a resource anew
retrain       the training job reads what was edited: only a new version has it
judge again   the evaluation or a gate reads it: the next version is judged by it
redeploy      functions, machines, schedules or alarms read it: it holds once it is deployed
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

from millrace.aws.objects import read_object
from millrace.console.environment import Environment
from millrace.console.queries.money.work import Job, find_jobs
from millrace.console.queries.policy_trial import try_policy
from millrace.console.queries.runs import SHORT, Run, list_runs
from millrace.console.queries.stored import changes_of_tables
from millrace.console.queries.upgrade import Change, Templates, compare_deployed
from millrace.console.queries.versions import registry_of, state_of
from millrace.console.words import column, count, units, usd
from millrace.contract.load import load_contract
from millrace.contract.rules.range import Range
from millrace.contract.schema import Column, Contract, Table
from millrace.datasets.tables import ICEBERG_TYPES, changes_of
from millrace.errors import RunError, WorkloadError
from millrace.features import catalogue as encoders
from millrace.names import SHARED, WorkloadNames
from millrace.state.pointers import ReleasePointers
from millrace.tasks import catalogue as tasks
from millrace.workload.declaration import Workload
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from millrace.workload.prices import Usage, projected_usd
from millrace.workload.training_cost import usages

Step = Literal["refused", "rewrite", "replace", "retrain", "judge again", "redeploy", "nothing"]
STEPS: tuple[Step, ...] = get_args(Step)
FILES = ("workload.yaml", "contract.yaml")
READ_BY: Mapping[Step, str] = {
    "retrain": "prediction training gates.stability monitors.window_days policy.automate.costs policy.unlike_training "
    "explanations",
    "judge again": "gates monitors.false_alarm_rate monitors.error_windows monitors.error_bound policy.automate "
    "policy.automate.costs.review",
    "redeploy": "name owner duties prediction.fallback training.first_rows training.instance training.instances "
    "training.max_runtime_minutes rollout monitors retraining budget policy policy.automate.confidence consumers jobs "
    "stream queries sources known_keys card tuning scoring",
}
"""The heaviest step that reads a field of workload.yaml, by its place: the longest beginning of it counts."""
READERS: Mapping[str, Step] = {place: step for step, places in READ_BY.items() for place in places.split()}
RUNS = 5
"""So many trainings are looked at for one that has trained."""
MOST = 40
"""Most characters of a value in a list of edits."""


@dataclass(frozen=True, kw_only=True)
class Declared:
    """What a workload's folder declares."""

    workload: Workload
    contract: Contract

    @classmethod
    def read(cls, folder: Path) -> Declared:
        """Raises WorkloadError for a declaration that cannot be read, or does not fit its contract."""
        workload = load_workload(folder)
        return cls(workload=workload, contract=check_fit(workload, load_contract(folder)))


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One field that differs."""

    what: str
    """`training.parameters.epochs 20 → 30`, `contract rows.price: rules`."""
    step: Step


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a step takes."""

    minutes: float
    usd: float
    source: str
    """The run that took so long; or `at most`, by the times after which its jobs are stopped."""

    def __str__(self) -> str:
        return f"{units(self.minutes)} min, {usd(self.usd)} USD, {self.source}"


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """What has to be done for a workload, and why."""

    workload: str = column()
    step: Step = column(heading="does")
    because: tuple[str, ...] = column("; ".join, default=())
    work: Work | None = column(str, heading="takes", default=None)
    """What it takes; a training with the evaluation that follows."""


def edits_of(before: Declared, after: Declared) -> Iterator[Edit]:
    """What differs, each with the step that reads it."""
    for place, old, new in _differences(_document(before.workload), _document(after.workload)):
        # The model measures a distance whatever the share is: another share needs no other model.
        is_share = place == "policy.unlike_training" and None not in (old, new)
        # A feature may say what its encoder does not read.
        is_unread = place.startswith("prediction.features.") and _trained_by(
            before.workload, before.contract
        ) == _trained_by(after.workload, after.contract)
        step: Step = "redeploy" if is_share or is_unread else step_of(place)
        yield Edit(what=f"{place} {_short(old)} → {_short(new)}", step=step)
    columns = [*_of_columns(before.contract, after)]
    yield from columns
    if before.contract.digest != after.contract.digest and not columns:
        yield Edit(what="contract.yaml beside its columns", step="redeploy")


def step_of(place: str) -> Step:
    """The step that reads the field of workload.yaml at this place."""
    parts = place.split(".")
    return next(READERS[at] for n in range(len(parts), 0, -1) if (at := ".".join(parts[:n])) in READERS)


def _document(workload: Workload) -> dict[str, Any]:
    """The declaration without what it leaves at its default; hyperparameters with the defaults of their family."""
    document = workload.model_dump(mode="json", exclude_defaults=True)
    document["training"]["parameters"] = workload.training.family_parameters().model_dump(mode="json")
    document["prediction"].pop("costs", None)  # those of `policy.automate`
    return document


def _differences(before: Any, after: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The places that differ, each with both values. An entry of a list with names is at its name."""
    old, new = _by_name(before), _by_name(after)
    if before == after:
        return
    # A section that only one of the two has differs in the fields that it gives.
    if not isinstance(old or new, dict) or not isinstance(new or old, dict) or not (old or {}).keys() | (new or {}):
        yield place, before, after
        return
    old, new = old or {}, new or {}
    if isinstance(before, list) and isinstance(after, list) and [*old] != [*new]:
        yield place, [*old], [*new]
        old = {name: item for name, item in old.items() if name in new}
        new = {name: new[name] for name in old}
    for key in {**old, **new}:
        yield from _differences(old.get(key), new.get(key), f"{place}.{key}".lstrip("."))


def _by_name(value: Any) -> Any:
    has_names = isinstance(value, list) and value and all(isinstance(item, dict) and "name" in item for item in value)
    return {item["name"]: item for item in value} if has_names else value


def _short(value: Any) -> str:
    if value is None:
        return "default"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST else f"{text[: MOST - 1]}…"


def _of_columns(before: Contract, after: Declared) -> Iterator[Edit]:
    for old, new in ((before.rows, after.contract.rows), (before.labels, after.contract.labels)):
        there, now = ({one.name: one for one in table.columns} for table in (old, new))
        for name in {**there, **now}:
            step: Step = "redeploy"
            if name not in there or name not in now:
                # A model that reads the column is declared by `prediction.features`, which differs then.
                what = "added" if name in now else "removed"
            elif names := [
                each.name for each in fields(Column) if getattr(there[name], each.name) != getattr(now[name], each.name)
            ]:
                what = ", ".join(names)
                step = _reader_of(there[name], new, after)
            else:
                continue
            yield Edit(what=f"contract {new.name}.{name}: {what}", step=step)


def _reader_of(old: Column, table: Table, after: Declared) -> Step:
    """The step that makes something else of the contract if this column of the table is as it was."""
    new = table.column(old.name)
    for one in changes_of({old.name: ICEBERG_TYPES[old.kind]}, replace(table, columns=(new,))):
        if one.refusal:
            return "rewrite" if one.can_rewrite else "refused"
    columns = tuple(old if one == new else one for one in table.columns)
    before = replace(after.contract, rows=replace(table, columns=columns)) if table.name == "rows" else after.contract
    if _trained_by(after.workload, before) != _trained_by(after.workload, after.contract):
        return "retrain"
    # An explanation hides a protected column.
    return "judge again" if old.is_protected != new.is_protected else "redeploy"


def _trained_by(workload: Workload, contract: Contract) -> tuple[Any, ...]:
    """What a training makes of the contract, as its job does."""
    spec, label = workload.prediction, contract.label
    kinds = [one.kind for one in contract.rows.columns if one.name in (*spec.key, *workload.split_columns)]
    return encoders.declare(spec.features, contract.rows), tasks.declare(spec, label), label.find(Range), kinds


def plan_on_paper(folders: Sequence[Path], ref: str, stage: str) -> list[PlannedStep]:
    """What the edits of these workloads since a commit lead to, with the most that it may take.

    Raises RunError if git does not know the commit, WorkloadError for a declaration that cannot be read."""
    found = list[PlannedStep]()
    for folder in folders:
        after = Declared.read(folder)
        before = _at(folder, ref)
        edits = [*edits_of(before, after)] if before else [Edit(what="a new workload", step="redeploy")]
        found += steps_of(folder.name, edits, projected(after.workload, stage))
    return found


def _at(folder: Path, ref: str) -> Declared | None:
    """What the folder declared in a commit; None if it was not there."""
    if not _git(folder, "ls-tree", "--name-only", ref, FILES[0]):
        return None
    return _declared_in(folder.name, {name: _git(folder, "show", f"{ref}:./{name}") for name in FILES}, ref)


def _git(folder: Path, *words: str) -> bytes:
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=False)
    if done.returncode:
        raise RunError(f"--against: expected a commit of {folder}, git {words[0]} says {done.stderr.decode().strip()}")
    return done.stdout


def _declared_in(name: str, files: Mapping[str, bytes], where: str) -> Declared:
    with TemporaryDirectory() as root:
        folder = Path(root) / name
        folder.mkdir()
        for file, content in files.items():
            (folder / file).write_bytes(content)
        try:
            return Declared.read(folder)
        except WorkloadError as error:
            raise RunError(f"{where}: this version does not read what was declared: {error}") from None


def steps_of(workload: str, edits: Sequence[Edit], work: Mapping[Step, Work]) -> list[PlannedStep]:
    """The steps that the edits lead to, the heaviest first."""
    found = [
        PlannedStep(workload=workload, step=step, because=because, work=work.get(step))
        for step in STEPS
        if (because := tuple(edit.what for edit in edits if edit.step == step))
    ]
    return found or [PlannedStep(workload=workload, step="nothing")]


def projected(workload: Workload, stage: str) -> Mapping[Step, Work]:
    """The most that a training and an evaluation may take; nothing for a stage without declared instances."""
    if stage not in workload.training.instance.keys() & workload.rollout.instance:
        return {}
    trained, evaluated = usages(workload, stage)
    return {"retrain": _bound(trained, evaluated), "judge again": _bound(evaluated)}


def _bound(*used: Usage) -> Work:
    return Work(minutes=sum(one.minutes for one in used), usd=projected_usd(used), source="at most")


def plan_deployed(environment: Environment, folders: Sequence[Path], made: Templates) -> list[PlannedStep]:
    """What a deployment of these workloads and their trainings would do in the stage; `made` are the new templates.

    A training is compared with that of the live version. Raises WorkloadError for a declaration that cannot be read."""
    changes, found = compare_deployed(environment, made), list[PlannedStep]()
    for folder in folders:
        names, after = environment.names(folder.name), Declared.read(folder)
        own = [one for one in changes if one.stack.startswith(f"{names.prefix}-")]
        changes = [one for one in changes if one not in own]
        edits = [*_since_live(environment, names, after, made), *_of_tables(environment, names, after.contract)]
        # What was deployed since the live version was trained is not deployed again.
        edits = [*(edit for edit in edits if edit.step != "redeploy" or own), *_of_templates(own)]
        has_job = not {edit.step for edit in edits}.isdisjoint(("retrain", "judge again"))
        found += steps_of(folder.name, edits, find_work(environment, names, after.workload) if has_job else {})
    prefixes = tuple(f"{each.prefix}-" for each in environment.declared())
    shared = [*_of_templates([one for one in changes if not one.stack.startswith(prefixes)])]
    return [*found, *(steps_of(SHARED, shared, {}) if shared else ())]


def _since_live(environment: Environment, names: WorkloadNames, after: Declared, made: Templates) -> Iterator[Edit]:
    """What differs from what the live version was trained by; nothing without a live version."""
    if (live := ReleasePointers(state_of(environment, names)).champion()) is None:
        return
    try:
        before = declared_of_run(environment, names, live.run, where=f"version {live.version}")
        yield from edits_of(before, after)
        if before.workload.policy != after.workload.policy:
            yield Edit(what=try_policy(environment, names, live, after.workload, after.contract), step="redeploy")
    except RunError as error:
        yield Edit(what=str(error), step="retrain")
    trained_by = registry_of(environment, names).describe(live.package_arn).metadata.get("code_digest", "")
    # The digest of an image is no text of the template: the image is built later.
    resources = made.get(names.stack("training"), {}).values()
    variables = [one.get("Properties", {}).get("Environment", {}).get("Variables", {}) for one in resources]
    for code in {one["MILLRACE_CODE_DIGEST"] for one in variables if isinstance(one.get("MILLRACE_CODE_DIGEST"), str)}:
        if code != trained_by:
            yield Edit(what=f"the suite's training code {trained_by[:7]} → {code[:7]}", step="retrain")


def declared_of_run(environment: Environment, names: WorkloadNames, run: str, *, where: str) -> Declared:
    """What the training run was started with. Raises RunError if this version of ours does not read it."""
    s3 = environment.client("s3")
    files = {name: read_object(s3, names.run_uri(run, "config", name)) for name in FILES}
    return _declared_in(names.workload, files, where)


def _of_tables(environment: Environment, names: WorkloadNames, contract: Contract) -> Iterator[Edit]:
    for table, one, _ in changes_of_tables(environment, names, contract):
        if one.refusal:
            what = f"{names.workload}/contract.yaml, {table}: {one.name}: expected {one.refusal}, got {one.now}"
            yield Edit(what=what, step="rewrite" if one.can_rewrite else "refused")


def _of_templates(changes: Sequence[Change]) -> Iterator[Edit]:
    for one in changes:
        if one.is_refused:
            yield Edit(what=f"{one.resource} ({one.type}) is {one.change}", step="replace")
    if changes:
        yield Edit(what=f"{count(len(changes), 'resource')} of its stacks", step="redeploy")


def find_work(environment: Environment, names: WorkloadNames, workload: Workload) -> Mapping[Step, Work]:
    """What the newest training and its evaluation took; without one the most that they may take."""
    for run in list_runs(environment.client("stepfunctions"), names, machine="train", status="SUCCEEDED", limit=RUNS):
        jobs = [*find_jobs(environment, [run.name], since=run.started)]
        evaluated = [job for job in jobs if job.kind == "processing"]
        if len(evaluated) < len(jobs):
            return {"retrain": _took(jobs, run), "judge again": _took(evaluated, run)}
    return projected(workload, names.platform.stage)


def _took(jobs: Sequence[Job], run: Run) -> Work:
    minutes = sum(job.billed_s for job in jobs) / 60
    return Work(minutes=minutes, usd=sum(job.usd for job in jobs), source=f"as run {run.name[:SHORT]}")
