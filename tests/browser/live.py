"""What is wrong with a page open in a browser, as sentences; an empty list when it is sound."""

import io
import json
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from checks import ROOT, raw_markup
from PIL import Image
from playwright.sync_api import Page

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 320, "height": 640}
GRAVE = ("serious", "critical")


class Witness:
    """Hears what a page asks for and what it complains of, from before it is opened."""

    def __init__(self, page: Page, server: str = ""):
        self.page, self.server, self.heard = page, server, []
        self.listeners = {
            "request": lambda request: self.asked(request.url),
            "requestfailed": lambda request: self.heard.append(f"failed: {request.url}"),
            "response": lambda response: self.answered(response.url, response.status),
            "pageerror": lambda error: self.heard.append(f"page error: {error}"),
            "console": self.said,
        }
        for event, listener in self.listeners.items():
            page.on(event, listener)

    def leave(self) -> None:
        """Hear no more: the tab is to show another page."""
        for event, listener in self.listeners.items():
            self.page.remove_listener(event, listener)

    def asked(self, url: str) -> None:
        parts = urlsplit(url)
        own = self.server and url.startswith(self.server)
        if parts.scheme not in ("file", "data", "blob") and not own:
            self.heard.append(f"outside request: {url}")

    def answered(self, url: str, status: int) -> None:
        if status >= 400:
            self.heard.append(f"status {status}: {url}")

    def said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.heard.append(f"console {message.type}: {message.text}")


# Proofs and solutions are folded away; a reader unfolds them.
UNFOLD = """() => {
  for (const part of document.querySelectorAll('details')) part.open = true;
  for (const button of document.querySelectorAll('.toggle-button-hidden')) button.click();
}"""
STILL = "*, ::before, ::after { transition: none !important; animation: none !important; }"


def visit(page: Page, address: str) -> None:
    """Open a page and wait until it leads no further, is typeset, and stands still."""
    page.goto(address)
    page.locator("main").wait_for(state="attached")  # a redirection has none
    page.wait_for_load_state("load")
    page.add_style_tag(content=STILL)
    page.evaluate("window.MathJax?.startup?.promise?.then(() => null)")


def unfold(page: Page) -> None:
    page.evaluate(UNFOLD)


def resize(page: Page, size: dict[str, int]) -> None:
    """Give the page a size unless it has it: laying a long page out takes a second."""
    if page.viewport_size != size:
        page.set_viewport_size(size)


UNRENDERED = """() => {
  const formulas = [...document.querySelectorAll('.math')];
  const left = formulas.filter(e => !e.querySelector('mjx-container'));
  const wrong = [...document.querySelectorAll('mjx-merror')];
  return [...left.map(e => 'not typeset: ' + e.textContent.slice(0, 60)),
          ...wrong.map(e => 'TeX error: ' + e.textContent.slice(0, 60))];
}"""
# The words of the text as the reader sees them: no code, no signatures, no formulas, and folded
# parts unfolded.
PROSE = """() => {
  const left = 'pre, code, script, style, mjx-container, .highlight, svg, textarea, dt.sig';
  const {FILTER_ACCEPT, FILTER_SKIP, FILTER_REJECT, SHOW_ELEMENT, SHOW_TEXT} = NodeFilter;
  const role = node => node instanceof Text ? FILTER_ACCEPT
    : node.matches(left) ? FILTER_REJECT : FILTER_SKIP;
  const root = document.querySelector('main') ?? document.body;
  const walker = document.createTreeWalker(root, SHOW_ELEMENT | SHOW_TEXT, role);
  const parts = [];
  while (walker.nextNode()) parts.push(walker.currentNode.data);
  return parts.join('');
}"""


def unrendered(page: Page) -> list[str]:
    """Mathematics that stayed source, and other marks of the source."""
    return page.evaluate(UNRENDERED) + raw_markup(page.evaluate(PROSE))


# A part beyond the right edge must lie in a box of its own that scrolls, or no reader gets there.
# What is not seen (the drawer with the page's contents) may wait there.
SIDEWAYS = """() => {
  const root = document.documentElement, wide = window.innerWidth;
  const beyond = root.scrollWidth > wide ? [`the page is ${root.scrollWidth} px wide`] : [];
  const scrolls = e => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX);
  for (const e of document.querySelectorAll('main *')) {
    const box = e.getBoundingClientRect();
    if (box.right <= wide + 1 || box.width < 2 || e.closest('mjx-container *, svg *')) continue;
    if (!e.checkVisibility({visibilityProperty: true})) continue;
    let up = e.parentElement;
    while (up !== null && !scrolls(up)) up = up.parentElement;
    const start = e.outerHTML.slice(0, 60);
    if (up === null) beyond.push(`${start} ends at ${Math.round(box.right)} px`);
  }
  return beyond.slice(0, 8);
}"""

PARTED = """() => [...document.querySelectorAll('.bd-article span.math')].filter(formula => {
  const next = formula.nextSibling;
  if (!(next instanceof Text) || !/^[.,;:!?)]/.test(next.data)) return false;
  const mark = document.createRange();
  mark.setStart(next, 0);
  mark.setEnd(next, 1);
  const [above, below] = [formula.getBoundingClientRect(), mark.getBoundingClientRect()];
  return below.height > 0 && below.top >= above.bottom - 1;
}).map(formula => formula.textContent)"""


def sideways(page: Page) -> list[str]:
    """What a reader of a narrow screen reaches by scrolling the page sideways, or never."""
    return page.evaluate(SIDEWAYS)


GLARING = """() => [...document.querySelectorAll('article img')].filter(e => {
  const style = getComputedStyle(e);
  const turned = style.filter === 'invert(1) hue-rotate(180deg)';
  return style.backgroundColor !== 'rgba(0, 0, 0, 0)' || !turned;
}).map(e => `drawn for a light page: ${e.src.slice(-60)}`)"""


def glaring(page: Page) -> list[str]:
    """Figures that a dark page shows on a light card, or in dark ink."""
    return page.evaluate(GLARING)


# What of an explorer is seen: the picture's own address, and which of several is shown.
SEEN = """figure => {
  const seen = e => e.checkVisibility({visibilityProperty: true, opacityProperty: true});
  return [...figure.querySelectorAll('img')].filter(seen).map(e => e.src).join(' ');
}"""


# The keys that move a control. An arrow chooses the next button of its group, behind the last the
# first, so that from each button there is a step to another picture.
CONTROLS = {
    "slider": (("ArrowRight", "End", "Home"), "input[type=range]"),
    "choice": (("ArrowRight",), "input[type=radio]"),
    "button": (("Enter",), "button"),
}


def dead_sliders(page: Page) -> list[str]:
    """Sliders and buttons of explorers that leave the picture as it is, moved by keys alone."""
    problems = []
    for number, figure in enumerate(page.query_selector_all("figure.explorer"), start=1):
        if not figure.query_selector_all("input[type=range]"):
            problems.append(f"explorer {number} has no slider")
        for kind, (keys, found) in CONTROLS.items():
            for place, control in enumerate(figure.query_selector_all(found), start=1):
                if not moves(page, figure, control, keys):
                    problems.append(f"explorer {number}: {kind} {place} does not move the picture")
    return problems


def moves(page: Page, figure: Any, control: Any, keys: tuple[str, ...], patience: int = 5) -> bool:
    """Whether another picture is seen, at once or later, after a key pressed on the control."""
    for _ in range(patience):
        for key in keys:
            before = figure.evaluate(SEEN)
            control.press(key)
            if figure.evaluate(SEEN) != before:
                return True
        page.wait_for_timeout(200)
        if figure.evaluate(SEEN) != before:
            return True
    return False


# The theme's own, named by rule and element: icons with titles count as words of their button.
THEME = [
    ("label-content-name-mismatch", ".theme-switch-button"),
    ("label-content-name-mismatch", ".search-button-field"),
]
# Most of a long page are boxes of glyphs and words of code, alike to axe: a formula counts as a
# word of its sentence, and each kind of word stays once a block of code or signature.
PRUNE = """() => {
  window.formulas = [...document.querySelectorAll('.math')];
  for (const e of window.formulas) e.replaceWith('x');
  for (const block of document.querySelectorAll('pre, dt.sig')) {
    const kinds = new Set();
    for (const word of block.querySelectorAll('span'))
      if (kinds.has(word.className)) word.replaceWith(...word.childNodes);
      else kinds.add(word.className);
    block.normalize();
  }
}"""
# Contrast, the longest rule by far, is a matter of the look alone: what a text computes to, in
# boxes that are alike and compute to the same. So one of many texts of a look is asked, the others
# too where axe cannot say. Each is asked for itself in boxes that are placed or cut (those that
# hold the whole article aside), where what lies over one text may not lie over the next. A single
# letter and the signs of an icon font are looks of their own, as axe judges them otherwise.
LOOKS = """() => {
  const kinds = ['color', 'backgroundColor', 'backgroundImage', 'fontSize', 'fontWeight', 'filter',
    'opacity', 'textShadow', 'mixBlendMode', 'display', 'visibility'];
  const words = e => [...e.childNodes].filter(n => n instanceof Text).map(n => n.data.trim());
  const boxes = new Map(), numbers = new Map();
  const article = document.querySelector('article');
  window.looks = new Map();
  for (const e of document.querySelectorAll('body, body *')) {
    const style = getComputedStyle(e), above = boxes.get(e.parentElement);
    const placed = ['absolute', 'fixed', 'sticky'].includes(style.position);
    const cut = style.overflow !== 'visible'
      && (e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight);
    const apart = above?.apart || (placed || cut) && !e.contains(article);
    const box = JSON.stringify([above?.number, e.tagName, e.getAttribute('class'),
      e.getAttribute('style'), e.matches(':disabled'), e.checkVisibility(),
      ...kinds.map(kind => style[kind])]);
    if (!numbers.has(box)) numbers.set(box, numbers.size);
    boxes.set(e, {apart, number: numbers.get(box)});
    const text = words(e).join('');
    if (text === '' && !e.matches('input, select, textarea')) continue;
    const signs = text.replace(/[\\0-\\u02ff]/g, '');
    const look = apart ? e : [numbers.get(box), text.length > 1, signs].join(' ');
    if (!looks.has(look)) looks.set(look, []);
    looks.get(look).push(e);
  }
  axe.configure({rules: [{id: 'color-contrast', selector: '[data-look]'}]});
}"""
# Without preloading, which would ask for style sheets again, as no page from disk may.
AUDIT = """async known => {
  const all = [...looks.values()], violations = [], unsure = new Set();
  const ask = async (texts, rules) => {
    for (const e of document.querySelectorAll('[data-look]')) e.removeAttribute('data-look');
    for (const e of texts) e.setAttribute('data-look', '');
    const found = await axe.run({...rules, resultTypes: ['violations', 'incomplete'],
      preload: false, elementRef: true, selectors: false});
    violations.push(...found.violations);
    for (const {id, nodes} of found.incomplete)
      if (id === 'color-contrast') for (const node of nodes) unsure.add(node.element);
  };
  const many = texts => texts.length > 8;
  await ask(all.flatMap(texts => many(texts) ? texts.slice(0, 1) : texts), {});
  const others = all.flatMap(texts => many(texts) && unsure.has(texts[0]) ? texts.slice(1) : []);
  if (others.length > 0) await ask(others, {runOnly: ['color-contrast']});
  const name = e => known.find(selector => e.matches(selector)) ?? e.outerHTML.slice(0, 80);
  return violations.flatMap(v => v.nodes.map(n => [n.impact, v.id, name(n.element)]));
}"""


def grave(page: Page) -> Counter[tuple[str, str]]:
    """Rule and element of what axe-core finds serious or critical; it takes formulas away."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(PRUNE)
        page.add_script_tag(url=AXE.as_uri())
    page.evaluate(LOOKS)
    found = page.evaluate(AUDIT, [selector for _, selector in THEME])
    return Counter((rule, target) for impact, rule, target in found if impact in GRAVE)


def theme(page: Page, name: str) -> None:
    """Show the page as a reader who chose light or dark sees it."""
    page.evaluate(f"document.documentElement.dataset.theme = {json.dumps(name)}")


def parted(page: Page) -> list[str]:
    """Formulas whose comma or full stop stands on the next line."""
    return page.evaluate(PARTED)


# The displayed formulas of a page, those that axe was spared, too, below each other, and nothing
# else; their places, and words.
ALONE = """() => {
  const all = [...(window.formulas ?? document.querySelectorAll('div.math'))];
  const displayed = all.filter(e => e.matches('div.math'));
  document.querySelector('.bd-article').replaceChildren(...displayed);
  for (const part of document.querySelectorAll('.bd-sidebar, header')) part.remove();
  return displayed.map(e => e.textContent);
}"""
PLACES = """() => [...document.querySelectorAll('div.math')].map(e => {
  const box = e.getBoundingClientRect();
  return [box.left, box.top, box.right, box.bottom].map(Math.round);
})"""
ROOM = 16  # pixels around a box in which its ink is looked for


def clipped(page: Page) -> list[str]:
    """Displayed formulas that a box cuts off, beside boxes that do not; takes the rest away."""
    words = page.evaluate(ALONE)
    if not words:
        return []
    height = page.evaluate("document.querySelector('.bd-article').scrollHeight")
    page.set_viewport_size({"width": WIDE["width"], "height": height + 300})
    cut, whole = (picture(page, overflow) for overflow in ("hidden", "visible"))
    problems = []
    for text, (left, top, right, bottom) in zip(words, page.evaluate(PLACES), strict=True):
        rows = slice(max(top - ROOM, 0), bottom + ROOM)
        place = rows, slice(max(left - ROOM, 0), right + ROOM)
        if (cut[place] != whole[place]).any():
            problems.append(f"cut off: {text[:60]}")
    return problems


def picture(page: Page, overflow: str) -> np.ndarray:
    """The screen in grey, with displayed formulas let through by their boxes or cut off."""
    boxes = "div.math, mjx-container[display='true']"
    rule = f"{boxes} {{ overflow: {overflow} !important; display: flow-root !important; }}"
    page.add_style_tag(content=rule)
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("L"))


# What is seen of a page with its code folded; a row of an explorer's controls is no code.
CODE = """() => {
  const seen = e => e.checkVisibility({contentVisibilityAuto: true, visibilityProperty: true});
  const height = e => e.getBoundingClientRect().height;
  const article = document.querySelector('.bd-article');
  const code = [...article.querySelectorAll('div.cell_input')].filter(seen);
  const printed = [...article.querySelectorAll('div.cell_output pre')].filter(seen);
  const sum = list => list.reduce((total, e) => total + height(e), 0);
  return (sum(code) + sum(printed)) / height(article);
}"""
FIRST = """() => {
  const seen = e => e.checkVisibility({contentVisibilityAuto: true});
  const ideas = 'div.cell_output img, mjx-container[display="true"], .bd-article div.proof';
  const first = [...document.querySelectorAll(`div.cell_input, ${ideas}`)].find(seen);
  return first === undefined || !first.matches('div.cell_input');
}"""
OVERFLOWING = """() => [...document.querySelectorAll('.bd-article pre')].flatMap(e => {
  const over = e.scrollWidth - e.clientWidth;
  return over > 1 ? [`${over} px too wide: ${e.textContent.trim().slice(0, 60)}`] : [];
})"""


def share_of_code(page: Page) -> float:
    """Visible code and printed lines, as a share of the height of a page that is still folded."""
    return page.evaluate(CODE)


def begins_with_an_idea(page: Page) -> bool:
    """Whether a picture, a displayed formula or a statement stands before the first code seen."""
    return page.evaluate(FIRST)


def overflowing(page: Page) -> list[str]:
    """Code and printed lines that are wider than their box."""
    return page.evaluate(OVERFLOWING)


# Columns stand apart by blanks; the lines of such a text are as many as are seen.
BROKEN_ROWS = """() => [...document.querySelectorAll('.cell_output pre')].filter(
  e => e.clientWidth > 0 && /\\S {2,}\\S/.test(e.textContent)
).filter(e => {
  const style = getComputedStyle(e);
  const room = parseFloat(style.paddingTop) + parseFloat(style.paddingBottom);
  const seen = (e.clientHeight - room) / parseFloat(style.lineHeight);
  return Math.round(seen) > e.textContent.replace(/\\n$/, '').split('\\n').length;
}).map(e => e.textContent.trim().slice(0, 60))"""


def broken_rows(page: Page) -> list[str]:
    """Printed tables a row of which takes more than one line."""
    return page.evaluate(BROKEN_ROWS)


CUT_TABLES = """() => [...document.querySelectorAll('.pst-scrollable-table-container')].filter(
  e => e.scrollWidth > e.clientWidth + 1
).map(e => e.textContent.trim().slice(0, 60))"""


def cut_tables(page: Page) -> list[str]:
    """Tables whose last columns are seen by scrolling only."""
    return page.evaluate(CUT_TABLES)


# Two cells below each other that show the same line and nothing else.
IN_A_ROW = """() => [...document.querySelectorAll('.bd-article div.cell')].filter(cell => {
  const after = cell.nextElementSibling;
  const bare = e => e?.matches('div.cell') && !e.querySelector('div.cell_output');
  const line = e => e.querySelector('details.hide.above-input > summary')?.textContent.trim();
  return bare(cell) && after?.matches('div.cell') && line(cell) && line(cell) === line(after);
}).map(cell => cell.textContent.trim().slice(0, 60))"""


def folds_in_a_row(page: Page) -> list[str]:
    """Folded cells that show nothing and stand before another one with the same words."""
    return page.evaluate(IN_A_ROW)


def leaving(page: Page, address: str) -> bool:
    """Whether a button of the page's head or a link of its foot leads to an address."""
    places = (".bd-header-article", "footer")
    sought = [f"{place} a[href^='{address}']" for place in places]
    return page.locator(", ".join(sought)).count() > 0
