"""The page of recipes: every line of it runs, and prints what the page says."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest
import tiny_models as tiny

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "book" / "recipes.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)
OWN_MODEL = next(section for section in SECTIONS if section.startswith("Your own model\n"))


def run(code, kept=lambda example: True):
    """Return what goes wrong in a session, as doctest says it, and the names it leaves."""
    said = []
    test = doctest.DocTestParser().get_doctest(code, {"__name__": "recipes"}, "recipes", None, 0)
    assert test.examples
    test.examples = [one for one in test.examples if kept(one)]
    doctest.DocTestRunner(verbose=False).run(test, out=said.append, clear_globs=False)
    return "".join(said), test.globs


def failures(code):
    return run(code)[0]


def blocks(text):
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize(
    "section",
    [one for one in SECTIONS[1:] if one is not OWN_MODEL],
    ids=lambda text: text.partition("\n")[0],
)
def test_a_recipe_runs_by_itself_after_the_imports(section):
    assert failures(blocks(SECTIONS[0]) + "\n" + blocks(section)) == ""


def test_all_that_is_shown_is_run():
    fences = re.findall(r"^```(?!\{)(.+)$", PAGE, re.MULTILINE)
    assert fences == ["python"] * len(BLOCKS)
    lines = [line for block in BLOCKS for line in block.splitlines()]
    assert lines[0].startswith(">>> ")


def test_a_wrong_output_is_noticed():
    assert "Expected" in failures(blocks(SECTIONS[0]) + "\n>>> 1 + 1\n3\n")


# --- your own model ------------------------------------------------------------------------------


def test_the_recipe_prints_what_the_page_says_of_the_model_of_the_book(
    minilm, tmp_path, monkeypatch
):
    from transpde import models
    from transpde.models import reading

    (tmp_path / "my-model").symlink_to(models.folder(reading.FETCHED))
    (tmp_path / "my-text.txt").symlink_to(ROOT / "book" / "real" / "texts" / "harbour.txt")
    monkeypatch.chdir(tmp_path)
    assert failures(blocks(OWN_MODEL)) == ""


def tokenizer(kind):
    """One that knows 47 words, and makes a text begin and end as its kind has it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2} | {f"w{i}": i for i in range(3, tiny.WORDS)}
    made = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if kind == "bert":
        made.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
        )
    return made


@pytest.mark.parametrize("kind", tiny.IDS)
def test_the_recipe_runs_on_any_folder(kind, tmp_path, monkeypatch):
    """On random models of both kinds: the same lines, and a table of another length."""
    rng, positions = np.random.default_rng(0), 140
    place = {"bert": "embeddings.position_embeddings.weight", "gpt2": "wpe.weight"}[kind]
    weights = tiny.tensors(kind) | {place: rng.standard_normal((positions, tiny.D))}
    folder = tiny.write(kind, tmp_path / "my-model", weights=weights)
    tokenizer(kind).save(str(folder / "tokenizer.json"))
    words = " ".join(f"w{i}" for i in rng.integers(3, tiny.WORDS, 200))
    (tmp_path / "my-text.txt").write_text(words, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    said, names = run(blocks(OWN_MODEL), lambda example: not example.source.startswith("print"))
    assert said == ""
    survey = names["survey"]
    table = str(survey).splitlines()
    assert len(table) == 2 + tiny.L
    assert [line.split()[-1] == "-" for line in table[2:]] == [kind == "gpt2"] * tiny.L
    assert names["ax"].lines[1].get_xdata().size == tiny.L * tiny.H
