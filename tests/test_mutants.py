"""The mutator: what it changes, what it leaves alone, and that a seed gives the same draw."""

import pytest
from loading import ROOT, load_tool


@pytest.fixture(scope="module")
def mutants():
    return load_tool("mutants")


def changes(mutants, monkeypatch, folder, source):
    monkeypatch.setattr(mutants, "ROOT", folder)
    (folder / "module.py").write_text(source, encoding="utf-8")
    return {(m.old, m.new) for m in mutants.mutants_of(folder / "module.py")}


def test_it_changes_what_a_slip_would_change(mutants, monkeypatch, tmp_path):
    source = """def f(x, y):
    # Σ: columns count bytes
    if not x < 2 and y:
        x += np.max(x * y, axis=-1)
    return -x
"""
    found = changes(mutants, monkeypatch, tmp_path, source)
    assert {
        ("not x < 2 and y", "True"), ("not x < 2 and y", "False"), ("not x < 2 and y", "y"),
        ("not x < 2", "(x < 2)"), ("x < 2", "(x <= 2)"), ("x < 2", "(x >= 2)"), ("2", "3"),
        ("2", "1"), ("x += np.max(x * y, axis=-1)", "pass"), ("x * y", "(x / y)"),
        ("x += np.max(x * y, axis=-1)", "x -= np.max(x * y, axis=-1)"), ("-1", "1"),
        ("np.max(x * y, axis=-1)", "(np.min(x * y, axis=-1))"),
        ("np.max(x * y, axis=-1)", "(np.max(x * y))"), ("-x", "None"), ("-x", "x"),
    } <= found  # fmt: skip


def test_it_leaves_words_and_types_alone(mutants, monkeypatch, tmp_path):
    source = '''"""One."""
__all__ = ["f"]
@dataclass(frozen=True)
class A(B):
    """Two."""
    x: tuple[int, ...]
    def f(self, x: int | None) -> Literal[1]:
        raise ValueError(f"x: must be {1 + 1}.")
'''
    found = changes(mutants, monkeypatch, tmp_path, source)
    assert found == {("raise ValueError(f'x: must be {1 + 1}.')", "pass")}


def test_a_seed_gives_the_same_draw_and_each_compiles(mutants):
    # Each mutant is compiled with its file, so short files do.
    files = sorted((ROOT / "transpde" / "theory").glob("*.py"), key=lambda f: f.stat().st_size)[:6]
    first, again, other = (mutants.drawn(files, seed, 40) for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) == 40
    source = {str(f.relative_to(ROOT)): f.read_bytes() for f in files}
    for mutant in first:
        sound = source[mutant.file]
        changed = sound[: mutant.start] + mutant.new.encode() + sound[mutant.end :]
        compile(changed, mutant.file, "exec")
        assert changed != sound


def test_survivors_are_found_again_after_lines_have_moved(mutants, monkeypatch, tmp_path):
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    place = tmp_path / "module.py"
    place.write_text("x = a + b\n\n\ny = a + b\n")
    fates = [
        {**mutants.asdict(m), "number": i, "verdict": verdict}
        for i, (m, verdict) in enumerate(
            zip(mutants.mutants_of(place), ("killed", "survived"), strict=True)
        )
    ]
    place.write_text("# one line more\nx = a + b\n\n\ny = a + b\n")
    (number, mutant), *others = mutants.found_again(fates)
    assert (number, mutant.line, mutant.new, others) == (1, 5, "(a - b)", [])
    place.write_text("x = 2\n")
    assert not list(mutants.found_again(fates))
