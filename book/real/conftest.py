"""These notebooks read published weights: left out without, but in CI."""

import os

from transpde import models
from transpde.models import reading

WEIGHTS = models.folder(reading.FETCHED) / reading.WEIGHTS
LEFT_OUT = not WEIGHTS.is_file() and os.environ.get("CI") != "true"


def pytest_ignore_collect(collection_path):
    """Leave out what cannot run."""
    return True if LEFT_OUT and collection_path.suffix == ".ipynb" else None


def pytest_report_collectionfinish():
    """Say so."""
    advice = "book/real: left out, no weights. Fetch them: make weights"
    return advice if LEFT_OUT else ""
