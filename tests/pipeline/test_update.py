"""A finished run goes on with new photos, without the old ones."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import ssiqa
from ssiqa import exemplars, results
from ssiqa.cli import main
from ssiqa.config import make_config
from ssiqa.data import LabelScale, Photo
from ssiqa.errors import RunError
from ssiqa.features import Look
from ssiqa.material import RatedPhotos
from ssiqa.run import PhaseRecord, Run

from .conftest import texture, write_photo


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("newer")
    for number in range(8):
        write_photo(root / f"{number}.png", texture(200 + number, number * 0.5, size=(180, 220)))
    return root


@pytest.fixture(scope="module")
def finished(
    labeled: Path, unlabeled: Path, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run whose unlabelled photos are gone."""
    root = tmp_path_factory.mktemp("finished")
    shutil.copytree(unlabeled, root / "old")
    ssiqa.adapt(labeled, root / "old", root / "run", **settings)
    shutil.rmtree(root / "old")
    return root / "run"


@pytest.fixture(scope="module")
def updated(
    finished: Path, newer: Path, settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> ssiqa.Adaptation:
    folder = tmp_path_factory.mktemp("updated") / "run"
    return ssiqa.update(finished, newer, folder, weights=settings["weights"])


def test_begins_with_the_student_and_remembers(
    finished: Path, updated: ssiqa.Adaptation, newer: Path, labeled: Path
) -> None:
    photos = sorted(newer.glob("*.png"))
    assert np.array_equal(updated.teacher.score(photos), ssiqa.load(finished / "student.pt").score(photos))
    assert not np.array_equal(updated.student.score(photos), updated.teacher.score(photos))
    old = exemplars.load(finished / exemplars.FOLDER)
    assert len(old.photos) == 4  # one for every four of two blocks of six, rounded up
    assert updated.report["memory"]["teacher"]["photos"] == 4
    assert updated.report["memory"]["student"]["rmse"] >= 0
    assert updated.report["phases"][1]["exemplars"][-1] == 4
    assert len(exemplars.load(updated.output_dir / exemplars.FOLDER).photos) == 4 + 2
    assert updated.report["data"]["labeled"]["folder"] == str(labeled.resolve())


def test_forgetting_is_the_distance_from_what_was_learnt() -> None:
    """In units of the labels, photo by photo."""
    scores = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)

    class Observer:
        def look(self, photos: list[Photo], *, again: bool) -> list[Look]:
            return [Look(scores[:, None].float(), scores, scores)]

    learner: Any = SimpleNamespace(
        config=make_config(), observing=lambda phase, total, what: contextlib.nullcontext(Observer())
    )
    memory = RatedPhotos([Photo(Path(f"{number}.png"), b"") for number in range(3)], np.array([0.5, 1.0, 2.0]))
    found = results._remembered(learner, memory, LabelScale.fit([10.0, 30.0], "mos"))
    assert found == {"photos": 3, "rmse": pytest.approx(10 * np.sqrt(4 / 3))}
    assert results._remembered(learner, RatedPhotos.none(), LabelScale.fit([10.0, 30.0], "mos")) is None


@pytest.mark.parametrize(("every", "count"), [(5, 8), (2, 20), (0, 0)])
def test_a_regression_is_measured_by_random_photos(monkeypatch: pytest.MonkeyPatch, every: int, count: int) -> None:
    """Those on which the labels agree best would show less than is forgotten. What was undone has no part in it."""
    monkeypatch.setattr(exemplars, "MEASURED", 8)
    photos = [Photo(Path(f"{number}.png"), b"") for number in range(40)]
    learnt = RatedPhotos(photos, np.arange(40.0))
    first, undone = (PhaseRecord(phase, [], 0.0, step=step) for phase, step in ((0, 1.0), (1, 0.0)))
    record = PhaseRecord(2, [], 0.0, pseudo_labels=learnt.targets.tolist(), teacher_scores=[0.0] * 40)
    material: Any = SimpleNamespace(learnt=lambda records: [learnt])

    def kept(**settings: Any) -> list[int]:
        config = make_config(replay_every=every, **settings)
        chosen = exemplars.of_blocks(material, [first, undone, record], config)
        assert [photo.path.name for photo in chosen.photos] == [f"{target:.0f}.png" for target in chosen.targets]
        return sorted(int(target) for target in chosen.targets)

    assert len(kept()) == len(set(kept())) == count
    assert count == 0 or kept() != list(range(count))  # the smallest differences
    assert kept() == kept()
    trained = kept(student=make_config("paper").student)
    assert trained == list(range(-(-40 // every) if every else 0))


def test_same_update_same_student(
    finished: Path, updated: ssiqa.Adaptation, newer: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    ssiqa.update(finished, newer, tmp_path / "run", weights=settings["weights"])
    for file in ("checkpoints/phase-1.safetensors", "pseudo_labels.csv"):
        assert (tmp_path / "run" / file).read_bytes() == (updated.output_dir / file).read_bytes()


def test_adapt_does_not_take_an_update_for_its_own(
    updated: ssiqa.Adaptation, newer: Path, labeled: Path, settings: dict[str, Any]
) -> None:
    with pytest.raises(RunError, match=r"holds another run \(an update there\)"):
        ssiqa.adapt(labeled, newer, updated.output_dir, **settings | {"blocks": 1})


def test_an_update_can_be_updated(
    finished: Path, updated: ssiqa.Adaptation, newer: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    again = ssiqa.update(updated.output_dir, newer, tmp_path / "run", weights=settings["weights"])
    assert again.report["memory"]["student"]["photos"] == 6
    earlier = [record for folder in (finished, updated.output_dir) for record in Run(folder, {}).records[1:]]
    assert Run(again.output_dir, {}).records[0].seen == sum(len(record.photos) for record in earlier if record.step > 0)


def test_guarded_by_the_first_teacher(finished: Path, updated: ssiqa.Adaptation) -> None:
    """Losses of one update after another do not add up unseen."""
    first = ssiqa.results.read_report(finished)["phases"][0]["holdout_srcc"]
    assert updated.report["phases"][0]["holdout_srcc"] == first


def test_other_labelled_photos_are_refused(
    finished: Path, newer: Path, labeled: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(labeled, other)
    table = (other / "labels.csv").read_text().replace("80.0", "81.0")
    (other / "labels.csv").write_text(table)
    with pytest.raises(RunError, match="no longer holds what"):
        ssiqa.update(finished, newer, tmp_path / "run", labeled_dir=other, weights=settings["weights"])
    assert not (tmp_path / "run/run.json").exists()  # the folder is still free for the right ones
    with pytest.raises(RunError, match="say where they are"):
        ssiqa.update(finished, newer, tmp_path / "run", labeled_dir=tmp_path / "none", weights=settings["weights"])


def test_what_is_no_finished_run_is_refused(
    finished: Path, newer: Path, settings: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(RunError, match="holds no finished run"):
        ssiqa.update(tmp_path, newer)
    with pytest.raises(RunError, match="holds no finished run"):
        ssiqa.update(finished / "student.pt", newer)
    with pytest.raises(RunError, match="give that file"):
        ssiqa.update(finished, newer, tmp_path / "run")
    with pytest.raises(RunError, match="would count as photos; choose another"):
        ssiqa.update(finished, newer, newer / "run", weights=settings["weights"])
    assert not (newer / "run").exists()
    with pytest.raises(RunError, match="exemplars would count as new photos"):
        ssiqa.update(finished, finished.parent, tmp_path / "run", weights=settings["weights"])
    with pytest.raises(RunError, match="is a run of its own; choose another output folder"):
        ssiqa.update(finished, newer, finished, weights=settings["weights"])
    shutil.copytree(finished, tmp_path / "damaged")
    (tmp_path / "damaged/report.json").write_text("{")
    with pytest.raises(RunError, match="is damaged"):
        ssiqa.update(tmp_path / "damaged", newer)
    shutil.copytree(finished, tmp_path / "forgetful")
    shutil.rmtree(tmp_path / "forgetful" / exemplars.FOLDER)
    with pytest.raises(RunError, match="a run without them cannot go on"):
        ssiqa.update(tmp_path / "forgetful", newer, weights=settings["weights"])
    shutil.copytree(finished, tmp_path / "spoilt")
    photo = exemplars.load(tmp_path / "spoilt" / exemplars.FOLDER).photos[0].path
    photo.write_bytes(photo.read_bytes() + b".")
    with pytest.raises(RunError, match="missing or damaged; a run without them cannot go on"):
        ssiqa.update(tmp_path / "spoilt", newer, tmp_path / "none", weights=settings["weights"])
    assert not (tmp_path / "none").exists()  # said before anything is done
    shutil.copytree(finished, tmp_path / "incomplete")
    (tmp_path / "incomplete/checkpoints/phase-1.json").unlink()
    with pytest.raises(RunError, match="incomplete lacks checkpoints of its phases"):
        ssiqa.update(tmp_path / "incomplete", newer, weights=settings["weights"])
    shutil.copytree(finished, tmp_path / "headless")
    (tmp_path / "headless/student.pt").unlink()
    with pytest.raises(RunError, match=r"headless holds no student\.pt, from which an update goes on"):
        ssiqa.update(tmp_path / "headless", newer, weights=settings["weights"])


def test_the_new_run_lies_beside_the_old_one(
    finished: Path, newer: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where that is named by where one stands."""
    shutil.copytree(finished, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")
    again = ssiqa.update(".", newer, weights=settings["weights"])
    assert again.output_dir == tmp_path / f"old-to-{newer.name}"


def test_command(finished: Path, newer: Path, settings: dict[str, Any], tmp_path: Path) -> None:
    arguments = ["update", finished, newer, "-o", tmp_path / "run", "--weights", settings["weights"]]
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert "Exemplars of earlier photos (4): RMSE" in result.output
