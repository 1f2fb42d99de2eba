"""The command ``ssiqa``: arguments in, one Python call, a few lines out."""

from __future__ import annotations

import io
import logging
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssiqa.errors import DataError, SsiqaError
from ssiqa.options import (
    BACKBONE,
    CACHE,
    CACHE_SIZE,
    DEVICE,
    PATH,
    PRECISION,
    SEED,
    WEIGHTS,
    machine_options,
)
from ssiqa.version import __version__

if TYPE_CHECKING:
    from ssiqa.results import Adaptation
    from ssiqa.scorer import Judgement

# torch's OpenMP threads spin while they wait for each other. Where another process wants the cores too, they then hold
# up the very thread they wait for, and training is several times slower. Read when torch is imported, later than this.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


class _Group(click.Group):
    """Turns the package's own errors and the system's into one line and exit code 2, and Ctrl-C into 130."""

    def invoke(self, context: click.Context) -> object:
        try:
            return super().invoke(context)
        except SsiqaError as error:
            click.echo(f"ssiqa: {error}", err=True)
            context.exit(2)
        except ImportError as error:
            if "SSIQA_" not in str(error):
                raise
            click.echo(f"ssiqa: {error}", err=True)  # a setting in the environment that the core refuses
            context.exit(2)
        except BrokenPipeError:
            raise  # click ends quietly: whoever read what is printed has read enough
        except OSError as error:
            click.echo(f"ssiqa: {error.filename or 'a file'}: {error.strerror or error}.", err=True)
            context.exit(2)
        except KeyboardInterrupt:
            resumable = context.invoked_subcommand in ("adapt", "update", "demo", "reproduce")
            click.echo(
                f"ssiqa: stopped{'; the same command goes on after the last finished phase' if resumable else ''}.",
                err=True,
            )
            context.exit(130)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="ssiqa")
def main() -> None:
    """Image quality scorers that adapt to photos nobody has rated.

    \b
    Examples:
      ssiqa demo
      ssiqa adapt labeled/ unlabeled/ -o run
      ssiqa score run/student.pt photos/ --output scores.csv
      ssiqa evaluate run/student.pt labeled_test/
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may be no text; they are printed as they are
        sys.stdout.reconfigure(errors="surrogateescape")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("ssiqa").setLevel(logging.INFO)


@main.command()
@click.argument("labeled", type=PATH)
@click.argument("unlabeled", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="Folder of the run; the same command continues it.")
@click.option(
    "--preset",
    type=click.Choice(["default", "paper"]),
    default="default",
    show_default=True,
    help="paper: the network is trained in each phase, as the paper does; default: it stays, and a regression adapts.",
)
@BACKBONE
@WEIGHTS
@click.option(
    "--blocks",
    type=click.IntRange(min=1),
    metavar="N",
    help="Parts that UNLABELED is dealt into, adapted to one after another.  [default: the preset's]",
)
@SEED
@machine_options
def adapt(labeled: Path, unlabeled: Path, output: Path, profiled: bool, **options: object) -> None:
    """Train on LABELED, adapt to UNLABELED, and export student.pt.

    LABELED holds photos and labels.csv with the columns image and mos (or dmos, score), and optionally group.

    \b
    Examples:
      ssiqa adapt labeled/ unlabeled/ -o run
      ssiqa adapt labeled/ unlabeled/ -o run-vit --backbone vit_tiny_patch16_224 --weights vit.safetensors
    """
    from ssiqa.adaptation import adapt as run

    _run_and_tell(run, labeled, unlabeled, output, profiled=profiled, **options)
    click.echo(f"\nNext: {shlex.join(['ssiqa', 'score', str(output / 'student.pt'), str(unlabeled)])}")


@main.command()
@click.argument("run", type=PATH)
@click.argument("unlabeled", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="Folder of the new run; the same command continues it.")
@click.option("--labeled", "labeled_dir", type=PATH, help="The labelled photos of RUN, if they have moved.")
@click.option("--weights", type=PATH, metavar="FILE", help="The local weights that RUN began from, if it did.")
@click.option(
    "--blocks",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Parts that UNLABELED is dealt into, adapted to one after another.",
)
@machine_options
def update(run: Path, unlabeled: Path, output: Path, profiled: bool, **options: object) -> None:
    """Adapt the student of the finished RUN to further photos, UNLABELED; the earlier ones are not needed.

    \b
    Example:
      ssiqa update run/ new-photos/ -o run-2
    """
    from ssiqa.updating import update as go_on

    _run_and_tell(go_on, run, unlabeled, output, profiled=profiled, **options)


@main.command()
@click.argument("scorer", type=PATH)
@click.argument("images", type=PATH, nargs=-1, required=True)
@click.option("--output", type=PATH, help="Write to a .csv or .json file instead of the terminal.")
@click.option("--interval", is_flag=True, help="Give the low and high end of each score's interval, too.")
def score(scorer: Path, images: tuple[Path, ...], output: Path | None, interval: bool) -> None:
    """Score IMAGES, files or folders, with SCORER: an exported file, or a run, for its student.

    An image that cannot be read is named and left out; the others are scored, and the exit code is 2. A file of scores
    grows as they are made: Ctrl-C leaves those that are.

    \b
    Examples:
      ssiqa score run/student.pt photo.jpg
      ssiqa score run/student.pt photos/ --interval --output scores.csv
    """
    from ssiqa.score_file import KINDS
    from ssiqa.scorer import load

    if output and output.suffix not in KINDS:
        raise SsiqaError(f"--output {output} must end in {' or '.join(KINDS)}.")
    loaded = load(scorer)
    paths = list(_expand(images))
    with closing(loaded.judge_each(paths, with_margin=interval)) as judgements:
        count = _write(output, paths, judgements, interval) if output else _print(paths, judgements, interval)
    if count < len(paths):
        raise SsiqaError(f"{len(paths) - count} of {len(paths)} images could not be read; they have no score.")


@main.command()
@click.argument("scorer", type=PATH)
@click.argument("labeled", type=PATH)
@click.option("--logistic", type=click.IntRange(4, 5), help="Parameters of a curve to fit before PLCC and RMSE.")
def evaluate(scorer: Path, labeled: Path, logistic: int | None) -> None:
    """Compare the scores of SCORER with the labels of LABELED, with 95 % intervals over groups of photos.

    SCORER is an exported file, or a run, for its student.

    \b
    Examples:
      ssiqa evaluate run/student.pt labeled_test/
      ssiqa evaluate run/student.pt labeled_test/ --logistic 5
    """
    from ssiqa.metrics import evaluate as compare
    from ssiqa.scorer import load

    click.echo(str(compare(load(scorer), labeled, logistic=logistic)))


@main.command()
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@click.argument("labeled", type=PATH)
def compare(first: Path, second: Path, labeled: Path) -> None:
    """Compare the scorers FIRST and SECOND, exported files or runs, for their students, on the labels of LABELED.

    \b
    Example:
      ssiqa compare run/teacher.pt run/student.pt labeled_test/
    """
    from ssiqa.comparison import compare as compare_scorers
    from ssiqa.scorer import load

    found = compare_scorers(load(first), load(second), labeled)
    click.echo(f"first:  {first}\nsecond: {second}\n\n{found}")


@main.command()
@click.argument("table", type=click.Choice([*(f"table{number}" for number in range(1, 7)), "all"]))
@click.option("--data-root", type=PATH, required=True, help="Holds the unpacked archives: live, csiq, tid2013, ...")
@click.option("-o", "--output", type=PATH, default=Path("reproduced"), show_default=True, help="For runs and results.")
@click.option(
    "--tasks",
    help="Only these of the table, with commas between: 'live-csiq*,csiq-live'. A star is for the four common "
    "distortions of the target; live-csiq, tid2013-kadid10k and kadid10k-tid2013, with all of them, run only when "
    "named.",
)
@click.option("--seeds", type=click.IntRange(min=1), default=10, show_default=True)
@click.option(
    "--protocol",
    type=click.Choice(["honest", "paper"]),
    default="honest",
    show_default=True,
    help="honest, or paper: the settings of the authors' code, as far as they can be had.",
)
@click.option(
    "--peers-dir", type=PATH, help="Parameters of NIQE and IL-NIQE, for table 1; by default peers in --data-root."
)
@click.option("--preset", type=click.Choice(["default", "paper"]), help="By default what the protocol says.")
@BACKBONE
@WEIGHTS
@DEVICE
@PRECISION
@CACHE
@CACHE_SIZE
def reproduce(table: str, data_root: Path, output: Path, tasks: str | None, seeds: int, **options: Any) -> None:
    """Run TABLE of the paper (table1 to table6, or all) on the databases under --data-root.

    Each seed splits A and B by content, 80 % and 20 %. What is finished is not repeated.

    \b
    Example:
      ssiqa reproduce table1 --data-root databases/ --tasks livec-koniq10k --seeds 3
    """
    from ssiqa.protocol.reproduce import NothingToRun
    from ssiqa.protocol.reproduce import reproduce as run
    from ssiqa.protocol.tasks import find_task, tables_of

    names = None if tasks is None else [name.strip() for name in tasks.split(",")]
    if names and not all(names):
        raise SsiqaError(f"--tasks {tasks!r} has an empty name; write names of tasks with one comma between two.")
    chosen = None if names is None else [find_task(name).name for name in names]
    tables = tables_of(chosen) if table == "all" else [table]
    without: list[NothingToRun] = []
    for name in tables:
        try:
            click.echo(run(name, data_root, output, tasks=chosen, seeds=seeds, **options))
        except NothingToRun as error:
            without.append(error)
    if len(without) == len(tables):
        raise without[0]
    for reason in without:
        click.echo(f"ssiqa: {reason}", err=True)


@main.command()
def info() -> None:
    """Versions, what is built, what runs on this machine, and if not, why."""
    from ssiqa.info import facts

    for name, value in facts().items():
        click.echo(f"{name:<14} {value}")


@main.command()
@click.option("-o", "--output", type=PATH, default=Path("ssiqa-demo"), show_default=True, help="Where to put it all.")
@SEED
def demo(output: Path, seed: int) -> None:
    """Make folders of distorted photographs, adapt from the labelled one to the other, and show what it gave.

    The labels come from a full-reference metric: they are not human opinions.
    """
    from ssiqa.demo.show import run_demo

    click.echo(run_demo(output, seed))


def _run_and_tell(run: Callable[..., Adaptation], *folders: Path, profiled: bool, **options: object) -> None:
    from ssiqa.profile import Profile

    profile = Profile()
    try:
        adaptation = run(*folders, profile=profile, **options)
    finally:
        if profiled:  # of an interrupted run too
            click.echo(profile)
    _echo_adaptation(adaptation)


def _echo_adaptation(adaptation: Adaptation) -> None:
    from ssiqa.metrics import figure

    report = adaptation.report
    click.echo("Hold-out of the labelled photos (never trained on):")
    for name, title in (("teacher", "before adaptation"), ("student", "after adaptation")):
        values = report["holdout"][name]
        click.echo(
            f"  {title:<18} SRCC {figure(values['srcc'])}  PLCC {figure(values['plcc'])}  RMSE {values['rmse']:.4g}"
        )
    interval = report["interval"]["student"]
    if interval["width"] is not None and interval["coverage"] is not None:
        click.echo(
            f"Intervals of {interval['level']:.0%}: {interval['width']:.3g} wide (median), "
            f"with {interval['coverage']:.1%} of the held-out labels inside."
        )
    if report["coverage"] is not None:
        uncovered, usual = (f"{report['coverage'][name]:.0%}" for name in ("uncovered", "usual"))
        click.echo(f"Unlabelled photos unlike all labelled ones: {uncovered} ({usual} is usual).")
    memory = report["memory"]
    if memory["student"] is not None:
        before, after = (memory[name]["rmse"] for name in ("teacher", "student"))
        click.echo(f"Exemplars of earlier photos ({memory['student']['photos']}): RMSE {before:.4g}, now {after:.4g}")
    if not report["adapted"]:
        click.echo("Every phase made the hold-out worse and was undone: the student is the teacher.")
    skipped = report["data"]["unlabeled"]["skipped"]
    if skipped:
        click.echo(f"{len(skipped)} unlabelled photos could not be read and were skipped; report.json lists them.")
    click.echo(f"Files: {adaptation.output_dir}/ (student.pt, teacher.pt, report.json, pseudo_labels.csv)")


def _expand(paths: tuple[Path, ...]) -> Iterator[Path]:
    from ssiqa.data import read_unlabeled_folder

    for path in paths:
        if path.is_dir():
            folder = read_unlabeled_folder(path)
            yield from (folder.root / image for image in folder.images)
        else:
            yield path


def _print(paths: list[Path], judgements: Iterable[Judgement | DataError], interval: bool) -> int:
    """Print what is found of images that can be read; their number."""
    count = 0
    for path, *numbers in _rows(paths, judgements, interval):
        click.echo("\t".join([*(f"{number:.4f}" for number in numbers), f"{path}"]))
        count += 1
    return count


def _write(output: Path, paths: list[Path], judgements: Iterable[Judgement | DataError], interval: bool) -> int:
    """The same into a file, which is opened before anything is scored: that it cannot be is known now, not in hours."""
    from ssiqa.progress import Task
    from ssiqa.score_file import ScoreFile

    with ScoreFile(output, ["image", "score", *(["low", "high"] if interval else [])]) as file:
        try:
            with Task("Scoring", len(paths)) as task:
                for row in _rows(paths, task.each(judgements), interval):
                    file.add(*row)
        except KeyboardInterrupt:
            click.echo(f"ssiqa: {file.count} scores of {len(paths)} images are in {output}.", err=True)
            raise
    click.echo(f"{file.count} scores in {output}")
    return file.count


def _rows(
    paths: list[Path], judgements: Iterable[Judgement | DataError], interval: bool
) -> Iterator[tuple[str | float, ...]]:
    """Path, score and ends of the interval, if asked for, of each image that can be read; the others are named."""
    from ssiqa.progress import tell

    for path, found in zip(paths, judgements, strict=True):
        if isinstance(found, DataError):
            tell(f"ssiqa: {found}")
            continue
        ends = (found.score - found.margin, found.score + found.margin) if interval else ()
        yield str(path), found.score, *ends
