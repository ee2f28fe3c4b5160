"""An explorer as plain HTML: it works without a kernel, without a network, and from a file."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence

from transpde.widgets.labels import plain, text, typeset
from transpde.widgets.pictures import DPI
from transpde.widgets.sliders import Layout

__all__ = ["image", "written"]

# Without JavaScript (a printed page, a site that strips scripts, a notebook that is not trusted)
# there is the still with its values, and no control: the script itself puts the sliders in.
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

CONTROL = """\
<div class="explorer-control"><label for="{id}">{label}</label>\
<input type="range" id="{id}" min="0" max="{last}" step="1" value="{place}" \
aria-valuetext="{value}"><output for="{id}" style="min-width: {width}ch">{value}</output></div>"""

STYLE = """
figure.explorer { margin: 0 auto; }
figure.explorer img.explorer-frame { display: block; box-sizing: border-box; width: 100%;
  max-width: 100%; height: auto; }
.explorer-alive .explorer-controls { display: grid; align-items: center; gap: 0 0.75em;
  grid-template-columns: auto minmax(6em, 1fr) auto; text-align: left; }
.explorer-control { display: contents; }
.explorer-control input { width: 100%; min-width: 0; height: 2em; margin: 0; cursor: pointer; }
.explorer-alive .explorer-state { display: none; }
@media print { .explorer-alive .explorer-controls { display: none; }
  .explorer-alive .explorer-state { display: block; } }
"""

SCRIPT = """
(() => {
  const figure = document.currentScript.closest("figure");
  const data = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
  const picture = figure.querySelector("img");
  const frames = data.frames.map(f => f ? "data:image/webp;base64," + f : picture.src);
  const controls = figure.querySelector(".explorer-controls");
  controls.innerHTML = data.controls;
  const sliders = [...controls.querySelectorAll("input")];
  const show = () => {
    let place = 0;
    const values = sliders.map((slider, k) => {
      const value = data.texts[k][slider.value];
      place = place * data.texts[k].length + Number(slider.value);
      slider.setAttribute("aria-valuetext", value);
      slider.nextElementSibling.textContent = value;
      return data.labels[k] + " = " + value;
    });
    picture.src = frames[place];
    figure.querySelector(".explorer-state span").textContent = values.join(", ");
  };
  sliders.forEach(slider => slider.addEventListener("input", show));
  figure.classList.add("explorer-alive");
  show();
})();
"""


def image(frame: bytes, alt: str, size: tuple[float, float]) -> str:
    """Return a picture as an element of HTML."""
    width, height = (round(DPI * inches) for inches in size)
    return (
        f'<img class="explorer-frame" alt="{html.escape(alt)}" width="{width}" height="{height}" '
        f'src="data:image/webp;base64,{_coded(frame)}">'
    )


def _coded(frame: bytes) -> str:
    return base64.b64encode(frame).decode("ascii")


def _controls(layout: Layout, name: str) -> str:
    rows = []
    for key, slider in layout.sliders.items():
        row = {
            "id": html.escape(f"{name}-{key}"),
            "label": typeset(slider.label),
            "last": len(slider.values) - 1,
            "place": slider.values.index(slider.start),
            "value": html.escape(text(slider.start)),
            "width": max(map(len, slider.texts)),
        }
        rows.append(CONTROL.format(**row))
    return "".join(rows)


def written(layout: Layout, frames: Sequence[bytes], start: int, name: str, digest: str) -> str:
    """Return the page of an explorer: the still, and what the script makes sliders of."""
    sliders = layout.sliders.values()
    data = {
        "controls": _controls(layout, name),
        "labels": [plain(slider.label) for slider in sliders],
        "texts": [slider.texts for slider in sliders],
        # The start stands in the page already.
        "frames": ["" if k == start else _coded(f) for k, f in enumerate(frames)],
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
