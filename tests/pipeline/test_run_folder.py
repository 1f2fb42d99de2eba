"""What a run's folder is for: going on after an interruption, and never mixing two runs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

import ssiqa
from ssiqa import adaptation as module
from ssiqa.run import Run

from .conftest import assert_same_student, texture, write_photo


@pytest.mark.parametrize("finished", [1, 2])
def test_interrupted_run_continues_to_the_same_student(
    adaptation: ssiqa.Adaptation,
    labeled: Path,
    unlabeled: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    finished: int,
) -> None:
    real = module.increment

    def interrupted(learner: Any, material: Any, block: int, records: Any, memory: Any) -> Any:
        if len(records) == finished:
            raise KeyboardInterrupt
        return real(learner, material, block, records, memory)

    monkeypatch.setattr(module, "increment", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ssiqa.adapt(labeled, unlabeled, tmp_path, **settings)
    monkeypatch.undo()
    monkeypatch.setattr(module, "teach", None)  # phase 0 must not be done again
    ssiqa.adapt(labeled, unlabeled, tmp_path, **settings)
    assert_same_student(adaptation.output_dir, tmp_path)


def test_finished_run_is_loaded_not_repeated(
    adaptation: ssiqa.Adaptation,
    labeled: Path,
    unlabeled: Path,
    settings: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("finish", "gather", "Learner"):  # no photo is decoded, no network loaded
        monkeypatch.setattr(module, name, None)
    again = ssiqa.adapt(labeled, unlabeled, adaptation.output_dir, **settings)
    assert again.report == adaptation.report


def test_a_finished_run_that_skipped_photos_is_loaded_too(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    pool = tmp_path / "pool"
    shutil.copytree(unlabeled, pool)
    (pool / "broken.jpg").write_bytes(b"not a photo")
    first, again = (
        ssiqa.adapt(labeled, pool, tmp_path / "run", on_error="skip", **{**settings, "blocks": 1}) for _ in range(2)
    )
    assert again.report == first.report
    (pool / "another.jpg").write_bytes(b"not a photo either")
    with pytest.raises(ssiqa.SsiqaError, match=r"another run .*unlabeled photos differ"):
        ssiqa.adapt(labeled, pool, tmp_path / "run", on_error="skip", **{**settings, "blocks": 1})
    (pool / "another.jpg").unlink()
    write_photo(pool / "broken.jpg", texture(99, 0.5))  # it can be read now
    with pytest.raises(ssiqa.SsiqaError, match=r"another run .*unlabeled photos differ"):
        ssiqa.adapt(labeled, pool, tmp_path / "run", on_error="skip", **{**settings, "blocks": 1})


def test_labels_of_the_other_direction_are_another_run(
    adaptation: ssiqa.Adaptation, labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    turned = tmp_path / "labeled"
    shutil.copytree(labeled, turned)
    (turned / "labels.csv").write_text((labeled / "labels.csv").read_text().replace("mos", "dmos", 1))
    with pytest.raises(ssiqa.SsiqaError, match=r"another run .*labeled photos differ"):
        ssiqa.adapt(turned, unlabeled, adaptation.output_dir, **settings)


def test_folder_of_another_run_is_refused(
    adaptation: ssiqa.Adaptation, labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(ssiqa.SsiqaError, match=r"another run .*seed 0 there"):
        ssiqa.adapt(labeled, unlabeled, adaptation.output_dir, seed=5, **settings)
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ssiqa.SsiqaError, match="not empty"):
        ssiqa.adapt(labeled, unlabeled, tmp_path, **settings)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_changed_photos_are_another_run(
    adaptation: ssiqa.Adaptation, labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    pool = tmp_path / "pool"
    shutil.copytree(unlabeled, pool)
    write_photo(pool / "00.png", texture(999, 1.0))
    with pytest.raises(ssiqa.SsiqaError, match=r"another run .*unlabeled photos differ"):
        ssiqa.adapt(labeled, pool, adaptation.output_dir, **settings)


def test_weight_file_counts_by_its_content(
    adaptation: ssiqa.Adaptation, labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    moved = shutil.copy(settings["weights"], tmp_path / "moved.safetensors")
    again = ssiqa.adapt(labeled, unlabeled, adaptation.output_dir, **{**settings, "weights": moved})
    assert again.report == adaptation.report


def test_one_process_at_a_time(
    adaptation: ssiqa.Adaptation,
    labeled: Path,
    unlabeled: Path,
    settings: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "fingerprints", None)  # said before any photo is read
    with FileLock(adaptation.output_dir / ".lock"), pytest.raises(ssiqa.SsiqaError, match="Another process"):
        ssiqa.adapt(labeled, unlabeled, adaptation.output_dir, **settings)


def test_damaged_run_is_named(
    adaptation: ssiqa.Adaptation, labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    shutil.copytree(adaptation.output_dir, tmp_path / "run")
    (tmp_path / "run/report.json").unlink()
    (tmp_path / "run/checkpoints/phase-1.json").write_text("{")
    with pytest.raises(ssiqa.SsiqaError, match=r"phase-1\.json is missing or damaged"):
        ssiqa.adapt(labeled, unlabeled, tmp_path / "run", **settings)


def test_what_may_not_be_read_is_not_called_damaged(
    adaptation: ssiqa.Adaptation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose advice is to delete the run. Others may read what its owner's files may be read by."""
    checkpoint, record = (adaptation.output_dir / f"checkpoints/phase-0.{kind}" for kind in ("safetensors", "json"))
    assert checkpoint.stat().st_mode == record.stat().st_mode

    def forbidden(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    with pytest.raises(PermissionError):
        Run(adaptation.output_dir, {}).weights(0)


@pytest.mark.parametrize("moment", ["between weights and record", "while exporting"])
def test_a_kill_at_a_bad_moment_costs_one_step(
    adaptation: ssiqa.Adaptation,
    labeled: Path,
    unlabeled: Path,
    settings: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    run = tmp_path / "run"
    shutil.copytree(adaptation.output_dir, run)
    for name in ("report.json", "student.pt", "teacher.pt", "pseudo_labels.csv", "checkpoints/phase-2.json"):
        (run / name).unlink()
    target = "ssiqa.run.write_json" if moment == "between weights and record" else "ssiqa.export.to_json"
    with monkeypatch.context() as patched:
        patched.setattr(target, killed)
        with pytest.raises(KeyboardInterrupt):
            ssiqa.adapt(labeled, unlabeled, run, **settings)
    assert not (run / "report.json").exists()
    ssiqa.adapt(labeled, unlabeled, run, **settings)
    assert_same_student(adaptation.output_dir, run)
