"""The parts of the page, one function each; a part without content is left out."""

from __future__ import annotations

from collections.abc import Sequence

from console.pages.curves import curves
from console.pages.lanes import lanes
from console.pages.markup import Child, Markup, element, together
from console.pages.reliability import reliability
from console.pages.story import Candidate, Cost, Drop, Fact, Gate, Happening, Link, Story, Training
from console.pages.weeks import weeks

SHAPES = {"good": "●", "bad": "▲", "watch": "◆", "plain": "○"}
"""What an event's tone looks like to an eye that sees no colours."""


def head(story: Story) -> Markup:
    """Who, what, and the figures that matter."""
    return element(
        "header",
        element("p", f"Millrace · {story.workload} · stage {story.stage}", class_="kicker"),
        element("h1", story.question),
        element("p", story.summary, class_="lede"),
        element("dl", *map(_fact, story.facts), class_="facts") if story.facts else None,
    )


def monitored(story: Story) -> Markup | None:
    """Drift and error per window."""
    if not story.windows:
        return None
    return _section(
        "watched",
        "What the monitors saw",
        "Every window of event time is judged against bounds that were calibrated on the rows the model was trained "
        "on. A mark above 1 (a diamond) alarms; an alarm starts the retraining machine, whose guard decides.",
        element("div", weeks(story.windows, story.alarms, story.reigns), class_="wide"),
    )


def happened(story: Story) -> Markup | None:
    """The line of events."""
    if not story.happenings:
        return None
    return _section(
        "happened",
        "What happened, and when",
        "By the clock of the inputs: no decision reads the clock on the wall.",
        element("ol", *map(_happening, story.happenings), class_="happenings"),
    )


def arrived(story: Story) -> Markup | None:
    """What came in and what the contract made of it."""
    if not story.drops:
        return None
    most = max(drop.accepted + drop.quarantined for drop in story.drops)
    came = sum(drop.accepted + drop.quarantined for drop in story.drops)
    kept = sum(drop.quarantined for drop in story.drops)
    return _section(
        "arrived",
        "What came in",
        f"{came:,} rows came in {len(story.drops)} drops; {came - kept:,} were accepted and {kept:,} quarantined with "
        "their reasons. None was lost.",
        _table(("drop", "rows", "quarantined", "", "snapshot"), [_drop(drop, most) for drop in story.drops], "drops"),
    )


def trained(story: Story) -> Markup | None:
    """The training curves."""
    if not story.trainings:
        return None
    return _section(
        "trained",
        "How the models learned",
        "Cross-entropy by epoch. Training stops when the validation loss has not fallen for a while; the best epoch "
        "is kept.",
        element("div", *map(_training, story.trainings), class_="grid-3"),
    )


def judged(story: Story) -> Markup | None:
    """Gates by candidate."""
    if not story.candidates:
        return None
    return _section(
        "judged",
        "What a model had to pass",
        "Each gate is asked of each candidate; one refusal is enough. In the pictures a model that knows itself lies "
        "on the diagonal: it is right as often as it says.",
        element("div", *map(_candidate, story.candidates), class_="stack"),
    )


def traced(story: Story) -> Markup | None:
    """From a drop to a decision."""
    if not story.lineage:
        return None
    return _section(
        "traced",
        "Where one decision comes from",
        "Each link names the one before it by digest or id, so the chain can be walked from a decision back to a file.",
        element("ol", *map(_link, story.lineage), class_="chain"),
    )


def ran(story: Story) -> Markup | None:
    """The machine's own time."""
    if not story.spans:
        return None
    return _section(
        "ran",
        "What ran, second by second",
        "On the clock on the wall. The months above are the inputs' clock, which is moved on when everything has come "
        "to rest.",
        element("div", lanes(story.spans, story.marks), class_="wide"),
    )


def paid(story: Story) -> Markup | None:
    """What it would cost."""
    if not story.costs:
        return None
    total = sum(cost.usd for cost in story.costs)
    rows = [_cost(cost) for cost in story.costs]
    rows.append(
        element(
            "tr",
            element("th", "together", scope="row"),
            _cell(),
            _cell(_usd(total), "number strong"),
            _cell(),
            class_="sum",
        )
    )
    return _section(
        "paid",
        "What it would cost on AWS",
        "From list prices, for what was run here; an estimate, not a bill.",
        _table(("what", "how much", "USD", "price from"), rows, "costs"),
    )


def foot(story: Story) -> Markup:
    """What the reader must know of limits."""
    return element(
        "footer",
        element("ul", *(element("li", note) for note in story.notes)) if story.notes else None,
        element("p", f"Made on {story.made_at:%d %B %Y at %H:%M} UTC. This page asks nothing of the network."),
    )


def _section(name: str, title: str, lead: str, *children: Child) -> Markup:
    return element("section", element("h2", title), element("p", lead, class_="lead"), *children, id=name)


def _fact(fact: Fact) -> Markup:
    return element("div", element("dt", fact.what), element("dd", fact.figure))


def _happening(found: Happening) -> Markup:
    return element(
        "li",
        element("span", SHAPES[found.tone], class_="shape", aria_hidden="true"),
        element("time", f"{found.at:%d %b %Y}", datetime=found.at.isoformat()),
        element(
            "div",
            element("strong", found.what),
            element("span", found.detail, class_="detail") if found.detail else None,
            element("span", f"because of {found.because}", class_="because") if found.because else None,
        ),
        class_=found.tone,
    )


def _drop(drop: Drop, most: int) -> Markup:
    rows = drop.accepted + drop.quarantined
    reasons = [
        element("abbr", f"{reason.rows} × {reason.code}", title=reason.example or reason.code)
        for reason in drop.reasons
    ]
    return element(
        "tr",
        element("th", *_name(drop.name), scope="row", class_="mono"),
        _cell(f"{rows:,}", "number"),
        _cell(
            f"{drop.quarantined:,}" if drop.quarantined else "0", "number bad" if drop.quarantined else "number faint"
        ),
        _cell(together(_bar(drop, most), *reasons), "reasons"),
        _cell(drop.snapshot or "not kept", "mono" if drop.snapshot else "faint"),
    )


def _name(name: str) -> tuple[Markup, ...]:
    """A file's name may break behind its folder and nowhere else."""
    folder, slash, file = name.rpartition("/")
    return element("span", f"{folder}{slash}", class_="whole"), element("span", file, class_="whole")


def _bar(drop: Drop, most: int) -> Markup:
    """Accepted and quarantined as one bar; few bad rows stay visible at two pixels."""
    length = 132.0
    good = length * drop.accepted / most
    bad = max(length * drop.quarantined / most, 2.5) if drop.quarantined else 0
    return element(
        "svg",
        element("title", f"{drop.accepted} accepted, {drop.quarantined} quarantined"),
        element("rect", x=0, y=2, width=good, height=8, rx=2, class_="accepted"),
        element("rect", x=good + 1, y=0, width=bad, height=12, class_="quarantined") if bad else None,
        width=length + 4,
        height=12,
        class_="bar",
    )


def _training(training: Training) -> Markup:
    best = min(training.epochs, key=lambda epoch: epoch.validation_loss) if training.epochs else None
    title = f"version {training.version}" if training.version else "refused"
    facts = [f"{training.rows:,} rows", training.reason, f"as of {training.as_of:%d %b %Y}"]
    if best:
        facts.append(f"validation error {best.validation_error:.3g}")
    return element(
        "figure",
        element("figcaption", element("strong", title), element("span", " · ".join(facts), class_="detail")),
        curves(training),
        element("p", f"snapshot {training.snapshot}", class_="mono faint line"),
        element("p", f"run {training.run}", class_="mono faint line", title=training.run),
    )


def _candidate(candidate: Candidate) -> Markup:
    passed = all(gate.passed for gate in candidate.gates)
    return element(
        "figure",
        element(
            "figcaption",
            element("strong", candidate.name),
            element("span", "● passed" if passed else "▲ refused", class_=f"verdict {'good' if passed else 'bad'}"),
            element("span", candidate.note, class_="detail") if candidate.note else None,
        ),
        element(
            "div",
            reliability(candidate.reliability),
            _table(("gate", "wanted", "measured", ""), [_gate(gate) for gate in candidate.gates], "gates"),
            class_="beside",
        ),
    )


def _gate(gate: Gate) -> Markup:
    return element(
        "tr",
        element("th", gate.name, scope="row"),
        _cell(gate.wanted, "faint"),
        _cell(gate.measured, "number"),
        _cell("✓" if gate.passed else "✗", f"verdict {'good' if gate.passed else 'bad'}"),
    )


def _link(link: Link) -> Markup:
    return element(
        "li",
        element("strong", link.what),
        element("code", link.identity),
        element("span", link.detail, class_="detail") if link.detail else None,
    )


def _cost(cost: Cost) -> Markup:
    return element(
        "tr",
        element("th", cost.what, scope="row"),
        _cell(cost.quantity),
        _cell(_usd(cost.usd), "number"),
        _cell(cost.source, "faint small"),
    )


def _usd(usd: float) -> str:
    return f"{usd:,.2f}" if usd >= 0.01 or usd == 0 else "< 0.01"


def _table(columns: Sequence[str], rows: Sequence[Markup], name: str) -> Markup:
    header = element("thead", element("tr", *(element("th", column, scope="col") for column in columns)))
    return element("div", element("table", header, element("tbody", *rows), class_=name), class_="scroll")


def _cell(content: Child = None, name: str | None = None) -> Markup:
    return element("td", content, class_=name)
