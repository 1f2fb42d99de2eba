"""Runs the benchmarks and prints what they took, what that is in GFLOP/s or GB/s, and which targets are reached.

python -m benchmarks.table                      run the default sizes; the JSON stays for `pytest-benchmark compare`
python -m benchmarks.table -m 'slow or not slow'   all sizes (an hour on two cores)
python -m benchmarks.table -k select            some of them
python -m benchmarks.table --from FILE.json     print an earlier run
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import peaks

HERE = Path(__file__).parent
GROWTH_CODE = """
import sys
import numpy as np
from benchmarks import memory
from benchmarks.problems import features, vector
from ssiqa import kernels
m = int(sys.argv[1])
x, z, coef = np.ones((m, 384), np.float32), features(8192, 384), vector(8192)
kernels.rbf_matvec(x[:1], z, coef, gamma=1 / 384)
memory.reset_peak()
before = memory.resident()
kernels.rbf_matvec(x, z, coef, gamma=1 / 384)
print(memory.peak() - before)
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the benchmarks and print their table.")
    parser.add_argument("--from", dest="source", type=Path, help="print this JSON instead of running")
    parser.add_argument("--json", type=Path, default=Path("benchmarks.json"), help="where the JSON of a run goes")
    parser.add_argument("-m", dest="marker", default="not slow", help="pytest's marker expression")
    parser.add_argument("-k", dest="keyword", default="", help="pytest's keyword expression")
    arguments = parser.parse_args()
    source = arguments.source or arguments.json
    if arguments.source is None:
        print("\n".join(peaks.lines()))
        command = [sys.executable, "-m", "pytest", str(HERE), "-q", "--benchmark-only", f"--benchmark-json={source}"]
        command += ["-m", arguments.marker, "-k", arguments.keyword, "--benchmark-disable-gc"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            print(done.stdout)
            return done.returncode
    results = json.loads(source.read_text())
    rows = [dict(run["extra_info"], group=run["group"]) for run in results["benchmarks"]]
    print(table(rows))
    print(targets(rows, results["machine_info"]["ssiqa"]["isa"], measure_memory=arguments.source is None))
    return 0


def by_group(rows: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["group"], {})[row["library"]] = row
    return groups


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: the time is the median of the rounds; the ratio is that of a library's time to ours."""
    lines = [
        "| kernel and size | library | time | rate | memory taken | residual | time / ours |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for group, libraries in by_group(rows).items():
        ours = libraries.get("ssiqa", {}).get("median")
        for library, row in libraries.items():
            ratio = f"{row['median'] / ours:.2f}" if ours else ""
            residual = f"{row['residual']:.1e}" if "residual" in row else ""
            cells = [group, library, seconds(row["median"]), rate(row), f"{row['workspace'] / 1e6:.1f} MB", residual]
            lines.append(f"| {' | '.join(cells)} | {ratio} |")
    return "\n".join(lines)


def seconds(value: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} us"


def rate(row: dict[str, Any]) -> str:
    if "operations" in row:
        return f"{row['operations'] / row['median'] / 1e9:.3g} GFLOP/s"
    return f"{row['bytes'] / row['median'] / 1e9:.3g} GB/s" if "bytes" in row else ""


def targets(rows: list[dict[str, Any]], isa: str, *, measure_memory: bool) -> str:
    """Each target beside what was measured; of a run of some benchmarks, only theirs."""
    groups = by_group(rows)
    lines = ["", "| target | wanted | measured | |", "|---|---|---|---|"]

    def add(name: str, wanted: str, measured: str, reached: bool) -> None:
        lines.append(f"| {name} | {wanted} | {measured} | {'reached' if reached else 'MISSED'} |")

    def ratio(group: str, library: str, least: float) -> None:
        libraries = groups.get(group, {})
        if {"ssiqa", library} <= set(libraries):
            measured = libraries[library]["median"] / libraries["ssiqa"]["median"]
            add(group, f">= {least}x {library}", f"{measured:.1f}x", measured >= least)

    predict = "predict n=8192 m=100000 d=384 float32"
    ratio(predict, "sklearn", {"amx": 8, "avx512": 4, "avx2": 2.5}.get(isa, 1))
    if isa == "amx":
        ratio(predict, "torch", 3)
    fit = "fit n=8192 d=384 float64"
    ratio(fit, "sklearn", 3)
    if {"ssiqa", "sklearn"} <= set(groups.get(fit, {})):
        ours, theirs = (groups[fit][library]["residual"] for library in ("ssiqa", "sklearn"))
        add(f"{fit}, residual", f"<= {theirs:.1e} (sklearn)", f"{ours:.1e}", ours <= theirs)
    grid = "leave-one-out 8 gammas x 8 alphas n=4096 d=384 float64"
    ratio(grid, "sklearn + numpy, one point x 64", 20)
    if "ssiqa" in groups.get(grid, {}):
        difference = groups[grid]["ssiqa"]["difference"]
        add(f"{grid}, against refits", "<= 1e-6", f"{difference:.1e}", difference <= 1e-6)
    select = "select n=10000000 k=100000 float32"
    ratio(select, "numpy", 5)
    ratio(select, "torch", 10)
    ratio("small n=80 m=1000 d=192 float32", "numpy", 1)
    overhead = groups.get("small n=1 m=1 d=1 float32", {}).get("ssiqa")
    if overhead:
        add("overhead of a call", "< 100 us", seconds(overhead["median"]), overhead["median"] < 100e-6)
    if measure_memory and predict in groups:
        sizes = (100_000, 1_000_000)
        growth = [int(output(GROWTH_CODE, str(m))) for m in sizes]
        if growth[0] < 4 * sizes[0]:
            raise RuntimeError(f"The peak grew by {growth[0]} bytes, which is less than the output: it was not taken.")
        beyond = (growth[1] - growth[0] - 4 * (sizes[1] - sizes[0])) / 1e6
        measured = f"{growth[0] / 1e6:.1f} MB -> {growth[1] / 1e6:.1f} MB, {beyond:+.1f} MB beyond the output"
        add("predict, peak memory, m 1e5 -> 1e6", "output only", measured, beyond < 1)
    return "\n".join(lines)


def output(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=HERE.parent).stdout


if __name__ == "__main__":
    sys.exit(main())
