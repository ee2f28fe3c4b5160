"""An explorer in JupyterLab: its sliders move the picture through the kernel."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import Error as PlaywrightError

# The picture says at which value it was drawn, and how many were drawn: a baked one knows neither.
EXPLORER = """\
from transpde.widgets import Explorer, Slider

drawn = []


def draw(figure, t):
    drawn.append(t)
    figure.text(0.1 + t / 3, 0.5, f"{t:.3f}")


Explorer(draw, alt="A number moves.", t=Slider([0.0, 1.0, 1.8], "depth $t$"))"""
BOX = ":::{admonition} A box\nWhat stands in it.\n:::"
PATIENCE = 180_000  # of the browser, in milliseconds: a busy machine starts a kernel slowly
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab, with a notebook that holds an explorer not yet run."""
    # Imported here, as this takes seconds and every worker collects every test.
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    folder = tmp_path_factory.mktemp("lab")
    cells = [new_code_cell(EXPLORER), new_markdown_cell(BOX)]
    cells.append(new_code_cell("print('drawn', len(drawn), max(drawn))"))
    notebook = new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    nbformat.write(notebook, folder / "explorer.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {f"JUPYTER_{kind}_DIR": str(folder / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    own["JUPYTERLAB_SETTINGS_DIR"] = own["JUPYTERLAB_WORKSPACES_DIR"] = str(folder / "lab")
    options = ["--no-browser", "--allow-root", f"--port={port}", "--ServerApp.port_retries=0"]
    options += ["--IdentityProvider.token=", "--ServerApp.password=", "--expose-app-in-browser"]
    command = [sys.executable, "-m", "jupyterlab", *options, f"--notebook-dir={folder}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, env=os.environ | own, cwd=folder, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(f"{address}/api", process, folder / "log")
        yield f"{address}/lab/tree/explorer.ipynb"
    finally:
        end(process)


def end(process: subprocess.Popen, patience: float = 30) -> None:
    """End a server and its kernels for certain: ask first, then kill the whole group."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=patience)
    with suppress(ProcessLookupError):  # kernels that it may have left, too
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=patience)


def wait_for(address: str, process: subprocess.Popen, log: Path, patience: int = 180) -> None:
    """Return when the server answers; raise with its log when it ends or takes too long."""
    for _ in range(2 * patience):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    raise RuntimeError(f"JupyterLab does not answer:\n{log.read_text()[-2000:]}")


@pytest.fixture
def page(browser: Browser, lab: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 1400})
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    opened = context.new_page()
    opened.goto(lab)
    yield opened
    context.close()


def dismissed(page: Page) -> str:
    """Close a dialog that covers the notebook, and return what it said."""
    dialog = page.locator(".jp-Dialog")
    said = ""
    for _ in range(5):
        if not dialog.count():
            break
        said += dialog.first.inner_text(timeout=5_000) + "\n"
        page.keyboard.press("Escape")
        page.wait_for_timeout(500)
    return said


def run_cell(page: Page, number: int) -> None:
    """Run a cell and wait until the kernel has done it; say which dialogs stood in the way."""
    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(number)
    prompt = cell.locator(".jp-InputPrompt")
    said = ""
    for _ in range(20):
        said += dismissed(page)
        try:
            cell.locator(".cm-content").click(timeout=60_000)
        except PlaywrightError:  # a dialog that opened meanwhile; it is closed at the next try
            continue
        page.keyboard.press("Shift+Enter")
        page.wait_for_timeout(1000)
        # JupyterLab drops a command that comes before its kernel is there.
        if prompt.inner_text().strip() != "[ ]:":
            break
    expect(prompt, f"dialogs: {said or 'none'}").to_have_text(re.compile(r"\[\d+\]"))


def test_the_slider_moves_the_picture_through_the_kernel(page: Page) -> None:
    expect(page.locator(".jp-Notebook .jp-CodeCell")).to_have_count(2)
    run_cell(page, 0)
    box = page.locator(".jp-OutputArea-output .widget-vbox")
    picture = box.locator("img.explorer-frame")
    expect(picture).to_be_visible(timeout=PATIENCE)
    # The control is shown, not the page for readers without a kernel.
    assert page.locator("figure.explorer").count() == 0
    assert picture.get_attribute("alt") == "A number moves."

    baked = picture.get_attribute("src")
    handle = box.locator(".noUi-handle")
    handle.focus()
    handle.press("ArrowRight")
    expect(picture).not_to_have_attribute("src", str(baked))
    value = float(box.locator(".widget-readout").inner_text())
    assert 0 < value < 1  # between the first two stops

    run_cell(page, 1)
    printed = page.locator(".jp-OutputArea-output pre").last
    # Three stops baked, the control's first picture, and at least one for the moved slider.
    expect(printed).to_have_text(re.compile(r"drawn ([5-9]|\d\d) 1\.8"))


def test_a_server_that_ignores_its_signal_is_ended() -> None:
    """With all that it started."""
    code = (
        "import signal, subprocess, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "sleep = [sys.executable, '-c', 'import time; time.sleep(600)']; "
        "print(subprocess.Popen(sleep).pid, flush=True); signal.pause()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    with process.stdout as said:
        child = int(said.readline())
    end(process, patience=1)
    assert process.returncode == -signal.SIGKILL
    for _ in range(100):  # an orphan is reaped a moment later
        state = Path(f"/proc/{child}/stat")
        if not state.exists() or state.read_text().split()[2] == "Z":
            return
        time.sleep(0.1)
    raise AssertionError("what the server started runs on")


def test_boxes_of_the_book_are_boxes(page: Page) -> None:
    shown = page.locator(".jp-MarkdownCell .jp-RenderedMarkdown, .jp-MarkdownCell .myst").first
    expect(shown).to_contain_text("What stands in it.")
    expect(page.locator(".jp-MarkdownCell aside")).to_contain_text("A box")
    assert ":::" not in page.locator(".jp-MarkdownCell").inner_text()
