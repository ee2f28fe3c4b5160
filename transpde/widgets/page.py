"""An explorer as plain HTML: it works without a kernel, without a network, and from a file."""

from __future__ import annotations

import base64
import html
import json
import zlib
from collections.abc import Sequence

from transpde.widgets.labels import plain, text, typeset
from transpde.widgets.pictures import DPI
from transpde.widgets.sliders import Layout, Slider

__all__ = ["image", "written"]

# Without JavaScript (a printed page, a site that strips scripts, a notebook that is not trusted)
# there is the still with its values, and no control: the script itself puts the controls in.
PAGE = """\
<figure class="explorer" id="{name}" data-digest="{digest}" style="max-width: {width}px">
<style>{style}</style>
{image}
<div class="explorer-controls"></div>
<p class="explorer-state">Shown: <span>{state}</span>.</p>
{caption}
<script type="application/json">{data}</script>
<script>{script}</script>
</figure>"""

SLIDER = """\
<div class="explorer-control"><label for="{id}">{label}</label>\
<input type="range" id="{id}" min="0" max="{last}" step="1" value="{place}" \
aria-valuetext="{value}"><output for="{id}" style="min-width: {width}ch">{value}</output></div>"""

CHOICE = """\
<div class="explorer-choice" role="radiogroup" aria-labelledby="{id}">\
<span id="{id}">{label}</span><div>{buttons}</div></div>"""

BUTTON = """\
<label><input type="radio" name="{id}" value="{place}"{checked}><span>{value}</span></label>"""

STYLE = """
figure.explorer { margin: 0 auto; }
figure.explorer img.explorer-frame { display: block; box-sizing: border-box; width: 100%;
  max-width: 100%; height: auto; }
.explorer-alive .explorer-controls { display: grid; align-items: center; gap: 0 0.75em;
  grid-template-columns: auto minmax(6em, 1fr) auto; text-align: left; }
.explorer-control, .explorer-choice { display: contents; }
.explorer-control input { width: 100%; min-width: 0; height: 2em; margin: 0; cursor: pointer; }
.explorer-choice > div { grid-column: 2 / -1; display: flex; flex-wrap: wrap; margin: 0.25em 0; }
.explorer-choice label { position: relative; margin: 0 -1px -1px 0; cursor: pointer; }
.explorer-choice input { position: absolute; opacity: 0; margin: 0; }
.explorer-choice label span { display: block; padding: 0.15em 0.6em; border: 1px solid; }
.explorer-choice input:checked + span { background: #0072b2; border-color: #0072b2; color: #fff; }
.explorer-choice input:focus-visible + span { outline: 2px solid; outline-offset: 2px; }
.explorer-alive .explorer-state { display: none; }
@media print { .explorer-alive .explorer-controls { display: none; }
  .explorer-alive .explorer-state { display: block; } }
"""

# The pictures are lines of SVG, each once, and for each picture the numbers of its lines.
SCRIPT = """
(() => {
  const figure = document.currentScript.closest("figure");
  if (!("DecompressionStream" in window)) return;
  const data = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
  const packed = Uint8Array.from(atob(data.pictures), c => c.charCodeAt(0));
  const unpacking = new DecompressionStream("deflate");
  const unpacked = new Response(new Blob([packed]).stream().pipeThrough(unpacking)).json();
  const picture = figure.querySelector("img");
  const controls = figure.querySelector(".explorer-controls");
  controls.innerHTML = data.controls;
  const parts = [...controls.children];
  const chosen = part => part.querySelector("input[type=range], input:checked");
  const show = async () => {
    let place = 0;
    const values = parts.map((part, k) => {
      const value = data.texts[k][chosen(part).value], output = part.querySelector("output");
      place = place * data.texts[k].length + Number(chosen(part).value);
      if (output) {
        chosen(part).setAttribute("aria-valuetext", value);
        output.textContent = value;
      }
      return data.labels[k] + " = " + value;
    });
    figure.querySelector(".explorer-state span").textContent = values.join(", ");
    const {lines, frames} = await unpacked;
    const frame = frames[place].map(k => lines[k]).join("\\n");
    picture.src = "data:image/svg+xml," + encodeURIComponent(frame);
  };
  controls.addEventListener("input", show);
  figure.classList.add("explorer-alive");
  show();
})();
"""


def image(frame: str, alt: str, size: tuple[float, float]) -> str:
    """Return a picture as an element of HTML."""
    width, height = (round(DPI * inches) for inches in size)
    return (
        f'<img class="explorer-frame" alt="{html.escape(alt)}" width="{width}" height="{height}" '
        f'src="data:image/svg+xml;base64,{_coded(frame.encode())}">'
    )


def _coded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def packed(frames: Sequence[str]) -> str:
    """Return pictures as text: each line of SVG once, and the numbers of the lines of each."""
    numbers: dict[str, int] = {}
    rows = [[numbers.setdefault(line, len(numbers)) for line in f.split("\n")] for f in frames]
    written = json.dumps({"lines": list(numbers), "frames": rows}, separators=(",", ":"))
    return _coded(zlib.compress(written.encode(), 9))


def _controls(layout: Layout, name: str) -> str:
    rows = []
    for key, slider in layout.sliders.items():
        row = {"id": html.escape(f"{name}-{key}"), "label": typeset(slider.label)}
        rows.append(_choice(slider, row) if slider.names else _slider(slider, row))
    return "".join(rows)


def _slider(slider: Slider, row: dict[str, str]) -> str:
    return SLIDER.format(
        **row,
        last=len(slider.values) - 1,
        place=slider.values.index(slider.start),
        value=text(slider.start),
        width=max(map(len, slider.texts)),
    )


def _choice(slider: Slider, row: dict[str, str]) -> str:
    buttons = [
        BUTTON.format(
            id=row["id"],
            place=place,
            checked=" checked" * (value == slider.start),
            value=html.escape(value),
        )
        for place, value in enumerate(slider.values)
    ]
    return CHOICE.format(**row, buttons="".join(buttons))


def written(layout: Layout, frames: Sequence[str], start: int, name: str, digest: str) -> str:
    """Return the page of an explorer: the still, and what the script makes controls of."""
    sliders = layout.sliders.values()
    data = {
        "controls": _controls(layout, name),
        "labels": [plain(slider.label) for slider in sliders],
        "texts": [slider.texts for slider in sliders],
        "pictures": packed(frames),
    }
    state = ", ".join(f"{plain(slider.label)} = {text(slider.start)}" for slider in sliders)
    caption = f"<figcaption>{typeset(layout.caption)}</figcaption>" if layout.caption else ""
    return PAGE.format(
        name=name,
        digest=digest,
        width=round(DPI * layout.size[0]),
        style=STYLE,
        image=image(frames[start], layout.alt, layout.size),
        state=html.escape(state),
        caption=caption,
        # No "</script>" may stand in a script, whatever a label says.
        data=json.dumps(data, ensure_ascii=False).replace("<", "\\u003c"),
        script=SCRIPT,
    )
