"""Settings for every test: the environment in which layers are checked, and known warnings of other packages."""

import os

import pytest

from layerwright.runner.environment import checking_environment

os.environ.update(checking_environment(os.environ.get("KERAS_BACKEND", "torch")))  # before anything imports Keras

FOREIGN_WARNINGS = (
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",  # Keras on torch, NumPy 2
)


def pytest_collection_modifyitems(items):
    for item in items:
        for warning in FOREIGN_WARNINGS:
            item.add_marker(pytest.mark.filterwarnings(warning))
