"""What README says is so: its order, commands, links, folders, tables and prices; what the code says of itself, too."""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import botocore.session
import pyarrow.parquet as pq
import pytest
from botocore import xform_name

from infra.local.ledger.parity import CALLS
from infra.settings import settings_for
from infra.stacks.catalogue import ROOMS
from millrace.workload import prices, release_cost
from millrace.workload.declaration import Workload
from millrace.workload.load import load_workload
from millrace.workload.prices import Usage, projected_usd
from millrace.workload.section import Stage
from millrace.workload.training_cost import usages
from tests.documentation import DOCS, EVERYTHING, PAGES, README, ROOT, section
from tests.infra.conftest import ELECTRICITY, shared

OURS = ("millrace", "console", "functions", "jobs", "infra")
HOURS_A_MONTH = 730
ORDER = [
    "Quick start",
    "Follow one row",
    "Map",
    "Add an X",
    "Deploy to AWS",
    "The local cloud",
    "Decisions",
]

SYNTH = "make synth STAGE=dev"
DROPS = "python -m console.demo.months build/drops/electricity"
ACCOUNT = "needs an account"
LOCALLY = "needs an account; tests/infra/local/test_cdk_cli.py does it in the local cloud"
TYPED = "tests/infra/local/test_aws_cli.py types it"
OWN = "tests/end_to_end/test_own_workload.py types it"
LATER = "tests/end_to_end/test_own_workload.py has decisions judged with late labels"
DROPPED = "tests/console/cli/test_runs.py drops and waits"
DELIVERED = "tests/end_to_end/test_readers.py reads a delivered file by it"
NOT_RUN = {
    "make demo": "tests/end_to_end lives through what it starts",
    "make test": "this is a part of it",
    "make check": "runs on every change beside the tests",
    "source .venv/bin/activate": "the tests run in it",
    'export PATH="$PWD/build/node/node_modules/.bin:$PATH:$PWD/build/aws-cli/bin"': TYPED,
    'eval "$(millrace up --workload electricity --export)"': TYPED,
    "aws s3 cp build/drops/electricity/1996-05.parquet "
    "s3://millrace-local-landing-123456789012-eu-west-1/electricity/training/": TYPED,
    "aws stepfunctions list-executions --state-machine-arn "
    "arn:aws:states:eu-west-1:123456789012:stateMachine:millrace-local-electricity-ingest": TYPED,
    "cdk deploy --all --method=direct -c workloads=electricity": TYPED,
    "millrace down --yes": TYPED,
    "millrace new mine --from rows.csv --label outcome": OWN,
    "millrace up --workload mine": OWN,
    "millrace drop build/drops/mine/training/rows.csv --workload mine --feed training --wait": OWN,
    "millrace predict build/drops/mine/to_predict.jsonl --workload mine": OWN,
    "millrace drop next.csv --feed scoring --workload mine --wait": DROPPED,
    "millrace predict later.csv --workload mine": LATER,
    "millrace drop outcomes.csv --workload mine --feed labels --wait": DROPPED,
    "millrace monitor --workload mine --start --as-of 2024-07-27T00:00:00Z --wait": "tests/console/cli/test_runs.py "
    "starts and waits",
    "millrace monitor --workload mine": LATER,
    "millrace query \"SELECT * FROM mine_predictions WHERE run = '<drop>'\" --csv answers.csv": DELIVERED,
    "aws s3 cp "
    "s3://millrace-local-lake-123456789012-eu-west-1/mine/predictions/run=<drop>/part-00000.parquet .": DELIVERED,
    "cdk bootstrap -c stage=dev": LOCALLY,
    'cdk deploy --app "python -m infra.deployer" -c stage=dev': "needs an account; tests/infra/deployer has its stack",
    "cdk bootstrap -c stage=dev --cloudformation-execution-policies <its output ExecutionPolicies>": LOCALLY,
    "cdk deploy millrace-dev-platform -c stage=dev": LOCALLY,
    "make logs STAGE=dev": "needs an account; tests/infra/test_job_logs.py settles the groups of moto's",
    "aws ce update-cost-allocation-tags-status --cost-allocation-tags-status TagKey=millrace:deployment,Status=Active "
    "TagKey=millrace:workload,Status=Active "
    "TagKey=millrace:component,Status=Active": "the payer's account alone can; its parameters are checked below",
    "make images STAGE=dev": "needs an account and docker; tests/infra/test_images.py has a docker that only records",
    "cdk deploy --all -c stage=dev": LOCALLY,
    "aws s3 cp --recursive build/drops/electricity "
    "s3://millrace-dev-landing-<account>-<region>/electricity/training/": ACCOUNT,
    "aws s3api list-object-versions --no-paginate --max-keys 500 --bucket <bucket> --prefix income/ --output json "
    "--query '{Objects: [Versions, DeleteMarkers][].{Key: Key, VersionId: VersionId}, Quiet: `true`}' "
    "> build/versions.json": ACCOUNT,
    "aws s3api delete-objects --bucket <bucket> --delete file://build/versions.json": ACCOUNT,
    "millrace down --stage dev --workload income --yes": "tests/console/cli/test_local.py removes it locally",
    "millrace down --stage dev --yes": "tests/end_to_end/test_teardown.py does it to a cloud that has lived",
}
"""Command by the reason why it is not run here."""


def table(text: str, first: str) -> list[list[str]]:
    """The rows of the table whose first column is headed `first`."""
    lines = text[text.index(f"| {first} |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def every_table(text: str, first: str) -> list[list[str]]:
    """The rows of all tables whose first column is headed `first`."""
    parts = text.split(f"| {first} |")[1:]
    return [row for part in parts for row in table(f"| {first} |{part}", first)]


def words(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", text)


def tracked() -> list[Path]:
    """What belongs to the repository: files that git does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [Path(line) for line in told.stdout.splitlines() if (ROOT / line).is_file()]


def test_the_sections_stand_in_their_order() -> None:
    assert re.findall(r"^## (.+)$", README, re.M) == ORDER


# Commands


def commands(text: str) -> list[str]:
    """Every command of a bash block, without its remark."""
    blocks = re.findall(r"^```bash\n(.+?)^```$", text, re.M | re.S)
    lines = [re.sub(r"\s+# .*$", "", line) for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def strange_commands(text: str) -> set[str]:
    """Commands that are neither run nor excused, and excuses for none."""
    return set(commands(text)) ^ {SYNTH, DROPS, *NOT_RUN}


SERVICES = {"s3api": "s3"}
"""What the command line calls otherwise than botocore."""


def unknown_calls(text: str) -> list[str]:
    """Words of `aws` commands that botocore does not know."""
    session = botocore.session.get_session()
    found = []
    for service, operation, rest in re.findall(r"\baws ([\w-]+) ([\w-]+)((?:[^;)\n]|\)(?!;))*)", text):
        if service == "s3":
            continue
        model = session.get_service_model(SERVICES.get(service, service))
        names = {xform_name(name, "-"): name for name in model.operation_names}
        if operation not in names:
            found.append(f"{service} {operation}")
            continue
        shape = model.operation_model(names[operation]).input_shape
        members = {xform_name(member, "-") for member in shape.members} if shape else set()
        found += [option for option in re.findall(r"--([\w-]+)", rest) if option not in members | {"query", "output"}]
    return found


@pytest.fixture(scope="module")
def synthesized() -> Path:
    """Where `make synth` writes; without its set-up, which made the environment of this very test."""
    done = subprocess.run(
        [*shlex.split(SYNTH), "--assume-old", "build/setup.stamp"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "build" / "synth" / "dev"


TYPED_PAGES = "\n\n".join([README, PAGES["docs/own-workload.md"], PAGES["docs/deploying.md"]])
"""The pages whose commands are typed one after the other; those of the others are examples."""


def test_each_command_is_run_or_excused() -> None:
    assert strange_commands(TYPED_PAGES) == set()


@pytest.mark.night("by day the CDK's command line is not run; app.py is synthesized for all stages")
def test_make_synth_writes_the_templates_where_the_readme_says(synthesized: Path) -> None:
    assert f"`{(synthesized.parent / '<stage>').relative_to(ROOT)}`" in DOCS
    workloads = len(list(ROOT.glob("workloads/*/workload.yaml")))
    # By the manifest: the folder keeps the templates of workloads that are gone.
    artifacts = json.loads((synthesized / "manifest.json").read_text())["artifacts"].values()
    templates = [one["properties"]["templateFile"] for one in artifacts if one["type"] == "aws:cloudformation:stack"]
    assert len(templates) == len(("platform", "audit")) + len(ROOMS) * workloads
    assert all((synthesized / template).is_file() for template in templates)


def test_the_drops_are_enough_rows_for_the_first_training() -> None:
    subprocess.run([sys.executable, *shlex.split(DROPS)[1:]], cwd=ROOT, check=True)
    rows = sum(pq.read_metadata(path).num_rows for path in (ROOT / "build" / "drops" / "electricity").glob("*.parquet"))
    assert rows >= electricity().training.first_rows


def test_the_names_in_the_commands_are_those_of_the_code() -> None:
    platform = settings_for("dev", account="<account>", region="<region>").platform
    said = "\n".join(commands(README))
    for name in (f"s3://{platform.bucket('landing')}/electricity/training/", f"{platform.prefix}-platform "):
        assert name in said


def test_awss_commands_exist() -> None:
    assert unknown_calls("\n".join(commands(README))) == []


def quoted(page: str) -> str:
    """What a page of the docs gives to type: lines with a prompt, and words in backticks."""
    return "\n".join(line or word for line, word in re.findall(r"^\$ (.+)$|`([^`\n]+)`", page, re.M))


@pytest.mark.parametrize("page", PAGES)
def test_awss_commands_in_the_docs_exist(page: str) -> None:
    """In both versions of AWS's command line: `aws logs tail` is of the second alone, which pip does not install."""
    assert unknown_calls(quoted(PAGES[page])) == []


def test_a_command_that_nobody_knows_is_noticed() -> None:
    changed = TYPED_PAGES.replace("make check ", "make clean ")
    assert strange_commands(changed) == {"make check", "make clean"}
    assert unknown_calls("aws sagemaker delete-endpoint --endpoint x; aws sagemaker end") == [
        "endpoint",
        "sagemaker end",
    ]
    assert unknown_calls(quoted("Look:\n$ aws logs tail /local/mail\n")) == ["logs tail"]


# Links and folders


def anchors(text: str) -> set[str]:
    """The anchors of a page, as GitHub makes them of its headings."""
    found = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in found}


def dead_links(text: str, folder: Path = ROOT) -> list[str]:
    """Links to no file, or to no heading of it."""
    found = [(link, *link.partition("#")[::2]) for link in links(text) if "://" not in link]
    own = anchors(text)
    return [
        link
        for link, name, anchor in found
        if (name and not (folder / name).is_file())
        or (anchor and anchor not in (anchors((folder / name).read_text()) if name else own))
    ]


def wrong_folders(text: str, files: Iterable[Path]) -> set[str]:
    """Folders that are in the map or in the tree but not in both."""
    folders = {parent for file in files for parent in file.parents if parent != Path() and file.parts[0][0] != "."}
    wrong = {str(folder) for folder in folders if len(folder.parts) == 1}
    for cell, _, inside in table(section("Map", text), "folder"):
        (name,) = words(cell)
        wrong ^= {name.rstrip("/")}
        if not inside.startswith("one folder per"):
            real = {folder.name for folder in folders if len(folder.parts) == 2 and folder.parts[0] == name.rstrip("/")}
            wrong |= {f"{name}{folder}" for folder in real ^ set(words(inside))}
    return wrong


def test_every_link_points_to_a_file() -> None:
    assert dead_links(README) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_points_to_a_file(page: str) -> None:
    assert dead_links(PAGES[page], ROOT / "docs") == []


def test_a_heading_comes_once_in_all_pages() -> None:
    """Links and tests name a section by its heading alone."""
    found = re.findall(r"^##+ (.+)$", EVERYTHING, re.M)
    assert [heading for heading, count in Counter(found).items() if count > 1] == []


def test_the_map_is_the_tree() -> None:
    assert wrong_folders(README, tracked()) == set()


def test_a_dead_link_and_a_missing_folder_are_noticed() -> None:
    assert dead_links("[gone](infra/gone.py), [here](infra/app.py)") == ["infra/gone.py"]
    assert dead_links("[a](docs/extending.md#task), [b](docs/extending.md#tusk)") == ["docs/extending.md#tusk"]
    assert wrong_folders(README.replace("| `docs/` |", "| `doc/` |"), tracked()) == {"doc", "docs"}
    assert wrong_folders(README.replace("`datasets`, ", ""), tracked()) == {"millrace/datasets"}


# Machines


def steps(definition: dict[str, Any]) -> list[str]:
    """The folders that a machine's tasks call, each where it is first called."""
    found: dict[str, None] = {}
    for state in definition["States"].values():
        asked, resource = state.get("Parameters", {}), state.get("Resource", "")
        if "lambda:invoke" in resource:
            found[f"functions/{asked['FunctionName'].rpartition('-')[2]}"] = None
        elif "createTrainingJob" in resource:
            found["jobs/training"] = None
        elif "createProcessingJob" in resource:
            found[asked["AppSpecification"]["ContainerEntrypoint"][-1].replace(".", "/")] = None
        elif "createTransformJob" in resource:
            found["jobs/serving"] = None
        elif "startExecution" in resource:
            found[f"infra/machines/{asked['StateMachineArn'].rpartition('-')[2]}"] = None
    return list(found)


def synthesized_steps(folder: Path) -> dict[str, list[str]]:
    """The steps of each machine of the templates."""
    found = {}
    for template in folder.glob("*.template.json"):
        for resource in json.loads(template.read_text())["Resources"].values():
            if resource["Type"] == "AWS::StepFunctions::StateMachine":
                name = resource["Properties"]["StateMachineName"].rpartition("-")[2]
                text = resource["Properties"]["DefinitionString"]
                parts = [text] if isinstance(text, str) else text["Fn::Join"][1]
                found[name] = steps(json.loads("".join(part if isinstance(part, str) else "-" for part in parts)))
    return found


def said_steps(text: str) -> dict[str, list[str]]:
    found = {}
    for machine, _, cell in table(section("Follow one row", text), "machine"):
        (link,) = links(machine)
        targets = [Path(target) for target in links(cell)]
        found[Path(link).stem] = [
            str(target.with_suffix("") if target.parts[0] == "infra" else target.parent) for target in targets
        ]
    return found


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The templates of `dev` with one workload: all have the same machines."""
    return shared("dev", [ELECTRICITY], tmp_path_factory, "assembly-dev")


def test_the_table_of_machines_is_what_the_templates_hold(assembly: Path) -> None:
    assert said_steps(README) == synthesized_steps(assembly)


def test_every_function_is_named() -> None:
    named = {Path(link).parent.name for link in links(README) if link.startswith("functions/")}
    assert named == {path.parent.name for path in ROOT.glob("functions/*/handler.py")}


def test_a_step_left_out_is_noticed(assembly: Path) -> None:
    changed = README.replace("[budget](functions/budget/handler.py), ", "")
    assert said_steps(changed) != synthesized_steps(assembly)


# Add an X


EXTENDING = PAGES["docs/extending.md"]
LONGEST_CELL = 240
"""Characters of a cell that is still read; what needs more goes into docs/extending.md."""


def cells(text: str) -> list[str]:
    """Those of the table that say where something is."""
    return [cell for row in every_table(section("Add an X", text), "X") for cell in row[1:]]


def points(text: str) -> list[str]:
    """The points of the lists."""
    return [point.replace("\n", " ") for point in re.findall(r"^- (.+(?:\n  .+)*)", text, re.M)]


def wrong_places(texts: Iterable[str]) -> list[str]:
    """Paths without a file, words that stand in none of the files beside them in the same text, whole."""
    wrong = []
    for text in texts:
        files = {word: list(ROOT.glob(re.sub(r"<\w+>", "*", word))) for word in words(text) if "/" in word}
        wrong += [word for word, found in files.items() if not found]
        source = "\n".join(file.read_text() for found in files.values() for file in found)
        named = [word for word in words(text) if "/" not in word]
        wrong += [word for word in named if not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", source)]
    return wrong


def test_the_places_of_an_x_exist() -> None:
    assert wrong_places(cells(README)) == []
    assert wrong_places(points(EXTENDING)) == []


def test_the_table_is_short_and_the_page_has_a_section_for_each_link() -> None:
    assert [cell for cell in cells(README) if len(cell) > LONGEST_CELL] == []
    named = {link.partition("#")[2] for link in links(section("Add an X")) if "#" in link}
    assert named | {"extending"} == anchors(EXTENDING)


def test_a_wrong_place_is_noticed() -> None:
    changed = README.replace(
        "`Gates` in `millrace/evaluation/gates/catalogue.py`", "`Doors` in `millrace/evaluation/gates/list.py`"
    )
    assert wrong_places(cells(changed)) == ["millrace/evaluation/gates/list.py", "Doors"]
    moved = EXTENDING.replace("`MEASURES`", "`MEASURED_BY`")
    assert wrong_places(points(moved)) == ["MEASURED_BY"]
    shortened = EXTENDING.replace("`ICEBERG_TYPES`", "`TYPES`")
    assert wrong_places(points(shortened)) == ["TYPES"]


# Prices


def electricity() -> Workload:
    return load_workload(ROOT / "workloads" / "electricity")


def said_costs(text: str) -> list[tuple[float, ...]]:
    return [tuple(map(float, row[1:])) for row in table(section("What it costs", text), "what")]


def real_costs() -> list[tuple[float, ...]]:
    """A training run, a month of the endpoint, two monitor runs, a preflight; in dev and prod."""
    workload = electricity()
    stages: tuple[Stage, ...] = ("dev", "prod")
    instances = [workload.rollout.instance[stage] for stage in stages]

    def hours(instance: str, count: float) -> float:
        return projected_usd([Usage(instance=instance, count=1, minutes=60 * count)])

    return [
        tuple(round(projected_usd(usages(workload, stage)), 2) for stage in stages),
        tuple(round(hours(one, HOURS_A_MONTH * workload.rollout.min_instances), 2) for one in instances),
        tuple(round(hours(one, 2), 2) for one in instances),
        tuple(round(projected_usd(release_cost.usages(workload, stage)), 2) for stage in stages),
    ]


def test_the_costs_are_those_by_which_the_budget_is_kept() -> None:
    assert said_costs(DOCS) == real_costs()
    assert f"× {prices.REGION_FACTOR}" in section("What it costs")


def test_each_price_is_told_with_its_date_and_source() -> None:
    workload = electricity()
    used = {
        named[stage] for named in (workload.training.instance, workload.rollout.instance) for stage in ("dev", "prod")
    }
    said = [tuple(row) for row in table(section("What it costs"), "instance")]
    assert said == [
        (price.instance, f"{price.usd_per_hour:g}", price.as_of, price.source)
        for price in prices.PRICES
        if price.instance in used
    ]


def test_a_wrong_cost_is_noticed() -> None:
    assert said_costs(DOCS.replace("| 0.62 |", "| 0.26 |")) != real_costs()


NOT_COVERED = {
    "asynchronous endpoints": "sagemaker:InvokeEndpointAsync",
    "SageMaker pipelines": "sagemaker:CreatePipeline",
    "log queries": "logs:StartQuery",
    "event replays": "events:StartReplay",
}
"""What the local cloud is said not to cover, and the call by which one would have it."""


def covered_after_all(text: str) -> list[str]:
    """What is said not to be covered and is a call of PARITY.md, or is not known here."""
    line = r"- \*\*Not covered:\*\* (.+), which are refused by name, .*behind it: (.+)\.$"
    said = ", ".join(re.findall(line, section("The local cloud", text), re.M)[0])
    return [word for word in said.split(", ") if NOT_COVERED.get(word, next(iter(CALLS))) in CALLS]


def test_what_the_local_cloud_does_not_cover_is_no_call_that_it_serves() -> None:
    assert covered_after_all(README) == []


def test_what_is_covered_after_all_is_noticed() -> None:
    wrong = README.replace("asynchronous endpoints, ", "asynchronous endpoints, tuning jobs, ")
    assert covered_after_all(wrong) == ["tuning jobs"]


# Docstrings


def mute(path: Path, source: str) -> list[str]:
    """The module, and in millrace/ the public functions of it, that say nothing of themselves."""
    tree = ast.parse(source)
    found = [] if ast.get_docstring(tree) else [str(path)]
    if path.parts[0] != "millrace":
        return found
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    return found + [
        f"{path}: {node.name}" for node in functions if not node.name.startswith("_") and not ast.get_docstring(node)
    ]


def test_every_module_and_every_public_function_says_what_it_is() -> None:
    files = [path for path in tracked() if path.suffix == ".py" and path.parts[0] in OURS]
    assert len(files) > 200
    assert [line for path in files for line in mute(path, (ROOT / path).read_text())] == []


def test_a_mute_function_is_noticed() -> None:
    path = Path("millrace/made.py")
    assert mute(path, "def speak(): pass\ndef _own(): pass\n") == [str(path), f"{path}: speak"]
