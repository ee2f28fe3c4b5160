"""Whether two pictures show the same: a notebook's stored one, and the one that its run makes.

nbval compares what cells print and leaves pictures out. Here vector pictures are compared by what
they draw (the same parts, texts and colours, coordinates within a small distance, because the last
digits differ between machines), those of pixels by pixels, explorers by their whole page.
"""

from __future__ import annotations

import base64
import io
import json
import re
import zlib
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import numpy as np
from PIL import Image

NEAR = 0.15  # points: how far a place may be from the stored one
ROUGH = 2.0  # where the picture is one of rounding, which is another on each processor
LEVEL = 64  # of 255: a channel that differs by more is another colour, not another rasteriser
SHARE = 5e-5  # of the pixels may: a letter of a text takes more
MEASURES = {"d", "transform", "x", "y", "width", "height", "viewBox", "points"}
TOKEN = re.compile(r"[A-Za-z]|[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?")
EXPLORER = '<figure class="explorer"'
EMBEDDED = re.compile(r"data:(image/[\w+]+);base64,([\w+/=]+)")
PACKED = re.compile(r'"pictures": "([\w+/=]+)"')


def pictures(outputs: Any) -> list[tuple[str, str]]:
    """The pictures and explorers of a cell's outputs, each with its kind."""
    return [
        (kind, content if isinstance(content, str) else "".join(content))
        for output in outputs
        for kind, content in sorted(output.get("data", {}).items())
        if kind.startswith("image/") or (kind == "text/html" and EXPLORER in content)
    ]


def difference(stored: Any, made: Any, reach: float = NEAR) -> str:
    """What differs between the pictures of two lists of outputs; an empty text if nothing does.

    Places may be apart by `reach`, in points.
    """
    before, after = pictures(stored), pictures(made)
    kinds = [kind for kind, _ in before], [kind for kind, _ in after]
    if kinds[0] != kinds[1]:
        return f"the run makes pictures of the kinds {kinds[1]}, stored are {kinds[0]}"
    pairs = zip(before, after, strict=True)
    found = (COMPARED[kind.partition(";")[0]](old, new, reach) for (kind, old), (_, new) in pairs)
    return next(filter(None, found), "")


# --- vector pictures -----------------------------------------------------------------------------


def vector_difference(stored: str, made: str, reach: float = NEAR) -> str:
    """What differs between two SVGs."""
    try:
        old, new = (list(parts(text)) for text in (stored, made))
    except ElementTree.ParseError as error:
        return f"a picture is no SVG: {error}"
    for (what, measures), (now, others) in zip(old, new, strict=False):
        if what != now:
            return f"the picture draws {now}, stored is {what}"
        for name, value in measures.items():
            if not near(name, value, others[name], reach):
                return f"{what}: {name} is {others[name]!r}, stored is {value!r}"
    if len(old) != len(new):
        return f"the picture has {len(new)} parts, stored is one of {len(old)}"
    return ""


def parts(svg: str) -> Iterator[tuple[tuple[Any, ...], dict[str, str]]]:
    """Yield each part of an SVG: what must be the same, and the measures that may be near."""
    builder = ElementTree.TreeBuilder(insert_comments=True, insert_pis=True)
    root = ElementTree.fromstring(svg, ElementTree.XMLParser(target=builder))
    below = {root: 0}
    for element in root.iter():
        below |= {child: below[element] + 1 for child in element}
        tag = element.tag if isinstance(element.tag, str) else element.tag.__name__
        attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        measures = {key: value for key, value in attributes.items() if key in MEASURES}
        if attributes.get("href", "").startswith("data:"):
            measures["pixels"] = attributes.pop("href")
        exact = sorted(attributes.items() - measures.items())
        text = (element.text or "").strip()
        yield (below[element], tag, text, *exact, *sorted(measures)), measures


def near(name: str, stored: str, made: str, reach: float = NEAR) -> bool:
    """Whether two values of an attribute that measures are near each other."""
    if stored == made:
        return True
    if name == "pixels":
        return not embedded_difference(stored, made)
    if name == "d":
        return near_paths(stored, made, reach)
    old, new = (TOKEN.split(text) for text in (stored, made))
    places = ([[float(x)] for x in numbers(text)] for text in (stored, made))
    return old == new and near_points(*places, reach)


def numbers(text: str) -> list[str]:
    return [token for token in TOKEN.findall(text) if not token.isalpha()]


def near_points(stored: Any, made: Any, reach: float) -> bool:
    old, new = np.array(stored, dtype=float), np.array(made, dtype=float)
    return old.shape == new.shape and bool((np.abs(old - new) <= reach).all())


def near_paths(stored: str, made: str, reach: float = NEAR) -> bool:
    """Whether two paths are near: lines as sets of points, for their vertices may be others."""
    old, new = list(strokes(stored)), list(strokes(made))
    if len(old) != len(new):
        return False
    for (commands, points), (others, places) in zip(old, new, strict=True):
        straight = set(commands) | set(others) <= set("mlz")
        if commands == others:
            if not near_points(points, places, reach) and not (
                straight and along(points, places, reach)
            ):
                return False
        elif not straight or commands[-1] != others[-1] or not along(points, places, reach):
            return False
    return True


def strokes(d: str) -> Iterator[tuple[str, Any]]:
    """Yield the commands, in small letters, and the points (n, 2) of each stroke of a path."""
    here = start = np.zeros(2)
    commands, points, command = "", [here], "m"
    waiting: list[float] = []
    ends = {"m": 1, "l": 1, "q": 2, "c": 3}
    for token in TOKEN.findall(d):
        if token.isalpha():
            command = token
            if token in "mMzZ" and commands:
                closes = token in "zZ"
                yield commands + "z" * closes, np.array(points)
                commands, points = "", [start if closes else here]
                here = start if closes else here
            continue
        waiting.append(float(token))
        if len(waiting) == 2 * ends[command.lower()]:
            group = np.reshape(waiting, (-1, 2)) + (here if command.islower() else 0)
            here, waiting = group[-1], []
            if command in "mM":
                start, points = here, [here]
                command = "l" if command == "m" else "L"
                commands = "m"
            else:
                points += list(group)
                commands += command.lower()
    if commands:
        yield commands, np.array(points)


def along(first: Any, second: Any, reach: float = NEAR) -> bool:
    """Whether each of two lines stays near the other."""
    return bool(
        np.hypot(*(first[0] - second[0])) <= reach
        and np.hypot(*(first[-1] - second[-1])) <= reach
        and away(first, second) <= reach
        and away(second, first) <= reach
    )


def away(points: Any, line: Any) -> float:
    """The largest distance of points (n, 2) from the segments of a line."""
    starts, moves = line[:-1], np.diff(line, axis=0)
    if not len(moves):
        return float(np.hypot(*(points - line[0]).T).max())
    squares = np.maximum((moves**2).sum(1), 1e-12)
    to = points[:, None] - starts
    share = np.clip((to * moves).sum(2) / squares, 0, 1)
    gaps = np.linalg.norm(to - share[..., None] * moves, axis=2)
    return float(gaps.min(1).max())


# --- pictures of pixels, explorers ---------------------------------------------------------------


def pixel_difference(stored: str, made: str, reach: float = NEAR) -> str:
    """What differs between two pictures of pixels, in base 64."""
    try:
        old, new = (pixels(text) for text in (stored, made))
    except OSError as error:
        return f"a picture cannot be read: {error}"
    if old.shape != new.shape:
        return f"the picture has {new.shape} pixels, stored is one of {old.shape}"
    other = (np.abs(old - new) > LEVEL).any(axis=2)
    if other.mean() > SHARE:
        return f"{other.sum()} of {other.size} pixels have another colour than in the stored one"
    return ""


def pixels(text: str) -> Any:
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        return np.asarray(image.convert("RGBA"), dtype=int)


def embedded_difference(stored: str, made: str, reach: float = NEAR) -> str:
    """What differs between two pictures that stand in a page, each as an address with its data."""
    texts = ("".join(text.split()) for text in (stored, made))  # some break lines
    (kind, old), (other, new) = (EMBEDDED.fullmatch(text).groups() for text in texts)
    if kind != other:
        return f"the picture is of kind {other}, stored is one of {kind}"
    if kind == "image/svg+xml":
        return vector_difference(*(base64.b64decode(text).decode() for text in (old, new)), reach)
    return pixel_difference(old, new)


def explorer_difference(stored: str, made: str, reach: float = NEAR) -> str:
    """What differs between two explorers: their page, and all their pictures."""
    (page, shown), (other, others) = (taken_apart(text) for text in (stored, made))
    if page != other:
        return "the page of the explorer is not the stored one"
    if len(shown) != len(others):
        return f"the explorer has {len(others)} pictures, stored are {len(shown)}"
    pairs = zip(shown, others, strict=True)
    return next(filter(None, (embedded_difference(*pair, reach) for pair in pairs)), "")


def taken_apart(page: str) -> tuple[str, list[str]]:
    """An explorer without its pictures, and those."""
    shown = [match[0] for match in EMBEDDED.finditer(page)]
    for packed in PACKED.findall(page):
        drawn = json.loads(zlib.decompress(base64.b64decode(packed)))
        for frame in drawn["frames"]:
            svg = "\n".join(drawn["lines"][k] for k in frame).encode()
            shown.append("data:image/svg+xml;base64," + base64.b64encode(svg).decode())
    return PACKED.sub("", EMBEDDED.sub("", page)), shown


COMPARED = {
    "image/svg+xml": vector_difference,
    "image/png": pixel_difference,
    "image/jpeg": pixel_difference,
    "text/html": explorer_difference,
}
