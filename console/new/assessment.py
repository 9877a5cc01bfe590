"""What simple models make of a file, before there is any cloud: `millrace try`.

The models are fitted on the rows that train. The rows that validate choose one of them, and the confidence from which
on it may act alone. The rows that test judge it, and nothing was chosen on them. Axes: N rows, M rows of a fit, V rows
that validate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from millrace.console.new.proposal import Proposal
from millrace.console.new.rehearsal import declared
from millrace.datasets.examples import blocks_of, entities_of
from millrace.datasets.split import spread
from millrace.errors import ConfigurationError
from millrace.evaluation.evidence import AutomationEvidence, Contender, Estimate, Figures, Measure
from millrace.evaluation.gates.simple import TAKES
from millrace.evaluation.measures.case import AnsweredCase, Case
from millrace.evaluation.measures.contenders import contenders, scores
from millrace.evaluation.measures.selective import automation
from millrace.evaluation.naive.rule import LabelledRows
from millrace.evaluation.report import ErrorMeaning
from millrace.evaluation.simple.catalogue import MOST_ROWS, SIMPLE
from millrace.evaluation.simple.matrix import matrix
from millrace.explanations.permutation import rises
from millrace.features import catalogue as encoders
from millrace.tasks.answer import has_confidence
from millrace.workload.policy import Policy

if TYPE_CHECKING:
    from millrace.tasks.task import Floats, Task
    from millrace.workload.declaration import Workload

PROMISED_ERRORS = (0.01, 0.02, 0.05, 0.1)
"""The shares of wrong answers for which it is said how many answers could act by themselves."""
BAND_SHARE = 0.9
"""The share of the labels that the band around an answered number shall hold."""
FEWEST_ROWS, MOST_CELLS = 1_000, 4_000_000
"""The models are fitted on so many cells at most, but on so many rows at least. Trees take some ten seconds then."""
PERMUTED_CELLS = 20_000
"""About how many test rows are answered once more with a permuted column, over all columns together."""


class Band(Figures):
    """How far from its answer BAND_SHARE of the labels are, by the rows that validate."""

    width: float
    """To either side, in the label's unit."""
    held: Estimate
    """The share of the test rows whose label is in the band."""


class Assessment(Figures):
    """The chosen simple model, and the others beside it, on the test rows."""

    error: ErrorMeaning
    measure: Measure
    """What chose the model, and what models are compared by."""
    rule_measure: Measure
    """What the chosen model and the rule to beat are compared by."""
    fitted_rows: int
    contenders: tuple[Contender, ...]
    """The chosen one first. What an improvement says is relative to it."""
    promises: tuple[AutomationEvidence, ...]
    """For each of PROMISED_ERRORS; empty for answers without a confidence."""
    band: Band | None
    """None for answers that are no number."""
    rises: Mapping[str, Estimate]
    """By how much the error of the chosen model rises without a column, the largest rise first."""


def assess(proposal: Proposal) -> Assessment:
    """The simple models on the rows of the proposal. Equal rows have an equal assessment.

    Raises ConfigurationError for an answer of several numbers: simple models give one. Raises SnapshotError if the rule
    to beat can answer no test row."""
    workload, task, features = declared(proposal.workload_yaml, proposal.contract_yaml)
    if workload.gates.simple is None:
        expected = (
            "a label that is one number or one class, which simple models can answer; `millrace new` takes others"
        )
        raise ConfigurationError(where=proposal.reading.where, field="--kind", expected=expected, came=task.kind)
    found, target_N = proposal.rehearsal.examples, proposal.rehearsal.target_N
    parts, table = found.parts, found.table
    fitted = encoders.fit(features, found.part(parts.train))
    signature = encoders.signature(fitted)
    cells = sum(int(np.prod([size or 1 for size in spec.shape])) for spec in signature)
    rows_M = spread(parts.train, min(MOST_ROWS, max(FEWEST_ROWS, MOST_CELLS // max(cells, 1))))
    train = matrix(encoders.encode(fitted, table.take(rows_M)), signature)
    kinds = [kind for kind, taken in TAKES.items() if {spec.kind for spec in signature} <= {*taken}]
    validation, target_V = encoders.encode(fitted, found.part(parts.validation)), target_N[parts.validation]
    measure: Measure = "log_loss" if task.objective.is_calibrated else "error"
    with threadpool_limits(limits=1):
        models = {kind: SIMPLE[kind].fit(train, target_N[rows_M], task) for kind in kinds}
        held = {kind: model(matrix(validation, signature)) for kind, model in models.items()}
        best = min(held, key=lambda kind: scores(task, held[kind], target_V)[measure].mean())
        test = encoders.encode(fitted, found.part(parts.test))
        output_of = {kind: model(matrix(test, signature)) for kind, model in models.items()}
        rule = _rule(proposal, workload, task)
        case = Case(
            task=task,
            features=fitted,
            outputs=lambda tensors: models[best](matrix(tensors, signature)),
            table=table,
            times_N=found.times_N,
            target_N=target_N,
            parts=parts,
            output_TW=output_of.pop(best),
            today=rule,
            block_T=blocks_of(found, parts.test, workload),
            entity_N=entities_of(table, workload) if workload.training.split.by == "group" else None,
        )
        others = [case.answered("simple", _words(kind), output_TW) for kind, output_TW in output_of.items()]
        chosen, *beside = contenders(case, [*others, rule])
        risen = rises(case, cells=PERMUTED_CELLS)
        promises = _promises(case)
    return Assessment(
        error=ErrorMeaning(name=task.error_name, is_share=task.error_is_share, unit=task.error_unit),
        measure=measure,
        rule_measure=workload.gates.baseline.measure,
        fitted_rows=len(rows_M),
        contenders=(chosen.model_copy(update={"name": _words(best)}), *beside),
        promises=promises,
        band=None if task.error_is_share else _band(case, held[best]),
        rises=dict(sorted(risen.items(), key=lambda each: -each[1].value)),
    )


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _rule(proposal: Proposal, workload: Workload, task: Task) -> AnsweredCase:
    """The answers of the rule to beat to the test rows."""
    found, target_N, prediction = proposal.rehearsal.examples, proposal.rehearsal.target_N, workload.prediction
    key, event_time, test = prediction.key, prediction.event_time, found.parts.test
    rows = LabelledRows.of(found.table, target_N, found.times_N, key=key, event_time=event_time, test=test)
    answer = workload.gates.baseline.answer(rows, task)
    output_TW, rows_T = answer.output_TW, answer.rows_T
    name, target_T = proposal.naive.rule, target_N[test][rows_T]
    return AnsweredCase(who="naive", name=name, task=task, output_TW=output_TW, target_T=target_T, rows_T=rows_T)


def _promises(case: Case) -> tuple[AutomationEvidence, ...]:
    """What a policy with each of PROMISED_ERRORS would let act, measured as the evaluation of a training does."""
    if not (has_confidence(case.task) and case.task.error_is_share):
        return ()
    policies = [Policy.model_validate({"automate": {"promised_error": error}}) for error in PROMISED_ERRORS]
    return tuple(filter(None, (automation(policy, case) for policy in policies)))


def _band(case: Case, held_VW: Floats) -> Band:
    """The band of a split conformal prediction (Lei, G'Sell, Rinaldo, Tibshirani and Wasserman 2018)."""
    error_V = np.sort(case.task.errors(held_VW, case.target_N[case.parts.validation]))
    width = float(error_V[min(math.ceil(BAND_SHARE * (len(error_V) + 1)), len(error_V)) - 1])
    return Band(width=width, held=case.bootstrap.mean((case.errors <= width).astype(np.float64)))
