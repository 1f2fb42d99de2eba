"""What the paper reports in its tables 1 to 6, of its own method and of others.

The authors' scripts print averages over the better half of their runs; ours are over all seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ssiqa.protocol.tasks import ABLATION, BLOCKS, K1_K2, TASKS


@dataclass(frozen=True)
class Published:
    """A row of a table, for one task.

    Attributes:
        task: Its name.
        variant: The row, by the paper's name for a peer and by ours for what we run.
        kind: ``"SS-IQA"``, or what the paper compares it with: ``"supervised"`` methods on A, some of them
            hand-crafted, ``"unsupervised"`` ones on B, and ``"semi-supervised"`` ones.
        plcc: On the test part of B; None where the paper has no figure.
        srcc: The same, ranks.
        a_plcc: On the hold-out of A; None where the paper has no figure.
        a_srcc: The same, ranks.
        plcc_std: Standard deviation of ``plcc``, and likewise of the others; None outside of tables 3 and 4.
    """

    task: str
    variant: str
    kind: str
    plcc: float | None
    srcc: float | None
    a_plcc: float | None
    a_srcc: float | None
    plcc_std: float | None = None
    srcc_std: float | None = None
    a_plcc_std: float | None = None
    a_srcc_std: float | None = None


_EIGHT = [task.name for task in TASKS]
_CSIQ, _LIVE, _TID2013, _LIVEC = _EIGHT[0], _EIGHT[1], _EIGHT[3], _EIGHT[5]

_SUPERVISED = {
    "ILNIQE": ".906 .902 .865 .822 .648 .521 .558 .534 .508 .508 .537 .523 .332 .294 .712 .713",
    "MEON": ".955 .951 .864 .852 .824 .808 .691 .604 .710 .697 .628 .611 .394 .365 - -",
    "WaDIQaM": ".955 .960 .844 .852 .855 .835 .752 .739 .671 .682 .807 .804 .467 .455 - -",
    "DBCNN": ".971 .968 .959 .946 .865 .816 .856 .851 .869 .851 .884 .875 .551 .545 .915 .911",
    "TIQA": ".965 .949 .838 .825 .858 .846 .855 .850 .861 .845 .903 .892 .581 .541 - -",
    "MetaIQA": ".959 .960 .908 .899 .868 .856 .775 .762 .835 .802 .887 .850 .507 .540 - -",
    "P2P-BM": ".958 .959 .902 .899 .856 .862 .849 .840 .842 .844 .885 .872 .598 .526 - -",
    "HyperIQA": ".966 .962 .942 .923 .858 .840 .845 .852 .882 .859 .917 .906 .602 .544 .915 .911",
    "TReS": ".968 .969 .942 .922 .883 .863 .858 .859 .877 .846 .928 .915 .625 .554 - -",
    "MUSIQ": ".911 .940 .893 .871 .815 .773 .872 .875 .746 .702 .928 .916 .661 .566 .921 .918",
    "DACNN": ".980 .978 .957 .943 .889 .871 .905 .905 .884 .866 .912 .901 - - .921 .915",
}
"""Table 1 on A: PLCC and SRCC for each of the eight tasks."""

_UNSUPERVISED = {
    "LPSI": ".866 .771 .828 .818 .767 .527 .811 .705 .206 .039 .299 .083 .146 .000 - -",
    "PIQE": ".862 .837 .836 .840 .789 .762 .841 .825 .300 .145 .171 .108 .249 .156 - -",
    "NIQE": ".877 .871 .906 .908 .830 .832 .808 .797 .398 .371 .495 .450 .503 .501 - -",
    "ILNIQE": ".814 .879 .902 .897 .869 .855 .860 .842 .563 .536 .504 .439 .707 .696 - -",
    "Q-NIQE": ".913 .905 .908 .911 - - .858 .859 - - .562 .520 - - - -",
    "CCF": ".410 .263 .442 .387 .804 .285 .679 .693 .552 .552 .047 .110 .589 .207 .629 .183",
    "UCIQE": ".148 .275 .431 .561 .447 .322 .643 .654 .673 .576 .200 .136 .573 .192 .500 .176",
    "FDUM": ".375 .220 .847 .785 .579 .220 .596 .518 .653 .527 .531 .556 .581 .496 .113 .104",
}
"""Table 1 on B; PIQE is PIQUE there."""


def _rows(kind: str, tasks: Sequence[str], variant: str, a: str = "", b: str = "") -> Iterator[Published]:
    """A row of the paper: PLCC and SRCC on A and on B for each of the tasks, ``-`` where there is no figure."""
    of_a, of_b = _pairs(a, len(tasks)), _pairs(b, len(tasks))
    for task, (a_plcc, a_srcc), (plcc, srcc) in zip(tasks, of_a, of_b, strict=True):
        if (plcc, a_plcc) != (None, None):
            yield Published(task, variant, kind, plcc, srcc, a_plcc, a_srcc)


def _pairs(figures: str, count: int) -> list[tuple[float | None, float | None]]:
    if not figures:
        return [(None, None)] * count
    values = [None if figure == "-" else float(figure) for figure in figures.split()]
    return list(zip(values[::2], values[1::2], strict=True))


def _ours(tasks: Sequence[str], variants: Sequence[str], lines: Sequence[str]) -> Iterator[Published]:
    """Rows of SS-IQA: for each task PLCC and SRCC on A, then on B."""
    for variant, line in zip(variants, lines, strict=True):
        for task, of in zip(tasks, line.split(" | "), strict=True):
            a_plcc, a_srcc, b_plcc, b_srcc = of.split()
            yield from _rows("SS-IQA", [task], variant, f"{a_plcc} {a_srcc}", f"{b_plcc} {b_srcc}")


def _spread(rows: Iterator[Published], lines: Sequence[str]) -> Iterator[Published]:
    """With standard deviations: of each row of PLCC and SRCC on A, then on B."""
    for row, line in zip(rows, lines, strict=True):
        a_plcc, a_srcc, plcc, srcc = (float(deviation) for deviation in line.split())
        yield replace(row, plcc_std=plcc, srcc_std=srcc, a_plcc_std=a_plcc, a_srcc_std=a_srcc)


PUBLISHED: dict[str, tuple[Published, ...]] = {
    "table1": (
        *(row for name, line in _SUPERVISED.items() for row in _rows("supervised", _EIGHT, name, a=line)),
        *(row for name, line in _UNSUPERVISED.items() for row in _rows("unsupervised", _EIGHT, name, b=line)),
        *_rows(
            "SS-IQA",
            _EIGHT,
            "SS-IQA",
            a=".980 .978 .969 .960 .910 .891 .895 .896 .869 .835 .932 .913 .582 .542 .824 .826",
            b=".964 .949 .948 .952 .892 .866 .929 .940 .741 .724 .806 .780 .420 .426 .429 .386",
        ),
    ),
    "table2": (
        *_rows("semi-supervised", ["livec-livec", "koniq10k-koniq10k"], "SSLIQA", b=".706 .695 .867 .841"),
        *_rows("SS-IQA", ["livec-livec", "koniq10k-koniq10k"], "SS-IQA", b=".776 .745 .891 .881"),
        *_rows("semi-supervised", [_LIVEC, _TID2013], "SSL", a=".900 .890 .910 .900"),
        *_rows("SS-IQA", [_LIVEC, _TID2013], "SS-IQA", a=".932 .913 .895 .896"),
    ),
    "table3": tuple(
        _spread(
            _ours(
                [_CSIQ],
                list(ABLATION),
                [".980 .978 .957 .940", ".979 .978 .963 .948", ".979 .977 .961 .947", ".980 .978 .964 .949"],
            ),
            [".005 .005 .030 .032", ".007 .005 .015 .015", ".007 .009 .012 .019", ".005 .005 .023 .022"],
        )
    ),
    "table4": tuple(
        _spread(
            _ours(
                [_TID2013],
                list(ABLATION),
                [".891 .894 .918 .927", ".895 .896 .927 .938", ".896 .896 .921 .928", ".895 .896 .929 .940"],
            ),
            [".026 .022 .048 .047", ".017 .015 .060 .054", ".018 .020 .037 .042", ".022 .019 .036 .030"],
        )
    ),
    "table5": tuple(
        _ours(
            [_LIVE, _TID2013],
            list(BLOCKS),
            [
                ".968 .958 .938 .946 | .896 .897 .925 .936",
                ".965 .954 .943 .949 | .895 .896 .928 .935",
                ".969 .960 .948 .952 | .895 .896 .929 .940",
                ".965 .959 .937 .946 | .896 .897 .929 .938",
                ".969 .960 .952 .958 | .895 .896 .931 .942",
            ],
        )
    ),
    "table6": tuple(
        _ours(
            [_CSIQ],
            list(K1_K2),
            [
                ".978 .976 .961 .945",
                ".979 .977 .965 .954",
                ".979 .977 .962 .949",
                ".977 .976 .964 .950",
                ".978 .976 .962 .947",
                ".977 .975 .964 .951",
                ".979 .977 .962 .949",
                ".979 .977 .963 .949",
                ".979 .977 .967 .952",
                ".980 .978 .964 .949",
            ],
        )
    ),
}
"""By table."""
