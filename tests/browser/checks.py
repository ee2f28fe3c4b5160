"""What is wrong with a page of the built book, as sentences; an empty list when it is sound.

These checks read files. Those that need the page alive in a browser are in `live.py`.
"""

import re
from functools import cache
from os.path import normpath
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup
from bs4.element import Tag

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "_build" / "html"
MEGABYTE = 1_000_000
SITE = 60 * MEGABYTE  # the largest site
PAGE = 3 * MEGABYTE // 2  # the largest page with its pictures
ALT = 40  # characters: an alternative text that states what a computed picture shows
# What a browser fetches by itself, in contrast to what a reader follows.
FETCHED = {"script": "src", "img": "src", "link": "href", "source": "src", "iframe": "src"}
FOLLOWED = {"a": "href", "area": "href"}


def pages(root: Path) -> list[Path]:
    """Every page of the site. The theme's own templates lie in `_static` and are none."""
    found = (path.relative_to(root) for path in root.rglob("*.html"))
    return sorted(path for path in found if path.parts[0] != "_static")


@cache
def parsed(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@cache
def identifiers(path: Path) -> list[str]:
    """All identifiers of a page in their order, with the names that old anchors have."""
    tags = parsed(path).find_all(True)
    named = [tag["name"] for tag in tags if tag.name == "a" and tag.get("name")]
    return [tag["id"] for tag in tags if tag.get("id")] + named


def repeated_identifiers(path: Path) -> list[str]:
    found = identifiers(path)
    return [
        f"id {name!r} is there {found.count(name)} times"
        for name in sorted(set(found))
        if found.count(name) > 1
    ]


def addresses(soup: BeautifulSoup) -> list[str]:
    """What the page fetches and what it links to, as written."""
    attributes = FETCHED | FOLLOWED
    tags = soup.find_all(list(attributes))
    return sorted({tag[attributes[tag.name]] for tag in tags if tag.get(attributes[tag.name])})


def broken_links(root: Path, path: Path) -> list[str]:
    """Links within the site to a file, or to a place on a page, that is not there."""
    return [
        problem
        for address in addresses(parsed(path))
        if (problem := broken(root, path, address)) is not None
    ]


def broken(root: Path, path: Path, address: str) -> str | None:
    """Why a link leads nowhere; none if it leads somewhere or to another site."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return None
    target = reached(path, parts.path)
    if not target.is_file():
        return f"{address}: no such file"
    if not target.is_relative_to(root):
        return f"{address}: leaves the site"
    place = unquote(parts.fragment)
    if place and target.suffix == ".html" and place not in identifiers(target):
        return f"{address}: no such place on the page"
    return None


def reached(path: Path, address: str) -> Path:
    """The file that a page's relative address names; the page itself if it is empty."""
    return Path(normpath(path.parent / unquote(address))) if address else path


def outside_parts(path: Path) -> list[str]:
    """What the page's own source has the browser fetch from elsewhere."""
    links = [tag for tag in parsed(path).find_all(list(FETCHED)) if not is_statement(tag)]
    found = (str(tag.get(FETCHED[tag.name], "")) for tag in links)
    return [f"{address}: from outside" for address in found if urlsplit(address).netloc]


def is_statement(tag: Tag) -> bool:
    """Whether a link element only says something of the page, and fetches nothing."""
    return tag.name == "link" and bool({"canonical", "license"} & set(tag.get("rel") or []))


def bare(path: Path) -> list[str]:
    """What a page does not say of itself; without an icon a browser asks the server for one."""
    soup = parsed(path)
    parts = {
        "language": soup.select_one("html[lang]"),
        "title": soup.select_one("head title"),
        "icon": soup.select_one("head link[rel~=icon][href]"),
    }
    return [f"no {name}" for name, tag in parts.items() if tag is None]


def silent_figures(path: Path) -> list[str]:
    """Pictures of the text without alternative text or caption."""
    article = parsed(path).find("article")
    problems = []
    for image in article.find_all("img") if article else []:
        name = str(image.get("src", ""))[:60]
        alt = str(image.get("alt") or "").strip()
        figures = image.find_parents("figure")  # an explorer is one within one
        computed = bool(figures or image.find_parent(class_="cell_output"))
        if len(alt) < (ALT if computed else 1):
            problems.append(f"{name}: alternative text {alt!r} of {len(alt)} characters")
        captions = [caption for figure in figures for caption in figure.find_all("figcaption")]
        if computed and not any(caption.get_text(strip=True) for caption in captions):
            problems.append(f"{name}: no caption")
    return problems


def weight(path: Path) -> int:
    """Bytes of a page with its pictures, those that it holds itself and those in files."""
    sources = [urlsplit(str(tag.get("src", ""))) for tag in parsed(path).find_all("img")]
    files = {reached(path, source.path) for source in sources if not source.scheme}
    return sum(file.stat().st_size for file in {path, *files} if file.is_file())


def too_heavy(root: Path) -> list[str]:
    """The site, or pages of it, larger than they may be."""
    whole = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    problems = [f"the site has {whole} bytes, at most {SITE}"] if whole > SITE else []
    weights = {page: weight(root / page) for page in pages(root)}
    return problems + [
        f"{page} has {size} bytes, at most {PAGE}" for page, size in weights.items() if size > PAGE
    ]


ROLES = "math|eq|ref|numref|doc|cite|prf|exercise|solution|figure"
MARKUP = re.compile(r"\\[(\[]|\$\$|\$[^\s$\d][^$]{0,80}\$|:::|\?\?|\{(?:" + ROLES + r")[:}\w-]*")


def raw_markup(text: str) -> list[str]:
    """Marks of the source in a text that a reader sees."""
    found = (text[max(0, m.start() - 20) : m.end() + 20] for m in MARKUP.finditer(text))
    return [f"raw markup: {' '.join(part.split())!r}" for part in found]
