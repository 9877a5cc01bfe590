"""What an edit of a workload's declaration or contract leads to, and what that takes.

refused       the tables hold a column as another type
replace       CloudFormation makes a resource anew
retrain       the training job reads what was edited: only a new version has it
judge again   the evaluation or a gate reads it: the next version is judged by it
redeploy      functions, machines, schedules or alarms read it: it holds once it is deployed
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, get_args

from millrace.aws.objects import read_object
from millrace.console.environment import Environment
from millrace.console.queries.money.work import Job, find_jobs
from millrace.console.queries.runs import SHORT, list_runs
from millrace.console.queries.stored import check_tables
from millrace.console.queries.upgrade import Change, Templates, compare_deployed
from millrace.console.queries.versions import registry_of, state_of
from millrace.console.words import column, units, usd
from millrace.contract.load import load_contract
from millrace.contract.rules.range import Range
from millrace.contract.schema import Column, Contract, Table
from millrace.datasets.tables import ICEBERG_TYPES, check_types
from millrace.errors import RunError, WorkloadError
from millrace.features import catalogue as encoders
from millrace.names import SHARED, WorkloadNames
from millrace.state.pointers import ReleasePointers
from millrace.tasks import catalogue as tasks
from millrace.workload.declaration import Workload
from millrace.workload.fit import check_fit
from millrace.workload.load import load_workload
from millrace.workload.prices import projected_usd
from millrace.workload.training_cost import usages

Step = Literal["refused", "replace", "retrain", "judge again", "redeploy", "nothing"]
STEPS: tuple[Step, ...] = get_args(Step)
FILES = ("workload.yaml", "contract.yaml")
READ_BY: Mapping[Step, str] = {
    "retrain": "prediction training gates.stability monitors.window_days policy.automate.costs policy.unlike_training "
    "explanations",
    "judge again": "gates monitors.false_alarm_rate monitors.error_windows monitors.error_bound policy.automate "
    "policy.automate.costs.review",
    "redeploy": "name owner prediction.fallback training.first_rows training.instance training.instances "
    "training.max_runtime_minutes rollout monitors retraining budget policy policy.automate.confidence consumers jobs "
    "stream queries known_keys card tuning",
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
        """Raises WorkloadError for a declaration that cannot be read."""
        return cls(workload=load_workload(folder), contract=load_contract(folder))


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One field that differs."""

    field: str
    """`training.parameters.epochs`, `rows.price` or `schema`."""
    change: str
    """`20 → 30`."""
    step: Step

    def __str__(self) -> str:
        return f"{self.field} {self.change}"


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a step takes."""

    minutes: float
    usd: float
    source: str
    """The run that took so long; or `at most`, by the times after which its jobs are stopped."""


@dataclass(frozen=True, kw_only=True)
class PlannedStep:
    """What has to be done for a workload, and why."""

    workload: str = column()
    step: Step = column(heading="does")
    because: tuple[str, ...] = column("; ".join)
    minutes: float | None = column(units, default=None)
    usd: float | None = column(usd, heading="USD", default=None)
    source: str = column(heading="by", default="")


def edits_of(before: Declared, after: Declared) -> Iterator[Edit]:
    """What differs, each with the step that reads it."""
    for place, old, new in _differences(_document(before.workload), _document(after.workload)):
        yield Edit(field=place, change=f"{_short(old)} → {_short(new)}", step=step_of(place))
    yield from _of_contract(before.contract, after)


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


def _of_contract(before: Contract, after: Declared) -> Iterator[Edit]:
    edits = list[Edit]()
    for old, new in ((before.rows, after.contract.rows), (before.labels, after.contract.labels)):
        there, now = ({one.name: one for one in table.columns} for table in (old, new))
        for name in {**there, **now}:
            if there.get(name) != now.get(name):
                edits.append(_of_column(there.get(name), now.get(name), new, after))
        for one in fields(Table):
            if one.name != "columns" and getattr(old, one.name) != getattr(new, one.name):
                edits.append(Edit(field=f"{new.name}.{one.name}", change="edited", step="redeploy"))
    if before.digest != after.contract.digest and not edits:
        edits.append(Edit(field="contract.yaml", change="edited", step="redeploy"))
    yield from edits


def _of_column(old: Column | None, new: Column | None, table: Table, after: Declared) -> Edit:
    field = f"{table.name}.{(new or old).name}"  # type: ignore[union-attr] # one of them is there
    if old is None or new is None:
        # A model that reads the column is declared by `prediction.features`, which differs then.
        return Edit(field=field, change="added" if new else "removed", step="redeploy")
    names = ", ".join(one.name for one in fields(Column) if getattr(old, one.name) != getattr(new, one.name))
    try:
        check_types({old.name: ICEBERG_TYPES[old.kind]}, replace(table, columns=(new,)), where=table.name)
    except WorkloadError as error:
        return Edit(field=field, change=f"{names}: {error}", step="refused")
    columns = tuple(old if one.name == old.name else one for one in table.columns)
    earlier = replace(after.contract, **{table.name: replace(table, columns=columns)})
    step: Step = "redeploy"
    if _trained_by(after.workload, earlier) != _trained_by(after.workload, after.contract):
        step = "retrain"
    elif old.is_protected != new.is_protected:
        step = "judge again"  # its explanations hide it
    return Edit(field=field, change=names, step=step)


def _trained_by(workload: Workload, contract: Contract) -> tuple[Any, ...]:
    """What a training makes of the contract, as its job does."""
    prediction, label = workload.prediction, contract.label
    kinds = [one.kind for one in contract.rows.columns if one.name in (*prediction.key, *workload.split_columns)]
    return (
        encoders.declare(prediction.features, contract.rows),
        tasks.declare(prediction, label),
        label.find(Range),
        kinds,
    )


def plan_on_paper(folders: Sequence[Path], ref: str, stage: str) -> list[PlannedStep]:
    """What the edits of these workloads since a commit lead to, with the most that it may take.

    Raises RunError if git does not know the commit, WorkloadError for a declaration that cannot be read."""
    found = list[PlannedStep]()
    for folder in folders:
        after = _read_fitting(folder)
        before = _at(folder, ref)
        edits = (
            [Edit(field=folder.name, change="added", step="redeploy")] if before is None else edits_of(before, after)
        )
        found += steps_of(folder.name, edits, projected(after.workload, stage))
    return found


def _read_fitting(folder: Path) -> Declared:
    declared = Declared.read(folder)
    check_fit(declared.workload, declared.contract)
    return declared


def _at(folder: Path, ref: str) -> Declared | None:
    """What the folder declared in a commit; None if it was not there."""
    _git(folder, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", expected=f"a commit for --against {ref}")
    if not _git(folder, "ls-tree", "--name-only", ref, FILES[0]):
        return None
    return _declared_in(folder.name, {name: _git(folder, "show", f"{ref}:./{name}") for name in FILES}, ref)


def _git(folder: Path, *words: str, expected: str = "a repository of git") -> bytes:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=False)
    except FileNotFoundError:
        raise RunError(f"expected git on the PATH to read {expected}, got none") from None
    if done.returncode:
        came = done.stderr.decode().strip() or "none"
        raise RunError(f"{folder}: expected {expected}, got {came}")
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


def steps_of(workload: str, edits: Iterable[Edit], work: Mapping[Step, Work]) -> list[PlannedStep]:
    """The steps that the edits lead to, the heaviest first. A training is judged by itself."""
    by_step = defaultdict[Step, list[str]](list)
    for edit in edits:
        by_step[edit.step].append(str(edit))
    found = [
        _planned(
            workload, step, by_step[step], None if step == "judge again" and "retrain" in by_step else work.get(step)
        )
        for step in STEPS
        if step in by_step
    ]
    return found or [_planned(workload, "nothing", (), None)]


def _planned(workload: str, step: Step, because: Iterable[str], work: Work | None) -> PlannedStep:
    took = {"minutes": work.minutes, "usd": work.usd, "source": work.source} if work else {}
    return PlannedStep(workload=workload, step=step, because=tuple(because), **took)  # type: ignore[arg-type]


def projected(workload: Workload, stage: str) -> Mapping[Step, Work]:
    """The most that a training and an evaluation may take; nothing for a stage without declared instances."""
    try:
        trained, evaluated = usages(workload, stage)
    except KeyError:
        return {}
    steps: Mapping[Step, Any] = {"retrain": (trained, evaluated), "judge again": (evaluated,)}
    return {
        step: Work(minutes=sum(each.minutes for each in used), usd=projected_usd(used), source="at most")
        for step, used in steps.items()
    }


def plan_deployed(environment: Environment, folders: Sequence[Path], made: Templates) -> list[PlannedStep]:
    """What a deployment of these workloads and their trainings would do in the stage; `made` are the new templates.

    A training is compared with that of the live version. Raises WorkloadError for a declaration that cannot be read."""
    changes, found = defaultdict[str, list[Change]](list), list[PlannedStep]()
    all_names = {folder: environment.names(folder.name) for folder in folders}
    for change in compare_deployed(environment, made):
        owner = next((one.workload for one in all_names.values() if change.stack.startswith(f"{one.prefix}-")), SHARED)
        changes[owner].append(change)
    for folder, names in all_names.items():
        after = _read_fitting(folder)
        edits = [
            *edits_since_live(environment, names, after, _code_digest(names, made)),
            *_of_tables(environment, names, after),
        ]
        own = [*_of_templates(changes[folder.name])]
        # What was deployed since the live version was trained is not deployed again.
        edits = [edit for edit in edits if edit.step != "redeploy" or own]
        found += steps_of(folder.name, [*edits, *own], find_work(environment, names, after.workload))
    shared = [*_of_templates(one for one in changes[SHARED] if one.stack.startswith(f"{environment.platform.prefix}-"))]
    return [*found, *(steps_of(SHARED, shared, {}) if shared else ())]


def edits_since_live(
    environment: Environment, names: WorkloadNames, after: Declared, code_digest: str = ""
) -> Iterator[Edit]:
    """What differs from what the live version was trained by; nothing without a live version."""
    if (live := ReleasePointers(state_of(environment, names)).champion()) is None:
        return
    s3 = environment.client("s3")
    files = {name: read_object(s3, names.run_uri(live.run, "config", name)) for name in FILES}
    where = f"version {live.version} of {names.workload}"
    yield from edits_of(_declared_in(names.workload, files, where), after)
    package = registry_of(environment, names).describe(live.package_arn)
    trained_by = package.metadata.get("code_digest", "")
    if trained_by and code_digest not in ("", trained_by):
        yield Edit(field="the suite's training code", change=f"{trained_by[:7]} → {code_digest[:7]}", step="retrain")


def _code_digest(names: WorkloadNames, made: Templates) -> str:
    """The digest of the training code in the templates; empty where it is that of an image, which is built later."""
    key, resources = "MILLRACE_CODE_DIGEST", made.get(names.stack("training"), {}).values()
    variables = (one.get("Properties", {}).get("Environment", {}).get("Variables", {}) for one in resources)
    return next((one[key] for one in variables if isinstance(one.get(key), str)), "")


def _of_tables(environment: Environment, names: WorkloadNames, after: Declared) -> Iterator[Edit]:
    try:
        check_tables(environment, names, after.contract)
    except WorkloadError as error:
        yield Edit(field="contract.yaml", change=str(error), step="refused")


def _of_templates(changes: Iterable[Change]) -> Iterator[Edit]:
    """A line for each resource that would be lost or made anew, and one for all others."""
    others = Counter[str]()
    for one in changes:
        if one.is_refused:
            by = f" by {one.properties}" if one.properties else ""
            yield Edit(field=f"{one.stack} {one.resource}", change=f"({one.type}) is {one.change}{by}", step="replace")
        else:
            others[f"{one.type.rpartition('::')[2] or 'stack'} {one.change}"] += 1
    if others:
        told = ", ".join(f"{number} {what}" for what, number in others.most_common())
        yield Edit(field="templates:", change=told, step="redeploy")


def find_work(environment: Environment, names: WorkloadNames, workload: Workload) -> Mapping[Step, Work]:
    """What the newest training and its evaluation took; without one the most that they may take."""
    for run in list_runs(environment.client("stepfunctions"), names, machine="train", status="SUCCEEDED", limit=RUNS):
        jobs = [*find_jobs(environment, [run.name], since=run.started)]
        evaluated = [job for job in jobs if job.kind == "processing"]
        if len(evaluated) < len(jobs):
            return {"retrain": _took(jobs, run.name), "judge again": _took(evaluated, run.name)}
    return projected(workload, names.platform.stage)


def _took(jobs: Sequence[Job], run: str) -> Work:
    minutes = sum(job.billed_s for job in jobs) / 60
    return Work(minutes=minutes, usd=sum(job.usd for job in jobs), source=f"run {run[:SHORT]}")
