"""What a demo prints while it runs and at its end, and that each story is complete."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.demo.run import STORIES, WIDTH, Progress, chosen, plainly, timeline_table
from millrace.console.pages.timeline import timeline
from millrace.console.queries.report import WorkloadReport
from millrace.errors import ConfigurationError
from millrace.monitoring.alarms import RATIO_ALARMS
from millrace.workload.load import load_workload

ARN = "arn:aws:states:eu-west-1:123456789012:execution:millrace-local-electricity"


@pytest.mark.parametrize(
    ("moving", "said"),
    [
        ([f"execution {ARN}-train:8f7f_b-0-0", "training job 4a58-0-0", "evaluation of alarms"], "train, training job"),
        ([f"execution {ARN}-ingest:{number}" for number in range(8)], "ingest"),
        (["endpoint millrace-local-electricity Creating"], "endpoint"),
        (["8 messages in millrace-local-electricity-drops"], "events"),
        ([], ""),
    ],
)
def test_what_moves_in_a_few_words(moving: list[str], said: str) -> None:
    assert plainly(moving) == said


def printed(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_without_a_terminal_only_finished_lines_are_printed() -> None:
    console = Console(file=io.StringIO(), width=WIDTH)
    with Progress(console=console).watched("Deploy") as progress:
        progress.moving("May 1997", ["evaluation of alarms"])
        progress.said("May 1997: predictions, 8.1 s")
    assert [line.strip().partition(" s  ")[2] for line in printed(console)] == ["May 1997: predictions, 8.1 s"]


def test_on_a_terminal_the_line_of_what_goes_on_is_one_line() -> None:
    console = Console(file=io.StringIO(), width=40, force_terminal=True, legacy_windows=False)
    with Progress(console=console).watched("Deploy") as progress:
        progress.moving("A chapter whose title is longer than the terminal is wide", [f"execution {ARN}-train:1"])
        assert progress._status is not None
        spinner = progress._status.renderable
    rendered = Console(file=io.StringIO(), width=40)
    rendered.print(spinner)
    assert len(printed(rendered)) == 1


@pytest.mark.parametrize(("width", "most"), [(WIDTH, 76), (80, 120)])
def test_the_table_stays_within_its_width(report: WorkloadReport, width: int, most: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    console.print(timeline_table(timeline(report), width=width))
    lines = printed(console)
    text = " ".join(" ".join(lines).split())
    assert max(len(line.rstrip()) for line in lines) <= width
    assert len(lines) < most + 2 * len(RATIO_ALARMS), "each alarm has a figure in every quiet stretch"
    assert "1997-05-15 ▲ Alarm: input drift" in text
    assert "48 quarantined" in text
    assert "35 days of" in text


def test_brackets_in_a_message_are_text_not_styles(report: WorkloadReport) -> None:
    odd = replace(timeline(report)[0], what="[bold]x[/bold]", detail="[red]", because="[/]")
    console = Console(file=io.StringIO(), width=WIDTH)
    console.print(timeline_table([odd]))
    assert "[bold]x[/bold]" in " ".join(printed(console))


END_TO_END = Path(__file__).resolve().parents[2] / "end_to_end"


def test_the_named_stories_in_that_order() -> None:
    assert chosen(["electricity"]) == [STORIES["electricity"]]
    assert [story.workload for story in chosen(list(reversed(STORIES)))] == list(reversed(STORIES))


def test_a_workload_without_a_story_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"--workload: expected one of electricity.*'mine'"):
        chosen(["mine"])
    assert CliRunner().invoke(app, ["demo", "--workload", "mine"]).exit_code == 1


def test_each_has_a_workload_and_a_page_of_its_own() -> None:
    assert [load_workload(story.folder).name for story in STORIES.values()] == list(STORIES)
    assert len({story.page for story in STORIES.values()}) == len(STORIES)
    assert all(story.start.tzinfo for story in STORIES.values())


@pytest.mark.parametrize("story", STORIES)
def test_each_is_lived_through_by_a_test(story: str) -> None:
    found = [path for path in END_TO_END.glob("*.py") if f"millrace.console.demo.{story} import" in path.read_text()]
    assert found, f"no file of {END_TO_END} plays {story}"
