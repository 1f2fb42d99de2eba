"""What `ssiqa demo` does with its folders: adapt from one to the other, and measure both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssiqa.adaptation import adapt
from ssiqa.demo.folders import make_demo_folders
from ssiqa.metrics import evaluate, figure

_TEXT = """\
Before and after adaptation, against a full-reference metric (not human opinions):

                                        before (teacher)      after (student)
                                        SRCC    PLCC          SRCC    PLCC
  labelled, {n_a:>3} photos held out       {a}
  unlabelled, {n_b:>3} other photos of it  {b}

Look inside:
  {labeled}    photos with labels.csv
  {unlabeled}    photos without
  {unlabeled_test}    photos of the second kind, to measure on
  {run}    student.pt, teacher.pt, report.json, pseudo_labels.csv

Next, with your own photos:
  ssiqa score {student} YOUR_PHOTO.jpg
  ssiqa adapt YOUR_LABELED_FOLDER YOUR_UNLABELED_FOLDER -o run"""
_SHOWN = ("srcc", "plcc")


def run_demo(output: Path, seed: int = 0) -> str:
    """Make the folders below ``output``, adapt, and say what it gave.

    Raises:
        SsiqaError: scikit-image is not installed, or ``output`` cannot be used.
    """
    folders = make_demo_folders(output, seed)
    adaptation = adapt(folders.labeled, folders.unlabeled, output / "run", seed=seed)
    holdout = adaptation.report["holdout"]
    test = {
        name: evaluate(scorer, folders.unlabeled_test).to_dict()
        for name, scorer in (("teacher", adaptation.teacher), ("student", adaptation.student))
    }
    width = max(len(str(folder)) for folder in (*folders, output / "run"))
    return _TEXT.format(
        n_a=holdout["teacher"]["n"],
        n_b=test["teacher"]["n"],
        a=_row(holdout["teacher"], holdout["student"]),
        b=_row(test["teacher"], test["student"]),
        labeled=f"{folders.labeled!s:<{width}}",
        unlabeled=f"{folders.unlabeled!s:<{width}}",
        unlabeled_test=f"{folders.unlabeled_test!s:<{width}}",
        run=f"{output / 'run'!s:<{width}}",
        student=adaptation.output_dir / "student.pt",
    )


def _row(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    srcc, plcc, srcc_after, plcc_after = (figure(values[name]) for values in (before, after) for name in _SHOWN)
    return f"{srcc:<7} {plcc:<13} {srcc_after:<7} {plcc_after}"
