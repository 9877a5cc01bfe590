"""README and docs/: generated tables are up to date, links resolve, and commands that people are given can be typed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import botocore.session
import typer
from botocore import xform_name

from millrace.console.cli.app import app
from tests.documentation.catalogues import CATALOGUES
from tests.documentation.pages import INDEX, PAGES, ROOT, index, typed
from tests.documentation.tables import TABLES, filled
from tests.kinds import CAPABILITIES, KINDS, STORY

ROOMS = ("millrace", "console", "functions", "jobs", "infra", "localcloud", "workloads")
PLACE = re.compile(r"docs/[a-z-]+\.md(?:#[\w-]+)?")
COMMANDS = typer.main.get_group(app).commands
TYPED = re.compile(r"^ *(?:\$ )?((?:millrace|aws) [a-z][^`\n]*)|`((?:millrace|aws) [a-z][^`\n]*)", re.M)


def test_make_docs_changes_nothing() -> None:
    assert [page for page, text in PAGES.items() if filled(text) != text] == [], "run `make docs`"
    assert INDEX.read_text() == index(), "run `make docs`"


def test_an_assistant_begins_as_a_reader_does() -> None:
    assert typed("millrace new mine", "AGENTS.md") == typed("millrace new mine")
    assert filled("<!-- table: audit -->\n| old |\n<!-- end -->").count(TABLES["audit"]()) == 1


def test_each_cell_of_the_kinds_has_its_story() -> None:
    story = STORY.read_text()
    claimed = {one.test for kind in KINDS.values() for one in CAPABILITIES.values() if one.needs(kind)}
    assert [test for test in claimed if f"def {test}(" not in story] == []
    assert "|  |" not in TABLES["kinds"]()


def anchors(text: str) -> set[str]:
    """The anchors of a page, as GitHub makes them of its headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def dead_links(text: str, folder: Path) -> list[str]:
    """Links to no file, or to no heading of it."""
    links = [(link, *link.partition("#")[::2]) for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    return [
        link
        for link, name, anchor in links
        if (name and not (folder / name).exists())
        or (anchor and anchor not in anchors((folder / name).read_text() if name else text))
    ]


def test_every_link_leads_somewhere() -> None:
    """Among them is the runbook of each alarm and notice: their table links to a section of its name."""
    dead = {page: dead_links(text, (ROOT / page).parent) for page, text in PAGES.items()}
    assert {page: links for page, links in dead.items() if links} == {}
    assert dead_links("[a](none.py) [b](README.md#nowhere) [c](README.md)", ROOT) == ["none.py", "README.md#nowhere"]


def test_every_page_that_the_product_names_is_there() -> None:
    sources = [path.read_text() for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    places = {place for source in sources for place in PLACE.findall(source)}
    assert places
    assert dead_links(" ".join(f"[]({place})" for place in places), ROOT) == []


def test_each_catalogue_is_where_its_row_says() -> None:
    for one in CATALOGUES:
        assert (ROOT / "tests" / one.test).is_file(), one.test
        assert not one.file or re.search(rf"\b{one.name}\b", (ROOT / one.file).read_text()), one.file


def commands_of(text: str) -> list[str]:
    return [re.sub(r"\s+#.*$", "", line or word) for line, word in TYPED.findall(text)]


def wrong_commands(lines: Iterable[str]) -> list[str]:
    """Command lines of `millrace` and `aws` with a command or an option that there is not."""
    return [line for line in lines if not (_is_aws if line.startswith("aws ") else _is_millrace)(line.split()[1:])]


def _is_millrace(words: list[str]) -> bool:
    command: Any = COMMANDS.get(words[0])
    if (inner := getattr(command, "commands", None)) and words[1:]:
        command = inner.get(words[1])
    each = [command, *getattr(command, "commands", {}).values()]
    known = {option for one in each for parameter in getattr(one, "params", ()) for option in parameter.opts}
    return command is not None and {word.partition("=")[0] for word in words if word.startswith("--")} <= known


SERVICES = {"s3api": "s3"}
"""What AWS's command line calls otherwise than botocore."""


def _is_aws(words: list[str]) -> bool:
    if words[0] == "s3" or len(words) < 2:
        return True
    session = botocore.session.get_session()
    model = session.get_service_model(SERVICES.get(words[0], words[0]))
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    if words[1] not in operations:
        return False
    shape = model.operation_model(operations[words[1]]).input_shape
    known = {f"--{xform_name(member, '-')}" for member in shape.members} if shape else set()
    own = {"--query", "--output", "--no-paginate", "--max-keys"}
    return {word for word in words if word.startswith("--")} <= known | own


def without_required(lines: Iterable[str]) -> list[str]:
    """Command lines of `millrace` without an option that their command asks for."""
    return [
        line
        for line in lines
        for parameter in getattr(COMMANDS.get(line.split()[1]), "params", ())
        if parameter.required and parameter.opts[0].startswith("--") and not set(line.split()) & {*parameter.opts}
    ]


def test_every_command_on_a_page_can_be_typed() -> None:
    assert {page: wrong for page, text in PAGES.items() if (wrong := wrong_commands(commands_of(text)))} == {}
    # A runbook is typed in a hurry, so its commands are whole.
    assert without_required(commands_of(PAGES["docs/runbooks.md"])) == []
