"""The end of each page: version, the commit of its sources, and a link to report an error.

Where `address_is_real` in `_config.yml` is false, nothing can be found at the public address yet:
then no page has a button or a link that leads there, and none for Binder or Colab, which read it.

The commit is the last one that changed what the book is made of, so that a build names the same
one until the book itself changes. Outside a git checkout the version stands alone.
"""

from __future__ import annotations

import re
import subprocess
from functools import cache
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from sphinx.application import Sphinx

import transpde

# What the Makefile's stamp of the book watches.
SOURCES = ("book", "transpde", "_config.yml", "_toc.yml", "CHANGELOG.md", "requirements.lock")
FORM = """\
Page: {page}
Edition: {edition}

What is wrong, and what did you expect?
"""


def git(root: Path, *arguments: str) -> str:
    """What a git command says; nothing without git or outside a checkout."""
    command = ["git", "-C", str(root), *arguments, "--", *SOURCES]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


@cache
def edition(root: Path) -> str:
    """Version and commit: 'version 0.2.0, commit 1a2b3c4'."""
    # A folder of its own, not one inside somebody else's checkout.
    commit = git(root, "log", "-1", "--format=%h") if (root / ".git").exists() else ""
    if not commit:
        return f"version {transpde.__version__}"
    changed = " with changes" if git(root, "status", "--porcelain") else ""
    return f"version {transpde.__version__}, commit {commit}{changed}"


def report_link(repository: str, page: str, edition: str) -> str:
    """The address of a new issue about a page."""
    body = FORM.format(page=page, edition=edition)
    query = urlencode({"title": f"Error on page {page}", "body": body})
    return f"{repository}/issues/new?{query}"


def add_footer(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Add to the licences, which `_config.yml` gives, what depends on page and build."""
    repository = context.get("theme_repository_url", "")
    licences = context.get("theme_extra_footer", "")
    now = edition(Path(app.srcdir))
    said = f"{now[0].upper()}{escape(now[1:])}."
    if context["address_is_real"]:
        report = escape(report_link(repository, page, now))
        said += f' <a href="{report}">Report an error on this page</a>.'
    else:
        licences = without_links(licences, repository)
    context["theme_extra_footer"] = f'{licences}\n<p class="edition">{said}</p>'


def without_links(text: str, address: str) -> str:
    """Leave of links that begin with an address their words alone."""
    return re.sub(rf'<a href="{re.escape(address)}[^"]*">(.*?)</a>', r"\1", text)


def hide_buttons(
    app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any
) -> None:
    """Take the buttons that lead to the public address, or through it, from the page's head."""
    if not context["address_is_real"]:
        context["header_buttons"] = within(context["header_buttons"])


def within(buttons: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The buttons that lead to no other site, and groups that hold one of them."""
    kept = []
    for button in buttons:
        if "buttons" in button:
            button = button | {"buttons": within(button["buttons"])}
            if not button["buttons"]:
                continue
        if not urlsplit(str(button.get("url") or "")).netloc:
            kept.append(button)
    return kept


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", add_footer)
    # The theme adds its buttons at 501.
    app.connect("html-page-context", hide_buttons, priority=502)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
