"""Every machine is read by people, and by its own presenter."""

import pytest

from millrace.console.pages.timeline import timeline
from millrace.console.presenters.catalogue import PRESENTERS, outcome, run_title
from millrace.console.presenters.presenter import Outcome, Presenter
from millrace.console.queries.report import WorkloadReport
from millrace.names import EVERY_MACHINE


def test_every_machine_has_a_presenter() -> None:
    assert set(PRESENTERS) == set(EVERY_MACHINE), "add console/presenters/<machine>.py and its line in PRESENTERS"


@pytest.mark.parametrize("machine", PRESENTERS)
def test_an_empty_input_has_a_subject_too(report: WorkloadReport, machine: str) -> None:
    assert isinstance(run_title(report.names, machine, {}), str)


def test_a_machine_that_is_added_is_in_titles_and_timeline(
    report: WorkloadReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here one takes the place of `score`: one value has all the words for it."""
    presenter = Presenter(
        subject=lambda given, detail: f"of {len(detail['objects'])} drop",
        outcome=lambda run, reasons: Outcome(text="all well"),
    )
    monkeypatch.setitem(PRESENTERS, "score", presenter)
    run = report.of("score")[0]
    assert (run_title(report.names, "score", run.input), outcome(run).text) == ("of 1 drop", "all well")
    assert "score of 1 drop: all well" in {entry.what for entry in timeline(report)}
