"""The pinned rows of an evaluation, and the answers of models and naive rules to its test rows.

Axes: N all rows, T test rows, W numbers of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from millrace.artefact.inference import Model
from millrace.contract.deduplicate import key_of
from millrace.contract.kinds import FLOATS, INTEGERS, as_json
from millrace.contract.schema import Contract
from millrace.datasets.examples import LABEL, blocks_of, entities_of, examples, read_rows
from millrace.datasets.names import with_names
from millrace.datasets.split import parts_by_hash
from millrace.errors import ArtefactError
from millrace.evaluation.evidence import HiddenGroups
from millrace.evaluation.hidden import find_entity
from millrace.evaluation.measures.case import AnsweredCase, Case, SplitRows
from millrace.evaluation.naive.rule import LabelledRows, NaiveAnswer
from millrace.features.as_of import entity_times
from millrace.features.catalogue import encode
from millrace.workload.declaration import Workload

Output = npt.NDArray[np.float32]


DIVIDED = 0.1
"""A split divides an entity if rows of it that train are known of more than this share of the test rows."""


def read_split(
    folder: Path, schema: Path, workload: Workload, contract: Contract, model: Model, champion: Model | None
) -> SplitRows:
    """The rows with the columns of both models: a champion may have been declared with other features."""
    features = model.description.features + (champion.description.features if champion else ())
    table = read_rows(
        folder,
        schema,
        workload=workload,
        contract=contract,
        features=features,
        more_columns=(*workload.gates.columns_read, *names_of_entities(workload, contract)),
    )
    found = examples(table, workload=workload, features=features)
    target_N = model.description.task.targets(found.table[LABEL])
    return SplitRows(**vars(found), target_N=target_N)


def chosen(rows: SplitRows, naive: NaiveAnswer, workload: Workload) -> tuple[SplitRows, NaiveAnswer]:
    """The rows with about `training.test_rows` of the test rows, and the rule's answers to these.

    They are chosen by the hash of their key, so they are the same for every model. The rule has looked back at all
    rows."""
    test, most = rows.parts.test, workload.training.test_rows
    if most is None or most >= rows.test.num_rows:
        return rows, naive
    # A split by the hash of the key has taken the key alone: its test rows have its lowest hashes.
    keys = [f"judged {key}" for key in key_of(rows.test, workload.prediction.key).to_pylist()]
    chosen_T = parts_by_hash(keys, validation_share=0.0, test_share=most / len(keys)) == 2
    kept_N = np.append(np.ones(test.start, np.bool_), chosen_T)
    few = replace(
        rows,
        table=rows.table.filter(pa.array(kept_N)).combine_chunks(),
        times_N=rows.times_N[kept_N],
        target_N=rows.target_N[kept_N],
        parts=replace(rows.parts, test=slice(test.start, int(kept_N.sum()))),
    )
    output_TW = naive.output_TW[chosen_T[naive.rows_T]]
    return few, replace(naive, output_TW=output_TW, rows_T=naive.rows_T[chosen_T])


def names_of_entities(workload: Workload, contract: Contract) -> tuple[str, ...]:
    """The columns that may name what rows are about, although the split divides it; none for a split by group.

    The columns of the key are known, and with a split by time so are those that a model reads: they are meant to be met
    again. A label ahead is of a row that is known anyway."""
    prediction, by = workload.prediction, workload.training.split.by
    if by == "group" or prediction.horizon_hours:
        return ()
    known = {*prediction.key, prediction.event_time, *prediction.label_columns, *workload.split_columns}
    known |= {*prediction.feature_columns} if by == "time" else set()
    return tuple(
        column.name
        for column in contract.rows.columns
        if column.name not in known and (column.kind == "string" or column.kind in (*INTEGERS, *FLOATS))
    )


def divided_entity(rows: SplitRows, workload: Workload, contract: Contract) -> HiddenGroups | None:
    """The entity whose rows train and test, and are alike; None if none is found."""
    names = names_of_entities(workload, contract)
    in_order = workload.training.split.by in ("time", "row_order")
    inputs = workload.prediction.feature_columns
    found = find_entity(rows.table, rows.target_N, inputs=inputs, candidates=names, is_in_time=in_order)
    if found is None:
        return None
    named = with_names(rows.table, found.columns, found.pieces)
    [entity] = entity_times([named], entity=found.columns, event_time=workload.prediction.event_time)
    trained = np.isin(entity.entity_N[rows.parts.test], entity.entity_N[rows.parts.train])
    return found if trained.mean() > DIVIDED else None


def as_sent(rows: pa.Table, names: Sequence[str], at: int) -> dict[str, Any]:
    """The cells of one row, as a caller would send them."""
    return {name: as_json(rows[name][at].as_py()) for name in names}


def outputs(model: Model, rows: pa.Table) -> Output:
    """The model's numbers for each row."""
    return model.outputs(encode(model.description.features, rows))


def labelled_rows(rows: SplitRows, workload: Workload) -> LabelledRows:
    """All rows as a naive rule needs them."""
    key, event_time = workload.prediction.key, workload.prediction.event_time
    test = rows.parts.test
    return LabelledRows.of(rows.table, rows.target_N, rows.times_N, key=key, event_time=event_time, test=test)


def answered(
    model: Model, champion: Model | None, version: str, naive: NaiveAnswer, rows: SplitRows, workload: Workload
) -> list[AnsweredCase]:
    """The answers that the candidate is compared with: those of the naive rule, then of the champion if there is one.

    A champion is judged by its own task, since its classes may have another order. Raises ArtefactError if that task is
    of another kind or has other parts."""
    task, rule = model.description.task, workload.gates.baseline.kind.replace("_", " ")
    target_T = rows.test_targets[naive.rows_T]
    found = [
        AnsweredCase(
            who="naive", name=rule, task=task, output_TW=naive.output_TW, target_T=target_T, rows_T=naive.rows_T
        )
    ]
    if champion:
        before = champion.description.task
        if (before.kind, before.part_names) != (task.kind, task.part_names):
            own, other = (" of ".join([one.kind, *filter(None, [", ".join(one.part_names)])]) for one in (task, before))
            problem = f"expected a champion with the task {own}, version {version} has {other}"
            raise ArtefactError(f"{problem}: their errors cannot be compared")
        # The champion answers every test row; a naive rule may leave some out.
        targets_T = before.targets(rows.test[LABEL])
        found.append(
            AnsweredCase.of_all("champion", f"version {version}", before, outputs(champion, rows.test), targets_T)
        )
    return found


def case_of(model: Model, rows: SplitRows, output_TW: Output, today: AnsweredCase, workload: Workload) -> Case:
    """All that the measures look at. `today` is what decides now: the champion, or the naive rule."""
    return Case(
        **vars(rows),
        task=model.description.task,
        features=model.description.features,
        outputs=model.outputs,
        output_TW=output_TW,
        today=today,
        block_T=blocks_of(rows, rows.parts.test, workload),
        entity_N=entities_of(rows.table, workload) if workload.training.split.by == "group" else None,
    )
