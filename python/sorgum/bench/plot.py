"""The pictures: how many times as fast as each peer, the curve over row lengths, and those over the short ones.

They are as wide as a page of text shows them, so that a point of a label is a point there.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sorgum.bench.case import CURVE_OPERATIONS, TOLD_DATA
from sorgum.bench.peers import DISTRIBUTIONS
from sorgum.bench.settings import thread_count
from sorgum.bench.table import Row

__all__ = ["draw", "draw_curve", "draw_lengths", "draw_ratios"]

_WIDTH = 8.3  # inches
_DPI = 150
_LABEL, _TITLE = 9, 10  # points

# What is drawn, with the same colour and mark in every picture: Okabe and Ito's colours, which colour-blind readers
# can tell apart, then two of Tol's.
_STYLES = {
    "NumPy": ("#0072B2", "o"),
    "SciPy": ("#E69F00", "s"),
    "PyTorch": ("#D55E00", "^"),
    "ONNX Runtime": ("#009E73", "D"),
    "JAX": ("#CC79A7", "v"),
    "PyAMG": ("#F0E442", "<"),
    "Numba": ("#56B4E9", ">"),
    "scikit-learn": ("0.35", "p"),
    "TensorLy": ("#882255", "h"),
    "pyttb": ("#999933", "*"),
    "sorgum": ("black", "."),
    "sorgum, two passes": ("0.15", "x"),
    "sorgum, three passes (recompute)": ("#56B4E9", "P"),
    "sorgum, three passes (reload)": ("0.55", "X"),
    "memory limit": ("black", ""),
}
_ALGORITHMS = {
    "two_pass": "sorgum, two passes",
    "three_pass_recompute": "sorgum, three passes (recompute)",
    "three_pass_reload": "sorgum, three passes (reload)",
}


def _figure(height: float, panels: int) -> tuple[Any, Any]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, panels, figsize=(_WIDTH, height), squeeze=False, sharex=True, sharey=True, layout="constrained"
    )
    for axis in axes[0]:
        axis.tick_params(labelsize=_LABEL)
        axis.grid(color="0.85", linewidth=0.6)
        axis.set_axisbelow(True)
    return figure, axes[0]


def _finish(figure: Any, path: Path, title: str, machine: str, entries: dict[str, Any]) -> None:
    """Add title and legend, and write the file."""
    import matplotlib.pyplot as plt

    figure.suptitle(f"{title}\n{machine}", fontsize=_TITLE)
    columns = len(entries) if sum(map(len, entries)) < 50 else 3
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns, fontsize=_LABEL)
    figure.savefig(path, dpi=_DPI)
    plt.close(figure)


def _title(row: Row) -> str:
    words = [row["operation"], "×".join(str(n) for n in row["shape"])]
    words += [row["dtype"]] if row["dtype"] != "float32" else []
    words += [row["data"]] if row["data"] in TOLD_DATA else []
    words += ["axis 0"] if row["axis"] == 0 else []
    words += ["in cache"] if row["cached"] else []
    return " ".join(words)


def side_by_side(places: Sequence[float], width: float, height: float) -> list[float]:
    """Return offsets across the axis, such that no mark hides another where there is room.

    Parameters
    ----------
    places : sequence of float
        Where the marks are along the axis.
    width, height : float
        A mark's, in the units of the places and of the offsets.

    Returns
    -------
    list of float
        Within a third of a unit; 0 for a mark that stands alone.

    Examples
    --------
    >>> side_by_side([1.0, 7.0, 1.1], 0.5, 0.3)
    [0.0, 0.0, 0.32]
    """
    offsets: dict[int, float] = {}
    for i in sorted(range(len(places)), key=places.__getitem__):

        def room(offset: float, place: float = places[i]) -> float:
            return min(
                [math.hypot((places[j] - place) / width, (offsets[j] - offset) / height) for j in offsets] + [1.0]
            )

        offsets[i] = max((0.0, 0.32, -0.32, 0.16, -0.16), key=room)
    return [offsets[i] for i in range(len(places))]


def draw_ratios(rows: Sequence[Row], path: Path, machine: str) -> None:
    """Draw how many times as fast as each peer every case is; cases without a peer are left out.

    Parameters
    ----------
    rows : sequence of dict
        What `table.rows_of` returned.
    path : Path
        The PNG to write.
    machine : str
        The machine's description, for the title.
    """
    shown = [row for row in rows if _has_peers(row)]
    threads = sorted({row["threads"] for row in shown})
    titles = {row["case"]: _title(row) for row in shown}
    cases = list(titles)
    ratios = [row["peers"][name]["ratio"] for row in shown for name in DISTRIBUTIONS if name in row["peers"]]
    low, high = min(0.5, *ratios) / 1.1, max(2.0, *ratios) * 1.2
    width, height = 0.02 * len(threads) * math.log2(high / low), 0.35  # a mark's, in the units of the axes
    figure, axes = _figure(1.6 + 0.24 * len(cases), len(threads))
    from matplotlib.ticker import LogLocator

    entries: dict[str, Any] = {}
    for axis, count in zip(axes, threads, strict=True):
        here = {row["case"]: row["peers"] for row in shown if row["threads"] == count}
        axis.axvspan(low, 1.0, color="0.92")
        for place, case in enumerate(cases):
            names = [name for name in DISTRIBUTIONS if name in here.get(case, {})]
            found = [here[case][name]["ratio"] for name in names]
            offsets = side_by_side([math.log2(ratio) for ratio in found], width, height)
            for name, ratio, offset in zip(names, found, offsets, strict=True):
                colour, mark = _STYLES[name]
                (line,) = axis.plot(ratio, place + offset, mark, color=colour, markersize=5, linestyle="none")
                entries.setdefault(name, line)
            if not names:
                axis.text(1.2, place, "not measured", color="0.5", fontsize=_LABEL - 1, va="center")
        axis.axvline(1.0, color="black", linewidth=0.8)
        axis.set_xscale("log", base=2)
        axis.set_xlim(low, high)
        axis.xaxis.set_major_locator(LogLocator(base=2.0, numticks=20))
        axis.xaxis.set_major_formatter("{x:g}")
        axis.minorticks_off()
        axis.set_xlabel("times as fast (grey, below 1: the peer wins)", fontsize=_LABEL)
        axis.set_title(thread_count(count), fontsize=_LABEL)
        axis.grid(visible=False, axis="y")
        for border in range(1, len(cases)):
            axis.axhline(border - 0.5, color="0.85", linewidth=0.6)
        axis.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(cases)), titles.values())
    axes[0].set_ylim(len(cases) - 0.5, -0.5)
    entries = {name: entries[name] for name in DISTRIBUTIONS if name in entries}
    _finish(figure, path, "sorgum is … times as fast as the peer", machine, entries)


def _has_peers(row: Row) -> bool:
    return not row["curve"] and any(name in row["peers"] for name in DISTRIBUTIONS)


def _curves(axis: Any, rows: Sequence[Row], entries: dict[str, Any]) -> None:
    """Draw nanoseconds per element over the length, ours, each peer's and the memory limit's."""
    from matplotlib.ticker import LogLocator

    here = sorted(rows, key=lambda row: row["shape"][-1])
    curves = {"sorgum": [row["ns_per_element"] for row in here]}
    for name in dict.fromkeys(name for row in here for name in row["peers"]):
        values = [row["peers"].get(name, {}).get("ns_per_element", float("nan")) for row in here]
        curves[_ALGORITHMS.get(name, name)] = values
    if not any(row["cached"] for row in here):
        curves["memory limit"] = [row["ns_per_element"] * row["percent_of_limit"] / 100.0 for row in here]
    for name, values in curves.items():
        colour, mark = _STYLES[name]
        style = "-" if mark else "--"
        (line,) = axis.plot(
            [row["shape"][-1] for row in here], values, style, marker=mark, color=colour, markersize=4, linewidth=1.2
        )
        entries.setdefault(name, line)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(base=10.0, subs=(1.0, 2.0, 3.0, 5.0)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()
    axis.set_xlabel("elements of a row", fontsize=_LABEL)


def draw_curve(rows: Sequence[Row], path: Path, machine: str) -> None:
    """Draw nanoseconds per element of softmax over the length of the rows.

    Parameters
    ----------
    rows : sequence of dict
        What `table.rows_of` returned; only the points of this curve count.
    path : Path
        The PNG to write.
    machine : str
        The machine's description, for the title.
    """
    shown = [row for row in rows if _in_curve(row)]
    threads = sorted({row["threads"] for row in shown})
    figure, axes = _figure(4.6, len(threads))
    entries: dict[str, Any] = {}
    for axis, count in zip(axes, threads, strict=True):
        _curves(axis, [row for row in shown if row["threads"] == count], entries)
        axis.set_title(thread_count(count), fontsize=_LABEL)
    axes[0].set_ylabel("nanoseconds per element", fontsize=_LABEL)
    _finish(figure, path, "softmax of float32 takes … nanoseconds per element: lower is faster", machine, entries)


def draw_lengths(rows: Sequence[Row], path: Path, machine: str) -> None:
    """Draw nanoseconds per element of several operations over the length of short rows, in cache.

    Parameters
    ----------
    rows : sequence of dict
        What `table.rows_of` returned; only the points of these curves with the least threads count.
    path : Path
        The PNG to write.
    machine : str
        The machine's description, for the title.
    """
    threads = min(row["threads"] for row in rows if _in_lengths(row))
    shown = [row for row in rows if _in_lengths(row) and row["threads"] == threads]
    operations = [name for name in CURVE_OPERATIONS if any(row["operation"] == name for row in shown)]
    figure, axes = _figure(3.6, len(operations))
    entries: dict[str, Any] = {}
    for axis, operation in zip(axes, operations, strict=True):
        _curves(axis, [row for row in shown if row["operation"] == operation], entries)
        axis.set_title(operation, fontsize=_LABEL)
    axes[0].set_ylabel("nanoseconds per element", fontsize=_LABEL)
    title = "Rows of 1 to 256 elements of float32, in cache, take … nanoseconds per element: lower is faster"
    _finish(figure, path, title, machine, entries)


def _in_curve(row: Row) -> bool:
    return bool(row["curve"] and not row["cached"])


def _in_lengths(row: Row) -> bool:
    return bool(row["curve"] and row["cached"])


def draw(rows: Sequence[Row], folder: Path, machine: str) -> list[Path]:
    """Draw what there is: bench.png from rows of the table that have peers, curve.png and lengths.png from points.

    Parameters
    ----------
    rows : sequence of dict
        What `table.rows_of` returned.
    folder : Path
        Where to write.
    machine : str
        The machine's description, for the titles.

    Returns
    -------
    list of Path
        What was written.
    """
    written = []
    for has, name, function in (
        (any(map(_has_peers, rows)), "bench.png", draw_ratios),
        (any(map(_in_curve, rows)), "curve.png", draw_curve),
        (any(map(_in_lengths, rows)), "lengths.png", draw_lengths),
    ):
        if has:
            written.append(folder / name)
            function(rows, written[-1], machine)
    return written
