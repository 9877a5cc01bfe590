"""Container images as folders: what a Dockerfile copies is what the process may import, its ENTRYPOINT is what runs.

On AWS a job or an endpoint runs an image by digest. Here the tag of its URI names an image asset of a deployed
assembly, or its repository a folder with a Dockerfile, or else `.../millrace-<stage>-<image>` names
`containers/<image>/Dockerfile`. What COPY lines name is copied below the workspace, and the program starts there. Of
RUN lines `chmod +x` is done, and what `pip install` names is linked from the host, whose interpreter it is too.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localcloud.kernel import call_tracer, cloud_time, fork_server
from localcloud.kernel.cloud import ACCOUNT, Cloud
from localcloud.sagemaker import loopback
from localcloud.sagemaker.packages import SITES, link, read_requirements

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGES = "site-packages"
"""The name of the folder with an image's packages, below the image's root."""

_WITHOUT_EFFECT = {"USER", "EXPOSE", "LABEL", "ARG", "HEALTHCHECK", "STOPSIGNAL", "SHELL", "VOLUME"}
"""Instructions of a Dockerfile that change nothing here."""

_BASE = ("torch",)
"""The packages that AWS's training image brings.

That image is the base of an image whose Dockerfile leaves the base open: `ARG BASE`, then `FROM ${BASE}`."""
# The packages that stand for Spark in an image whose base is one of `emr-serverless/spark`.
_SPARK = ("pysail", "pyspark-client")
_PACKAGE = re.compile(r"[A-Za-z][\w.-]*(\[[\w,]+\])?([=<>~!]=?.+)?(?<!\.txt)")
"""A word behind `pip install` that names a package: no option, no file, no address."""

# Mounts a folder with all that the host and the image have in their `/opt` over `/opt`, and the job's folder in it, as
# it must not write into the host's. The words behind: a folder to mount on, the image's `/opt`, the folder for `ml`.
_MOUNTS = ("/bin/sh", "-ec", """\
mount -t tmpfs none "$1"
for one in /opt/* "$2"/*; do
  if [ -d "$one" ]; then mkdir -p "$1/${one##*/}"; mount --rbind "$one" "$1/${one##*/}"; fi
done
mkdir -p "$1/ml"; mount --bind "$3" "$1/ml"; mount --rbind "$1" /opt
shift 3; exec "$@"
""", "mounts")  # fmt: skip

# The `sitecustomize.py` of an image: Python runs it at its start, after the .pth files of the host. An editable install
# of the repository would make all of it importable, so its import hooks are taken out again. Of `sys.path` only the
# standard library and the folders of the image stay; the image's packages are added.
_ISOLATE = """\
import sys
sites = {sites!r}
kept = (sys.prefix, sys.base_prefix, {root!r})
sys.path[:] = [entry for entry in sys.path if entry.startswith(kept) and entry not in sites] + [{packages!r}]
sys.meta_path[:] = [f for f in sys.meta_path if not getattr(f, "__module__", "").startswith("__editable__")]
sys.path_hooks[:] = [h for h in sys.path_hooks if "__editable__" not in getattr(h, "__module__", "")]
import call_tracer, cloud_time, loopback
cloud_time.live_in_cloud_time()
loopback.switch_on()
call_tracer.trace_on_signal()
"""


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image as a folder on this machine."""

    name: str
    root: Path
    """The folder that stands for the image's `/`."""
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    workdir: str

    @property
    def cwd(self) -> Path:
        """The folder on this machine that stands for the image's WORKDIR."""
        return self.root / self.workdir.lstrip("/")

    def arguments(self, *, entrypoint: Sequence[str] = (), command: Sequence[str] = ()) -> list[str]:
        """The command line as Docker composes it: an override of the entry point drops the image's command.

        Raises ValueError if there is neither an entry point nor a command."""
        parts = [*entrypoint, *command] if entrypoint else [*self.entrypoint, *(command or self.command)]
        if not parts:
            raise ValueError(f"image {self.name}: expected an ENTRYPOINT or a command, found neither")
        # The files lie in the image's folder; its Python is the interpreter of this process.
        found = [str(self.root / part.lstrip("/")) if part.startswith("/") else "" for part in parts]
        parts = [there if there and Path(there).exists() else part for there, part in zip(found, parts, strict=True)]
        return [sys.executable if parts[0] in {"python", "python3"} else parts[0], *parts[1:]]

    def mounted(self, ml_root: Path, arguments: Sequence[str], flags: str = "-m") -> list[str]:
        """The command in mounts of its own, where `ml_root` lies at `/opt/ml`, and what the image has in `/opt` there.

        As it is where the kernel allows no mounts: then MILLRACE_ML_ROOT alone says where the folder lies. The flags
        of `unshare` are `-rm` for a command without a network of its own."""
        if not has_mounts():
            return list(arguments)
        folders = (self.root / ".isolate" / "opt", self.root / "opt", ml_root)
        return ["unshare", flags, "--", *_MOUNTS, *map(str, folders), *arguments]

    def variables(self, ml_root: Path, given: Mapping[str, str] | None = None) -> dict[str, str]:
        """The whole environment of a process in this image: of the host only its PATH, and no credentials.

        `ml_root` is the folder that stands for `/opt/ml`. The variables in `given` override all others."""
        home = ml_root / "home"
        (home / "tmp").mkdir(parents=True, exist_ok=True)
        return {
            "HOME": str(home),
            "TMPDIR": str(home / "tmp"),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            **self.environment,
            "PATH": os.pathsep.join(
                [*self._path(), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
            ),
            # `.isolate` comes first: Python takes the first `sitecustomize` that it finds.
            "PYTHONPATH": os.pathsep.join([str(self.root / ".isolate"), str(self.root / "opt/program")]),
            "MILLRACE_ML_ROOT": str(ml_root),
            **(given or {}),
        }

    def _path(self) -> list[str]:
        """The folders of the image's own PATH that the image itself has: `/opt/program`, where `train` may lie."""
        given = self.environment.get("PATH", "").split(":")
        return [str(self.root / one.lstrip("/")) for one in given if (self.root / one.lstrip("/")).is_dir() and one]


@dataclass(kw_only=True)
class Images:
    """The images of one cloud. Each is copied from `repository` once, when it is first used."""

    workspace: Path
    repository: Path = REPOSITORY
    """The build context. Its `containers/<image>/Dockerfile`, or those of a package in it, describe the images."""
    folder: Path = Path(os.devnull)
    """A folder with folders with a Dockerfile each, the build contexts of images of other apps."""
    deployments: Sequence[Mapping[str, Any]] = ()
    """What was deployed (`Cloud.deployments`): assemblies with image assets."""
    next: Sequence[Mapping[str, Any]] = ()
    """The same of what is about to be deployed."""
    _built: dict[Path, Image] = field(default_factory=dict)
    _sound: set[Path] = field(default_factory=set)
    """Dockerfiles that were built already."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def dockerfiles(self) -> dict[str, Path]:
        """The Dockerfile of each image by the image's name."""
        found = (self.repository.glob(f"{package}containers/*/Dockerfile") for package in ("*/", ""))
        return {path.parent.name: path for each in found for path in each}

    def find(self, uri: str) -> Image:
        """The image that `uri` names, built if need be. Raises LookupError if there is no Dockerfile for it.

        `…/millrace-dev-training:latest` and `…/millrace-dev-training@sha256:…` name `training`."""
        name, context, dockerfile = self._asset(uri) or self._beside(uri) or self._own(uri)
        with self._lock:
            if dockerfile not in self._built:
                self._built[dockerfile] = self._build(name, context, dockerfile)
            return self._built[dockerfile]

    def why_not(self, uri: str) -> str:
        """Why no container of this image would start, or an empty text. It is built for the answer, and not kept."""
        try:
            _, context, dockerfile = self._asset(uri) or self._beside(uri) or self._own(uri)
            if dockerfile not in self._sound:
                with tempfile.TemporaryDirectory() as folder:
                    build(dockerfile, context=context, root=Path(folder))
                self._sound.add(dockerfile)
        except (LookupError, ValueError, OSError) as error:
            return str(error)
        return ""

    def _asset(self, uri: str) -> tuple[str, Path, Path] | None:
        """Tag, build context and Dockerfile of the image asset that the URI's tag names; None if there is none."""
        tag = uri.rpartition(":")[2]
        for assembly in (Path(one["assembly"]) for one in (*self.next, *reversed(self.deployments))):
            for manifest in assembly.glob("*.assets.json"):
                if found := json.loads(manifest.read_text()).get("dockerImages", {}).get(tag):
                    folder = assembly / found["source"]["directory"]
                    return tag, folder, folder / found["source"].get("dockerFile", "Dockerfile")
        return None

    def _beside(self, uri: str) -> tuple[str, Path, Path] | None:
        """The same of the folder of `folder` that is named as the last part of the URI's repository."""
        context = self.folder / _repository(uri)
        return (context.name, context, context / "Dockerfile") if (context / "Dockerfile").is_file() else None

    def _own(self, uri: str) -> tuple[str, Path, Path]:
        repository = _repository(uri)
        # The longest name with which the repository ends: `millrace-dev-batch-evaluation` means `batch-evaluation`, not
        # `evaluation`.
        name = max((one for one in self.dockerfiles if f"-{repository}".endswith(f"-{one}")), key=len, default=None)
        # What another account has, such as AWS's own images, is not ours, whatever its name.
        is_of_others = "." in uri.partition("/")[0] and not uri.startswith(f"{ACCOUNT}.dkr.ecr.")
        if name is None or is_of_others:
            known = f"an image asset, a folder of --images, or an image of {sorted(self.dockerfiles)}"
            raise LookupError(f"expected {known}, got {uri}")
        return name, self.repository, self.dockerfiles[name]

    def _build(self, name: str, context: Path, dockerfile: Path) -> Image:
        # What runs before the program lies in `.isolate`: `sitecustomize.py`, copies of the modules that it imports,
        # and the fork server.
        root = self.workspace / "images" / name
        shutil.rmtree(root, ignore_errors=True)
        (root / ".isolate" / "opt").mkdir(parents=True)
        packages, sites = str(root / PACKAGES), [str(site) for site in SITES]
        text = _ISOLATE.format(root=str(root), packages=packages, sites=sites)
        (root / ".isolate" / "sitecustomize.py").write_text(text)
        for path in map(Path, filter(None, (m.__file__ for m in (call_tracer, cloud_time, loopback, fork_server)))):
            shutil.copyfile(path, root / ".isolate" / path.name)
        return build(dockerfile, context=context, root=root)


def _repository(uri: str) -> str:
    """`trainer` of `123456789012.dkr.ecr.eu-west-1.amazonaws.com/means/trainer:latest`."""
    return uri.rsplit("/", 1)[-1].split("@")[0].split(":")[0]


def images(cloud: Cloud) -> Images:
    """The images of this cloud. Set its `repository` to run the containers of another repository, as tests do."""
    return cloud.part(Images, lambda: Images(workspace=cloud.workspace, deployments=cloud.deployments))


def build(dockerfile: Path, *, context: Path, root: Path) -> Image:
    """The image that `dockerfile` describes. Its files are copied below `root`, its packages linked there.

    Raises ValueError for an instruction that is not covered and would change the result, and for a COPY that finds no
    file. Raises LookupError for a package that the host does not have."""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    workdir = "/"
    required: list[str] = []
    left_out: list[str] = []
    unset: set[str] = set()
    for instruction, rest in _instructions(dockerfile.read_text()):
        required += _SPARK if "emr-serverless/spark" in rest else ()
        # Each FROM begins a new image; only the last one is run. A `BASE` that its ARG leaves open is AWS's image.
        if instruction == "FROM":
            entrypoint, command, workdir = (), (), "/"
            required += _BASE if rest == "${BASE}" and "BASE" in unset else ()
        elif instruction == "ARG" and "=" not in rest:
            unset.add(rest)
        elif instruction == "RUN":
            for words in map(str.split, re.split(r"&&|;", rest)):
                packages = _run(words, workdir, root)
                required += packages or ()
                left_out += [" ".join(words)] if packages is None else ()
        elif instruction in {"COPY", "ADD"}:
            _copy(rest, context=context, root=root, workdir=workdir)
        elif instruction == "WORKDIR":
            workdir = os.path.normpath(os.path.join(workdir, rest))
            (root / workdir.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif instruction == "ENV":
            # `ENV KEY a value` is the old form of `ENV KEY="a value"`.
            old = [rest.replace(" ", "=", 1)] if "=" not in rest.split()[0] else []
            pairs = [pair.partition("=") for pair in old or shlex.split(rest)]
            environment |= {key: value for key, _, value in pairs}
        elif instruction == "ENTRYPOINT":
            entrypoint = _words(rest)
        elif instruction == "CMD":
            command = _words(rest)
        elif instruction not in _WITHOUT_EFFECT:
            raise ValueError(f"{dockerfile}: the local cloud does not cover the instruction {instruction}")
    link(required, root / PACKAGES)
    _warn(dockerfile, "; ".join(left_out))
    name = dockerfile.parent.name
    return Image(name=name, root=root, entrypoint=entrypoint, command=command, environment=environment, workdir=workdir)


@functools.cache
def _warn(dockerfile: Path, left_out: str) -> None:
    """Name once on stderr the commands of RUN lines that are not done here."""
    if left_out:
        print(f"localcloud: {dockerfile}: not done here: RUN {left_out}", file=sys.stderr)


def _run(words: list[str], workdir: str, root: Path) -> list[str] | None:
    """Do a command of a RUN line: the packages that it installs, or none. None of a command that is not done here."""

    def below(path: str) -> Path:
        return root / os.path.join(workdir, path).lstrip("/")

    if "install" in words and {"pip", "pip3"} & set(words[:3]):
        packages: list[str] = []
        behind = [word.strip("'\"") for word in words[words.index("install") + 1 :]]
        for option, word in zip(["", *behind], behind, strict=False):
            if option in {"-r", "--requirement"}:
                packages += read_requirements(below(word))
            elif _PACKAGE.fullmatch(word):
                packages.append(word)
        return packages
    if words[:2] == ["chmod", "+x"]:
        for path in map(below, words[2:]):
            path.chmod(path.stat().st_mode | 0o111)
        return []
    # Python compiles what it imports by itself.
    return [] if "compileall" in words else None


def _instructions(text: str) -> list[tuple[str, str]]:
    # Without comments, and with the lines joined that end with a backslash: `("RUN", "pip install …")`.
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    split = [line.strip().split(None, 1) for line in joined.splitlines() if line.strip()]
    return [(parts[0].upper(), parts[1] if len(parts) > 1 else "") for parts in split]


def _words(rest: str) -> tuple[str, ...]:
    """The words of ENTRYPOINT or CMD: a JSON list as it is, any other text as a command of the shell."""
    return tuple(json.loads(rest)) if rest.startswith("[") else ("/bin/sh", "-c", rest)


def _copy(rest: str, *, context: Path, root: Path, workdir: str) -> None:
    if "--from" in rest:
        raise ValueError(f"COPY {rest}: the local cloud does not cover copies from another stage")
    paths = re.sub(r"--\S+\s+", "", rest)
    *patterns, target = json.loads(paths) if paths.startswith("[") else shlex.split(paths)
    destination = root / os.path.normpath(os.path.join(workdir, target)).lstrip("/")
    for pattern in patterns:
        found = sorted(context.glob(pattern.removeprefix("./").strip("/") or "."))
        if not found:
            raise ValueError(f"COPY {rest}: expected {pattern} below {context}, found nothing")
        # Docker's rule: a target that ends with a slash, or has several sources, is a folder. One pattern that finds
        # one file makes a sum of 2.
        for source in found:
            _copy_one(source, destination, into=target.endswith("/") or len(patterns) + len(found) > 2)


def _copy_one(source: Path, destination: Path, *, into: bool) -> None:
    """Copy one source as Docker does: of a folder its content, not the folder itself.

    `into` says that the destination is a folder, in which a file keeps its name."""
    if source.is_dir():
        shutil.copytree(source, destination, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        return
    target = destination / source.name if into or destination.is_dir() else destination
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)


@functools.cache
def without_network() -> tuple[str, ...]:
    """The words before a command that cut it off from the network. Empty if the kernel does not allow it.

    `-n` makes a network of its own, `-r` the user namespace without which that needs an administrator's rights."""
    words = ("unshare", "-rn", "--")
    return words if _allowed(*words, "true") else ()


@functools.cache
def has_mounts() -> bool:
    """Whether the kernel allows a process mounts of its own."""
    return bool(without_network()) and _allowed("unshare", "-rm", "--", "mount", "-t", "tmpfs", "none", "/opt")


def _allowed(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
