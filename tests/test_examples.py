"""The examples of docstrings run, and print what they say."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

import ssiqa

MODULES = [module.name for module in pkgutil.walk_packages(ssiqa.__path__, "ssiqa.") if "__main__" not in module.name]


def test_examples_of_docstrings_run(capsys: pytest.CaptureFixture[str]) -> None:
    modules = [importlib.import_module(name) for name in MODULES]
    found = [
        doctest.testmod(module, optionflags=doctest.ELLIPSIS)
        for module in modules
        if not module.__name__.startswith("ssiqa._") and ">>> " in inspect.getsource(module)
    ]
    assert sum(results.attempted for results in found) > 40
    assert sum(results.failed for results in found) == 0, capsys.readouterr().out
