"""The folder of a run: which phases are finished, and everything needed to go on from there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ssiqa.config import Config
from ssiqa.errors import RunError
from ssiqa.files import read_json, write_json, written_beside
from ssiqa.kernel_head import KernelHead
from ssiqa.models import QualityModel

_IDENTITY = "run.json"
_LOCK = ".lock"
CHECKPOINTS = "checkpoints"
LATER = ("blocks", "krr", "replay_every", "tolerance")
"""Settings on which phase 0 does not depend."""


@dataclass(frozen=True)
class PhaseRecord:
    """What a finished phase leaves behind, besides the weights.

    Attributes:
        phase: 0 for the teacher on A, i for the i-th block of B.
        losses: Mean training loss of each epoch.
        seconds: Wall time.
        photos: Photos of the block, relative to folder B; empty in phase 0.
        pseudo_labels: Their labels on the internal scale.
        teacher_scores: The teacher's own predictions for them, on the internal scale.
        exemplars: How many photos were learnt again: of A, then of each earlier block, then of earlier runs, if any.
        gamma: RBF width used, None without KRR.
        alpha: Ridge penalty used, None without KRR; of a student that is a regression its own.
        loo_rmse: Leave-one-out error of the regression on A's truth, internal scale, None without KRR or with gamma and
            alpha given. Where the student is a regression the teacher has one, too, with this gamma and alpha, but
            fitted to what the network leaves of the truth; that on the truth itself is in no scorer.
        stds: Posterior standard deviation of the regression on A at each photo, internal scale, None without KRR.
        std_limit: That beyond which a photo is not covered by A, None without KRR.
        uncovered: Share of the block's photos beyond it, None without KRR.
        usual: What is to be expected of that where B is like A, None without KRR.
        label_srcc: On A's hold-out before the phase, of the labels that the teacher gives; views, which know B alone,
            have no part in it.
        regression_srcc: The same of the regression on A's truth alone.
        holdout_srcc: On A's hold-out after the phase, by what is seen of photos in the run. In phase 0 of an update
            it is that of the first teacher of all runs, by which each of them is guarded.
        refused_srcc: The same with all of the phase's change, where not all of it stands.
        step: Share of the phase's change that stands.
        seen: In phase 0 of an update, how many photos of B its teacher has learnt in earlier runs; one that several of
            them had counts in each.
    """

    phase: int
    losses: list[float]
    seconds: float
    photos: list[str] = field(default_factory=list)
    pseudo_labels: list[float] = field(default_factory=list)
    teacher_scores: list[float] = field(default_factory=list)
    exemplars: list[int] = field(default_factory=list)
    gamma: float | None = None
    alpha: float | None = None
    loo_rmse: float | None = None
    stds: list[float] | None = None
    std_limit: float | None = None
    uncovered: float | None = None
    usual: float | None = None
    label_srcc: float | None = None
    regression_srcc: float | None = None
    holdout_srcc: float | None = None
    refused_srcc: float | None = None
    step: float = 1.0
    seen: int = 0

    @property
    def targets(self) -> NDArray[np.float64]:
        return np.asarray(self.pseudo_labels, dtype=np.float64)

    def summary(self) -> dict[str, Any]:
        """The record without the photos one by one."""
        one_by_one = ("photos", "pseudo_labels", "teacher_scores", "stds")
        return {name: value for name, value in asdict(self).items() if name not in one_by_one}


class Run:
    """A run's folder, held by one process at a time.

    Attributes:
        folder: The output folder.
        identity: Settings, and once the run is claimed fingerprints.
        records: Records of the finished phases, in order.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder = folder
        self.identity = identity
        self.records: list[PhaseRecord] = []
        while (path := self._record_path(len(self.records))).is_file():
            with _damage_named(path):
                self.records.append(PhaseRecord(**read_json(path)))

    def claim(self, fingerprints: dict[str, str]) -> None:
        """Say what the folder holds from now on: a run with these settings on photos with these fingerprints.

        Raises:
            RunError: It holds a run on other photos.
        """
        self.identity = self.identity | {"fingerprints": fingerprints}
        check_folder(self.folder, self.identity)
        if not (self.folder / _IDENTITY).is_file():
            write_json(self.folder / _IDENTITY, self.identity)

    def load_weights(self, model: QualityModel, phase: int) -> None:
        """Give ``model`` the weights it had after ``phase``."""
        with _damage_named(self._weights_path(phase)):
            model.restore(self.weights(phase))

    def weights(self, phase: int) -> dict[str, Tensor]:
        """The state of the model after ``phase``."""
        path = self._weights_path(phase)
        with _damage_named(path):
            state: dict[str, Tensor] = load(path.read_bytes())  # load_file takes no path that is not Unicode
            return state

    def regression(self, phase: int) -> KernelHead | None:
        """That of the model after ``phase``, if it had one."""
        with _damage_named(self._weights_path(phase)):
            return KernelHead.restored(self.weights(phase))

    def finish_phase(self, model: QualityModel, record: PhaseRecord) -> None:
        """Keep the phase: first the weights, then the record that declares them complete."""
        state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        with written_beside(self._weights_path(record.phase)) as beside:
            beside.write_bytes(save(state))  # save_file would let nobody else read it
        write_json(self._record_path(record.phase), asdict(record))
        self.records.append(record)

    def adopt(self, checkpoints: Path) -> None:
        """Take phase 0 from the checkpoints of another run."""
        for path in (self._weights_path(0), self._record_path(0)):  # the record last, which declares both complete
            with written_beside(path) as beside:
                shutil.copyfile(checkpoints / path.name, beside)
        self.records.append(PhaseRecord(**read_json(self._record_path(0))))

    def _weights_path(self, phase: int) -> Path:
        return self.folder / CHECKPOINTS / f"phase-{phase}.safetensors"

    def _record_path(self, phase: int) -> Path:
        return self.folder / CHECKPOINTS / f"phase-{phase}.json"


def identity_of(config: Config, device: torch.device, precision: str) -> dict[str, Any]:
    """What makes two runs on the same photos the same."""
    return config.identity() | {"device": device.type, "precision": precision}


def of_phase_0(identity: dict[str, Any]) -> dict[str, Any]:
    """What phase 0 of a run depends on, but for A."""
    settings = {name: value for name, value in identity["settings"].items() if name not in LATER}
    return identity | {"settings": settings}


def begin_with(folder: Path, identity: dict[str, Any], fingerprints: dict[str, str], checkpoints: Path) -> None:
    """A new run with phase 0 from the checkpoints of another on the same A, whose :func:`of_phase_0` is the same."""
    with open_run(folder, identity) as run:
        run.claim(fingerprints)
        run.adopt(checkpoints)


@contextmanager
def open_run(folder: Path, identity: dict[str, Any]) -> Iterator[Run]:
    """The run in ``folder``: one that is there, or a new one, of which only decoded photos stay before it is claimed.

    Args:
        folder: Created if missing.
        identity: Settings, as JSON values; a run can only be continued by the same.

    Raises:
        RunError: The folder holds a different run or other files, or another process is working in it.
    """
    check_folder(folder, identity)
    ours = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise RunError(f"Another process is working in {folder}; wait for it or choose another folder.") from error
    try:
        check_folder(folder, identity)
        for left_over in (*folder.glob(".*.part"), *(folder / CHECKPOINTS).glob(".*.part")):
            left_over.unlink()  # of a process that was killed while it wrote
        yield Run(folder, identity)
    finally:
        with suppress(OSError):
            if not (folder / _IDENTITY).is_file():
                (folder / _LOCK).unlink(missing_ok=True)
                if ours:
                    folder.rmdir()  # fails where decoded photos are in it, which the next try will use
        lock.release()


def check_folder(folder: Path, identity: dict[str, Any]) -> None:
    """See, touching nothing, that a run of ``identity`` (or of a part of it) could live in ``folder``.

    Raises:
        RunError: It is a file, or holds a different run or other files.
    """
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder} is a file; choose another output folder.")
    path = folder / _IDENTITY
    if path.is_file():
        with _damage_named(path):
            found = read_json(path)
            different = list(differences(found, identity))
        if different:
            raise RunError(
                f"{folder} holds another run ({', '.join(different)}); "
                "choose another output folder, or delete this one to start again."
            )
    elif folder.is_dir() and any(not item.name.startswith(".") for item in folder.iterdir()):
        raise RunError(f"{folder} is not empty and holds no run; choose another output folder.")


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """What is wanted otherwise than it is there, as people name it; of settings only some may be wanted."""
    for name, values in wanted.items():
        there = found.get(name)
        if there == values:
            continue
        if name == "fingerprints":
            yield " and ".join(f"{of} photos" for of in values if there is None or there[of] != values[of]) + " differ"
        elif name == "continues":
            yield "an update there" if values is None else "no update of that run"
        elif name == "settings" and isinstance(there, dict):
            keys = [key for key in values if there.get(key) != values[key]]
            yield from ("other weights" if key == "weights" else f"{key} {there.get(key)} there" for key in keys)
        else:
            yield f"{name} {there} there" if name in ("device", "precision") else f"different {name}"


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Other errors of the system, such as a missing permission, say themselves what is wrong."""
    try:
        yield
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
        raise RunError(f"{path} is missing or damaged; delete the folder of this run to start again.") from error
