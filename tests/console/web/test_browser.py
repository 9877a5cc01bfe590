"""The console in a real browser: what some people could not use, and the review by its keys."""

from typing import Any

import pytest

from tests.console.browser import packed
from tests.console.web.worked import worked

pytestmark = packed
ITEMS = 9
PAGES = ["overview", "act", "drop", "report", "decisions", "version", "versions", "refused", "review", "end", "answers"]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return worked(ITEMS, tmp_path_factory.mktemp("browser"))


def test_the_secret_is_neither_in_the_address_nor_in_reach_of_a_script(seen: dict[str, Any]) -> None:
    assert seen["address"].endswith("/")
    assert "?" not in seen["address"]
    assert seen["cookie"] == ""


def test_nothing_is_complained_of(seen: dict[str, Any]) -> None:
    assert seen["complaints"] == []


@pytest.mark.parametrize("page", PAGES)
def test_it_fits_a_phone_and_axe_has_no_serious_finding(seen: dict[str, Any], page: str) -> None:
    assert seen["findings"][page] == []


def test_a_page_reads_itself_again_and_keeps_the_focus(seen: dict[str, Any]) -> None:
    assert seen["focused"] == "a"


def test_a_version_is_refused_by_its_form(seen: dict[str, Any]) -> None:
    assert seen["refused"] == "Version 3 was refused"


def test_the_keys_decide_one_item_each(seen: dict[str, Any]) -> None:
    assert [shown for _, shown in seen["acts"]] == ["r-1", "r-2", "r-3", "r-2", "r-3", "r-4", "r-4"]
    # Skipped r-1, passed on r-2, and 2 for r-3.
    assert seen["answered"] == ITEMS - 3
    items = seen["items"]
    assert (items["r-1"].status, items["r-2"].status, items["r-2"].priority) == ("waiting", "waiting", 0)
    given = [items[f"r-{number}"].answer.value for number in range(3, ITEMS + 1)]
    assert given == [">50K", *(["<=50K", ">50K"][number % 2 == 0] for number in range(ITEMS - 3))]
