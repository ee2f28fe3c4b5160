"""The page of recipes: every line of it runs, and prints what the page says."""

import doctest
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "book" / "recipes.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)


def failures(code):
    """What goes wrong in a session, as doctest says it."""
    said = []
    test = doctest.DocTestParser().get_doctest(code, {"__name__": "recipes"}, "recipes", None, 0)
    assert test.examples
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    return "".join(said)


def blocks(text):
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("section", SECTIONS[1:], ids=lambda text: text.partition("\n")[0])
def test_a_recipe_runs_by_itself_after_the_imports(section):
    assert failures(blocks(SECTIONS[0]) + "\n" + blocks(section)) == ""


def test_all_that_is_shown_is_run():
    fences = re.findall(r"^```(.*)$", PAGE, re.MULTILINE)
    assert fences[0::2] == ["python"] * len(BLOCKS)
    lines = [line for block in BLOCKS for line in block.splitlines()]
    assert lines[0].startswith(">>> ")


def test_a_wrong_output_is_noticed():
    assert "Expected" in failures(blocks(SECTIONS[0]) + "\n>>> 1 + 1\n3\n")
