"""A run beside its cache of decoded photos and activations: none of it decides anything but the time."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import ssiqa
from ssiqa import adaptation as module

from .conftest import LABELED, UNLABELED, assert_same_student, texture, write_photo


def entries(cache: Path) -> int:
    return sum(1 for path in cache.rglob("*.npy") if path.is_file())


def test_a_second_run_on_the_same_photos_decodes_nothing(
    adaptation: ssiqa.Adaptation, labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    decoded = []
    for number in range(2):
        profile = ssiqa.Profile()
        ssiqa.adapt(
            labeled, unlabeled, tmp_path / f"run{number}", cache_dir=tmp_path / "cache", profile=profile, **settings
        )
        decoded.append(profile.to_dict().get("decode", {"images": 0})["images"])
        assert_same_student(adaptation.output_dir, tmp_path / f"run{number}")
    assert decoded == [LABELED + UNLABELED, 0]


@pytest.mark.parametrize("trouble", ["no room", "damage", "removal"])
def test_a_cache_that_fails_changes_nothing_but_the_time(
    adaptation: ssiqa.Adaptation,
    labeled: Path,
    unlabeled: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    trouble: str,
) -> None:
    real = module.teach

    def harmed(learner: Any, material: Any) -> Any:
        for number, path in enumerate(sorted((tmp_path / "cache").rglob("*.npy"))):
            if trouble == "damage" and number % 3 == 0:
                path.write_bytes(path.read_bytes()[:-9] + b"123456789")
            elif trouble == "removal":
                path.unlink()
        return real(learner, material)

    monkeypatch.setattr(module, "teach", harmed)
    size = 3e-4 if trouble == "no room" else 1
    ssiqa.adapt(labeled, unlabeled, tmp_path / "run", cache_dir=tmp_path / "cache", cache_size=size, **settings)
    assert_same_student(adaptation.output_dir, tmp_path / "run")
    if trouble != "removal":
        assert ("is full" if trouble == "no room" else "is damaged") in caplog.text


def test_the_runs_own_cache_goes_when_the_run_is_finished(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = module.teach
    monkeypatch.setattr(module, "teach", lambda *a: (seen.append(entries(tmp_path / "run/.cache")), real(*a))[1])
    ssiqa.adapt(labeled, unlabeled, tmp_path / "run", **{**settings, "blocks": 1})
    assert seen == [LABELED + UNLABELED]
    assert not (tmp_path / "run/.cache").exists()


def test_an_interrupted_runs_own_cache_goes_though_the_next_call_has_another(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, "teach", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ssiqa.adapt(labeled, unlabeled, tmp_path / "run", **settings)
    assert entries(tmp_path / "run/.cache") > 0
    ssiqa.adapt(labeled, unlabeled, tmp_path / "run", cache_dir=tmp_path / "cache", **settings)
    assert not (tmp_path / "run/.cache").exists()
    assert entries(tmp_path / "cache") > 0


def test_a_photo_that_changes_during_the_run_is_named(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = tmp_path / "pool"
    shutil.copytree(unlabeled, pool)
    real = module.increment

    def after_a_change(*arguments: Any) -> Any:
        write_photo(pool / "03.png", texture(77, 0.0))
        return real(*arguments)

    monkeypatch.setattr(module, "increment", after_a_change)
    with pytest.raises(ssiqa.SsiqaError, match=r"03\.png has changed since the run began"):
        ssiqa.adapt(labeled, pool, tmp_path / "run", cache_size=0, **{**settings, "blocks": 1})


@pytest.mark.parametrize("inside", ["", "cache"])
def test_a_cache_in_the_runs_folder_is_refused_at_once(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path, inside: str
) -> None:
    with pytest.raises(ssiqa.SsiqaError, match=r"lies in the run's folder .*; choose another"):
        ssiqa.adapt(labeled, unlabeled, tmp_path / "run", cache_dir=tmp_path / "run" / inside, **settings)
    assert not (tmp_path / "run").exists()
