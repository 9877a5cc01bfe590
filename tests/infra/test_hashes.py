"""pip installs only files whose hash is listed, in images and in layers."""

from __future__ import annotations

import hashlib
import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from millrace.infra.bundles import layer

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = [*ROOT.glob("containers/*/requirements.txt"), *ROOT.glob("functions/*/requirements*.txt")]
LOCKED = re.compile(r"^([\w.-]+)==(\S+)[^\n]*\\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.M)


def test_every_package_has_hashes_of_the_version_that_the_tests_run() -> None:
    text = (ROOT / "millrace" / "hashes.txt").read_text()
    locked = {name: version for name, version, _ in LOCKED.findall(text)}
    assert LOCKED.sub("", text) == "", "no package without a hash, no index"
    pinned = dict(line.split("==") for line in (ROOT / "millrace" / "constraints.txt").read_text().lower().split())
    assert {name: pinned.get(name, version) for name, version in locked.items()} == locked
    named = {re.split(r"[\[=<>;]", line)[0] for file in REQUIREMENTS for line in file.read_text().split()}
    assert named - set(locked) == set()


def test_an_image_installs_nothing_without_a_hash() -> None:
    for path in ROOT.glob("containers/*/Dockerfile"):
        installs = re.findall(r"pip install (.+?)(?: \\)?$", path.read_text(), re.M)
        named = ["pip.txt", "requirements.txt -c /opt/requirements/hashes.txt"]
        assert installs == [f"--no-cache-dir --require-hashes -r /opt/requirements/{name}" for name in named]


@pytest.mark.parametrize("listed", ["the wheel's", "another", "none"])
def test_a_layer_takes_a_file_by_its_hash_alone(listed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest() if listed == "the wheel's" else "0" * 64
    (tmp_path / "millrace").mkdir()
    hashes = f"tiny==1.0 --hash=sha256:{digest}\n" if listed != "none" else ""
    (tmp_path / "millrace" / "hashes.txt").write_text(hashes)
    (tmp_path / "requirements.txt").write_text("tiny\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    if listed == "the wheel's":
        folder, _ = layer(tmp_path, tmp_path / "requirements.txt", "host", "3.11")
        assert Path(folder, "python", "tiny.py").is_file()
    else:
        with pytest.raises(subprocess.CalledProcessError):
            layer(tmp_path, tmp_path / "requirements.txt", "host", "3.11")
