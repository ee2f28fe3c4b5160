"""A stored picture that the run does not make fails nbval; last digits of another machine do not.

All cases are cells of one notebook, run twice: once to store its outputs, then by nbval, after
something of a cell was changed.
"""

import base64
import os
import re
import shutil
import subprocess
import sys

import contract
import nbclient
import pytest
from nbformat import write as write_notebook
from nbformat.v4 import new_code_cell, new_notebook
from stored_pictures import NEAR, ROUGH, difference, near_paths, vector_difference

SETUP = """import matplotlib.pyplot as plt
from PIL import Image
from transpde import plotting
from transpde.widgets import Explorer, Slider


def turned(figure, slope):
    figure.add_subplot(ylim=(-3, 3), title="A line").plot([0, 1], [0, slope])"""
DRAWN = """figure, ax = plt.subplots(figsize=(4, 3))
ax.plot([0, 1, 2], [1, 3, 2], color="#0072B2", label="size")
ax.set(title="Rising", xlabel="depth")
ax.legend()
plt.show()"""
PIXELS = 'Image.new("RGB", (40, 40), "#0072B2")'
EXPLORED = 'Explorer(turned, alt="It turns.", slope=Slider([-2, 1], "slope"))'
SVG = "image/svg+xml"
SQUARE = "<svg xmlns='http://www.w3.org/2000/svg'><path d='m0 0h9v9h-9z' style='fill:red'/></svg>"
RED_PIXELS = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4"
    "z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
)


def say(old, new):
    """A change of the source."""

    def change(cell):
        assert old in cell.source
        cell.source = cell.source.replace(old, new)

    return change


def store(kind, content):
    """Another stored picture."""

    def change(cell):
        (output,) = (output for output in cell.outputs if kind in output.get("data", {}))
        output.data[kind] = content(output.data[kind]) if callable(content) else content

    return change


def forget(cell):
    cell.outputs = []


def nudged(svg):
    """The same picture with coordinates of paths that differ in the second digit."""
    return re.sub(r"d='m(\d+)\.(\d)", lambda match: f"d='m{match[1]}.{match[2]}3", svg)


def with_script(page):
    return page.replace("<style>", "<script>alert(1)</script><style>", 1)


def with_another_frame(page):
    square = base64.b64encode(SQUARE.encode()).decode()
    return re.sub(
        r"data:image/[\w+]+;base64,[\w+/=]+", f"data:{SVG};base64,{square}", page, count=1
    )


CASES = {
    "set-up": (SETUP, lambda cell: None, True),
    "drawing": (DRAWN, lambda cell: None, True),
    "last digits": (DRAWN, store(SVG, nudged), True),
    "title": (DRAWN, say("Rising", "Falling"), False),
    "label": (DRAWN, say("depth", "width"), False),
    "legend": (DRAWN, say("size", "sizes"), False),
    "colour": (DRAWN, say("#0072B2", "#D55E00"), False),
    "datum": (DRAWN, say("3, 2]", "3, 2.1]"), False),
    "red square": (DRAWN, store(SVG, SQUARE), False),
    "no picture": (DRAWN, store(SVG, "no picture"), False),
    "pixels": (PIXELS, lambda cell: None, True),
    "red pixels": (PIXELS, store("image/png", RED_PIXELS), False),
    "colour of pixels": (PIXELS, say("#0072B2", "#D55E00"), False),
    "explorer": (EXPLORED, lambda cell: None, True),
    "script": (EXPLORED, store("text/html", with_script), False),
    "another frame": (EXPLORED, store("text/html", with_another_frame), False),
    "alt text": (EXPLORED, say("It turns.", "It stands."), False),
    "slope": (EXPLORED, say("-2, 1", "-2, 2"), False),
    "forgotten": (EXPLORED, forget, False),
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What nbval says of each cell."""
    folder = tmp_path_factory.mktemp("book")
    (folder / "claims.yml").touch()  # a folder of the book: pictures get its look
    shutil.copy(contract.ROOT / "book" / "conftest.py", folder)
    cells = [
        new_code_cell(source, metadata={"tags": ["nbval-ignore-output"]} if explored else {})
        for source, explored in ((source, source == EXPLORED) for source, _, _ in CASES.values())
    ]
    notebook = new_notebook(cells=cells)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MPLBACKEND", raising=False)  # in a kernel it would switch off the figures
        paths = [str(contract.ROOT), str(contract.ROOT / "book" / "_ext")]
        patch.setenv("PYTHONPATH", os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]))
        nbclient.NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}).execute()
        for cell, (_, change, _) in zip(cells, CASES.values(), strict=True):
            for output in cell.outputs:
                output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
            change(cell)
        write_notebook(notebook, folder / "cases.ipynb")
        options = ["--nbval", "--nbval-current-env", "-p", "no:cacheprovider", "-rA", "-q"]
        run = subprocess.run(
            [sys.executable, "-m", "pytest", *options, "--tb=short", "cases.ipynb"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    return run.stdout


@pytest.mark.parametrize("name", CASES)
def test_only_what_the_run_makes_passes(report, name):
    number = list(CASES).index(name)
    outcome = re.findall(rf"^(PASSED|FAILED|ERROR) \S*::Cell {number}\b", report, re.M)
    assert outcome == (["PASSED"] if CASES[name][2] else ["FAILED"]), report


def test_places_of_rounding_may_be_farther_apart():
    near, far = (picture(f"<path d='m10 {y}l20 0'/>") for y in ("11.5", "12.5"))
    for drawn, reach, same in ((near, NEAR, False), (near, ROUGH, True), (far, ROUGH, False)):
        outputs = [
            [{"data": {"image/svg+xml": svg}}]
            for svg in (picture("<path d='m10 10l20 0'/>"), drawn)
        ]
        assert (difference(*outputs, reach) == "") is same


# --- the comparison itself -----------------------------------------------------------------------


def picture(*parts):
    return f"<svg xmlns='http://www.w3.org/2000/svg'>{''.join(parts)}</svg>"


LINE = "<path d='m10 10l20 0 20 .1' style='stroke:#000'/>"


@pytest.mark.parametrize(
    "other",
    [
        "<path d='m10.1 10l20 0 20 .1' style='stroke:#000'/>",
        "<path d='M10 10L30 10 50 10.1' style='stroke:#000'/>",
        "<path d='m10 10l40 .1' style='stroke:#000'/>",
        "<path d='m10 10l10 .05 30 0' style='stroke:#000'/>",
    ],
)
def test_the_same_line_may_be_written_otherwise(other):
    assert vector_difference(picture(LINE), picture(other)) == ""


@pytest.mark.parametrize(
    "other",
    [
        "<path d='m10 10l20 0 20 1' style='stroke:#000'/>",
        "<path d='m10 10l20 0 20 .1z' style='stroke:#000'/>",
        "<path d='m10 10l20 0m20 .1l0 0' style='stroke:#000'/>",
        "<path d='m10 10c20 0 20 0 40 .1' style='stroke:#000'/>",
        "<path d='m10 10l20 0 20 .1' style='stroke:#001'/>",
        "<g><path d='m10 10l20 0 20 .1' style='stroke:#000'/></g>",
        "<!-- title --><path d='m10 10l20 0 20 .1' style='stroke:#000'/>",
        LINE + LINE,
        "",
    ],
)
def test_another_drawing_is_found(other):
    assert vector_difference(picture(LINE), picture(other))
    assert vector_difference(picture(other), picture(LINE))


def test_lines_are_near_only_where_both_are():
    """A detour that comes back is no part of the line that does not take it."""
    assert not near_paths("m0 0l10 0", "m0 0l5 5 5-5")
    assert not near_paths("m0 0l5 5 5-5", "m0 0l10 0")


def test_kinds_of_pictures_are_compared():
    stored = [{"data": {SVG: picture(LINE)}}]
    made = [{"data": {"image/png": RED_PIXELS}}]
    assert "kinds" in difference(stored, made)
    assert "kinds" in difference(stored, [])
    assert difference(stored, stored) == ""
