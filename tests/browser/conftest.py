"""One Chromium, the system's own, that reaches this machine alone; one server of the book."""

import re
import subprocess
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from checks import BUILT, ROOT
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from xdist.scheduler import LoadScopeScheduling

PATIENCE = 180_000  # of the browser, in milliseconds: a busy machine opens a long page slowly


def pytest_sessionstart() -> None:
    found = subprocess.run([ROOT / "tools" / "chromium"], capture_output=True, text=True)
    if found.returncode:
        pytest.exit(found.stderr.strip(), returncode=1)
    if not (BUILT / "index.html").is_file():
        pytest.exit("The book is not built: make book", returncode=1)


def together(nodeid: str) -> str:
    """What stays in one worker: all tests of an opened page, or all of another file."""
    name, _, test = nodeid.partition("::")
    page = re.search(r"[\w/]+\.html", test)
    return page[0] if page and name.endswith("test_pages.py") else name


class ByPage(LoadScopeScheduling):
    """Give a worker one page after the other: to open it is what takes time."""

    def _split_scope(self, nodeid: str) -> str:
        return together(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByPage:
    return ByPage(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let all tests of a page follow each other, in their order in the file."""
    first: dict[str, int] = {}
    for number, item in enumerate(items):
        first.setdefault(together(item.nodeid), number)
    items.sort(key=lambda item: (first[together(item.nodeid)], item.location[1] or 0))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    name = subprocess.run([ROOT / "tools" / "chromium"], capture_output=True, text=True).stdout
    # Every host but this machine is unknown: a page that needs another one breaks, as offline.
    flags = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--disable-gpu"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=name.strip(), args=flags)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A reader who has not been here before, and whose system asks for little motion."""
    made = browser.new_context(reduced_motion="reduce")
    made.set_default_timeout(PATIENCE)
    yield made
    made.close()


@pytest.fixture(scope="session")
def tab(context: BrowserContext) -> Iterator[Page]:
    """A tab that shows one page after the other, which is faster than a new one for each."""
    made = context.new_page()
    yield made
    made.close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address at which this machine serves the built book."""
    serving = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(BUILT)))
    Thread(target=serving.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{serving.server_port}"
    serving.shutdown()
    serving.server_close()
