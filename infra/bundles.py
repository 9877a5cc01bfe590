"""Makes the code of a Lambda function: a bundle with the import closure of its handler, a layer with its packages.

Both are folders below `build/`, named by a digest of their sources, so an unchanged one is never made again. A new one
drops those beside it that nobody has used for some days.
"""

from __future__ import annotations

import ast
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from millrace.infra.compilation import compile_folder, version_of
from millrace.workload.load import SUITE

PRUNED = (
    "bin", "boto3", "botocore", "jmespath", "s3transfer",
    "pyarrow/include", "pyarrow/src", "pyarrow/libarrow_flight*",
    "pyarrow/libarrow_python_flight*", "pyarrow/_flight*", "pyarrow/_substrait*", "pyarrow/*.pxd", "pyarrow/*.pyx",
    "numpy/f2py", "numpy/_core/include", "numpy/_core/lib", "zstandard/_cffi*",
    "hive_metastore", "fb303", "markdown_it", "mdurl", "pygments", "rich",
    "hf_xet", "huggingface_hub", "onnxruntime/capi/libonnxruntime.so*", "onnxruntime/[bqt]*",
    "**/tests", "**/*.pyi",
)  # fmt: skip
"""Paths that no function imports. Lambda's own runtime has boto3 and its dependencies."""
UNUSED_S = 3 * 86400
"""A folder into which nobody has looked for so long is dropped. A function of the local cloud looks at its start."""


def bundle(
    repository: Path, function: str, *, workload: Path | None, platform: str, compiler: str | None = None
) -> tuple[str, str]:
    """The folder and the digest of the bundle of `functions/<function>` for the workload in the folder `workload`.

    The bundle holds the function's code and the workload's YAML files. Its root mirrors the root of the repository, so
    an import path is the same in a test and in Lambda. The files of the code are the same on the disk for all
    workloads."""
    code, digest = code_of(repository, function, platform, compiler)
    if workload is None:
        return str(code), digest
    # By their place in the bundle, which is the same wherever the workload's folder is.
    names = ("workload.yaml", "contract.yaml")
    declaration = {Path("workloads", workload.name, name): one for name in names if (one := workload / name).is_file()}
    digest = hashlib.sha256(f"{digest}\0{_digest(declaration)}".encode()).hexdigest()
    folder = _bundle(repository, function, digest, platform)
    if not _in_use(folder):
        unfinished = _unfinished(folder)
        shutil.copytree(code, unfinished, copy_function=os.link, dirs_exist_ok=True)
        _copy(declaration, unfinished)
        _finish(unfinished, folder)
    return str(folder), digest


@cache
def code_of(repository: Path, function: str, platform: str, compiler: str | None) -> tuple[Path, str]:
    """The folder and the digest of the import closure of the handler, which all workloads share.

    It is compiled, since Lambda cannot write into it: by this machine's own Python if `platform` is `host`, else by
    `compiler`, the path of another Python. A process reads the sources once."""
    closed = closure(repository, repository / "millrace" / "functions" / function / "handler.py")
    files = {file.relative_to(repository): file for file in sorted(closed)}
    digest = _digest(files) if compiler is None else _compiled(_digest(files), compiler)
    folder = _bundle(repository, function, digest, platform)
    # Made in a folder of another name and renamed at the end: a folder of this name is always complete.
    if not _in_use(folder):
        unfinished = _unfinished(folder)
        _copy(files, unfinished)
        _compile(unfinished, platform, compiler)
        _finish(unfinished, folder)
        _drop_unused(folder.parent)
    return folder, digest


def _bundle(repository: Path, function: str, digest: str, platform: str) -> Path:
    return _build(repository) / "bundles" / f"{function}-{digest[:16]}{'-host' if platform == 'host' else ''}"


def _copy(files: Mapping[Path, Path], target: Path) -> None:
    """Copy each file to its place below `target`."""
    for place, file in files.items():
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target / place)


def closure(repository: Path, entry: Path) -> set[Path]:
    """`entry`, the repository's own files that it imports, directly or not, and the `__init__` of their packages."""
    # A file in `waiting` adds its packages and the modules that it imports, until no file is new.
    found: set[Path] = set()
    waiting = [entry]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        waiting += [package for package in _packages(repository, file) if package not in found]
        waiting += [module for name in _imported(file.read_text()) for module in _modules(repository, name)]
    return found


def layer(
    repository: Path, requirements: Path, platform: str, python: str, compiler: str | None = None
) -> tuple[str, str]:
    """The folder (with `python/` inside) and the digest of a layer: one pip install for requirements and platform.

    `platform` is a wheel tag such as `manylinux2014_aarch64`, or `host`. `compiler` is the path of a Python that
    compiles the packages, as for a bundle."""
    wanted = "\n".join(sorted(line.strip() for line in requirements.read_text().splitlines() if line.strip()))
    hashes = repository / "millrace" / "hashes.txt"
    digest = hashlib.sha256("\0".join([wanted, hashes.read_text(), platform, python, *PRUNED]).encode()).hexdigest()
    digest = digest if compiler is None else _compiled(digest, compiler)
    folder = _build(repository) / "layers" / digest[:16]
    if not _in_use(folder):
        unfinished = _unfinished(folder)
        target = unfinished / "python"
        target.mkdir()
        if wanted:
            _install(requirements, hashes, target, platform, python)
        _prune(target)
        _compile(target, platform, compiler)
        _finish(unfinished, folder)
        _drop_unused(folder.parent)
    return str(folder), digest


def _compile(folder: Path, platform: str, compiler: str | None) -> None:
    """Compile for this machine by its own Python, else by `compiler`; without one nothing is compiled."""
    if program := sys.executable if platform == "host" else compiler:
        compile_folder(folder, program)


def _build(root: Path) -> Path:
    """`build` of a checkout, so that all folders in which one works share it; else of the working folder."""
    return (root if (root / "pyproject.toml").is_file() else Path()).absolute() / "build"


def _unfinished(folder: Path) -> Path:
    """A new folder beside `folder` for this process alone, so two that synthesize at once do not disturb each other."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))


def _in_use(folder: Path) -> bool:
    """Whether the folder exists. If so, it counts as used now."""
    try:
        os.utime(folder)
    except FileNotFoundError:
        return False
    return True


def _finish(unfinished: Path, folder: Path) -> None:
    """Rename the finished folder in one step. If another process was first, its folder stays."""
    unfinished.chmod(0o755)
    try:
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(unfinished)


def _drop_unused(parent: Path) -> None:
    """Drop what nobody has used for some days."""
    for other in parent.iterdir():
        # Renamed first: a folder of its name is always complete. Another process may be dropping it, too.
        with suppress(OSError):
            if time.time() - other.stat().st_atime > UNUSED_S:
                shutil.rmtree(other.rename(other.with_name(f".{other.name}-unused")))


def _install(requirements: Path, hashes: Path, target: Path, platform: str, python: str) -> None:
    """Install wheels of these hashes into the target.

    For another machine than this one, pip gets the platform and the Python."""
    # Some packages have wheels for manylinux_2_28 alone.
    foreign = [
        "--platform", platform, "--platform", platform.replace("2014", "_2_28"),
        "--python-version", python, "--implementation", "cp",
    ]  # fmt: skip
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "-qq", "--no-compile", "--only-binary=:all:", "--require-hashes",
            "--target", str(target), "--requirement", str(requirements), "--constraint", str(hashes),
            *(foreign if platform != "host" else []),
        ],
        check=True,
    )  # fmt: skip


def _prune(target: Path) -> None:
    for pattern in PRUNED:
        for path in list(target.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _digest(files: Mapping[Path, Path]) -> str:
    digest = hashlib.sha256()
    for place, file in files.items():
        digest.update(f"{place}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _compiled(digest: str, compiler: str) -> str:
    """The digest of the same files with their bytecode: another asset for each version of Python."""
    return hashlib.sha256(f"{digest}\0compiled\0{version_of(compiler)}".encode()).hexdigest()


def _packages(repository: Path, file: Path) -> Iterator[Path]:
    for folder in file.relative_to(repository).parents[:-1]:
        package = repository / folder / "__init__.py"
        if package.is_file():
            yield package


@cache
def _imported(source: str) -> frozenset[str]:
    """Every dotted name of ours that the source may import, also inside functions, but not for typing alone.

    Cached by the source's text, as most modules are in the closure of twenty handlers."""
    names: set[str] = set()
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            # `from a import b` may import the module a.b, or a name of a: `_modules` finds no file for the latter.
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            waiting += node.orelse
        elif not isinstance(node, ast.expr):  # no import is part of an expression
            waiting += ast.iter_child_nodes(node)
    return frozenset(name for name in names if name.partition(".")[0] == "millrace")


def _modules(repository: Path, name: str) -> Iterator[Path]:
    path = repository.joinpath(*name.split("."))
    yield from (file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file())


def main() -> None:
    """Make what the functions of all workloads share for this host ahead of time, as `make setup` does."""
    root = SUITE
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    for requirements in sorted(root.glob("millrace/functions/*/requirements.txt")):
        layer(root, requirements, "host", python)
        bundle(root, requirements.parent.name, workload=None, platform="host")


if __name__ == "__main__":
    main()
