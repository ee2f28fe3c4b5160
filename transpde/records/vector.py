"""SVG as matplotlib writes it, made small: the same drawing in about a third of the bytes.

Coordinates are rounded to a hundredth or a tenth of a point, so the same file comes out wherever
the last digits of the data differ. Lines lose the vertices that nobody sees, paths are written
relative, what all parts of a group share stands in the group, identifiers are short. Each text is
drawn as outlines of its letters, and stands beside them in words, as a comment.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import numpy as np

from transpde.checks import Array

__all__ = ["compact"]

UNITS = 100  # of a point: coordinates are whole numbers of these
ROUGH = 10  # units of a point for marks, and for lines of more than LONG vertices
LONG = 12
SEEN = 0.04  # points: a vertex that is nearer to the line without it is left out
ENDS = {"M": 2, "L": 2, "Q": 4, "C": 6, "z": 0}  # the commands that matplotlib writes
TOKEN = re.compile(r"[A-Za-z]|[-+]?[\d.]+(?:e[-+]?\d+)?")
NUMBER = re.compile(r"-?\d*\.\d+(?:e[-+]?\d+)?")
LINK = re.compile(r"#([\w-]+)")
SHIFT = re.compile(r"translate\((\S+) (\S+)\)")
SCALE = re.compile(r"(scale\([^)]*\))")
ALONE = re.compile("(fill|stroke):[^;]+")  # in a style, as short as an attribute
INHERITED = ("style", "clip-path")  # what a group may say for all its parts


def compact(svg: str) -> str:
    """Return the same drawing in fewer bytes."""
    builder = ElementTree.TreeBuilder(insert_comments=True)
    root = ElementTree.fromstring(svg, ElementTree.XMLParser(target=builder))
    for part in list(root):
        if str(part.tag).endswith("metadata"):
            root.remove(part)
    values = [value for element in root.iter() for value in element.attrib.values()]
    linked = [name for value in values if "#" in value for name in LINK.findall(value)]
    names = dict(zip(dict.fromkeys(linked), _names(), strict=False))
    _leave_to_marks(root)
    head = {key: root.attrib[key] for key in ("viewBox", "width", "height")}
    root.attrib.clear()
    _shrink(root, names)
    root.attrib |= {"xmlns": "http://www.w3.org/2000/svg"} | {
        k: _short(v) for k, v in head.items()
    }
    return _written(root)


def _leave_to_marks(root: Any) -> None:
    """Take from each use of a mark what the mark itself says: its colour, its width."""
    said = {e.get("id"): e.get("style", "") for e in root.iter() if _is(e, "path")}
    for use in root.iter():
        if not _is(use, "use"):
            continue
        mark = next(value for key, value in use.attrib.items() if key.endswith("href"))
        own = {item.partition(":")[0].strip() for item in said.get(mark[1:], "").split(";")}
        items = use.attrib.pop("style", "").split(";")
        kept = [
            item for item in items if item.strip() and item.partition(":")[0].strip() not in own
        ]
        if kept:
            use.set("style", ";".join(kept))


def _names() -> Iterator[str]:
    """Yield a, b, ..., aa, ab, ..."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    for length in itertools.count(1):
        yield from map("".join, itertools.product(letters, repeat=length))


def _shrink(element: Any, names: dict[str, str]) -> None:
    """Shrink the attributes of an element and of all below it."""
    attributes = element.attrib
    if "id" in attributes and (name := names.get(attributes.pop("id"))):
        attributes["id"] = name
    for key in list(attributes):
        value = attributes.pop(key)
        linked = key.endswith("href") or value.startswith("url(")
        value = LINK.sub(lambda match: "#" + names[match[1]], value) if linked else value
        attributes[key.rpartition("}")[2]] = value
    if path := attributes.get("d"):
        # The outline of a letter has whole units of its own.
        is_letter = "scale" in attributes.get("transform", "")
        is_long = path.count("L") > LONG and not re.search("[QC]", path)
        attributes["d"] = _path(path, 1 if is_letter else ROUGH if is_long else UNITS)
    if style := attributes.get("style"):
        attributes["style"] = _short(re.sub(r"\s*([:;])\s*", r"\1", style).strip("; "))
    is_use = _is(element, "use")
    if is_use and (shift := SHIFT.fullmatch(attributes.get("transform", ""))):
        del attributes["transform"]
        attributes |= {"x": shift[1]} | ({"y": shift[2]} if shift[2] != "0" else {})
    for key in attributes.keys() & {"transform", "x", "y", "width", "height", "points"}:
        attributes[key] = _short(attributes[key], ROUGH if is_use else UNITS)
    for child in element:
        _shrink(child, names)
    _lift(element)
    _unwrap(element)


def _short(text: str, units: int = UNITS) -> str:
    """Return a text with its numbers rounded, those of a scale to more digits."""
    parts = SCALE.split(text)
    for place, part in enumerate(parts):
        fine = 10**6 if SCALE.match(part) else units
        parts[place] = NUMBER.sub(lambda m, u=fine: _number(round(float(m[0]) * u), u), part)
    return "".join(parts)


def _number(whole: int, units: int) -> str:
    """Return a whole number of units as decimals."""
    if whole % units == 0:
        return str(whole // units)
    digits = f"{abs(whole) / units:.{len(str(units)) - 1}f}".strip("0")
    return f"-{digits}" if whole < 0 else digits


def _lift(group: Any) -> None:
    """Say once, in the group, what all its parts say."""
    parts = [child for child in group if isinstance(child.tag, str) and not _is(child, "defs")]
    if len(parts) < 2 or not _is(group, "g"):
        return
    for key in INHERITED:
        values = [_items(part.get(key, ""), key) for part in parts]
        common = set.intersection(*map(set, values))
        if key == "clip-path" and any("transform" in part.attrib for part in parts):
            continue
        mine = _items(group.get(key, ""), key)
        if not common or (key == "clip-path" and mine):
            continue
        # The group's own say counts where a part is silent: all parts speak of these.
        own = {item.partition(":")[0] for item in common}
        kept = [item for item in mine if item.partition(":")[0] not in own]
        group.set(key, ";".join([*kept, *(v for v in values[0] if v in common)]))
        for part, value in zip(parts, values, strict=True):
            rest = ";".join(item for item in value if item not in common)
            part.attrib.pop(key, None)
            if rest:
                part.set(key, rest)


def _items(value: str, key: str) -> list[str]:
    return [item for item in (value.split(";") if key == "style" else [value]) if item]


def _is(element: Any, tag: str) -> bool:
    return isinstance(element.tag, str) and element.tag.rpartition("}")[2] == tag


def _unwrap(element: Any) -> None:
    """Take away groups that say nothing."""
    parts = []
    for child in element:
        if _is(child, "g") and not child.attrib:
            parts += list(child)
        else:
            parts.append(child)
    element[:] = parts


# --- paths ---------------------------------------------------------------------------------------


def _path(d: str, units: int) -> str:
    """Return the path in relative whole units, lines without vertices that nobody sees."""
    written: list[str] = []
    here = start = np.zeros(2, dtype=int)
    exact, last = np.zeros(2), ""
    for command, points in _runs(d):
        if command == "z":
            written.append("z")
            here, last = start, "z"
            continue
        if command == "L" and units > 1:
            points = _seen(np.vstack([exact, points]))[1:]
        exact = points[-1]
        whole = np.rint(points * units).astype(int)
        for group in np.split(whole, len(whole) // (ENDS[command] // 2)):
            moves = (group - here).ravel()
            letter = command.lower()
            if command == "L" == last.upper() and not moves.any():
                continue
            written.append(_joined(moves, units, letter if letter != last else ""))
            here, last = group[-1], letter
            start = here if command == "M" else start
    return "".join(written)


def _runs(d: str) -> Iterator[tuple[str, Any]]:
    """Yield each command with the points (n, 2) of all that follow it without another between."""
    numbers: list[float] = []
    command = ""
    for token in [*TOKEN.findall(d), ""]:
        if token and not token.isalpha():
            numbers.append(float(token))
            continue
        if command in ("z", "Z"):
            yield "z", None
        elif command and token != command:
            yield command, np.reshape(numbers, (-1, 2))
            numbers = []
        if token == "M" and command == "M":  # of two moves in a row the second counts
            numbers = []
        command = token


def _seen(points: Array) -> Array:
    """Return the vertices of a line without those that are nowhere seen (Douglas and Peucker)."""
    keep = np.zeros(len(points), dtype=bool)
    keep[[0, -1]] = True
    todo = [(0, len(points) - 1)]
    while todo:
        first, last = todo.pop()
        if last - first < 2:
            continue
        middle = points[first + 1 : last] - points[first]
        along = points[last] - points[first]
        length = np.hypot(*along)
        if length:
            share = np.clip(middle @ along / length**2, 0, 1)
            far = np.hypot(*(middle - share[:, None] * along).T)
        else:
            far = np.hypot(*middle.T)
        worst = int(far.argmax())
        if far[worst] > SEEN:
            worst += first + 1
            keep[worst] = True
            todo += [(first, worst), (worst, last)]
    return points[keep]


def _joined(moves: Any, units: int, letter: str) -> str:
    """Return a command with its numbers, blanks only where they are needed."""
    text = letter
    for k, move in enumerate(moves.tolist()):
        number = _number(move, units)
        text += number if (number[0] == "-" or (letter and k == 0)) else f" {number}"
    return text


def _written(element: Any) -> str:
    """Return an element as XML, attributes in single quotes: a notebook escapes double ones."""
    if not isinstance(element.tag, str):
        return f"<!--{element.text}-->"
    tag = element.tag.rpartition("}")[2]
    attributes = dict(element.attrib)
    if ALONE.fullmatch(attributes.get("style", "")):
        key, _, value = attributes.pop("style").partition(":")
        attributes[key] = value
    quoted = {"'": "&#39;"}
    said = "".join(f" {key}='{escape(value, quoted)}'" for key, value in attributes.items())
    text = escape(element.text.strip()) if element.text else ""
    inside = text + "".join(map(_written, element))
    return f"<{tag}{said}>{inside}</{tag}>" if inside else f"<{tag}{said}/>"
