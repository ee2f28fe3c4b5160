// What scrolls in its own box is reached by the keyboard, too (see custom.css).
const boxes = ".cell_output > *, .bd-article table, .bd-article p, .bd-article pre, div.math";
function reach() {
  // All is measured before anything is set: the other way round, each box would be laid out anew.
  const measured = [...document.querySelectorAll(boxes)].map(box => [box, box.scrollWidth > box.clientWidth]);
  for (const [box, scrolls] of measured) {
    if (scrolls) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}
addEventListener("load", () => new ResizeObserver(reach).observe(document.body));

// Rows of a printed table, whose columns stand apart, keep their lines (see custom.css).
function align() {
  for (const printed of document.querySelectorAll(".cell_output pre")) {
    printed.classList.toggle("columns", /\S {2,}\S/.test(printed.textContent));
  }
}
addEventListener("DOMContentLoaded", align);

// A displayed formula that is too wide for its line is set smaller, down to two thirds; a wider one
// scrolls in its box.
const LEAST = 0.66;
function fit(part) {
  const formulas = [...part.querySelectorAll('mjx-container[display="true"]')];
  for (const formula of formulas) {
    formula.dataset.size ??= parseFloat(formula.style.fontSize) || 100;
    formula.style.fontSize = `${formula.dataset.size}%`;
  }
  const rooms = formulas.map(formula => formula.clientWidth / formula.scrollWidth);
  formulas.forEach(({ dataset, style }, number) => {
    if (rooms[number] < 1) style.fontSize = `${dataset.size * Math.max(LEAST, 0.99 * rooms[number])}%`;
  });
}
addEventListener("load", async () => {
  await window.MathJax?.startup?.promise;
  let wide = 0; // a smaller formula is also less high: only a new width counts
  new ResizeObserver(([page]) => {
    if (page.contentRect.width !== wide) fit(document);
    wide = page.contentRect.width;
  }).observe(document.querySelector(".bd-article") ?? document.body);
  for (const fold of document.querySelectorAll("details")) {
    fold.addEventListener("toggle", () => fit(fold));
  }
});

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

// One button for a page's folded cells, under the title; the notebook shows them always.
function foldAll() {
  const cells = [...document.querySelectorAll("details.hide.above-input")];
  const title = document.querySelector(".bd-article h1");
  if (cells.length === 0 || title === null) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "all-code";
  const say = () => {
    const shown = cells.every(cell => cell.open);
    button.textContent = shown ? "Hide all code" : "Show all code";
    return shown;
  };
  button.addEventListener("click", () => {
    const shown = say();
    for (const cell of cells) cell.open = !shown;
  });
  for (const cell of cells) cell.addEventListener("toggle", say);
  say();
  title.after(button);
}
addEventListener("DOMContentLoaded", foldAll);
