"""What every room's tests may use."""

import os
from pathlib import Path

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
