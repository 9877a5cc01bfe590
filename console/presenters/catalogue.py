"""The presenter of every machine. Add one: a file with a `PRESENTER` and a line in `PRESENTERS`."""

from __future__ import annotations

from collections.abc import Mapping

from console.presenters import ingest, monitor, release, retrain, score, teardown, train
from console.presenters.presenter import Presenter

PRESENTERS: Mapping[str, Presenter] = {
    "ingest": ingest.PRESENTER,
    "train": train.PRESENTER,
    "release": release.PRESENTER,
    "score": score.PRESENTER,
    "monitor": monitor.PRESENTER,
    "retrain": retrain.PRESENTER,
    "teardown": teardown.PRESENTER,
}
