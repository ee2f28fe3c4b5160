"""The limits of the contract, all of them: how much, how many, under which words."""

from __future__ import annotations

CODE_CELLS = (10, 24)  # cells tagged exercise, solution, explorer or colab are not counted
SHOWN_LINES = 8  # of a counted cell that the page does not fold away (tag hide-input or hide-cell)
MAX_CELL_LINES = 50
# Without exercises, solutions and folded proofs, by the kind of the notebook.
PROSE_WORDS = {"chapter": (1500, 2500), "appendix": (1000, 1800)}
WORDS_BEFORE_PICTURE = 500
MIN_ALT_LENGTH = 40
MIN_EXERCISES = 5
MAX_SUMMARY_LINES = 10
MAX_EXPLORERS = 3  # a chapter's cells whose output nbval does not compare
MAX_FRAMES = 100
MIN_STOPS = 9  # of a slider over real numbers
MAX_EXPLORER_BYTES = 400_000
COLAB_CELLS = 1  # cells that may install something: see tools/colab.py
MAX_NOTEBOOK_BYTES = 600_000
MAX_BOOK_BYTES = 20_000_000
SECTIONS = ("The question", "Limits", "Exercises", "Summary")  # in this order
HEADER_WORDS = ("Prerequisites", "Reading time", "Running time")
EXERCISE_KINDS = ("computation", "proof", "open")
NOTEBOOK_KINDS = ("chapter", "reproduction", "appendix")  # an appendix needs no exercises
MIN_EVIDENCE = 2  # cells of a reproduced figure that print numbers: the peer's, and why
