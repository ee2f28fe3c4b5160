// What scrolls in its own box is reached by the keyboard, too (see custom.css).
const boxes = ".cell_output > *, .bd-article table, .bd-article p, .bd-article pre, div.math";
function reach() {
  for (const box of document.querySelectorAll(boxes)) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}
addEventListener("load", () => new ResizeObserver(reach).observe(document.body));

// A comma or a full stop stays on the line of the formula before it.
function hold() {
  for (const formula of document.querySelectorAll(".bd-article span.math")) {
    const next = formula.nextSibling;
    const mark = next instanceof Text && /^[.,;:!?)\]’”]+/.exec(next.data);
    if (!mark) continue;
    next.splitText(mark[0].length);
    const pair = document.createElement("span");
    pair.className = "held";
    formula.before(pair);
    pair.append(formula, next);
  }
}
addEventListener("DOMContentLoaded", hold);

// A search shows the lines that it found by reading the pages, which a browser refuses from disk.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
