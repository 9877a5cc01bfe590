"""The presenter of each machine. To add one, write a file with a `PRESENTER` and add its line to `PRESENTERS`."""

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
