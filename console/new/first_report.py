"""What `millrace try` says of a file, in sections that a terminal and a page show alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from millrace.console.new.assessment import BAND_SHARE, Assessment
from millrace.console.new.proposal import Proposal
from millrace.console.new.remarks import notes_of, of_rows
from millrace.console.new.words import once
from millrace.evaluation.evidence import Contender, Estimate
from millrace.evaluation.gates.gate import Verdict
from millrace.evaluation.report import Evaluation
from millrace.tasks.figures import short, words

MOST_COLUMNS = 12
"""The most columns that are listed, those with the largest rise of the error."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading with sentences, a table, or both."""

    title: str
    lead: str = ""
    rows: Sequence[dict[str, str]] = ()
    lines: Sequence[str] = ()


def of_training(report: Evaluation, verdicts: Sequence[Verdict]) -> Iterator[Section]:
    """What a trained model is worth beside the others, and what the gates say of it."""
    rows = [
        {"answers of": one.name, "who": one.who, **{words(name): _plain(each) for name, each in one.scores.items()}}
        for one in report.contenders
    ]
    yield Section(title="How good the trained model is", lead=f"on {report.rows.test:,} rows that test", rows=rows)
    said = [
        {"gate": one.name, "verdict": "passed" if one.passed else "failed", "because": one.sentence} for one in verdicts
    ]
    yield Section(title="What its gates say", rows=said)


def sections(proposal: Proposal, found: Assessment | None, *, is_trained: bool = False) -> Iterator[Section]:
    """What was read, what the models are worth, what could act, what matters, what is doubtful, what was left out.

    Without an assessment, as of a forecast, nothing is said of simple models."""
    yield Section(title="What was read", lines=tuple(_read(proposal)))
    yield from _assessed(proposal, found) if found else ()
    yield Section(title="What is doubtful", lines=tuple(_doubtful(proposal)) or ("nothing was conspicuous",))
    yield Section(title="What was not looked at", lines=tuple(_left_out(proposal, is_trained=is_trained)))


def _assessed(proposal: Proposal, found: Assessment) -> Iterator[Section]:
    rows = tuple(_contender(one, found) for one in found.contenders)
    yield Section(title="How good simple models are", lead=_fitted(proposal, found), rows=rows)
    if found.promises:
        lead = "from a confidence that the rows that validate prove; what came of it on the rows that test"
        yield Section(title="What could act by itself", lead=lead, rows=[*_promised(found)])
    if found.band:
        held, unit = found.band.held, f" {found.error.unit}".rstrip()
        said = f"{BAND_SHARE:.0%} of the labels are to be within ± {short(found.band.width)}{unit} of the answer"
        came = f"by the rows that validate; on the rows that test {_share(held)} are"
        yield Section(title="How near an answer is", lines=(f"{said}, {came}",))
    lead = f"rise of the {found.error.name} of {found.contenders[0].name} if the column's cells change places"
    listed = [{"column": name, "rise": _figure(rise, found)} for name, rise in found.rises.items()]
    yield Section(title="The columns that matter", lead=lead, rows=listed[:MOST_COLUMNS])


def _read(it: Proposal) -> Iterator[str]:
    for what, guess in it.guesses.items():
        value = getattr(guess.value, "name", guess.value)
        yield f"{what}: {', '.join(value) if isinstance(value, tuple) else value} ({guess.reason})"
    yield from of_rows(it)


def _fitted(it: Proposal, found: Assessment) -> str:
    trained, validated, tested = it.rehearsal.rows
    of = (
        f"{found.fitted_rows:,} of the {trained:,} rows that train"
        if found.fitted_rows < trained
        else f"{trained:,} rows"
    )
    said = f"fitted on {of}, the first one chosen on {validated:,} others"
    return f"{said}, judged on {tested:,} rows {'after' if it.prediction.is_ordered else 'beside'} them; 95% intervals"


def _contender(one: Contender, found: Assessment) -> dict[str, str]:
    measure = found.rule_measure if one.who == "naive" else found.measure
    figures = {}
    if found.measure == "log_loss":  # a rule that repeats an earlier label has none that says anything
        figures["log loss"] = _plain(one.scores[measure]) if measure == "log_loss" else ""
    gain, behind = one.improvements.get(measure), ""
    if gain is not None:
        behind = f"{words(measure)} {short(gain.value, '+')} ({short(gain.low, '+')} to {short(gain.high, '+')})"
    return {"answers of": one.name, found.error.name: _figure(one.scores["error"], found), **figures, "behind": behind}


def _promised(found: Assessment) -> Iterator[dict[str, str]]:
    for one in found.promises:
        acts = "none is proved" if one.threshold is None else _share(one.coverage)
        from_ = "" if one.threshold is None else f"{one.threshold:.3f}"
        wrong = _share(one.error) if math.isfinite(one.error.value) else ""
        promised = f"{one.promised_error:.0%}"
        yield {"wrong at most": promised, "from a confidence of": from_, "could act": acts, "wrong of them": wrong}


def _doubtful(it: Proposal) -> Iterator[str]:
    yield from notes_of(it)
    for names, reason in once([(one.name, one.reason) for one in (*it.reading.left_out, *it.features.others)]):
        yield f"{names} {'were' if ', ' in names else 'was'} not read: {reason}"


def _left_out(it: Proposal, *, is_trained: bool) -> Iterator[str]:
    if not is_trained:
        yield "networks: `millrace new` tries them beside these models, and a training judges the one that it proposes"
    if it.prediction.texts:
        yield "the order of words: the linear model takes a text as the words in it"
    if it.prediction.image_side:
        yield "shapes in the images: the linear model takes each pixel as a number"
    if it.prediction.is_ordered:
        yield "how the error moves from month to month: one stretch of later rows was judged, as one release has it"
    else:
        yield "later rows: all are taken as of one time, and what drifts is seen by the monitors alone"
    yield "whether each column is known when an answer is asked for, and whether the labels are right"


def _share(figure: Estimate) -> str:
    interval = f" ({100 * figure.low:.1f} to {100 * figure.high:.1f})" if math.isfinite(figure.low) else ""
    return f"{figure.value:.1%}{interval}"


def _plain(figure: Estimate) -> str:
    interval = f" ({short(figure.low)} to {short(figure.high)})" if math.isfinite(figure.low) else ""
    return f"{short(figure.value)}{interval}"


def _figure(figure: Estimate, found: Assessment) -> str:
    return _share(figure) if found.error.is_share else f"{_plain(figure)} {found.error.unit}".rstrip()
