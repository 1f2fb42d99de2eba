"""What a table makes of its runs: figures of teacher and student, by seed and together. Nothing is trained here."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.io import savemat

from ssiqa.cli import main
from ssiqa.metrics import Evaluation
from ssiqa.protocol import reproduce as module
from ssiqa.protocol import summary
from ssiqa.protocol.archives import ARCHIVES
from ssiqa.protocol.honest import Honest
from ssiqa.protocol.outcome import Outcome
from ssiqa.protocol.peers import Peer
from ssiqa.protocol.provenance import Provenance
from ssiqa.protocol.reproduce import NothingToRun, reproduce
from ssiqa.protocol.tasks import TABLES
from ssiqa.version import __version__

from .test_readers import cells, images, table

MADE = Provenance("table1", "0.1", "honest", "default", "a_backbone", "cpu", "float32", {})
"""Of tables that no run was made for."""

TEACHER, STUDENT = Evaluation(0.71, 0.72, 0.73, 1.0, 4), Evaluation(0.81, 0.82, 0.83, 1.0, 4)
"""On the test part of B."""

HOLDOUT = {"teacher": {"plcc": 0.91, "srcc": 0.92}, "student": {"plcc": 0.93, "srcc": 0.94}}


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """LIVEC and KonIQ-10k, of ten images that nobody looks at; of the others nothing."""
    root, names = tmp_path / "databases", [f"{number}.bmp" for number in range(10)]
    images(root / "livec/Images", names)
    (root / "livec/Data").mkdir()
    practice = [f"t{number}.bmp" for number in range(1, 8)]
    savemat(root / "livec/Data/AllImages_release.mat", {"AllImages_release": cells(practice + names, column=True)})
    savemat(root / "livec/Data/AllMOS_release.mat", {"AllMOS_release": np.arange(17.0)[None]})
    images(root / "koniq10k/1024x768", names)
    rows = [[name, number, 10 * number] for number, name in enumerate(names)]
    table(root / "koniq10k/koniq10k_scores_and_distributions.csv", [["image_name", "MOS", "MOS_zscore"], *rows])
    return root


@pytest.fixture(autouse=True)
def runs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the runs were asked for; none is made, and there are no peers."""
    asked: list[dict[str, Any]] = []

    class Known(Honest):
        def measured(self, run: Any, test: Path, settings: Mapping[str, Any]) -> list[Evaluation]:
            return [TEACHER, STUDENT]

    def made(labeled: Path, unlabeled: Path, folder: Path, **settings: Any) -> Any:
        asked.append(settings)
        phases = [{"step": 1.0}, {"step": 0.5}, {"step": 1.0}, {"step": 0.0}]
        return SimpleNamespace(report={"holdout": HOLDOUT, "phases": phases})

    monkeypatch.setattr(module, "adapt", made)
    for seen in ("build_model", "_see_images"):
        monkeypatch.setattr(module, seen, lambda *arguments: None)
    monkeypatch.setattr(module, "open_peers", lambda folder: ({}, {}))
    monkeypatch.setitem(module.PROTOCOLS, "honest", Known())
    return asked


def kept(place: Path, table: str = "table1") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place / table / "results.json").read_text())
    return found


def test_figures_of_teacher_and_student_are_not_swapped(data_root: Path, tmp_path: Path) -> None:
    text = reproduce("table1", data_root, tmp_path / "out", tasks=["livec-koniq10k"], seeds=1)
    (outcome,) = kept(tmp_path / "out")["outcomes"]
    assert {name: outcome[name] for name in ("teacher_plcc", "teacher_srcc", "teacher_krcc")} == {
        "teacher_plcc": 0.71,
        "teacher_srcc": 0.72,
        "teacher_krcc": 0.73,
    }
    assert {name: outcome[name] for name in ("plcc", "srcc", "krcc")} == {"plcc": 0.81, "srcc": 0.82, "krcc": 0.83}
    assert (outcome["a_teacher_plcc"], outcome["a_teacher_srcc"]) == (0.91, 0.92)
    assert (outcome["a_plcc"], outcome["a_srcc"]) == (0.93, 0.94)
    assert outcome["undone"] == 2
    assert "\nThe guard damped or undid 2 phases of these runs.\n" in text


def of_run(seed: int, **figures: float) -> Outcome:
    usual = {name: 0.5 for name in summary.FIGURES}
    return Outcome("table1", "livec-koniq10k", "ssiqa", seed, **usual | figures)


@pytest.mark.parametrize(
    ("name", "after", "before"), [("gain_srcc", "srcc", "teacher_srcc"), ("change_a_srcc", "a_srcc", "a_teacher_srcc")]
)
def test_a_gain_is_of_the_student_seed_by_seed(name: str, after: str, before: str) -> None:
    """Seeds differ far more than student and teacher: only of the differences the interval is narrow."""
    pairs = zip((0.2, 0.4, 0.6), (0.010, 0.011, 0.012), strict=True)
    outcomes = [of_run(seed, **{before: at, after: at + gain}) for seed, (at, gain) in enumerate(pairs)]
    found = next(one for one in summary.aggregate(outcomes) if one["figure"] == name)
    assert (found["mean"], found["median"]) == pytest.approx((0.011, 0.011))
    assert 0.008 < found["low"] < 0.011 < found["high"] < 0.014
    assert found["interval"] == "t"


def test_what_happens_to_a_is_read_from_the_table(tmp_path: Path) -> None:
    """To a tenth of a thousandth, because two thousandths are what may be lost."""
    outcomes = [of_run(seed, a_srcc=0.5 - loss) for seed, loss in enumerate((0.0021, 0.0024, 0.0027))]
    text = summary.write(tmp_path, MADE, ["livec-koniq10k"], outcomes, {}, ())
    assert "| 0.498 | -0.0024 [-0.0031, -0.0017] | 0.724 |" in text
    with (tmp_path / "summary.csv").open() as file:
        (row,) = (row for row in csv.DictReader(file) if row["figure"] == "change_a_srcc")
    assert float(row["mean"]) == pytest.approx(-0.0024)
    widths = {line.count("|") for line in text.splitlines() if "| seeds |" in line or "| 3 |" in line}
    assert widths == {14}


def test_rows_of_the_paper_say_of_which_kind_they_are(tmp_path: Path) -> None:
    """ILNIQE stands twice in table 1: trained on A, and as it is."""
    summary.write(tmp_path, MADE, ["livec-koniq10k"], [of_run(0)], {}, ())
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = {row["kind"]: (row["a_srcc"], row["srcc"]) for row in rows if row["variant"] == "ILNIQE"}
    assert found == {"supervised": ("0.508", ""), "unsupervised": ("", "0.536")}
    keys = [(row["by"], row["kind"], row["task"], row["variant"], row["seed"]) for row in rows]
    assert len(set(keys)) == len(keys)


def test_every_seed_is_in_the_text(tmp_path: Path) -> None:
    outcomes = [of_run(seed, srcc=0.8 + seed / 100, a_srcc=0.9 + seed / 100) for seed in (0, 1, 3)]
    peer = Outcome("table1", "livec-koniq10k", "PIQE", 1, 0.3, np.nan, 0.2)
    lines = summary.write(tmp_path, MADE, ["livec-koniq10k"], [*outcomes, peer], {}, ()).splitlines()
    assert "| task | row | figure | seed 0 | seed 1 | seed 3 |" in lines
    assert "| livec-koniq10k | ssiqa | srcc | 0.800 | 0.810 | 0.830 |" in lines
    assert "| livec-koniq10k | ssiqa | teacher_srcc | 0.500 | 0.500 | 0.500 |" in lines
    assert "| livec-koniq10k | ssiqa | a_srcc | 0.900 | 0.910 | 0.930 |" in lines
    assert "| livec-koniq10k | PIQE | srcc |  | undefined |  |" in lines
    assert not [line for line in lines if line.startswith("| livec-koniq10k | PIQE | teacher_srcc")]


def test_a_table_says_what_it_was_made_with(data_root: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"tasks": ["livec-koniq10k"], "seeds": 1, "device": "cpu", "precision": "float32"}
    text = reproduce("table1", data_root, tmp_path / "out", **options)
    made = f"ssiqa {__version__}, preset default, tf_efficientnet_lite0, cpu, float32"
    assert text.startswith(f"# table1, honest protocol\n\n{made}.\n\n")
    options |= {"preset": "paper", "backbone": "resnet18", "blocks": 2}
    text = reproduce("table1", data_root, tmp_path / "other", **options)
    made = f"ssiqa {__version__}, preset paper, resnet18, cpu, float32; changed: backbone, blocks"
    assert text.startswith(f"# table1, honest protocol\n\n{made} (results.json has the values).\n\n")
    found = kept(tmp_path / "other")
    assert (found["table"], found["version"], found["protocol"]) == ("table1", __version__, "honest")
    assert (found["preset"], found["backbone"]) == ("paper", "resnet18")
    assert (found["device"], found["precision"]) == ("cpu", "float32")
    assert found["changed"] == {"backbone": "resnet18", "blocks": 2}


def test_a_table_of_the_papers_method_is_not_headed_as_the_default(data_root: Path, tmp_path: Path) -> None:
    """Nor is table 2 as the paper's where it had to guess."""
    for preset, changed in (("default", "depths, student, "), ("paper", None)):
        made = module._provenance("table3", "honest", {**TABLES["table3"].settings, "preset": preset}, {})
        assert (f"changed: {changed}" in str(made)) if changed else not made.changed
    text = reproduce("table2", data_root, tmp_path / "out", tasks=["livec-livec"], seeds=1)
    assert "here it is 25% of the training part" in text


FILES = ("results.json", "results.csv", "summary.csv", "results.md")


def test_a_table_can_be_made_in_pieces(data_root: Path, runs: list[dict[str, Any]], tmp_path: Path) -> None:
    """Task by task, in any order, and seeds later: the files are those of one call."""
    whole, pieces = tmp_path / "whole", tmp_path / "pieces"
    reproduce("table1", data_root, whole, tasks=["livec-koniq10k", "koniq10k-livec"], seeds=2)
    for tasks, seeds in (("koniq10k-livec", 1), ("livec-koniq10k", 2), ("koniq10k-livec", 2)):
        reproduce("table1", data_root, pieces, tasks=[tasks], seeds=seeds)
    assert len(runs) == 8  # none was repeated
    tasks_and_seeds = [(outcome["task"], outcome["seed"]) for outcome in kept(pieces)["outcomes"]]
    assert tasks_and_seeds == [(task, seed) for task in ("livec-koniq10k", "koniq10k-livec") for seed in range(2)]
    for name in FILES:
        assert (pieces / "table1" / name).read_text() == (whole / "table1" / name).read_text()
    reproduce("table1", data_root, pieces, tasks=["koniq10k-livec"], seeds=1)
    assert (pieces / "table1/results.md").read_text() == (whole / "table1/results.md").read_text()


def test_pieces_of_the_authors_protocol_belong_together(
    data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some of its settings are chosen by A, whose images are not looked at again; unless the caller gives them."""

    class ByA(type(module.PROTOCOLS["honest"])):  # type: ignore[misc]
        def settings(self, images: int, reader: str) -> dict[str, Any]:
            return {"gamma": images / 1000}

    monkeypatch.setitem(module.PROTOCOLS, "paper", ByA())
    for task in ("koniq10k-livec", "livec-koniq10k"):
        reproduce("table1", data_root, tmp_path, tasks=[task], seeds=1, protocol="paper")
    assert len(kept(tmp_path, "table1-paper")["outcomes"]) == 2
    shutil.rmtree(tmp_path / "table1-paper/livec-koniq10k")
    reproduce("table1", data_root, tmp_path, tasks=["livec-koniq10k"], seeds=1, protocol="paper", gamma=0.5)
    found = kept(tmp_path, "table1-paper")
    assert [outcome["task"] for outcome in found["outcomes"]] == ["livec-koniq10k"]
    assert found["missing"].keys() == {"koniq10k-livec ssiqa"}
    reproduce("table1", data_root, tmp_path, tasks=["koniq10k-livec"], seeds=2, protocol="paper")
    found = kept(tmp_path, "table1-paper")  # nor does a trial with another width belong to what the protocol chooses
    assert {outcome["task"] for outcome in found["outcomes"]} == {"koniq10k-livec"}
    said = "what is finished of seed 0 is not of these settings and version (gamma given there in the protocol's place)"
    assert found["missing"] == {"livec-koniq10k ssiqa": said}


def test_pieces_of_other_settings_are_left_out_and_named(data_root: Path, tmp_path: Path) -> None:
    reproduce("table1", data_root, tmp_path, tasks=["koniq10k-livec"], seeds=2, blocks=1)
    text = reproduce("table1", data_root, tmp_path, tasks=["livec-koniq10k"], seeds=1, blocks=2)
    said = "what is finished of seed 0, 1 is not of these settings and version (blocks 1 there)"
    assert f"| koniq10k-livec ssiqa | not run: {said} |" in text
    found = kept(tmp_path)
    assert [outcome["task"] for outcome in found["outcomes"]] == ["livec-koniq10k"]
    assert found["missing"] == {"koniq10k-livec ssiqa": said}


def test_peers_of_earlier_pieces_stay(data_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless they are of another version, or have no score for an image any more."""

    def made(tasks: str, peer: Peer) -> list[tuple[str, str]]:
        monkeypatch.setattr(module, "open_peers", lambda folder: ({"PIQE": peer}, {}))
        reproduce("table1", data_root, tmp_path, tasks=[tasks], seeds=1)
        outcomes = kept(tmp_path)["outcomes"]
        assert all(outcome["teacher_srcc"] is None for outcome in outcomes if outcome["variant"] == "PIQE")
        return [(outcome["task"], outcome["variant"]) for outcome in outcomes]

    peer, task, other = Peer(lambda image: 1.0, "1.0"), "livec-koniq10k", "koniq10k-livec"
    assert made(task, peer) == [(task, "ssiqa"), (task, "PIQE")]
    assert made(other, peer) == [(task, "ssiqa"), (task, "PIQE"), (other, "ssiqa"), (other, "PIQE")]
    assert made(other, Peer(lambda image: 1.0, "2.0")) == [(task, "ssiqa"), (other, "ssiqa"), (other, "PIQE")]
    assert made(other, Peer(lambda image: np.nan, "3.0")) == [(task, "ssiqa"), (other, "ssiqa")]
    assert "koniq10k-livec PIQE" in kept(tmp_path)["missing"]
    assert "no score" in kept(tmp_path)["missing"]["koniq10k-livec PIQE"]


def test_a_missing_archive_is_described_before_anything_is_read(tmp_path: Path) -> None:
    """A folder for A is there, and none for B: that one alone is asked for, with its files, layout and origin."""
    (tmp_path / "live").mkdir()
    with pytest.raises(NothingToRun) as raised:
        reproduce("table1", tmp_path, tmp_path / "out", tasks=["csiq-live"])
    asked = f"There is no folder csiq in {tmp_path}. It must hold csiq.DMOS.xlsx, and dst_imgs with folders awgn, blur"
    assert str(raised.value).startswith(f"No task of table1 can run. {asked}")
    assert str(raised.value).endswith(f"get them from {ARCHIVES['csiq'].origin}.")
    assert not (tmp_path / "out").exists()


def test_the_command_passes_on_what_the_machine_is(data_root: Path, runs: list[dict[str, Any]], tmp_path: Path) -> None:
    """And a cache that was named stays, even in the output folder."""
    out, cache = tmp_path / "out", tmp_path / "out/cache"
    cache.mkdir(parents=True)
    options = ["table1", "--data-root", data_root, "-o", out, "--tasks", "livec-koniq10k", "--seeds", 1]
    options += ["--device", "cpu", "--precision", "float32", "--cache", cache, "--cache-size", 2.5]
    result = CliRunner().invoke(main, ["reproduce", *map(str, options)])
    assert result.exit_code == 0, result.output
    wanted = {"device": "cpu", "precision": "float32", "cache_dir": cache, "cache_size": 2.5}
    assert {name: runs[0][name] for name in wanted} == wanted
    assert ", cpu, float32." in result.output
    assert cache.is_dir()
