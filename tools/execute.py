"""Run notebooks in place and store their outputs in a form that gives small diffs.

    python tools/execute.py NOTEBOOK...

A cell that raises, or writes to stderr, fails the run and leaves the file as it was.
"""

import base64
import io
import os
import sys
from typing import Any

import nbformat
import numpy as np
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from PIL import Image, ImageChops

TIMEOUT = 120  # seconds a cell
WIDGET = "application/vnd.jupyter.widget-view+json"
# The largest change of a colour (of 255) that a palette may cost: lines and text stay as they
# were, a smooth shading that would show bands keeps its full colours.
TOLERANCE = 16
# 31 levels a channel instead of 256: a change of 4, and less to store where no palette will do.
LEVELS = (np.rint(np.arange(256) / 8.5) * 8.5).astype(np.uint8)


def lighter(png: str) -> str:
    """The same picture as a smaller PNG: no metadata, a palette where that is invisible."""
    image: Any = Image.open(io.BytesIO(base64.b64decode(png)))
    if "A" in image.getbands() and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert("RGB")
    candidates = [image]
    if image.mode == "RGB":
        for rounds in (1, 0):  # the refined palette is often, not always, the closer one
            palette = image.quantize(
                256, Image.Quantize.MAXCOVERAGE, rounds, dither=Image.Dither.NONE
            )
            change = ImageChops.difference(image, palette.convert("RGB")).getextrema()
            if max(high for _, high in change) <= TOLERANCE:
                candidates.append(palette)
        coarse = LEVELS[np.asarray(image)]
        candidates.append(Image.fromarray(coarse))
    files = [base64.b64decode(png)]
    for candidate in candidates:
        buffer = io.BytesIO()
        candidate.save(buffer, "png", optimize=True)
        files.append(buffer.getvalue())
    return base64.b64encode(min(files, key=len)).decode("ascii")


def outputs(notebook: Any) -> list[Any]:
    """All outputs of all code cells."""
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def check(notebook: Any) -> None:
    """Refuse what nbval would pass in silence: empty code cells, and words on stderr."""
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type != "code":
            continue
        if not cell.source.strip():
            raise SystemExit(f"cell {number} is an empty code cell: remove it")
        for output in cell.outputs:
            if output.get("name") == "stderr":
                raise SystemExit(f"cell {number} writes to stderr:\n{output.text}")


def normalise(notebook: Any) -> None:
    """Drop what differs from run to run or machine to machine and says nothing to a reader."""
    for output in outputs(notebook):
        if "text/html" in output.get("data", {}):
            # An explorer: without its kernel the control is dead, and its page is not.
            output["data"].pop(WIDGET, None)
    shows_widgets = any(WIDGET in output.get("data", {}) for output in outputs(notebook))
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    if not shows_widgets:
        notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for key in ("execution", "collapsed", "scrolled", "ExecuteTime"):
            cell.metadata.pop(key, None)
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
    for output in outputs(notebook):
        if png := output.get("data", {}).get("image/png"):
            output["data"]["image/png"] = lighter(png)


def execute(given: str) -> None:
    """Run one notebook in its own folder and write it back."""
    import notebooks  # beside this file

    path, notebook = notebooks.read(given)
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        coalesce_streams=True,  # else each run cuts what is printed at other places
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError) as error:
        raise SystemExit(f"{given}: {error}\nThe file is as it was.") from None
    check(notebook)
    normalise(notebook)
    nbformat.validate(notebook)
    notebooks.write(notebook, path)
    print(f"{given}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    os.environ.pop("MPLBACKEND", None)  # in a kernel it would switch off the inline figures
    for argument in sys.argv[1:]:
        execute(argument)
