"""The demo's folders: two worlds that share neither photographs nor distortions, and labels that can be trusted."""

import importlib.util
import itertools
from pathlib import Path

import numpy as np
import pytest

from ssiqa.data import LabeledFolder, check_images, read_image, read_labeled_folder, read_unlabeled_folder
from ssiqa.demo import DemoFolders, folders, make_demo_folders
from ssiqa.demo.folders import STEPS
from ssiqa.demo.photographs import PORTRAITS, REGION, SCENES, SCENES_TO_THE_RIGHT
from ssiqa.errors import RunError, SsiqaError

pytest.importorskip("skimage", reason="the demo needs scikit-image")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> DemoFolders:
    return make_demo_folders(tmp_path_factory.mktemp("demo"))


@pytest.fixture(scope="module", params=["labeled", "unlabeled_test"])
def scored(demo: DemoFolders, request: pytest.FixtureRequest) -> LabeledFolder:
    return read_labeled_folder(getattr(demo, request.param))


def kinds(folder: Path) -> set[str]:
    return {path.stem.partition("-")[0] for path in folder.rglob("*.png")} - {"original"}


def test_folders_are_what_adapt_takes(demo: DemoFolders) -> None:
    assert 200 <= len(read_labeled_folder(demo.labeled).images) <= 300
    unlabeled = read_unlabeled_folder(demo.unlabeled)
    assert 200 <= len(unlabeled.images) <= 300
    assert not (demo.unlabeled / "labels.csv").exists()
    assert 90 <= len(read_labeled_folder(demo.unlabeled_test).images) <= 150
    assert check_images(unlabeled.root, unlabeled.images, on_error="raise").skipped == {}
    assert read_image(unlabeled.root / unlabeled.images[0]).shape == (REGION, REGION, 3)


def test_worlds_differ_and_test_is_of_the_second(demo: DemoFolders) -> None:
    assert not kinds(demo.labeled) & kinds(demo.unlabeled)
    assert kinds(demo.unlabeled) == kinds(demo.unlabeled_test)
    assert not {photograph.file for photograph in PORTRAITS} & {photograph.file for photograph in SCENES}


def test_no_region_of_the_test_overlaps_one_to_adapt_to() -> None:
    corners = {photograph.file: photograph.corners for photograph in SCENES}
    for photograph in SCENES_TO_THE_RIGHT:
        for (top, left), (other_top, other_left) in itertools.product(photograph.corners, corners[photograph.file]):
            assert abs(top - other_top) >= REGION or abs(left - other_left) >= REGION


def test_labels_fall_with_strength_for_every_distortion(scored: LabeledFolder) -> None:
    label = dict(zip(scored.images, scored.labels, strict=True))
    for region in {image.partition("/")[0] for image in scored.images}:
        assert label[f"{region}/original.png"] == 100
    for kind in kinds(scored.root):
        steps = [[value for image, value in label.items() if f"/{kind}-{step}." in image] for step in range(STEPS)]
        assert np.all(np.diff([np.mean(step) for step in steps]) < 0), kind
        falls = np.array(steps[:-1]) > np.array(steps[1:])
        assert falls.mean() > 0.9, kind


def test_labels_spread_over_the_scale(scored: LabeledFolder) -> None:
    assert scored.scale.minimum >= 0
    assert scored.scale.maximum == 100
    counts, _ = np.histogram(scored.labels, bins=4, range=(0, 100))
    assert counts.min() >= 0.08 * len(scored.labels)


def test_a_group_is_a_region(scored: LabeledFolder) -> None:
    regions = [image.partition("/")[0] for image in scored.images]
    assert len(set(zip(regions, scored.groups.tolist(), strict=True))) == len(set(regions)) == scored.groups.max() + 1


def test_readme_says_that_scores_are_no_opinions(demo: DemoFolders) -> None:
    for folder in demo:
        text = (folder / "README.txt").read_text(encoding="utf-8")
        assert ("NOT human opinions" in text) == (folder / "labels.csv").exists()


@pytest.mark.usefixtures("one_photograph")
def test_same_seed_gives_the_same_bytes_and_another_seed_others(demo: DemoFolders, tmp_path: Path) -> None:
    again, other = make_demo_folders(tmp_path / "again"), make_demo_folders(tmp_path / "other", seed=1)
    for first, second, third in zip(demo, again, other, strict=True):
        images = [path.relative_to(second) for path in second.rglob("*.png")]
        assert images
        assert all((first / image).read_bytes() == (second / image).read_bytes() for image in images)
        assert any((first / image).read_bytes() != (third / image).read_bytes() for image in images)
        if (first / "labels.csv").exists():
            rows = [set((folder / "labels.csv").read_text().splitlines()) for folder in (first, second, third)]
            assert rows[1] <= rows[0]
            assert rows[2] != rows[1]


@pytest.fixture
def one_photograph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Demos of the first photograph of each folder, which take less time."""
    for name in ("PORTRAITS", "SCENES", "SCENES_TO_THE_RIGHT"):
        monkeypatch.setattr(folders, name, getattr(folders, name)[:1])


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("marker", [None, "{}", '{"seed": 1, "version": "0"}', "mine"])
def test_files_of_the_user_survive(tmp_path: Path, marker: str | None) -> None:
    (tmp_path / "labeled").mkdir()
    (tmp_path / "labeled/labels.csv").write_text("image,mos\nprecious.png,3\n")
    if marker is not None:
        (tmp_path / "demo.json").write_text(marker)
    before = contents(tmp_path)
    with pytest.raises(RunError, match=r"is not empty and holds no demo with seed 0 .*; choose another folder"):
        make_demo_folders(tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.usefixtures("one_photograph")
def test_a_demo_is_made_again_with_its_own_seed_only(tmp_path: Path) -> None:
    (tmp_path / ".hidden").touch()
    made = make_demo_folders(tmp_path)
    first = contents(tmp_path)
    with pytest.raises(RunError, match="no demo with seed 1"):
        make_demo_folders(tmp_path, seed=1)
    assert contents(tmp_path) == first
    (made.labeled / "labels.csv").unlink()  # as when it was stopped half-way
    make_demo_folders(tmp_path)
    assert contents(tmp_path) == first


def test_without_scikit_image_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr("ssiqa.demo.photographs.find_spec", lambda name: None if name == "skimage" else find_spec(name))
    with pytest.raises(SsiqaError, match=r"pip install 'ssiqa\[demo\]'"):
        make_demo_folders(tmp_path)
    assert list(tmp_path.rglob("*.png")) == []
