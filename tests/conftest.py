"""What every room's tests may use."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

# As the command line sets it, before torch is imported: threads that wait by spinning stall tests on a shared machine.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real photographs for development, which are never part of the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("SSIQA_SHARED", beside)) / "data"
    if not folder.is_dir():
        pytest.skip(f"no real photographs at {folder}; set SSIQA_SHARED to the folder that holds data/")
    return folder


@pytest.fixture(autouse=True)
def disk_may_be_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the cache leaves free would be all of a small one, on which these tests run as well."""
    from ssiqa import cache

    monkeypatch.setattr(cache, "SPARE_BYTES", 0)


@pytest.fixture(autouse=True)
def parity_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exported files are run here, on few images: a process and twenty batches for each of dozens of runs take minutes.

    Files of session and module fixtures, which come first, and those of test_export are checked by their own process.
    """

    import numpy as np

    from ssiqa import export, parity
    from ssiqa.torchscript import torchscript

    def scores(paths: Sequence[Path]) -> list[Any]:
        batches = export._checked_batches()
        with ThreadPoolExecutor(1) as pool, torchscript():
            return [np.asarray(parity.scores(str(path), batches, pool)) for path in paths]

    monkeypatch.setattr(export, "_scores_in_fresh_process", scores)
    monkeypatch.setattr(export, "_CHECKED_BATCHES", 4)
