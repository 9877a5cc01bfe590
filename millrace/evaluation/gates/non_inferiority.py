"""The model is not worse than the champion on recent rows, by more than a margin.

After an alarm this is asked, not superiority: on a time-ordered stream a superiority test needs months.
"""

from __future__ import annotations

import math

from millrace.evaluation.gates.verdict import Verdict
from millrace.evaluation.report import Evaluation
from millrace.workload.declaration import Gates


def judge(report: Evaluation, gates: Gates) -> Verdict:
    """Passed when the one-sided lower bound of (challenger − champion) accuracy is ≥ −margin.

    Without a comparison it fails: a report that forgot the champion must not pass."""
    rule, champion = gates.non_inferiority, report.champion
    if champion is None:
        measured, sentence = math.nan, "the report holds no comparison with the champion"
    else:
        measured = champion.lower_bound
        sentence = (
            f"accuracy {champion.challenger_accuracy:.4f} against {champion.accuracy:.4f} of version "
            f"{champion.model_version} on {champion.rows} recent rows; lower bound of the difference "
            f"{measured:+.4f} at {rule.confidence}, at least {-rule.margin:+} asked"
        )
    return Verdict(
        name="non_inferiority",
        passed=measured >= -rule.margin,
        measured=measured,
        bound=-rule.margin,
        sentence=sentence,
    )
