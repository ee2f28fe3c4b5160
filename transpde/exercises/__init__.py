"""Checkers of the book's computing exercises, one module a chapter.

A checker takes the reader's function, tries it, and returns one sentence: "Right: ..." or
"Not yet: ..." with what it saw and a hint. It never raises for what the function does.
"""
