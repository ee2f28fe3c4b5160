"""The frame of the project: locks, versions, addresses and the files that must agree."""

import ast
import json
import re
import subprocess
import tomllib
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import pytest
from loading import ROOT, load_tool

import transpde


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def project_files() -> list[Path]:
    """Text files that are, or would be, committed."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:4096]]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {str(p.relative_to(ROOT)): p.read_text(encoding="utf-8") for p in project_files()}


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads(read("pyproject.toml"))["project"]


def test_lock_has_hashes_and_no_address():
    lock = read("requirements.lock")
    entries = re.split(r"^(?=[a-z0-9])", lock, flags=re.M)[1:]
    assert len(entries) > 50
    for entry in entries:
        assert re.match(r"[a-z0-9.-]+==\S+", entry), entry.splitlines()[0]
        assert "--hash=sha256:" in entry, entry.splitlines()[0]
    assert "://" not in lock


def test_lock_meets_what_pyproject_asks(project):
    """Every direct requirement is locked at a version it allows: the lock is not older than it."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    locked = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", read("requirements.lock"), re.M))
    extras = project["optional-dependencies"].values()
    for line in [*project["dependencies"], *(line for extra in extras for line in extra)]:
        requirement = Requirement(line)
        if requirement.name != "transpde":
            assert locked[canonicalize_name(requirement.name)] in requirement.specifier, line


def test_judges_are_pinned(project):
    """Another release of ruff or mypy would judge the same lines differently."""
    for tool in ("ruff", "mypy"):
        pins = [line for line in project["optional-dependencies"]["test"] if line.startswith(tool)]
        assert pins, tool
        assert re.fullmatch(rf"{tool}==[\d.]+", pins[0]), pins[0]
        assert f"\n{pins[0]} " in read("requirements.lock")


def brought(requirements: list[str]) -> set[str]:
    """The distributions that come with these and with what they need, of those that are here."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    pending, found = [Requirement(line) for line in requirements], set()
    while pending:
        one = pending.pop()
        for extra in {"", *one.extras}:
            if (key := (canonicalize_name(one.name), extra)) in found:
                continue
            found.add(key)
            with suppress(metadata.PackageNotFoundError):
                needed = map(Requirement, metadata.requires(one.name) or ())
                pending += [
                    r for r in needed if not r.marker or r.marker.evaluate({"extra": extra})
                ]
    return {name for name, _ in found}


def test_other_pythons_get_what_their_tests_import():
    """`tools/check-python` installs a list of its own: a new oracle must be in it, too."""
    script = read("tools/check-python")
    extras, others = re.search(r"pip install -qq '\.(\[.*?\])' (.*)", script).groups()
    here = brought([f"transpde{extras}", *others.split()])
    left_out = set(re.findall(r"--ignore tests/(\w+)", script))
    owners = metadata.packages_distributions()
    for path in (ROOT / "tests").glob("*.py"):
        if path.stem in left_out:
            continue
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for top in {name.partition(".")[0] for name in names} & set(owners):
                owned = {name.lower().replace("_", "-") for name in owners[top]}
                assert owned & here, f"{path.name} imports {top}: add it to tools/check-python"


def test_package_lock_has_no_address():
    lock = json.loads(read("package-lock.json"))
    wanted = json.loads(read("package.json"))["dependencies"]
    assert lock["packages"][""]["dependencies"] == wanted
    for name, entry in lock["packages"].items():
        assert "resolved" not in entry, name
        assert not name or "integrity" in entry, name


def test_environment_is_what_its_script_writes():
    assert read("environment.yml") == load_tool("environment").text(), "run: make environment"


def test_versions_agree(project):
    cited = re.search(r"^version: (\S+)$", read("CITATION.cff"), re.M).group(1)
    assert {transpde.__version__, cited} == {project["version"]}


def test_public_address_agrees(texts):
    """_config.yml says where the project lives; every other mention is that."""
    import yaml

    repository = yaml.safe_load(read("_config.yml"))["repository"]
    owner, name = repository["url"].removeprefix("https://github.com/").split("/")
    hosts = re.compile(
        r"(?:github\.com|raw\.githubusercontent\.com|v2/gh|(?:colab\.research\.google\.com|/)/github)"
        r"/([\w.-]+)/(transpde|" + re.escape(name) + r")\b"
    )
    pages = re.compile(r"https?://([\w-]+)\.github\.io/([\w.-]+)")
    mentions = 0
    for file, text in texts.items():
        for found in [*hosts.findall(text), *pages.findall(text)]:
            assert found == (owner, name), f"{file}: {'/'.join(found)}"
            mentions += 1
    assert mentions >= 4


def test_no_machine_path_and_no_registry_address(texts):
    path = re.compile(r"(?:^|[^\w.])/(?:work|root|farm|tmp|home)/[\w.-]+")
    registry = re.compile(r'"resolved": *"http|--(?:extra-)?index-u[r]l')
    for file, text in texts.items():
        assert not (found := path.search(text)), f"{file}: {found.group()}"
        assert not (found := registry.search(text)), f"{file}: {found.group()}"


def test_orders_do_not_depend_on_the_processor(texts):
    """Only a stable sort keeps the order of equal values: others are of the processor's kind."""
    code = {k: v for k, v in texts.items() if k.startswith(("transpde/", "book/", "tools/"))}
    calls = [
        (name, argument)
        for name, text in code.items()
        if name.endswith((".py", ".ipynb"))
        for argument in re.findall(
            r"argsort\(((?:[^()]|\([^()]*\)|\((?:[^()]|\([^()]*\))*\))*)\)", text
        )
    ]
    assert calls
    assert not [call for call in calls if "stable" not in call[1]]


def test_files_are_small(texts):
    for file in texts:
        limit = 600_000 if file.endswith(".ipynb") else 1_000_000
        assert (ROOT / file).stat().st_size <= limit, f"{file} is larger than {limit} bytes"


def test_readme_asks_for_the_version_of_node_that_the_packages_ask_for():
    packages = json.loads(read("package-lock.json"))["packages"].values()
    engines = [package.get("engines", {}).get("node", "") for package in packages]
    least = [re.search(r">=? *(\d+)[^|]*$", engine) for engine in engines]
    wanted = max(int(found[1]) for found in least if found)
    assert f"Node.js, of version {wanted} or later" in read("README.md")


def test_readme_says_what_the_two_commands_cost():
    text = read("README.md")
    for word in ("make book", "make test", "Time", "Disk", "Network", "Needs"):
        assert word in text
    before, _, _ = text.partition("$")
    assert before.count("book/_static/") >= 1, "a picture and words come before the first formula"
