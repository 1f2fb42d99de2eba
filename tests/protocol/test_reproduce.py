"""A table of the paper, on databases in miniature."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from pipeline.conftest import settings, texture, weights, write_photo
from scipy import stats
from scipy.io import savemat

import ssiqa
from ssiqa.cli import main
from ssiqa.data import read_image
from ssiqa.errors import SsiqaError
from ssiqa.protocol import reproduce as module
from ssiqa.protocol import summary
from ssiqa.protocol.honest import Honest
from ssiqa.protocol.kept import collect, keep, row_folder
from ssiqa.protocol.outcome import Outcome
from ssiqa.protocol.peers import Peer
from ssiqa.protocol.reproduce import reproduce
from ssiqa.protocol.tasks import TABLES, find_task

from .test_pieces import MADE
from .test_readers import cells, table

__all__ = ["settings", "weights"]  # fixtures


@pytest.fixture(scope="module")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LIVEC and KonIQ-10k, of blurred textures; of the others nothing."""
    root = tmp_path_factory.mktemp("databases")
    names = [f"t{number}.png" for number in range(7)] + [f"{number}.png" for number in range(20)]
    labels = np.array([50.0] * 7 + [90.0 - 15 * (number % 5) for number in range(20)])
    for number, name in enumerate(names[7:]):
        write_photo(root / "livec/Images" / name, texture(number, (number % 5) * 0.8))
    (root / "livec/Data").mkdir()
    savemat(root / "livec/Data/AllImages_release.mat", {"AllImages_release": cells(names, column=True)})
    savemat(root / "livec/Data/AllMOS_release.mat", {"AllMOS_release": labels[None]})
    rows = []
    for number in range(20):
        write_photo(root / f"koniq10k/1024x768/{number}.png", texture(100 + number, (number % 5) * 0.7))
        rows.append([f"{number}.png", 4.5 - 0.7 * (number % 5), 80 - 15 * (number % 5)])
    table(root / "koniq10k/koniq10k_scores_and_distributions.csv", [["image_name", "MOS", "MOS_zscore"], *rows])
    return root


def test_every_seed_is_reported_and_none_repeated(
    data_root: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"PIQE": Peer(lambda image: image.std(), "1.0")}, {"NIQE": "why"}
    monkeypatch.setattr(module, "open_peers", lambda folder: found)
    options: dict[str, Any] = {"tasks": ["livec-koniq10k", "spaq-livefb"], "seeds": 2, **settings, "blocks": 1}
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/mine.npy").touch()
    text = reproduce("table1", data_root, tmp_path, **options)
    assert "| livec-koniq10k | ssiqa | 2 |" in text
    assert "| 0.724 |" in text  # the paper's
    assert "| paper | ILNIQE | 0.563 / 0.536 |  |" in text
    assert "| paper | ILNIQE | 0.508 / 0.508 | 0.712 / 0.713 |" in text
    assert "| paper | NIQE | 0.398 / 0.371 |  |" in text  # beside it on B; it has none on SPAQ -> LIVEFB
    assert "| paper | DBCNN | 0.869 / 0.851 | 0.915 / 0.911 |" in text  # and on A
    assert text.count("| ssiqa | ssiqa | ") == 2
    assert "spaq-livefb | not run: " in text
    # Blurred textures vary less: to a peer by whose score the sharp are worse, the blurred are better.
    peer = next(line for line in text.splitlines() if line.startswith("| livec-koniq10k | PIQE | 2 |  | -0.9"))
    assert peer.endswith("| 0.145 |")
    assert "| NIQE | not run: why |" in text
    assert "MOS and Image attribute scores.xlsx" in text
    with (tmp_path / "table1/summary.csv").open() as file:
        together = {(row["variant"], row["figure"]): row for row in csv.DictReader(file)}
    assert {figure for variant, figure in together if variant == "PIQE"} == {"plcc", "srcc", "krcc"}
    assert f"| {float(together['ssiqa', 'krcc']['mean']):.3f} ± {float(together['ssiqa', 'krcc']['std']):.3f} |" in text
    assert together["ssiqa", "gain_srcc"]["seeds"] == "2"
    with (tmp_path / "table1/results.csv").open() as file:
        lines = list(csv.DictReader(file))
    rows = [row for row in lines if (row["by"], row["variant"]) == ("ssiqa", "ssiqa")]
    reported = [row for row in lines if row["by"] == "paper" and row["task"] == "livec-koniq10k"]
    assert {row["variant"]: row["srcc"] for row in reported}["SS-IQA"] == "0.724"
    assert [row["seed"] for row in rows] == ["0", "1"]
    assert rows[0]["srcc"] != rows[1]["srcc"]
    kept = json.loads((tmp_path / "table1/results.json").read_text())
    assert len(kept["summary"]) == len(together)
    assert kept["missing"].keys() == {"NIQE", "spaq-livefb"}
    assert {row["task"] for row in kept["published"]} == {"livec-koniq10k", "spaq-livefb"}
    # B's test part was never seen.
    seed = tmp_path / "table1/livec-koniq10k/ssiqa/seed-0"
    seen = {path.name for path in (seed / "unlabeled").rglob("*.png")}
    tested = {path.name for path in (seed / "test").rglob("*.png")}
    assert (len(seen), len(tested), seen & tested) == (16, 4, set())
    assert not (seed / "unlabeled/labels.csv").exists()
    assert [path.name for path in (tmp_path / "cache").rglob("*")] == ["mine.npy"]  # no decoded photo is left
    assert all(float(row["krcc"]) * float(row["srcc"]) > 0 for row in rows)

    monkeypatch.setattr(module, "adapt", None)
    assert reproduce("table1", data_root, tmp_path, **options) == text
    with pytest.raises(SsiqaError, match=r"holds another run \(weak_crops 2 there\)"):
        reproduce("table1", data_root, tmp_path, **{**options, "weak_crops": 1})
    image = data_root / "koniq10k/1024x768/0.png"
    times = image.stat().st_atime_ns, image.stat().st_mtime_ns
    os.utime(image, (1, 1))  # as another archive would have it
    with pytest.raises(SsiqaError, match=r"\(name, size, time or label of an image differs\)"):
        reproduce("table1", data_root, tmp_path, **options)
    os.utime(image, ns=times)
    monkeypatch.setattr(module, "__version__", "0.0")
    with pytest.raises(SsiqaError, match=rf"\(version {re.escape(ssiqa.__version__)} there\)"):
        reproduce("table1", data_root, tmp_path, **options)


def test_rows_share_their_teacher(
    data_root: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of a table about what comes after phase 0 begin with one teacher for each seed."""
    ablation = replace(TABLES["table3"], tasks=(find_task("livec-koniq10k"),))
    ablation = replace(ablation, variants={name: ablation.variants[name] for name in ("baseline", "SS-IQA")})
    monkeypatch.setitem(TABLES, "table3", ablation)
    trained: list[Path] = []

    def watched(labeled: Path, unlabeled: Path, folder: Path, **options: Any) -> Any:
        if not folder.exists():
            trained.append(folder)
        return ssiqa.adapt(labeled, unlabeled, folder, **options)

    monkeypatch.setattr(module, "adapt", watched)
    given = {name: value for name, value in settings.items() if name not in ("replay_every", "krr", "blocks")}
    reproduce("table3", data_root, tmp_path, seeds=2, **given)
    assert [folder.relative_to(tmp_path / "table3/livec-koniq10k").parts[:2] for folder in trained] == [
        ("baseline", "seed-0"),
        ("baseline", "seed-1"),
    ]
    outcomes = json.loads((tmp_path / "table3/results.json").read_text())["outcomes"]
    assert [(outcome["variant"], outcome["seed"]) for outcome in outcomes] == [
        ("baseline", 0),
        ("baseline", 1),
        ("SS-IQA", 0),
        ("SS-IQA", 1),
    ]
    before = [outcome["teacher_srcc"] for outcome in outcomes]
    assert before[:2] == before[2:]
    assert before[0] != before[1]


def test_an_undefined_correlation_stays_one(tmp_path: Path) -> None:
    """JSON has no not-a-number: what was kept of a run reads as it was written."""
    figures = {name: 0.5 for name in Outcome.__dataclass_fields__} | {
        "table": "table1",
        "task": "a-b",
        "variant": "ssiqa",
    }
    changes = ({"srcc": 0.9}, {"srcc": np.nan, "a_srcc": np.nan, "a_teacher_plcc": np.nan})
    outcomes = [Outcome(**figures | {"seed": seed} | change) for seed, change in enumerate(changes)]
    for outcome in outcomes:
        keep(row_folder(tmp_path, "a-b", "ssiqa") / f"seed-{outcome.seed}", {}, outcome)
    again, others = collect(tmp_path, {("a-b", "ssiqa"): {}})
    assert others == {}
    assert np.isnan(again[1].srcc)
    text = summary.write(tmp_path, MADE, ["a-b"], again, {}, ())
    assert text == summary.write(tmp_path, MADE, ["a-b"], outcomes, {}, ())
    assert "| a-b | ssiqa | 2 | 0.500 ± 0.000 | undefined | undefined |" in text
    assert "| by | row | a-b |" in text  # a task that the paper has not
    assert "| ssiqa | ssiqa | 0.500 / undefined |" in text


def test_a_damaged_image_leaves_out_its_tasks(
    data_root: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is named where the archive has it, before anything is trained on the others; wherever it would be tested."""
    root = shutil.copytree(data_root, tmp_path / "databases", copy_function=shutil.copy2)
    damaged = root / "koniq10k/1024x768/7.png"
    whole, trained = damaged.read_bytes(), []

    def watched(labeled: Path, *arguments: Any, **options: Any) -> Any:
        trained.append(labeled)
        return ssiqa.adapt(labeled, *arguments, **options)

    monkeypatch.setattr(module, "adapt", watched)
    monkeypatch.setattr("ssiqa.protocol.tasks.LABELED_SHARE", 0.7)  # of so few images
    damaged.write_bytes(whole[:300])
    options = {"tasks": ["koniq10k-koniq10k", "livec-livec"], "seeds": 1, **settings, "blocks": 1}
    text = reproduce("table2", root, tmp_path, **options)
    assert "| livec-livec | ssiqa | 1 |" in text
    assert re.search(
        rf"\| koniq10k-koniq10k \| not run: 1 of 20 images in .* cannot be read\. {re.escape(str(damaged))} .*:", text
    )
    assert "on-error" not in text
    assert len(trained) == 1
    damaged.write_bytes(whole)
    assert "| koniq10k-koniq10k | ssiqa | 1 |" in reproduce("table2", root, tmp_path, **options)
    assert len(trained) == 2
    damaged.write_bytes(whole[:300])  # what is finished of it stays
    text = reproduce("table2", root, tmp_path, **{**options, "tasks": ["koniq10k-koniq10k"], "seeds": 2})
    assert "| koniq10k-koniq10k | ssiqa | 1 |" in text
    assert "| koniq10k-koniq10k | not finished: 1 of 20 images" in text
    assert len(trained) == 2


def test_images_of_other_links_give_way(data_root: Path, tmp_path: Path) -> None:
    """Those of the same stay, as another process may be reading them."""
    livec, koniq = find_task("livec-koniq10k").read(data_root)
    linked = module._linked(livec, tmp_path / "labeled")
    stays = (linked / livec.images[0]).lstat().st_ino
    assert module._linked(livec, linked) == linked
    assert (linked / livec.images[0]).lstat().st_ino == stays
    assert {path.name for path in module._linked(koniq, linked).rglob("*.png")} == {
        Path(image).name for image in koniq.images
    }


def test_a_peer_has_all_seeds_or_none(
    data_root: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One image without score is in the test part of some seeds."""

    def picky(image: np.ndarray) -> float:
        return np.nan if image.std() == flattest else float(image.std())

    task = find_task("livec-koniq10k")
    source, target = task.read(data_root)
    tests = [set(task.split(source, target, seed).test.images) for seed in range(2)]
    flattest = read_image(target.root / min(tests[1] - tests[0])).std()
    monkeypatch.setattr(module, "open_peers", lambda folder: ({"PIQE": Peer(picky, "1.0")}, {}))
    text = reproduce("table1", data_root, tmp_path, tasks=["livec-koniq10k"], seeds=2, **{**settings, "blocks": 1})
    assert "PIQE | not run: PIQE has no score for" in text
    assert "| livec-koniq10k | PIQE |" not in text


def test_the_size_of_a_is_that_after_the_split(
    data_root: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one database's 20 photos 4 are to test and a quarter of the others is A."""
    asked: list[int] = []

    class Watched(Honest):
        def settings(self, images: int, reader: str) -> dict[str, Any]:
            asked.append(images)
            return {}

    def stopped(*arguments: Any, **options: Any) -> None:
        raise SsiqaError("far enough")

    monkeypatch.setitem(module.PROTOCOLS, "paper", Watched())
    monkeypatch.setattr(module, "adapt", stopped)
    with pytest.raises(SsiqaError, match="far enough"):
        reproduce("table2", data_root, tmp_path, tasks=["livec-livec"], seeds=1, protocol="paper", **settings)
    assert asked[-1] == 4


@pytest.mark.parametrize(("count", "kind"), [(1, None), (4, "t"), (10, "bootstrap")])
def test_seeds_together(count: int, kind: str | None, tmp_path: Path) -> None:
    values = np.linspace(0.5, 0.8, count)
    outcomes = [Outcome("table4", "kadid10k-tid2013*", "SS-IQA", seed, v, v, v / 2) for seed, v in enumerate(values)]
    found = {one["figure"]: one for one in summary.aggregate(outcomes)}
    assert found.keys() == {"plcc", "srcc", "krcc"}
    assert found["krcc"]["mean"] == pytest.approx(values.mean() / 2)
    assert (found["srcc"]["seeds"], found["srcc"]["interval"]) == (count, kind)
    if kind == "t":
        expected = stats.t.interval(0.95, count - 1, values.mean(), stats.sem(values))
        assert [found["srcc"]["low"], found["srcc"]["high"]] == pytest.approx(expected)
    if kind == "bootstrap":
        assert 0.5 < found["srcc"]["low"] < values.mean() < found["srcc"]["high"] < 0.8
    text = summary.write(tmp_path, replace(MADE, table="table4"), ["kadid10k-tid2013*"], outcomes, {}, ())
    assert "| 0.940 ± 0.030 |" in text  # the paper's
    with (tmp_path / "results.csv").open() as file:
        paper = [row for row in csv.DictReader(file) if row["by"] == "paper"]
    assert [row["srcc_std"] for row in paper] == ["0.047", "0.054", "0.042", "0.03"]


def test_one_database_becomes_labelled_and_unlabelled(data_root: Path) -> None:
    """Table 2: of 20 photos 4 to test; of the 16 others a quarter with labels, and the rest without."""
    task = find_task("livec-livec")
    parts = task.split(*task.read(data_root), seed=1)
    assert [len(part.images) for part in parts] == [4, 12, 4]
    assert len({image for part in parts for image in part.images}) == 20
    assert parts != task.split(*task.read(data_root), seed=2)


def command(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["reproduce", *(str(argument) for argument in arguments)])


def test_what_cannot_run_is_said_and_exits_with_2(data_root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    cases: list[tuple[tuple[object, ...], str]] = [
        (("table3", "--data-root", tmp_path / "none"), f"{tmp_path / 'none'} is no folder"),
        (("table3", "--data-root", tmp_path / "file"), f"{tmp_path / 'file'} is no folder"),
        (
            ("table3", "--data-root", tmp_path / "empty"),
            "No task of table3 can run. There is no folder live in .* There is no folder csiq in ",
        ),
        (
            ("all", "--data-root", tmp_path / "empty"),
            "No task of table1 can run. There is no folder live in .* There is no folder csiq in ",
        ),
        (("table9", "--data-root", data_root), "'table9' is not one of"),
        (("table1", "--data-root", data_root, "--protocol", "mine"), "'mine' is not one of"),
        (("table1", "--data-root", data_root, "--preset", "mine"), "'mine' is not one of"),
        (
            ("table1", "--data-root", data_root, "--protocol", "paper", "--preset", "default"),
            "Protocol paper is of preset paper; leave out the preset",
        ),
        (("table1", "--data-root", data_root, "--tasks", "livec-koniq10k,"), "'livec-koniq10k,' has an empty name"),
        (("table1", "--data-root", tmp_path / "empty", "--weights", "none.pt"), "No weight file at .*none.pt"),
    ]
    for arguments, said in cases:
        result = command(*arguments, "-o", out)
        assert result.exit_code == 2, result.output
        assert re.search(said, result.output), result.output
        assert "| task |" not in result.output
        assert not out.exists()
    result = command("table3", "--data-root", data_root, "-o", tmp_path / "file")
    assert (result.exit_code, result.output) == (
        2,
        f"ssiqa: {tmp_path / 'file'} is a file; choose another output folder.\n",
    )


def test_a_database_that_cannot_be_read_is_nothing_to_run(tmp_path: Path) -> None:
    (tmp_path / "live").mkdir()
    (tmp_path / "csiq").mkdir()
    with pytest.raises(
        module.NothingToRun, match=r"No task of table3 can run. .*live lacks dmos_realigned.mat, refnames"
    ):
        reproduce("table3", tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_there_is_not_is_named(tmp_path: Path) -> None:
    with pytest.raises(SsiqaError, match="No table 'table9'; there are: table1"):
        reproduce("table9", tmp_path, tmp_path)
    with pytest.raises(SsiqaError, match="No protocol 'mine'; there are: honest, paper"):
        reproduce("table1", tmp_path, tmp_path, protocol="mine")
    with pytest.raises(SsiqaError, match=r"No task 'live-spaq'; there are: live-csiq\*"):
        reproduce("table1", tmp_path, tmp_path, tasks=["live-spaq"])
    with pytest.raises(SsiqaError, match="table3 has none of these tasks; it has: live-csiq"):
        reproduce("table3", tmp_path, tmp_path, tasks=["csiq-live"])
