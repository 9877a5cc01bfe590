"""The stories: which are played, and that each has a workload, a clock and a page of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from millrace.console.cli.app import app
from millrace.console.demo.catalogue import STORIES, chosen
from millrace.errors import ConfigurationError
from millrace.names import MACHINES
from millrace.workload.load import load_workload

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


def test_each_names_machines_that_a_workload_has() -> None:
    named = {machine for story in STORIES.values() for machine in story.machines}
    assert named <= set(MACHINES)
