"""Runs the paper's tables on the databases that are there, every seed reported."""

from __future__ import annotations

import math
import shutil
from collections.abc import Collection, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from ssiqa.adaptation import adapt
from ssiqa.cache import open_cache
from ssiqa.config import make_config
from ssiqa.data import check_images
from ssiqa.device import pick_device_of_runs, pick_precision
from ssiqa.errors import DataError, SsiqaError
from ssiqa.files import read_json, to_json
from ssiqa.material import fingerprints
from ssiqa.metrics import agreement
from ssiqa.models import build_model
from ssiqa.progress import Task as Progress
from ssiqa.protocol import summary
from ssiqa.protocol.archives import no_folder
from ssiqa.protocol.authors import Authors
from ssiqa.protocol.database import Database
from ssiqa.protocol.honest import Honest, config_of
from ssiqa.protocol.kept import RESULT, collect, differing, keep, row_folder
from ssiqa.protocol.outcome import Outcome
from ssiqa.protocol.peers import Peer, open_peers, score_database
from ssiqa.protocol.provenance import Provenance
from ssiqa.protocol.tasks import TABLES, Parts, Task, find_task
from ssiqa.run import CHECKPOINTS, begin_with, identity_of, of_phase_0
from ssiqa.version import __version__

PROTOCOLS: dict[str, Honest] = {"honest": Honest(), "paper": Authors()}


class NothingToRun(DataError):
    """Of a table's tasks none has its databases."""


def reproduce(
    table: str,
    data_root: str | PathLike[str],
    output_dir: str | PathLike[str],
    *,
    tasks: Sequence[str] | None = None,
    seeds: int = 10,
    protocol: str = "honest",
    peers_dir: str | PathLike[str] | None = None,
    **settings: Any,
) -> str:
    """Run one of the paper's tables, with our splits: 80 % and 20 % of A and of B by seed, references kept together.

    A run that was interrupted goes on; what is finished is not repeated. Rows that differ in what comes after phase 0
    share its teacher, seed by seed. Decoded photos are kept until the table is finished, unless ``cache_dir`` says
    where they stay. ``results.json`` and ``results.csv`` hold every seed beside what the paper reports,
    ``summary.csv`` (and ``results.json``, too) what the seeds of a row have in common, and ``results.md`` the summary
    that is returned. All of them hold what earlier calls have finished of the table in that folder, too: other tasks,
    and further seeds. What is of other settings or another version is left out, and named.

    Args:
        table: ``"table1"`` to ``"table6"``.
        data_root: Holds the unpacked archives in folders ``live``, ``csiq``, ``tid2013``, ``kadid10k``, ``livec``,
            ``koniq10k``, ``livefb`` and ``spaq``.
        output_dir: Where runs and results go.
        tasks: Only these, for example ``["livec-koniq10k"]``. A star stands for the four common distortions of B:
            ``live-csiq*`` is a task of table 1, and ``live-csiq`` one with all of them, which runs when named.
        seeds: How many, from 0.
        protocol: ``"honest"``, or ``"paper"`` for the settings of the authors' code as far as they can be had here
            (:mod:`ssiqa.protocol.authors`); its results go to a folder of their own.
        peers_dir: Holds ``niqe_pris_params.npz`` and ``ilniqe_templateModel.mat``, for the unsupervised peers of table
            1; by default ``peers`` in ``data_root``.
        **settings: As for :func:`ssiqa.adapt`, in all runs; None for what the protocol or the preset says.

    Returns:
        The table as Markdown. Rows whose databases, parameters or packages are missing say which.

    Raises:
        SsiqaError: No such table, task, protocol, setting or weight file, or a run fails.
        NothingToRun: None of the tasks has its databases in ``data_root``, all their images readable.
    """
    if table not in TABLES:
        raise SsiqaError(f"No table {table!r}; there are: {', '.join(TABLES)}.")
    if protocol not in PROTOCOLS:
        raise SsiqaError(f"No protocol {protocol!r}; there are: {', '.join(PROTOCOLS)}.")
    there = (*TABLES[table].tasks, *TABLES[table].others)
    wanted, how = TABLES[table].tasks if tasks is None else _chosen(table, there, tasks), PROTOCOLS[protocol]
    place, data = Path(output_dir), Path(data_root)
    if place.exists() and not place.is_dir():
        raise SsiqaError(f"{place} is a file; choose another output folder.")
    own_cache, results = place / "cache", place / (table if protocol == "honest" else f"{table}-{protocol}")
    given = {"cache_dir": own_cache} | {name: value for name, value in settings.items() if value is not None}

    def settings_of(images: int, reader: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        return {**TABLES[table].settings, **how.settings(images, reader), **given, **changes}

    chosen = how.settings(1, wanted[0].source)
    if given.get("preset") not in (None, chosen.get("preset", given.get("preset"))):
        raise SsiqaError(
            f"Protocol {protocol} is of preset {chosen['preset']}; leave out the preset, or take protocol honest."
        )
    configs = [config_of(settings_of(1, wanted[0].source, changes)) for changes in TABLES[table].variants.values()]
    if weights := configs[0].weights:  # seen before anything is read
        build_model(configs[0].backbone, Path(weights))

    def folder_of(task: Task, variant: str, seed: int) -> Path:
        return row_folder(results, task.name, variant) / f"seed-{seed}"

    def has_all(task: Task) -> bool:
        runs = ((variant, seed) for variant in TABLES[table].variants for seed in range(seeds))
        return all((folder_of(task, *run) / RESULT).is_file() for run in runs)

    made = _provenance(table, protocol, settings_of(1, wanted[0].source, {}), given)
    there_is = _with_folders(table, wanted, data)
    if not weights and not all(map(has_all, there_is)):  # a hub is asked before hours go into resizing
        build_model(configs[0].backbone)
    # What the protocol chooses, it may choose by the images of A. Its own folder and the version vouch for it, unless
    # the caller gave something else.
    instead = sorted((chosen.keys() - {"preset"}) & given.keys()) or None
    teachers: dict[str, Path] = {}
    readable: set[str] = set()
    peers, missing = open_peers(Path(peers_dir or data / "peers")) if TABLES[table].peers else ({}, {})
    for name in missing:
        if any(folder for task in there for folder in row_folder(results, task.name, name).glob("seed-*")):
            missing[name] = f"{missing[name].rstrip('.')}; what earlier calls finished of it is left out"
    unread: dict[str, str] = {}
    rows: dict[tuple[str, str], Mapping[str, Any]] = {}
    for task in there:
        for variant, changes in TABLES[table].variants.items():
            by_a = chosen.keys() - given.keys() - changes.keys()
            any_a = _of_any(settings_of(1, task.source, changes), without={"seed", *by_a})
            rows[task.name, variant] = any_a | {"given": instead}
        rows |= {(task.name, name): {"peer": peer.version} for name, peer in peers.items()}

    def write() -> str:
        outcomes, others = collect(results, rows)
        shown = {task.name for task in wanted} | {outcome.task for outcome in outcomes}
        names = [task.name for task in there if task.name in shown]
        notes = [*TABLES[table].notes, *([""] * bool(TABLES[table].notes and how.footnotes)), *how.footnotes]
        return summary.write(results, made, names, outcomes, missing | unread | others, notes)

    for task in wanted:
        try:
            source, target = task.read(data)
            source, target = how.labelled(source, task.source), how.labelled(target, task.target)
            if not has_all(task) and given.get("on_error") != "skip":
                for database in (source, target):
                    _see_images(database, readable)
            seen_a = how.prepared(source, task.source, place / "resized" / task.source)
            seen_b = how.prepared(target, task.target, place / "resized" / task.target)
        except DataError as error:  # the other tasks are of other images
            unread[task.name] = str(error)
            continue
        for variant, changes in TABLES[table].variants.items():
            for seed in range(seeds):
                parts = task.split(seen_a, seen_b, seed)
                run = settings_of(len(parts.labeled.images), task.source, changes) | {"seed": seed}
                row = (table, task.name, variant, seed)
                _run(folder_of(task, variant, seed), row, parts, how, run, instead, teachers)
                write()
        for name, peer in peers.items():
            tests = [task.split(source, target, seed).test for seed in range(seeds)]
            try:
                _run_peer(row_folder(results, task.name, name), (table, task.name, name), peer, tests, place / "peers")
            except DataError as error:
                missing[f"{task.name} {name}"] = str(error)
            write()
    if len(unread) == len(wanted) and not any(outcome.task in unread for outcome in collect(results, rows)[0]):
        raise NothingToRun(f"No task of {table} can run. {' '.join(dict.fromkeys(unread.values()))}")
    if settings.get("cache_dir") is None:
        open_cache(own_cache, 0).remove()
    return write()


def _chosen(table: str, there: Sequence[Task], names: Sequence[str]) -> tuple[Task, ...]:
    """Those of a table's tasks that are named, in its order; a name may be that of another table's."""
    chosen = [find_task(name) for name in names]
    if wanted := tuple(task for task in there if task in chosen):
        return wanted
    raise SsiqaError(f"{table} has none of these tasks; it has: {', '.join(task.name for task in there)}.")


def _identity(settings: Mapping[str, Any]) -> dict[str, Any]:
    device = pick_device_of_runs(settings.get("device", "auto"))
    return identity_of(config_of(settings), device, pick_precision(settings.get("precision", "auto"), device))


def _of_any(settings: Mapping[str, Any], without: Collection[str]) -> dict[str, Any]:
    """What all runs of a row are of, as far as it is not among the settings that are left out."""
    identity = _identity(settings)
    alike = {name: value for name, value in identity["settings"].items() if name not in without}
    return {"version": __version__, **identity, "settings": alike}


def _provenance(table: str, protocol: str, settings: Mapping[str, Any], given: Mapping[str, Any]) -> Provenance:
    """Of a table whose rows change these settings, some of which the caller gave; what the protocol has is its own."""
    identity, preset = _identity(settings), settings.get("preset", "default")
    chosen = {*(TABLES[table].settings.keys() - PROTOCOLS[protocol].settings(1, "").keys()), *given}
    usual = make_config(preset).identity()["settings"]
    changed = {name: value for name, value in identity["settings"].items() if name in chosen and value != usual[name]}
    return Provenance(
        table,
        __version__,
        protocol,
        preset=preset,
        backbone=identity["settings"]["backbone"],
        device=identity["device"],
        precision=identity["precision"],
        changed=changed,
    )


def _with_folders(table: str, tasks: Sequence[Task], data: Path) -> list[Task]:
    """The tasks that have folders for their databases; where none has, that is said once, not for each."""
    if not data.is_dir():
        raise NothingToRun(f"{data} is no folder; name the one that holds the unpacked archives: live, csiq, ...")
    absent = [name for task in tasks for name in (task.source, task.target) if not (data / name).is_dir()]
    if found := [task for task in tasks if task.source not in absent and task.target not in absent]:
        return found
    reasons = [no_folder(name, data) for name in dict.fromkeys(absent)]
    raise NothingToRun(f"No task of {table} can run. {' '.join(reasons)}")


def _see_images(database: Database, readable: set[str]) -> None:
    """See that all images can be read, those of the test, too, and name them by where the archive has them.

    ``readable`` are digests of databases that have been seen; this one's is added.
    """
    if database.digest in readable:
        return
    with Progress(f"Checking {database.name}", len(database.images)) as progress:
        check_images(
            database.root,
            database.images,
            on_error="raise",
            labels=database.labels,  # of rated images none may be left out
            progress=lambda done, of: progress.advance(1),
        )
    readable.add(database.digest)


def _run(
    folder: Path,
    row: tuple[str, str, str, int],
    parts: Parts,
    how: Honest,
    settings: dict[str, Any],
    instead: list[str] | None,
    teachers: dict[str, Path],
) -> None:
    """Make the outcome of a row (table, task, variant, seed), unless its folder keeps it already.

    ``instead`` names settings that the caller gave where the protocol has its own. ``teachers`` are the runs that have
    trained one, by what it depends on; this one is added.
    """
    identity = _identity(settings)
    run_folder = folder / "run"
    teacher = teachers.setdefault(to_json([parts.labeled.digest, of_phase_0(identity)]), run_folder)
    of = {"version": __version__, **identity, "images": [part.digest for part in parts], "given": instead}
    if (folder / RESULT).is_file():
        kept = read_json(folder / RESULT)
        if changed := list(differing(kept["of"], of)):
            raise SsiqaError(f"{folder} holds another run ({', '.join(changed)}); choose another output folder.")
        return
    labeled = _linked(parts.labeled, folder / "labeled")
    unlabeled = _linked(parts.unlabeled, folder / "unlabeled", labeled=False)
    rated = _linked(parts.test, folder / "test")
    all_read = settings.get("on_error") != "skip"  # what a run without a photo is of, only reading it tells
    if all_read and teacher != run_folder and (teacher / CHECKPOINTS).is_dir() and not run_folder.exists():
        begin_with(run_folder, identity, fingerprints(labeled, unlabeled, without=()), teacher / CHECKPOINTS)
    run = adapt(labeled, unlabeled, run_folder, **settings)
    before, after = how.measured(run, rated, settings)
    teacher_on_a, on_a = (run.report["holdout"][name] for name in ("teacher", "student"))
    outcome = Outcome(
        *row,
        teacher_plcc=before.plcc,
        teacher_srcc=before.srcc,
        teacher_krcc=before.krcc,
        plcc=after.plcc,
        srcc=after.srcc,
        krcc=after.krcc,
        a_teacher_plcc=_defined(teacher_on_a["plcc"]),
        a_teacher_srcc=_defined(teacher_on_a["srcc"]),
        a_plcc=_defined(on_a["plcc"]),
        a_srcc=_defined(on_a["srcc"]),
        undone=sum(phase["step"] < 1 for phase in run.report["phases"][1:]),
    )
    keep(folder, of, outcome)


def _linked(database: Database, folder: Path, *, labeled: bool = True) -> Path:
    """A folder of links to a database, which another process may be reading."""
    try:
        return database.link_to(folder, labeled=labeled)
    except DataError:
        shutil.rmtree(folder, ignore_errors=True)  # of other images
        return database.link_to(folder, labeled=labeled)


def _defined(figure: float | None) -> float:
    """A report's null is a figure that is undefined; an outcome's None would be one that was never measured."""
    return math.nan if figure is None else figure


def _run_peer(folder: Path, row: tuple[str, str, str], peer: Peer, tests: Sequence[Database], kept: Path) -> None:
    """Make the outcomes of a peer's row (table, task, its name), one for each seed's test images.

    Raises:
        DataError: It cannot score one of the images; nothing is kept then, as that would leave out the seeds that test
            on it.
    """
    try:
        found = [agreement(score_database(row[2], peer, test, kept), test.quality) for test in tests]
    except DataError:
        shutil.rmtree(folder, ignore_errors=True)  # what an earlier call has kept of it
        raise
    for seed, of in enumerate(found):
        keep(folder / f"seed-{seed}", {"peer": peer.version}, Outcome(*row, seed, of.plcc, of.srcc, of.krcc))
