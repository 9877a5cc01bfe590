"""The gates of a workload. Add a gate: one file with its class and one line in `Gates`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from millrace.evaluation.gates.bounds import (
    Auc,
    Calibration,
    FiniteWeights,
    Freshness,
    Latency,
    Memorisation,
    Precision,
    Recall,
    Size,
    Stability,
)
from millrace.evaluation.gates.cases import Cases
from millrace.evaluation.gates.fairness import Fairness
from millrace.evaluation.gates.gate import Gate, GateSection, Verdict
from millrace.evaluation.gates.leakage import Leakage
from millrace.evaluation.gates.non_inferiority import NonInferiority
from millrace.evaluation.gates.parts import Parts
from millrace.evaluation.gates.robustness import Robustness
from millrace.evaluation.gates.selective import Selective
from millrace.evaluation.gates.simple import Simple
from millrace.evaluation.gates.slices import Slices
from millrace.evaluation.gates.value import Value
from millrace.evaluation.naive.catalogue import NaiveRule
from millrace.evaluation.report import Evaluation
from millrace.evaluation.reuse import with_candidates
from millrace.messages.train import GateBaseline

MOST_CUT = 0.01
"""The share of the answers, beyond that of the labels, that may stand at a bound of the contract without a word."""

REVERSED = 1.5
"""A live version that is wrong on more than half of the rows, and this much more often than the naive rule, is told."""


class Gates(GateSection):
    """The key `gates` of workload.yaml. A gate that is None was left out, and is not judged."""

    finite_weights: FiniteWeights = FiniteWeights()
    calibration: Calibration | None = None
    latency: Latency
    """Required, since the alarm of a release has the same bound."""
    size: Size | None = None
    baseline: NaiveRule
    non_inferiority: NonInferiority
    recall: Recall | None = None
    precision: Precision | None = None
    auc: Auc | None = None
    parts: Parts | None = None
    simple: Simple | None = None
    slices: Slices | None = None
    fairness: Fairness | None = None
    value: Value | None = None
    selective: Selective | None = None
    robustness: Robustness | None = None
    memorisation: Memorisation | None = None
    leakage: Leakage | None = None
    cases: Cases | None = None
    stability: Stability | None = None
    freshness: Freshness | None = None

    def declared(self) -> dict[str, Gate]:
        """The declared gates by name, in the order in which they are judged."""
        found = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: gate for name, gate in found.items() if gate is not None}

    @property
    def columns_read(self) -> tuple[str, ...]:
        """The contract's columns that the declared gates read, each once."""
        return tuple(dict.fromkeys(name for gate in self.declared().values() for name in gate.columns_read))


def judge_all(report: Evaluation, gates: Gates, *, against: GateBaseline, candidates: int = 1) -> tuple[Verdict, ...]:
    """The verdict of every declared gate. `candidates` were judged on these test days, this one included.

    A first model is judged against `baseline`: it must beat the naive rule by the margin. A later one is judged against
    `non_inferiority`, and must not be worse than the rule either: the champion itself may have fallen below it."""
    judged: dict[str, Gate] = gates.declared()
    if against == "baseline":
        del judged["non_inferiority"]
    else:
        judged["baseline"] = gates.baseline.model_copy(update={"margin": 0.0})
        report = with_candidates(report, candidates, risk=1 - gates.non_inferiority.confidence)
    verdicts = (replace(gate.judge(report), name=name) for name, gate in judged.items())
    # The warnings are what a person should see, and refuse nothing.
    return (*verdicts, *_cut_answers(report), *_of_split(report), *_reversed_labels(report))


def _reversed_labels(report: Evaluation) -> Iterator[Verdict]:
    """A warning if the live version, which has passed its gates, is wrong on most rows, and more often than a rule."""
    champion, rule = report.champion, report.naive.metrics.get("error")
    if champion is None or champion.measure != "error" or not report.error.is_share or not rule:
        return
    bound = max(0.5, REVERSED * rule)
    if champion.error > bound:
        sentence = (
            f"version {champion.model_version}, which is live, is {1 - champion.error:.0%} right on these labels, the "
            f"naive rule {1 - rule:.0%}: look at the labels, they may be reversed"
        )
        yield Verdict(
            name="labels", passed=True, is_warning=True, measured=champion.error, bound=bound, sentence=sentence
        )


def _cut_answers(report: Evaluation) -> Iterator[Verdict]:
    """A warning for each bound of the contract at which many answers stand: it hides how far off the model is there."""
    for cut in report.cut_answers:
        if cut.share - cut.label_share > MOST_CUT:
            sentence = (
                f"{cut.share:.1%} of the answers stand at the contract's bound {cut.bound:g}, {cut.label_share:.1%} "
                "of the labels do: without it they would lie beyond"
            )
            warning = Verdict(name="cut_answers", passed=True, measured=cut.share, bound=MOST_CUT, sentence=sentence)
            yield replace(warning, is_warning=True, figure="answers at a bound")


def _of_split(report: Evaluation) -> tuple[Verdict, ...]:
    """A warning if rows of an entity train and test. It is no gate: a model of known entities alone may be meant."""
    if (found := report.entity) is None:
        return ()
    pieces = f", pieces: {found.pieces}" if found.pieces else ""
    column = found.columns[0] if len(found.columns) == 1 else f"[{', '.join(found.columns)}]"
    sentence = (
        f"rows of one {found.named} train and test, and they are alike: {found.said}; the figures hold for known ones "
        f"alone. Where new ones come: training.split: {{by: group, column: {column}{pieces}}}"
    )
    return (
        Verdict(
            name="split",
            passed=True,
            is_warning=True,
            measured=found.apart,
            bound=found.random,
            sentence=sentence,
        ),
    )


def passed(verdicts: Sequence[Verdict]) -> bool:
    """Whether all verdicts passed; without any verdict nothing has passed."""
    return bool(verdicts) and all(verdict.passed for verdict in verdicts)
