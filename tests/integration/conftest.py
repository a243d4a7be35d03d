"""Tests with real processes get more time than others: the machine may be busy."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
PATIENCE = 240


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(PATIENCE))
