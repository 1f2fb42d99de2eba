from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import ssiqa
from ssiqa import config
from ssiqa.cli import main
from ssiqa.scorer import Scorer

from .conftest import texture, write_photo


def ssiqa_command(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_module_version_and_help() -> None:
    printed = subprocess.run([sys.executable, "-m", "ssiqa", "--version"], capture_output=True, text=True, check=True)
    assert printed.stdout.split()[-1] == ssiqa.__version__
    for command in ([], ["adapt"], ["score"], ["evaluate"], ["compare"], ["reproduce"]):
        result = ssiqa_command(*command, "--help")
        assert result.exit_code == 0
        assert "Example" in result.output


def test_info_says_what_runs_and_why_not() -> None:
    result = ssiqa_command("info")
    assert result.exit_code == 0
    assert {line.split()[0] for line in result.output.splitlines()} >= {"ssiqa", "torch", "core", "cpu", "cuda"}


def test_score_to_terminal_and_files(
    adaptation: ssiqa.Adaptation, unlabeled: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    student = adaptation.output_dir / "student.pt"
    expected = adaptation.student.score(sorted(unlabeled.glob("*.png")))
    result = ssiqa_command("score", student, unlabeled)
    assert result.exit_code == 0
    assert len(result.output.splitlines()) == len(expected)
    saved = ssiqa_command("score", student, unlabeled, "--output", tmp_path / "scores.csv")
    assert saved.stdout == f"{len(expected)} scores in {tmp_path / 'scores.csv'}\n"
    assert "Scoring: 12 img" in caplog.text
    with (tmp_path / "scores.csv").open() as file:
        assert [float(row["score"]) for row in csv.DictReader(file)] == expected.tolist()
    ssiqa_command("score", student, unlabeled / "00.png", "--output", tmp_path / "scores.json")
    assert json.loads((tmp_path / "scores.json").read_text()) == [
        {"image": str(unlabeled / "00.png"), "score": expected[0]}
    ]


def test_a_bad_photo_does_not_cost_the_others(adaptation: ssiqa.Adaptation, tmp_path: Path) -> None:
    write_photo(tmp_path / "a.png", texture(0, 0))
    (tmp_path / "b.jpg").write_bytes(b"no photo")
    write_photo(tmp_path / "c.png", texture(1, 0))
    result = ssiqa_command("score", adaptation.output_dir / "student.pt", tmp_path)
    assert result.exit_code == 2
    assert [line.split("/")[-1] for line in result.stdout.splitlines()] == ["a.png", "c.png"]
    assert "b.jpg" in result.stderr


def test_evaluate(adaptation: ssiqa.Adaptation, labeled: Path) -> None:
    result = ssiqa_command("evaluate", adaptation.output_dir / "student.pt", labeled)
    assert result.exit_code == 0
    assert re.search(r"SRCC -?\d\.\d{3} \[-?\d\.\d{3}, -?\d\.\d{3}\]", result.output)
    assert "(24 photos)" in result.output
    fitted = ssiqa_command("evaluate", adaptation.output_dir / "student.pt", labeled, "--logistic", 4)
    assert fitted.exit_code == 0
    assert fitted.output != result.output


def test_compare_takes_scorers_and_runs(adaptation: ssiqa.Adaptation, labeled: Path) -> None:
    result = ssiqa_command("compare", adaptation.output_dir / "student.pt", adaptation.output_dir, labeled)
    assert result.exit_code == 0, result.output
    assert "SRCC +0.000 [+0.000, +0.000]" in result.output
    assert "24 photos of 24 groups: the photos do not tell them apart, neither in ranking" in result.output
    assert f"first:  {adaptation.output_dir / 'student.pt'}\nsecond: {adaptation.output_dir}\n" in result.output


def test_a_run_stands_for_its_student(adaptation: ssiqa.Adaptation, labeled: Path, unlabeled: Path) -> None:
    run, photo = adaptation.output_dir, unlabeled / "00.png"
    assert ssiqa_command("score", run, photo).stdout == ssiqa_command("score", run / "student.pt", photo).stdout != ""
    assert ssiqa_command("evaluate", run, labeled).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["adapt", "nowhere", "nowhere", "-o", "run"], "nowhere"),
        (["score", "nowhere.pt", "x.jpg"], "No scorer at nowhere.pt"),
        (["score", "nowhere.pt", "x.jpg", "--output", "scores.xls"], "must end in .csv or .json"),
        (["adapt", "a", "b", "-o", "run", "--backbone", "no_such_net"], "no_such_net"),
        (["adapt", ".", "b", "-o", "run"], "lies in ., where its exemplars would count as photos"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = ssiqa_command(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def option_list(settings: dict[str, object]) -> list[object]:
    return ["--backbone", settings["backbone"], "--weights", settings["weights"], "--blocks", 2]


@pytest.fixture
def quick_default(monkeypatch: pytest.MonkeyPatch, settings: dict[str, object]) -> None:
    """The default preset, as short as the other runs here."""
    short = {name: settings[name] for name in ("teacher", "student", "weak_crops", "grid", "short_side")}
    monkeypatch.setattr("ssiqa.config._DEFAULT", replace(config._DEFAULT, probe_head=False, **short))


@pytest.mark.usefixtures("quick_default")
def test_adapt_says_what_it_gave(
    labeled: Path, unlabeled: Path, settings: dict[str, object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pool = tmp_path / "pool"
    shutil.copytree(unlabeled, pool)
    (pool / "broken.jpg").write_bytes(b"no photo")
    options = [
        "--on-error",
        "skip",
        "--cache",
        tmp_path / "cache",
        "--cache-size",
        1,
        "--profile",
        *option_list(settings),
    ]
    result = ssiqa_command("adapt", labeled, pool, "-o", tmp_path / "run", *options)
    assert result.exit_code == 0, result.output
    assert re.search(r"^forward +[\d.]+ +[\d.]+% +[\d.]+$", result.stdout, re.MULTILINE)
    assert list((tmp_path / "cache").rglob("*.npy"))
    for part in ("before adaptation", "after adaptation", "1 unlabelled photos could not be read", "Next: ssiqa score"):
        assert part in result.stdout
    # Not on a terminal: log lines with phase, epoch, loss and speed instead of a bar.
    assert re.search(r"Phase 0 of 2, training: 38 img, epoch 2/2, loss \d\.\d+, [\d.]+ img/s", caplog.text)
    assert (tmp_path / "run/student.pt").is_file()


@pytest.mark.usefixtures("quick_default")
def test_ctrl_c_says_how_to_go_on(
    labeled: Path,
    unlabeled: Path,
    settings: dict[str, object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ("adapt", labeled, unlabeled, "-o", tmp_path / "run", *option_list(settings))

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("ssiqa.adaptation.increment", interrupt)
        result = ssiqa_command(*arguments)
    assert result.exit_code == 130
    assert "the same command goes on after the last finished phase" in result.stderr
    assert (tmp_path / "run/checkpoints/phase-0.safetensors").is_file()
    assert not list((tmp_path / "run").rglob("*.part"))
    assert ssiqa_command(*arguments).exit_code == 0


def test_undefined_correlations_are_words_not_a_crash(adaptation: ssiqa.Adaptation, tmp_path: Path) -> None:
    for number in range(3):
        write_photo(tmp_path / f"{number}.png", texture(0, 0))
    (tmp_path / "labels.csv").write_text("image,mos\n0.png,1\n1.png,2\n2.png,3\n")
    result = ssiqa_command("evaluate", adaptation.output_dir / "student.pt", tmp_path)
    assert result.exit_code == 0
    assert "SRCC undefined" in result.output


@pytest.mark.parametrize("name", ["file/scores.csv", "folder.json"])
def test_a_place_that_cannot_be_written_is_named_before_anything_is_scored(
    name: str, adaptation: ssiqa.Adaptation, unlabeled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.json").mkdir()
    monkeypatch.setattr(Scorer, "_judge", lambda *_: pytest.fail("scored"))
    result = ssiqa_command("score", adaptation.output_dir / "student.pt", unlabeled, "--output", tmp_path / name)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"ssiqa: {tmp_path / name} cannot be written (")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("kind", [".csv", ".json"])
def test_ctrl_c_leaves_the_scores_that_are_there(
    kind: str, adaptation: ssiqa.Adaptation, unlabeled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, student = tmp_path / f"scores{kind}", adaptation.output_dir / "student.pt"
    expected = adaptation.student.score(sorted(unlabeled.glob("*.png"))[:3])
    judge_each = Scorer.judge_each

    def interrupted(*arguments: Any, **options: Any) -> Iterator[Any]:
        yield from islice(judge_each(*arguments, **options), 3)
        assert len(output.read_text().split("png")) == 4  # in the file already: a kill would not cost them either
        raise KeyboardInterrupt

    monkeypatch.setattr(Scorer, "judge_each", interrupted)
    result = ssiqa_command("score", student, unlabeled, "--output", output)
    assert result.exit_code == 130
    assert f"3 scores of 12 images are in {output}." in result.stderr
    with output.open() as file:
        rows = list(csv.DictReader(file)) if kind == ".csv" else json.load(file)
    assert [float(row["score"]) for row in rows] == expected.tolist()


def test_who_has_read_enough_ends_it_quietly(adaptation: ssiqa.Adaptation, unlabeled: Path) -> None:
    command = [sys.executable, "-m", "ssiqa", "score", adaptation.output_dir / "student.pt", unlabeled]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""


def test_names_that_are_no_text_are_printed_as_they_are(
    adaptation: ssiqa.Adaptation, unlabeled: Path, tmp_path: Path
) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    shutil.copy(unlabeled / "05.png", tmp_path / name)
    command = [sys.executable, "-m", "ssiqa", "score", str(adaptation.output_dir), str(tmp_path)]
    strict = os.environ | {"PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(command, capture_output=True, env=strict, check=True)
    assert done.stdout.rstrip().endswith(b"caf\xe9.png")


def test_endless_intervals_are_null_in_json(adaptation: ssiqa.Adaptation, unlabeled: Path, tmp_path: Path) -> None:
    """The hold-out of so few photos says nothing of how far scores are off."""
    student, output = adaptation.output_dir / "student.pt", tmp_path / "scores.json"
    assert ssiqa_command("score", student, unlabeled, "--interval", "--output", output).exit_code == 0

    def refused(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    rows = json.loads(output.read_text(), parse_constant=refused)
    assert {(row["low"], row["high"]) for row in rows} == {(None, None)}
