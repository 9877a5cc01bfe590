"""The commands are in docs/ with their options, and each command line that people or machines tell can be typed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import pytest
import typer

from console.cli.app import app
from tests.documentation import DOCS as PAGE
from tests.documentation import EVERYTHING, PAGES, README, ROOT
from tests.infra.machines.contexts import DEFINITIONS, context_of

COMMAND_ROW = re.compile(r"^\| `millrace (\w+(?: [a-z]+)?)(.*) \|$", re.M)
"""Of a command of a group with its whole name, `audit verify`. Arguments begin with a capital, `[` or `--`."""
COMMON_ROW = re.compile(r"^\| `(--\w+)` \|.*\|(.*)\|$", re.M)
OPTION = re.compile(r"(?<![\w-])(--[a-z][a-z0-9-]*)")
CODE = re.compile(r"`([^`]+)`")


def options_of(command: Any) -> set[str]:
    """Of a command, or of all commands of a group (`millrace audit`)."""
    commands = [command, *getattr(command, "commands", {}).values()]
    return {option for one in commands for parameter in one.params for option in parameter.opts}


def unknown_calls(page: str) -> list[str]:
    """Commands and options of `millrace` on the page that there are not."""
    commands = typer.main.get_group(app).commands
    found = []
    for line in re.findall(r"(?:^ *(?:\$ )?|`)(millrace [a-z-][^`\n]*)", page, re.M):
        words = re.sub(r"\s+#.*$", "", line).split()[1:]
        if not words or words[0].startswith("-"):
            continue
        within = getattr(commands.get(words[0]), "commands", None)
        if words[0] not in commands or (within and words[1:2] and words[1] not in within):
            found.append(line)
            continue
        known = options_of(commands[words[0]])
        found += [f"{line}: {word}" for word in words if word.startswith("--") and word not in known]
    return found


def test_each_command_on_the_page_is_there() -> None:
    assert unknown_calls(EVERYTHING) == []
    assert unknown_calls("    millrace drip FILE") == ["millrace drip FILE"]
    assert unknown_calls("`millrace audit check`") == ["millrace audit check"]
    assert unknown_calls("`millrace drip FILE`") == ["millrace drip FILE"]
    assert unknown_calls("$ millrace drop FILE --food x") == ["millrace drop FILE --food x: --food"]


TYPED = re.compile(r"^(?:\$ )?(millrace [a-z][^`\n]*)|`(millrace [a-z][^`\n]*)", re.M)
NAME = re.compile(r"millrace \w+")


def lines_of(page: str, *, all_typed: bool = False) -> list[str]:
    """Command lines of a page. A name alone within a sentence is none, unless all that the page names is typed."""
    found = [(typed, typed or told) for typed, told in TYPED.findall(page)]
    return [re.sub(r"\s+#.*$", "", line) for typed, line in found if typed or all_typed or not NAME.fullmatch(line)]


def texts(found: Any) -> list[str]:
    """Every text of a document."""
    if isinstance(found, str):
        return [found]
    inner = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    return [text for one in inner for text in texts(one)]


def incomplete_calls(lines: list[str]) -> list[str]:
    """Command lines without an option that their command asks for."""
    commands, found = typer.main.get_group(app).commands, []
    for line in lines:
        _, name, *words = line.split()
        given = {word.partition("=")[0] for word in words}
        needed = [one for one in getattr(commands.get(name), "params", ()) if one.required]
        found += [f"{line}: {one.opts[0]}" for one in needed if one.opts[0][0] == "-" and not given & {*one.opts}]
    return found


@pytest.mark.parametrize("page", ["README.md", *PAGES])
def test_each_command_line_has_the_options_that_are_asked_for(page: str) -> None:
    """Of the runbooks also the commands within a sentence: a person types them in a hurry."""
    text = PAGES.get(page, README)
    assert incomplete_calls(lines_of(text, all_typed=page == "docs/runbooks.md")) == []


def test_so_has_each_that_a_machine_tells() -> None:
    told = [text for define in DEFINITIONS.values() for text in texts(define(context_of())) if "millrace " in text]
    lines = [line for text in told for line in re.findall(r"millrace [a-z]+ .*", text)]
    assert any(line.startswith("millrace rollback --restore ") for line in lines)
    assert incomplete_calls(lines) == []


def test_a_command_line_without_such_an_option_is_found() -> None:
    """The negative control."""
    page = "$ millrace rollback\nmillrace drop x.csv  # --feed\n`millrace rollback` and `millrace rollback --to 3`"
    wrong = [*lines_of(page), "millrace new mine --from=x"]
    assert incomplete_calls(wrong) == [
        "millrace rollback: --reason",
        "millrace drop x.csv: --feed",
        "millrace rollback --to 3: --reason",
    ]
    assert incomplete_calls(lines_of("`millrace rollback`", all_typed=True)) == ["millrace rollback: --reason"]


def options() -> dict[str, set[str]]:
    """By command, as the app has them; of a group by each of its commands: `audit verify`."""
    named: dict[str, Any] = {}
    for name, command in typer.main.get_group(app).commands.items():
        inner = getattr(command, "commands", {})
        named |= {f"{name} {one}": each for one, each in inner.items()} or {name: command}
    return {
        name: {option for option in options_of(command) if option.startswith("--")} for name, command in named.items()
    }


def wrong_commands(page: str) -> set[tuple[str, str]]:
    """Command and option of what the page says and the app has not, or the other way; "" for a row."""
    real, told = options(), {name: set(OPTION.findall(row)) for name, row in COMMAND_ROW.findall(page)}
    common = {option: set(CODE.findall(without)) for option, without in COMMON_ROW.findall(page)}
    shared = {(name, option) for option, without in common.items() for name in real.keys() - without}
    said = shared | {(name, option) for name, found in told.items() for option in found}
    return {(name, "") for name in told.keys() ^ real.keys()} | (
        said ^ {(name, option) for name, found in real.items() for option in found}
    )


def test_every_command_has_its_row_and_its_options() -> None:
    assert wrong_commands(PAGE) == set()


def test_a_row_that_says_too_much_or_too_little_is_found() -> None:
    """The negative controls."""
    row = next(line for line in PAGE.splitlines() if line.startswith("| `millrace rollback"))
    assert ("rollback", "") in wrong_commands(PAGE.replace(row + "\n", ""))
    assert ("audit list", "--head") in wrong_commands(PAGE.replace("`--event`: only", "`--head`, `--event`: only"))
    assert wrong_commands(PAGE.replace(row, row.replace("`--wait`", ""))) == {("rollback", "--wait")}
    assert wrong_commands(PAGE.replace(row, row.replace("`--wait`", "`--wait`, `--now`"))) == {("rollback", "--now")}
    assert wrong_commands(PAGE.replace("`bom`, `demo`, `down`, `report` |", "`bom`, `demo`, `down` |")) == {
        ("report", "--json")
    }


def listed(page: str) -> list[str]:
    """The commands of the list at the top of docs/commands.md."""
    top = page[page.index("- [Local cloud") : page.index("## ")]
    return CODE.findall(top)


def test_the_list_at_the_top_has_every_command_once() -> None:
    page = PAGES["docs/commands.md"]
    assert sorted(listed(page)) == sorted(options())
    assert "tune" not in listed(page.replace("`tune`, ", "", 1))


def waiting(page: str) -> set[str]:
    """The commands that are said to take `--wait`."""
    (sentence,) = re.findall(r"^With `--wait` .*; (.+?) take it\.", page, re.M)
    return set(CODE.findall(sentence))


def test_the_page_lists_the_commands_that_wait() -> None:
    assert waiting(PAGE) == {name for name, found in options().items() if "--wait" in found}
    assert waiting(PAGE.replace("`tune` and `experiment` take it", "`tune` take it")) < waiting(PAGE)


@pytest.mark.parametrize(
    ("typed", "position", "told"),
    [("millrace retr", "1", {"retrain"}), ("millrace runs --m", "2", {"--machine"})],
)
def test_the_shell_completes_commands_and_options(typed: str, position: str, told: set[str]) -> None:
    environment = {**os.environ, "_MILLRACE_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": position}
    program = "import sys; sys.argv[0] = 'millrace'; from console.cli.app import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) == told
