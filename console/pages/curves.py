"""A small picture for each training: how its losses fell, and at which epoch the model was kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from millrace.console.pages.plot import Frame, Scale, apart, element, places, short
from millrace.console.queries.documents import Epoch

FRAME = Frame(width=330, height=190, left=38, right=66, top=12, bottom=26)


def curves(epochs: Sequence[Epoch]) -> Markup:
    """Training and validation loss by epoch, as SVG; empty for a model without a history of epochs."""
    if not epochs:
        return Markup("")
    losses = [loss for epoch in epochs for loss in (epoch.train_loss, epoch.validation_loss)]
    # Some room above and below the curves. All losses may be equal, and a scale needs a span above 0.
    room = (max(losses) - min(losses)) * 0.08 or 0.01
    # With a single epoch both ends would be the same.
    x = FRAME.across(epochs[0].epoch, max(epochs[-1].epoch, epochs[0].epoch + 1))
    y = FRAME.upward(min(losses) - room, max(losses) + room)
    best = min(epochs, key=lambda epoch: epoch.validation_loss)
    return FRAME.picture(
        *(FRAME.level(y(value), short(value)) for value in y.ticks(3)),
        *(FRAME.below(x(value), f"{value:.0f}") for value in x.ticks(5) if value == int(value)),
        _line(epochs, x, y, lambda epoch: epoch.train_loss, "train"),
        _line(epochs, x, y, lambda epoch: epoch.validation_loss, "validation"),
        *_names(epochs[-1], y),
        *(_spot(epoch, x) for epoch in epochs),
        _best(best, x, y),
        element("text", "epoch", x=FRAME.end + 8, y=FRAME.height - 8, class_="axis"),
        element("text", "loss", x=0, y=FRAME.top - 3, class_="axis"),
        label=f"Losses of {len(epochs)} epochs; the best is epoch {best.epoch}",
    )


def _line(epochs: Sequence[Epoch], x: Scale, y: Scale, of: Callable[[Epoch], float], kind: str) -> Markup:
    points = places((x(epoch.epoch), y(of(epoch))) for epoch in epochs)
    return element("polyline", points=points, class_=f"curve {kind}")


def _names(last: Epoch, y: Scale) -> tuple[Markup, Markup]:
    """The names of both lines at their ends."""
    train, validation = apart(y(last.train_loss), y(last.validation_loss))
    place = FRAME.end + 8
    return (
        element("text", "training", x=place, y=train + 4, class_="name train"),
        element("text", "validation", x=place, y=validation + 4, class_="name validation"),
    )


def _spot(epoch: Epoch, x: Scale) -> Markup:
    """An invisible rectangle over one epoch. A pointer on it shows the epoch's figures."""
    title = (
        f"epoch {epoch.epoch}\ntraining {epoch.train_loss:.4f}\nvalidation {epoch.validation_loss:.4f}\n"
        f"error {epoch.validation_error:.3f}\n{epoch.seconds:.2f} s"
    )
    half = max((x.stop - x.start) / (x.high - x.low) / 2, 2)
    place = x(epoch.epoch) - half
    tip, height = element("title", title), FRAME.foot - FRAME.top
    return element("rect", tip, x=place, y=FRAME.top, width=2 * half, height=height, class_="spot")


def _best(best: Epoch, x: Scale, y: Scale) -> Markup:
    """A mark at the epoch whose model was kept: the one with the lowest validation loss."""
    place = x(best.epoch)
    # In the right half the text stands left of the mark, so that it stays inside the picture.
    left = place > (FRAME.left + FRAME.end) / 2
    return element(
        "g",
        element("line", x1=place, x2=place, y1=FRAME.top, y2=FRAME.foot, class_="best"),
        element("circle", cx=place, cy=y(best.validation_loss), r=4.5, class_="mark validation"),
        element(
            "text",
            f"kept: epoch {best.epoch}",
            x=place - 6 if left else place + 6,
            y=FRAME.top + 10,
            class_="note end" if left else "note",
        ),
    )
