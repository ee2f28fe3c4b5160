"""Under nbval, pictures are compared, too: see stored_pictures.py."""

from __future__ import annotations

from typing import Any

import pytest
from nbval.plugin import IPyNbCell
from stored_pictures import NEAR, ROUGH, difference

SVG = "image/svg+xml"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keep nbval from comparing vector pictures to the last digit."""
    if isinstance(item, IPyNbCell) and SVG not in item.parent.skip_compare:
        item.parent.skip_compare += (SVG,)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    """Compare pictures; roughly where a cell is tagged `rounding`."""
    result = yield
    ran = isinstance(item, IPyNbCell) and item.cell.execution_count
    tags = item.cell.metadata.get("tags", ()) if ran else ()
    reach = ROUGH if "rounding" in tags else NEAR
    if ran and (
        found := difference(item.cell.outputs, item.test_outputs, reach)
    ):
        item.raise_cell_error(f"The stored picture is stale: {found}")
    return result
