"""What a monitor run says of the rows that people decide, held out or reviewed: parts of its report."""

from __future__ import annotations

from millrace.messages.envelope import Message


class FeedbackFigure(Message):
    """One figure of decisions that were held out, and of those that acted."""

    name: str
    """`error`, `share of 1`, `label`."""
    held_out: float
    acted: float
    low: float
    """Of the interval of 95 % for `acted - held_out`."""
    high: float


class OverrideReport(Message):
    """The error of answers that waited for people, beside what the model expects of exactly these.

    They waited by the policy for this row, as unsure or above a bound: not held out, and not in a pause."""

    reviewed: int
    """Those whose label has come, from a person or by a feed."""
    error: float
    """Their mean error."""
    expected: float
    """By the model's confidence, or by what the errors of its held-out rows depend on."""
    ratio: float
    """How far the error is above it ÷ what chance exceeds in 1 window of 40; above 1 the model is less right than it
    says where it asks people."""

    @property
    def sentence(self) -> str:
        """`error 0.45 on 60 labelled answers that waited for people, 0.31 expected (1.40 × its bound)`"""
        told = f"error {self.error:.3g} on {self.reviewed:,} labelled answers that waited for people"
        above = f" ({self.ratio:.2f} × its bound)" if self.ratio > 1 else ""
        return f"{told}, {self.expected:.3g} expected{above}"


class FeedbackReport(Message):
    """What the model's actions do to its data, by the labels of both kinds of decisions."""

    held_out: int
    """Labelled decisions of the held-out share that would have acted."""
    acted: int
    figures: tuple[FeedbackFigure, ...]

    @property
    def sentence(self) -> str:
        """`acting changes share of 1 from 0.6 to 0.8 (+0.12 to +0.28), by 100 held-out and 300 other decisions`."""
        clear = [one for one in self.figures if one.low > 0 or one.high < 0]
        shown = [
            f"{one.name} from {one.held_out:.3g} to {one.acted:.3g} ({one.low:+.3g} to {one.high:+.3g})"
            for one in clear or self.figures
        ]
        says = "changes" if clear else "is not seen to change"
        return f"acting {says} {', '.join(shown)}, by {self.held_out:,} held-out and {self.acted:,} other decisions"
