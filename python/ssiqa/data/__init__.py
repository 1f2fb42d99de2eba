"""Folders of photos: reading, checking and splitting them."""

from ssiqa.data.check import CheckResult, check_images
from ssiqa.data.folders import (
    MINIMUM_LABELED,
    LabeledFolder,
    UnlabeledFolder,
    read_labeled_folder,
    read_unlabeled_folder,
)
from ssiqa.data.images import ImageError, Photo, decode_image, quiet_opencv, read_bytes, read_image
from ssiqa.data.labels import LabelScale
from ssiqa.data.split import holdout_split, partition

__all__ = [
    "MINIMUM_LABELED",
    "CheckResult",
    "ImageError",
    "LabelScale",
    "LabeledFolder",
    "Photo",
    "UnlabeledFolder",
    "check_images",
    "decode_image",
    "holdout_split",
    "partition",
    "quiet_opencv",
    "read_bytes",
    "read_image",
    "read_labeled_folder",
    "read_unlabeled_folder",
]
