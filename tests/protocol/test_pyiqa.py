"""pyiqa's meta tables: LIVE's turned round, and what each calls its columns."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from ssiqa.errors import DataError
from ssiqa.protocol.readers import read_pyiqa

from .test_readers import images, table

PYIQA = {
    "LIVEIQA": (
        "ref_name,dist_name,mos\n"
        "refimgs/coinsinfountain.bmp,fastfading/img1.bmp,60.20396230395742\n"
        "refimgs/coinsinfountain.bmp,fastfading/img5.bmp,23.994366782488648\n",
        ("fastfading/img1.bmp", 60.20396230395742, "dmos", 1),
    ),
    "LIVEMD": (
        "ref_name,dist_name,dmos\n"
        "Part 1/blurjpeg/babygirl.bmp,Part 1/blurjpeg/babygirl_blur1.bmp,21.57894736842105\n"
        "Part 1/blurjpeg/babygirl.bmp,Part 1/blurjpeg/babygirl_blur1_jpeg1.bmp,35.78947368421053\n",
        ("Part 1/blurjpeg/babygirl_blur1.bmp", 21.57894736842105, "dmos", 1),
    ),
    "CSIQ": (
        "ref_name,dist_name,dmos\n1600.png,1600.AWGN.1.png,0.061989\n1600.png,1600.AWGN.2.png,0.206245\n",
        ("1600.AWGN.1.png", 0.061989, "dmos", 1),
    ),
    "TID2013": (
        "ref_name,dist_name,mos,std\nI01.BMP,I01_01_1.bmp,5.51429,0.13013\nI01.BMP,i01_01_2.bmp,5.56757,0.16008\n",
        ("I01_01_1.bmp", 5.51429, "mos", 1),
    ),
    "KADID10k": (
        "ref_name,dist_name,dmos,std\nI01.png,I01_01_01.png,4.57,0.496\nI01.png,I01_01_02.png,4.33,0.869\n",
        ("I01_01_01.png", 4.57, "mos", 1),
    ),
    "PIPAL": (
        "hq_name,dist_name,elo_score\nA0001.bmp,A0001_00_00.bmp,1520.0648\nA0001.bmp,A0001_00_01.bmp,1437.0798\n",
        ("A0001_00_00.bmp", 1520.0648, "mos", 1),
    ),
    "LIVEChallenge": (
        "img_name,mos,std\n"
        "t1.bmp,63.963406174124174,18.376200073180403\n"
        "t2.bmp,25.335306406685238,13.651431474621623\n"
        "t3.bmp,48.93656326246079,18.92459579070641\n"
        "t4.bmp,35.88633193863319,18.24136649940471\n"
        "t5.bmp,66.50923666782852,19.25765805423188\n"
        "t6.bmp,54.579700034879664,19.958247927677647\n"
        "t7.bmp,77.88214783821478,19.64578344339436\n"
        "100.bmp,32.56107532210109,19.12472638223644\n"
        "101.bmp,66.35954917017587,20.219785878159723\n",
        ("100.bmp", 32.56107532210109, "mos", 2),
    ),
    "KonIQ10k++": (
        '"filename","qmos","sd","votes","artifacts","blur","contrast","colors","other","degraded.amount"\n'
        '"826373.jpg",3.953125,1.03017470393857,64,0.046875,0.046875,0.234375,0.109375,0,0.0875\n',
        ("826373.jpg", 3.953125, "mos", 1),
    ),
    "KonIQ10k": (
        "img_name,mos,std,split,c1,c2,c3,c4,c5,c_total\n"
        "10004473376.jpg,77.3836206897,0.527277894494,training,0.0,0.0,0.238095238095,0.695238095238,"
        "0.0666666666667,105\n"
        "10007357496.jpg,68.7285714286,0.580003024795,test,0.0,0.03125,0.46875,0.489583333333,0.0104166666667,96\n",
        ("10004473376.jpg", 77.3836206897, "mos", 2),
    ),
    "SPAQ": (
        "Image name,MOS,Brightness,Colorfulness,Contrast,Noisiness,Sharpness,Animal,Cityscape,Human,Indoor scene,"
        "Landscape,Night scene,Plant,Still-life,Others,Focal length,F-number,Exposure time,ISO,Brightness,Flash,"
        "Time0,Time1\n"
        "00001.jpg,48.86,47.43,55.57,55.71,37.86,42.57,0.0,0.333333,0.0,0.0,0.0,0.333333,0.0,0.333333,0.0,4.2,1.7,"
        "0.1,200,-1.21,0,-0.965926,-0.258819\n"
        "00002.jpg,62.5,55.38,67.13,53.13,57.5,47.5,0.0,0.5,0.0,0.0,0.0,0.5,0.0,0.0,0.0,4.04,2.0,0.05,400,3.0,0,"
        "-1.0,0.0\n",
        ("00001.jpg", 48.86, "mos", 2),
    ),
    # The next two by the scripts that write them; the files themselves are handed out elsewhere.
    "FLIVE": (
        "img_name/patch_name,mos,split\nblur/motion1.jpg,73.3,0\nblur_patch/motion1_patch_1.jpg,71.1,0\n",
        ("blur/motion1.jpg", 73.3, "mos", 1),
    ),
    "AVA": (
        "img_name,MOS,c1,c2,c3,c4,c5,c6,c7,c8,c9,c10,semantic_tag1,semantic_tag2,official split,ILGnet split\n"
        "953619.jpg,5.64,0,1,5,17,38,36,15,6,5,1,1,22,0,0\n",
        ("953619.jpg", 5.64, "mos", 1),
    ),
}
"""Of each meta CSV of pyiqa its first lines, or of LIVE some others; of an image its label and that column, and the
number of groups."""


@pytest.mark.parametrize("name", PYIQA)
def test_meta_tables_of_pyiqa(name: str, tmp_path: Path) -> None:
    content, (image, label, column, groups) = PYIQA[name]
    meta = tmp_path / f"meta_info_{name}Dataset.csv"
    meta.write_text(content)
    rows = list(csv.reader(content.splitlines()))[1:]
    named = [row[1 if content.startswith(("ref_name", "hq_name")) else 0] for row in rows]
    kept = [image for image in named if not image.startswith("t")]
    images(tmp_path, kept)
    found = read_pyiqa(meta, tmp_path)
    assert found.name == name
    assert found.images == tuple(sorted(kept))
    assert found.labels[found.images.index(image)] == label
    assert found.column == column
    assert len(set(found.groups)) == groups
    again = meta.rename(tmp_path / "mine.csv")
    assert read_pyiqa(again, tmp_path).column == column


def test_a_table_that_is_none_of_pyiqas(tmp_path: Path) -> None:
    for content in ("name,stars\na.png,4\n", "", "ref_name,dist_name\n"):
        (tmp_path / "meta.csv").write_text(content)
        with pytest.raises(DataError, match="is no meta CSV of pyiqa: it needs rows of image and label"):
            read_pyiqa(tmp_path / "meta.csv", tmp_path)
    table(tmp_path / "meta.csv", [["img_name", "mos"], ["a.png", "n/a"]])
    with pytest.raises(DataError, match=r"Line 2 of .*meta\.csv rates a.png with 'n/a', which is no finite number"):
        read_pyiqa(tmp_path / "meta.csv", tmp_path)
    (tmp_path / "meta.csv").write_text("img_name,mos\n\na.png\n")
    with pytest.raises(DataError, match=r"Line 3 of .*meta\.csv has no label"):
        read_pyiqa(tmp_path / "meta.csv", tmp_path)
    with pytest.raises(DataError, match=r"none\.csv is not there"):
        read_pyiqa(tmp_path / "none.csv", tmp_path)


def test_a_table_in_another_encoding_is_named(tmp_path: Path) -> None:
    (tmp_path / "meta.csv").write_bytes("img_name,mos\ncafé.png,4\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"meta\.csv cannot be read \(.*\): save it as comma-separated text in UTF-8"):
        read_pyiqa(tmp_path / "meta.csv", tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        [f"t{number}.bmp" for number in range(1, 8)],
        [f"t{number}.bmp" for number in range(1, 10)],
        ["t1.bmp", "t2.bmp", "u1.bmp"],
    ],
)
def test_photos_are_not_for_practice_by_their_name_alone(names: list[str], tmp_path: Path) -> None:
    """Only where exactly those seven of LIVE Challenge are beside its others."""
    images(tmp_path, names)
    table(tmp_path / "meta.csv", [["img_name", "mos"], *([name, 50] for name in names)])
    assert read_pyiqa(tmp_path / "meta.csv", tmp_path).images == tuple(names)
