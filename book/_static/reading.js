// What scrolls in its own box is reached by the keyboard, too (see custom.css).
const boxes = ".cell_output > *, .bd-article table, .bd-article p, .bd-article pre, div.math";
function reach() {
  for (const box of document.querySelectorAll(boxes)) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}
addEventListener("load", () => new ResizeObserver(reach).observe(document.body));

// A search shows the lines that it found by reading the pages, which a browser refuses from disk.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
