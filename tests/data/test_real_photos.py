"""The data room on real photographs."""

from pathlib import Path

import numpy as np

from ssiqa.data import check_images, holdout_split, read_labeled_folder, read_unlabeled_folder


def test_real_labels_and_group_split(shared_data: Path) -> None:
    folder = read_labeled_folder(shared_data / "biq2021/ss01")
    assert len(folder.images) == len(folder.labels) == 2000
    assert folder.images[0] == "images/ss01_0001.jpg"
    assert folder.labels[0] == 0.4779
    assert folder.scale.column == "mos"
    for seed in range(3):
        train, holdout = holdout_split(folder.groups, 0.2, seed)
        assert len(holdout) == 400
        assert not set(folder.groups[train]) & set(folder.groups[holdout])
        assert np.abs(folder.scale.to_internal(folder.labels[holdout]).mean()) < 0.5


def test_real_photos_are_all_readable(shared_data: Path) -> None:
    for name in ("kodak", "pcuid/unlabeled"):
        folder = read_unlabeled_folder(shared_data / name)
        assert check_images(folder.root, folder.images, on_error="raise").readable == folder.images
