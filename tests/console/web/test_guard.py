"""Who gets an answer of the console, over a real socket; and that each refusal is the guard's."""

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from millrace.console.web.server import HEADERS
from tests.console.web.served import Browser, serving


async def page(request: Request) -> Response:
    return HTMLResponse(f"page {(await request.body()).decode()}")


APP = Starlette(routes=[Route("/", page, methods=["GET", "POST", "DELETE"]), Route("/open", page)])


@pytest.fixture
def browser() -> Iterator[Browser]:
    """One that has opened the console."""
    with serving(APP) as (browser, url):
        browser.open(url)
        yield browser


def test_the_secret_opens_once_and_leaves_the_address() -> None:
    with serving(APP) as (browser, url):
        assert browser.ask("/").status == 403
        opened = browser.open(url)
        assert (opened.status, opened.headers["location"], opened.text) == (303, "/", "")
        given = {part.strip().lower() for part in opened.headers["set-cookie"].split(";")[1:]}
        assert given == {"httponly", "samesite=strict", "path=/"}
        assert browser.ask("/").text == "page "
        # Whoever reads the address later, in a history or over a shoulder, gets nothing.
        assert Browser(browser.port).open(url).status == 403
        assert browser.ask(f"/open?{url.partition('?')[2]}").headers["location"] == "/"


@pytest.mark.parametrize("query", ["", "?secret=", "?secret=guess"])
def test_another_secret_opens_nothing(query: str) -> None:
    with serving(APP) as (browser, url):
        assert browser.ask(f"/open{query}").status == 403
        assert browser.open(url).status == 303
        # An empty secret is not the one that has been used.
        assert Browser(browser.port).ask("/open?secret=").status == 403


def test_looking_at_the_address_without_following_it_does_not_use_it_up() -> None:
    with serving(APP) as (browser, url):
        assert browser.ask(url.partition(str(browser.port))[2], method="HEAD").status == 403
        assert browser.open(url).status == 303


FORGED = {
    "no cookie": (403, "GET", {"cookie": ""}),
    "another cookie": (403, "GET", {"cookie": "millrace=guess"}),
    "a name that leads here": (421, "GET", {"host": "rebound.example"}),
    "another name of this machine": (421, "GET", {"host": "localhost"}),
    "a form of another page": (403, "POST", {"origin": "http://127.0.0.1:1"}),
    "a form without an origin": (403, "POST", {}),
    "a form of a sandbox": (403, "POST", {"origin": "null"}),
    "another method": (405, "DELETE", {}),
}


@pytest.mark.parametrize("name", FORGED)
def test_what_is_forged_is_refused(browser: Browser, name: str) -> None:
    status, method, headers = FORGED[name]
    assert browser.ask("/", method, **headers).status == status
    assert browser.ask("/").status == 200


def test_a_form_of_our_own_page_comes_in(browser: Browser) -> None:
    own = f"http://127.0.0.1:{browser.port}"
    assert browser.ask("/", "POST", "a=1", origin=own).text == "page a=1"


def test_every_answer_says_what_a_browser_may_do_with_it(browser: Browser) -> None:
    for path, headers in (("/", {}), ("/", {"host": "x"}), ("/open", {}), ("/none", {})):
        answer = browser.ask(path, **headers)
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_no_script_of_a_page_itself_may_run() -> None:
    rules = dict(rule.split(" ", 1) for rule in HEADERS["content-security-policy"].split("; "))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in rules.get("script-src", "")
