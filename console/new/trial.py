"""Finds the candidates that may suit the rows, tries them on these rows, and says what each choice gains.

The training image's second entry does it in a process of its own: `python -m millrace.jobs.training try`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from millrace.console.new.declare import ProposedPrediction
from millrace.console.new.families import (
    Family,
    PartAtHand,
    multiscale,
    on_scale,
    two_layers,
    with_intervals,
    with_part,
    with_trees,
)
from millrace.console.new.features import Features
from millrace.console.new.rehearsal import Rehearsal
from millrace.console.new.times import Series
from millrace.messages.training_job import CONFIG_CHANNEL, DATA_CHANNEL, PRETRAINED_CHANNEL
from millrace.messages.trial import CANDIDATES, MINUTES, ROWS, USUAL, NotTried, Tried
from millrace.tasks.figures import short

DAY_H, WEEK_H = 24, 168
"""How far back the usual history reaches, and the longer one: over the season of a week."""
LONG_STEPS = 200
"""The most steps of a longer history that a recurrent network reads: it takes a step after the other."""
MOST_NUMBERS = 2**28
"""The most numbers in the histories of all rows, a gigabyte. A longer history is not tried beyond it."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to learn from the rows."""

    said: str
    """What it is, in a few words."""
    features: Features
    family: Family


def candidates(
    usual: Family,
    features: Features,
    prediction: ProposedPrediction,
    series: Series | None,
    rehearsal: Rehearsal,
    part: PartAtHand | None = None,
) -> tuple[Candidate, ...]:
    """The candidates, with the usual family among them. For texts and images the usual one, and for one of them alone
    also one with the encoder of a `part`. A label with a tail is tried on two scales, whatever the family.

    `prediction` is what is proposed without a trial."""
    rows = rehearsal.examples.table.num_rows
    if series is not None and usual.name == "gru":
        return tuple(_of_series(usual, features, prediction, series, rehearsal))
    if usual.name == "feedforward":
        return tuple(_of_table(usual, features, prediction, rows))
    families = [usual, *([with_part(usual, part, len(prediction.texts))] if part else [])]
    return tuple(
        _on_scales([Candidate(said=each.why, features=features, family=each) for each in families], prediction)
    )


def _on_scales(plain: Iterable[Candidate], prediction: ProposedPrediction) -> Iterator[Candidate]:
    """Each candidate as it is and, for a label with a tail, on the scale by its skew; that scale first if it is usual.

    A smaller error decides, so the order only matters where both are equally near."""
    scales = dict.fromkeys(
        ["identity", prediction.label_scale] if prediction.is_ordered else [prediction.label_scale, "identity"]
    )
    for each in plain:
        for scale in scales:
            said = each.said if scale == "identity" else f"{each.said}, {scale} of the label"
            yield replace(each, said=said, family=on_scale(each.family, scale))


def _of_table(usual: Family, features: Features, prediction: ProposedPrediction, rows: int) -> Iterator[Candidate]:
    def candidate(said: str, family: Family) -> Candidate:
        return Candidate(said=said, features=features, family=family)

    if prediction.is_ordered:
        intervals = with_trees(with_intervals(rows, prediction.columns), has_trees=prediction.takes_trees)
        plain = candidate("numbers as they are, two layers of 64", usual)
        yield from _on_scales([plain, candidate("intervals of numbers, eight heads", intervals)], prediction)
        return
    yield from _on_scales([candidate("intervals of numbers", usual)], prediction)
    yield candidate("two layers", two_layers(usual))


def _of_series(
    usual: Family, features: Features, prediction: ProposedPrediction, series: Series, rehearsal: Rehearsal
) -> Iterator[Candidate]:
    """The columns alone; then a history of a day, and one of a week, by two families each."""

    def candidate(said: str, features: Features, family: Family) -> Candidate:
        takes_trees = replace(prediction, derived=features.derived).takes_trees
        return Candidate(said=said, features=features, family=with_trees(family, has_trees=takes_trees))

    rows, means = rehearsal.examples.table.num_rows, multiscale(rehearsal.examples.table.num_rows)
    if features.columns:
        intervals = with_intervals(rows, prediction.columns)
        own = replace(features, derived=tuple(each for each in features.derived if "history" not in each))
        yield candidate("the columns alone, no history", own, intervals)
    past = f"the past {series.hours:g} h"
    yield from _on_scales([candidate(f"means of {past}", features, means)], prediction)
    yield candidate(f"recurrent over {past}", features, usual)
    longer, past = features.reaching(WEEK_H), f"the past {WEEK_H} h"
    # Steps of days reach further back already.
    if series.hours != DAY_H or rows * replace(prediction, derived=longer.derived).past_numbers > MOST_NUMBERS:
        return
    yield candidate(f"means of {past}", longer, means)
    if round(WEEK_H / series.every_hours) <= LONG_STEPS:
        yield candidate(f"recurrent over {past}", longer, usual)


CLASS = re.compile(r"^(\w+\.)*\w*(Error|Exception|Interrupt|Stopped): ")
"""The class of Python that the last line of a traceback begins with."""
LATE = 2
"""The trial ends after so many times its minutes, where other programs take the processors."""
RIVALS = {"naive": "the rule to beat", "linear": "linear", "boosted_trees": "boosted trees"}


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What was tried, and what is proposed."""

    candidates: tuple[Candidate, ...]
    usual: Candidate
    """What is proposed without a trial."""
    unit: str = ""
    tried: tuple[Tried, ...] = ()
    """Empty if nothing was tried."""
    failed: tuple[NotTried, ...] = ()
    problem: str = ""
    """Why nothing could be tried."""

    @property
    def chosen(self) -> Candidate:
        """The plainest candidate that is within one standard error of the best.

        The usual one without a trial, and where the usual one itself was not done in time."""
        usual_at = str(self.candidates.index(self.usual))
        if not any(each.who == "candidate" and each.name == usual_at for each in self.tried):
            return self.usual
        near = [int(each.name) for each in self.tried if each.who == "candidate" and each.behind <= each.deviation]
        return self.candidates[min(near)] if near else self.usual

    @property
    def model(self) -> Tried | None:
        """How the proposed candidate did; None if nothing was tried, or if it was not done in time."""
        return self._of("candidate", str(self.candidates.index(self.chosen)))

    @property
    def rule(self) -> Tried | None:
        """How the rule to beat did; None if nothing was tried."""
        return self._of("rival", "naive")

    def _of(self, who: str, name: str) -> Tried | None:
        return next((each for each in self.tried if (each.who, each.name) == (who, name)), None)

    @property
    def lines(self) -> tuple[str, ...]:
        """What was tried, a line each, rivals first; the same for equal rows. Empty without a trial."""
        if self.problem:
            return (f"Nothing was tried ({self.problem}): proposed by the kind of data",)
        return tuple(self._lines()) if self.tried else ()

    def _lines(self) -> Iterator[str]:
        first, width = self.tried[0], max(len(each.said) for each in self.candidates)
        what = "log loss" if first.measure == "log_loss" else f"mean error{' in ' * bool(self.unit)}{self.unit}"
        yield f"Tried on the {first.rows:,} rows that validate: {what}, and how far behind the best candidate"
        named = {each.name: each for each in self.tried if each.who == "rival"}
        for kind, said in RIVALS.items():
            if kind in named:
                yield _line(said, named[kind], width)
        by_number = {int(each.name): each for each in self.tried if each.who == "candidate"}
        for number, candidate in enumerate(self.candidates):
            if number in by_number:
                mark = "   proposed" if candidate is self.chosen else ""
                yield _line(candidate.said, by_number[number], width) + mark
            else:
                why = next(
                    (each.why for each in self.failed if (each.who, each.name) == ("candidate", str(number))), ""
                )
                yield f"  {candidate.said:<{width}}  {f'cannot be tried: {why}' if why else 'was not done in time'}"


def _line(said: str, tried: Tried, width: int) -> str:
    behind = f"{short(tried.behind)} ± {short(tried.deviation)}" if tried.behind or tried.deviation else "the best"
    return f"  {said:<{width}}  {short(tried.figure):>9}  {behind}"


def run_trial(
    documents: Sequence[str],
    contract_yaml: str,
    rows: pa.Table,
    *,
    usual: int,
    minutes: float,
    part: Path | None = None,
) -> tuple[tuple[Tried, ...], tuple[NotTried, ...], str]:
    """What the trial found, what failed in it, and why it found nothing.

    `documents` are the texts of workload.yaml, the plainest candidate first. `rows` have their line in the file. A
    candidate may take the encoder of `part`."""
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        config, data = write_channels(root, {MINUTES: str(minutes), USUAL: str(usual)}, part)
        (config / CANDIDATES).mkdir()
        (config / "contract.yaml").write_text(contract_yaml)
        for number, document in enumerate(documents):
            (config / CANDIDATES / f"{number}.yaml").write_text(document)
        with pa.OSFile(str(data / ROWS), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
            writer.write_table(rows)
        # Each process of the trial has one thread, so that two of them take two processors.
        out, problem = run_job("training", root, "try", longest_s=60 * LATE * minutes, OMP_NUM_THREADS="1")
    if problem:
        return (), (), problem
    lines = [line for line in out.splitlines() if line.startswith("{")]
    failed = tuple(NotTried.model_validate_json(line) for line in lines if '"why"' in line)
    found = tuple(Tried.model_validate_json(line) for line in lines if '"why"' not in line)
    none = failed[0].why if failed else f"no candidate was done within {minutes:g} minutes"
    return found, failed, "" if found else none


def run_job(job: str, root: Path, *words: str, longest_s: float, **variables: str) -> tuple[str, str]:
    """What the job of the folders below `root` printed, and why it failed, or "". It ends once it has had its time."""
    command = [sys.executable, "-m", f"millrace.jobs.{job}", *words]
    environment = {**os.environ, "MILLRACE_ML_ROOT": str(root), **variables}
    # A group of its own, so that its forks end with it, also where Ctrl-C ends this process.
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True, process_group=0) as process:
        try:
            out, errors = process.communicate(timeout=longest_s)
        except subprocess.TimeoutExpired:
            return "", f"it was not done within {longest_s / 60:g} minutes"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    last = (errors.strip().splitlines() or ["it ended without a word"])[-1]
    return out, CLASS.sub("", last) if process.returncode else ""


def write_channels(root: Path, hyperparameters: dict[str, str], part: Path | None = None) -> tuple[Path, Path]:
    """Make the folders of a training job below `root`, with a pre-trained `part`; those of documents and rows."""
    given, settings = root / "input" / "data", root / "input" / "config"
    channels = [CONFIG_CHANNEL, DATA_CHANNEL, *([PRETRAINED_CHANNEL] if part else [])]
    for folder in (*(given / channel for channel in channels), settings):
        folder.mkdir(parents=True)
    if part:
        (given / PRETRAINED_CHANNEL / part.name).symlink_to(part.resolve())
    (settings / "inputdataconfig.json").write_text(json.dumps({channel: {} for channel in channels}))
    (settings / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    return given / CONFIG_CHANNEL, given / DATA_CHANNEL
