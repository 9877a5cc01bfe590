"""`fit`: from a table in a notebook to a model that is judged, without a cloud, and to the workload that deploys it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from html import escape
from importlib.metadata import version
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any
from weakref import finalize

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from millrace.artefact.artefact import ARCHIVE, Artefact, digest, read_folder, write_archive
from millrace.artefact.inference import Model
from millrace.console.actions.predict import RowAnswer, open_file, refusal, schema, with_class
from millrace.console.cli.new import NewOptions, ReadOptions, commands
from millrace.console.files.grid import Inside
from millrace.console.new.assessment import assess
from millrace.console.new.declare import question
from millrace.console.new.first_report import of_training, sections
from millrace.console.new.proposal import Proposal, propose
from millrace.console.new.rehearsal import declared
from millrace.console.new.trial import run_job, write_channels
from millrace.console.new.writing import write
from millrace.console.pages.template import template
from millrace.contract.future import up_to
from millrace.contract.load import load_contract
from millrace.contract.reasons import Reason
from millrace.contract.schema import LINE, Contract
from millrace.contract.validate import validate
from millrace.datasets.read import FIELD_ID
from millrace.errors import ConfigurationError, TrainingError
from millrace.evaluation.gates.catalogue import judge_all
from millrace.evaluation.gates.gate import Verdict
from millrace.evaluation.report import EVALUATION_FILE, Evaluation
from millrace.features import catalogue as encoders
from millrace.features.known_ahead import KnownAhead
from millrace.messages.training_run import Run
from millrace.workload.declaration import Workload
from millrace.workload.load import workloads_folder

OWN = ("label", "columns", "decimal", "asks", "part", "force", "classes")
"""The options of a file or of the command line."""
OPTIONS = {each.name: kind for kind in (ReadOptions, NewOptions) for each in fields(kind) if each.name not in OWN}
"""The options of `millrace new` that a table takes, each with its class there."""
NOT_HERE = ("key", "id", "model_version", "phase", "fallback")
"""Columns of `millrace predict` that only a deployed version has, and the key, which the table has itself."""


def fit(
    frame: Any, label: str | list[str], *, name: str = "mine", say: Callable[[str], None] = print, **options: Any
) -> FittedModel:
    """The model that `millrace new` would propose for the table, trained and judged by the programs that a run has.

    `frame` is of pandas, pyarrow, polars or whatever else speaks Arrow. `options` are those of `millrace try` and
    `new`, each by the name of its field: `key="id"`, `horizon_hours=24`, `has_no_key=True`, `minutes=0`. Of columns
    that are several there is a list. `say` is told what goes on.

    Raises ConfigurationError for what the commands refuse, and TrainingError where the rows can train no model."""
    if unknown := sorted(options.keys() - OPTIONS.keys()):
        raise ConfigurationError(where="fit", field=unknown[0], expected=f"one of {', '.join(OPTIONS)}", came="another")
    if not (options.get("horizon_hours") is None or options["horizon_hours"] > 0):
        expected = "hours from now on, above 0"
        raise ConfigurationError(where="fit", field="horizon_hours", expected=expected, came=options["horizon_hours"])
    if find_spec("torch") is None:
        expected = "torch, which trains: pip install 'millrace[notebook]'"
        raise ConfigurationError(where="fit", field="environment", expected=expected, came="none")
    given: dict[str, Any] = options | {key: ",".join(cell) for key, cell in options.items() if isinstance(cell, list)}
    reading = ReadOptions(
        label=[label] if isinstance(label, str) else [*label],
        **{key: value for key, value in given.items() if OPTIONS[key] is ReadOptions},
    )
    other = {key: value for key, value in given.items() if OPTIONS[key] is NewOptions}
    minutes = other.pop("minutes", NewOptions.minutes)
    choices = replace(reading.choices(name), **other)
    folder = Path(mkdtemp(prefix="millrace-"))
    try:
        path = _write(frame, folder / f"{name}.parquet")
        # What the command prints beside its phases is in the report.
        with redirect_stderr(StringIO()), reading.source([path], Inside(), choices) as source:
            today = datetime.now(UTC).date()
            proposal = propose(source, choices, today=today, minutes=minutes, say=lambda _, said: say(said))
        workload, _, _ = declared(proposal.workload_yaml, proposal.contract_yaml)
        say(f"training: {proposal.trial.chosen.said}")
        artefact, evaluation = _train(proposal, workload, folder / "ml")
    except BaseException:
        rmtree(folder)
        raise
    fitted = FittedModel(proposal=proposal, workload=workload, artefact=artefact, evaluation=evaluation)
    finalize(fitted, rmtree, folder, ignore_errors=True)
    return fitted


@dataclass(frozen=True, kw_only=True, repr=False)
class FittedModel:
    """A model of a table, what it is worth, and the workload that deploys it."""

    proposal: Proposal
    workload: Workload
    artefact: Artefact
    evaluation: Evaluation
    """On the rows that test, as a run's evaluation has it."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What each gate says of a first version."""
        return judge_all(self.evaluation, self.workload.gates, against="baseline")

    @cached_property
    def report(self) -> str:
        """The page of `millrace try`, with the trained model and its gates."""
        simple = assess(self.proposal) if self.workload.gates.simple else None
        said = [*of_training(self.evaluation, self.verdicts), *sections(self.proposal, simple, is_trained=True)]
        page = template("first_report.html.jinja")
        return page.render(
            title=self.workload.name,
            question=question(self.proposal.prediction),
            sections=said,
            commands=["model.save()"],
        )

    def __repr__(self) -> str:
        failed = [verdict.name for verdict in self.verdicts if not verdict.passed]
        return f"{self.workload.name}: {f'gates failed: {failed}' if failed else 'all gates passed'}"

    def _repr_html_(self) -> str:
        # A frame of its own: the page's styles would change the whole notebook.
        return f'<iframe srcdoc="{escape(self.report)}" style="width:100%;height:40em;border:0"></iframe>'

    def predict(self, frame: Any) -> Any:
        """The answer to each row, in the order of the table, or the reason why a row has none.

        The columns are those of `millrace predict`, the numbers those of the deployed version, bit for bit. The past of
        a row is looked up in the table and in the rows of `fit`. A table of pandas gets one of pandas.

        Raises DropError if the table has no row that the contract knows, or lacks a column."""
        task, features = self.artefact.description.task, self.artefact.description.features
        with TemporaryDirectory() as temporary:
            folder = Path(temporary)
            contract = self.contract(folder)
            table, prediction = contract.table("scoring"), self.workload.prediction
            ahead = KnownAhead.of(table, prediction)
            path = _write(frame, folder / "frame.parquet")
            opened = open_file(path, contract, folder, encoders.histories(features), ahead)
            rows = opened.fill(pq.read_table(opened.typed))
        # What the cloud makes itself, such as a row's id, no row can break.
        result = validate(rows, up_to(opened.judged, prediction, arrived=datetime.now(UTC)))
        found = [*opened.refused, *map(refusal, result.refused), *self._answers(result.accepted)]
        named = [with_class(each.row(task.answer), task.words) for each in sorted(found, key=lambda each: each.line)]
        columns = schema(task.answer, named=bool(task.words))
        answers = pa.Table.from_pylist(named, schema=columns).drop_columns([*NOT_HERE])
        return answers.to_pandas() if hasattr(frame, "iloc") else answers

    def _answers(self, rows: pa.Table) -> Iterator[RowAnswer]:
        """The answer to each of the rows, or why the model gives none."""
        description, known = self.artefact.description, self.proposal.accepted
        features, task = description.features, description.task
        is_short_N = np.zeros(rows.num_rows, np.bool_)
        for history in encoders.histories(features):
            is_short_N |= history.is_too_short(rows, known)
        for line in rows.filter(pa.array(is_short_N))[LINE].to_pylist():
            yield RowAnswer(line=line, reason=Reason.HISTORY, expected="a past as long as the model reads", came="less")
        whole = encoders.add_histories(features, rows.filter(pa.array(~is_short_N)), known)
        tensors, taken = encoders.encode_taken(features, whole)
        answers = task.answers(self._model.outputs(tensors) if tensors else np.empty((0, task.objective.width)))
        names = [field.name for field in task.answer]
        answered = zip(*(answers[name].tolist() for name in names), strict=True)
        for line, *takes in zip(whole[LINE].to_pylist(), *(mask_N.tolist() for mask_N in taken.values()), strict=True):
            if all(takes):
                yield RowAnswer(line=line, output=dict(zip(names, next(answered), strict=True)))
            else:
                column = [*taken][takes.index(False)]
                expected = "a cell that the model takes"
                yield RowAnswer(line=line, reason=Reason.MODEL, column=column, expected=expected, came="another")

    @cached_property
    def _model(self) -> Model:
        return Model(self.artefact)

    def contract(self, folder: Path) -> Contract:
        """The contract; its document and the declaration are written into the folder."""
        (folder / "workload.yaml").write_text(self.proposal.workload_yaml)
        (folder / "contract.yaml").write_text(self.proposal.contract_yaml)
        return load_contract(folder)

    def save(self, workloads: Path | None = None, *, drops: Path | None = None, force: bool = False) -> None:
        """Write `workloads/<name>/` and its first drop as `millrace new` does, and say the next commands.

        Raises ConfigurationError if something is there already and `force` is false."""
        folder = drops or Path("build") / "drops" / self.workload.name
        written = write(self.proposal, workloads or workloads_folder(), folder, force=force)
        print("\n".join(commands(self.workload.name, written)))


def _write(frame: Any, path: Path) -> Path:
    """Write the table as Parquet. Raises ConfigurationError for what is no table."""
    try:
        table = frame if isinstance(frame, pa.Table) else pa.table(frame)
    except (TypeError, ValueError, pa.ArrowException) as error:
        expected, came = "a table of pandas, pyarrow or polars, each column of one type", f"{type(frame)}: {error}"
        raise ConfigurationError(where="fit", field="frame", expected=expected, came=came) from None
    # An index without a name says where the rows lay in memory.
    table = table.drop_columns([each for each in table.column_names if each.startswith("__index_level_")])
    pq.write_table(table, path)
    return path


def _train(proposal: Proposal, workload: Workload, root: Path) -> tuple[Artefact, Evaluation]:
    """The artefact and its evaluation, by the jobs' own programs on the accepted rows, below `root`.

    Raises TrainingError if one of them fails, with its last word."""
    config, data = write_channels(root, {})
    (root / "processing" / "model").mkdir(parents=True)
    # As ingestion has them: each column is known by its number.
    rows = proposal.accepted.drop_columns([LINE])
    numbered = [each.with_metadata({FIELD_ID: str(at)}) for at, each in enumerate(rows.schema, 1)]
    pq.write_table(rows.cast(pa.schema(numbered)), data / "rows.parquet")
    columns = [{"id": at, "name": name} for at, name in enumerate(rows.column_names, 1)]
    texts = {"workload.yaml": proposal.workload_yaml, "contract.yaml": proposal.contract_yaml}
    texts["schema.json"] = json.dumps({"fields": columns})
    digests = {
        "data_digest": digest((data / "rows.parquet").read_bytes()),
        "contract_digest": digest(proposal.contract_yaml.encode()),
        "config_digest": digest(proposal.workload_yaml.encode()),
        "code_digest": version("millrace"),
    }
    about = {"run": "notebook", "tag": "notebook", "snapshot_id": 0, "rows": len(rows), "as_of": datetime.now(UTC)}
    run = Run.model_validate({**about, "reason": "first", "gate": "baseline", **digests})
    texts["run.json"] = run.model_dump_json()
    for name, text in texts.items():
        (config / name).write_text(text)
    for folder in (config, data):
        (root / "processing" / folder.name).symlink_to(folder)
    _run("training", root, workload, "train")
    artefact = read_folder(root / "model")
    write_archive(root / "processing" / "model" / ARCHIVE, artefact)
    _run("evaluation", root, workload)
    return artefact, Evaluation.model_validate_json((root / "processing" / "evaluation" / EVALUATION_FILE).read_text())


def _run(job: str, root: Path, workload: Workload, *words: str) -> None:
    _, problem = run_job(job, root, *words, longest_s=60 * workload.training.max_runtime_minutes)
    if problem:
        raise TrainingError(f"{job}: {problem}")
