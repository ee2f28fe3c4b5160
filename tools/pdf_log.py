"""Say what is wrong with a printed page, from TeX's log: python tools/pdf_log.py LOG

Fails on a reference to nothing, a missing character, a missing picture, and lines that leave the
text by more than a little.
"""

import re
import sys
from pathlib import Path

MOST = 20.0  # points beyond the margin
WRONG = (
    r"Reference `[^']*' on page \d+ undefined",
    r"Citation `[^']*' on page \d+ undefined",
    r"Missing character: [^!]*!",
    r"File `[^']*' not found",
    r"name\{[^}]*\} has been referenced but does not exist",
)


def problems(log: str) -> list[str]:
    """Every complaint that a reader would see."""
    text = re.sub(r"(?<=.{79})\n", "", log)  # TeX cuts its lines after 79 characters
    found = [hit for pattern in WRONG for hit in re.findall(pattern, text)]
    wide = re.findall(r"(Overfull \\hbox \((\d+\.?\d*)pt too wide\)[^\n]*)", log)
    return found + [line for line, points in wide if float(points) > MOST]


if __name__ == "__main__":
    log = Path(sys.argv[1]).read_text(encoding="utf-8", errors="replace")
    found = sorted(set(problems(log)))
    pages = re.search(r"Output written on .*?\((\d+) pages", log.replace("\n", ""))
    print(f"{pages[1] if pages else 'no'} pages, {len(found)} complaints")
    print(*found, sep="\n")
    sys.exit(bool(found) or pages is None)
