from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import ssiqa
from ssiqa.cli import main

from .conftest import texture, write_photo


def ssiqa_command(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_module_version_and_help() -> None:
    printed = subprocess.run([sys.executable, "-m", "ssiqa", "--version"], capture_output=True, text=True, check=True)
    assert printed.stdout.split()[-1] == ssiqa.__version__
    for command in ([], ["adapt"], ["score"], ["evaluate"]):
        result = ssiqa_command(*command, "--help")
        assert result.exit_code == 0
        assert "Example" in result.output


def test_info_says_what_runs_and_why_not() -> None:
    result = ssiqa_command("info")
    assert result.exit_code == 0
    assert {line.split()[0] for line in result.output.splitlines()} >= {"ssiqa", "torch", "core", "cpu", "cuda"}


def test_score_to_terminal_and_files(adaptation: ssiqa.Adaptation, unlabeled: Path, tmp_path: Path) -> None:
    student = adaptation.output_dir / "student.pt"
    expected = adaptation.student.score(sorted(unlabeled.glob("*.png")))
    result = ssiqa_command("score", student, unlabeled)
    assert result.exit_code == 0
    assert len(result.output.splitlines()) == len(expected)
    ssiqa_command("score", student, unlabeled, "--output", tmp_path / "scores.csv")
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
    assert "SRCC" in result.output
    assert "(24 photos)" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["adapt", "nowhere", "nowhere", "-o", "run"], "nowhere"),
        (["score", "nowhere.pt", "x.jpg"], "No scorer at nowhere.pt"),
        (["score", "nowhere.pt", "x.jpg", "--output", "scores.xls"], "must end in .csv or .json"),
        (["adapt", ".", ".", "-o", "run", "--backbone", "no_such_net"], "no_such_net"),
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
