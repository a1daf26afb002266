"""The pictures: how many times faster than each peer, and the curve over row lengths."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sorgum.bench.cases import TOLD_DATA
from sorgum.bench.peers import DISTRIBUTIONS
from sorgum.bench.table import Row

__all__ = ["draw", "draw_curve", "draw_ratios"]

# Okabe and Ito's colours, which colour-blind readers can tell apart.
_COLOURS = ("#0072B2", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P")


def _figure(width: float, height: float, panels: int) -> tuple[Any, Any]:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, panels, figsize=(width, height), squeeze=False, sharex=True, sharey=True, layout="constrained"
    )
    return figure, axes[0]


def _save(figure: Any, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure.savefig(path, dpi=130)
    plt.close(figure)


def _title(row: Row) -> str:
    words = [row["operation"], "×".join(str(n) for n in row["shape"])]
    words += [row["dtype"]] if row["dtype"] != "float32" else []
    words += [row["data"]] if row["data"] in TOLD_DATA else []
    words += ["axis 0"] if row["axis"] == 0 else []
    words += ["in cache"] if row["cached"] else []
    return " ".join(words)


def draw_ratios(rows: Sequence[Row], path: Path, machine: str) -> None:
    """Draw how many times faster than each peer every case is.

    Parameters
    ----------
    rows : sequence of dict
        What `table.rows_of` returned.
    path : Path
        The PNG to write.
    machine : str
        The machine's description, for the title.
    """
    shown = [row for row in rows if not row["curve"]]
    threads = sorted({row["threads"] for row in shown})
    cases = list(dict.fromkeys(row["case"] for row in shown))
    figure, axes = _figure(2.5 + 5.0 * len(threads), 1.6 + 0.24 * len(cases), len(threads))
    for axis, count in zip(axes, threads, strict=True):
        here = [row for row in shown if row["threads"] == count]
        for name, colour, marker in zip(DISTRIBUTIONS, _COLOURS, _MARKERS, strict=False):
            points = [(row["peers"][name]["ratio"], cases.index(row["case"])) for row in here if name in row["peers"]]
            if points:
                axis.plot(*zip(*points, strict=True), marker, color=colour, label=name, markersize=5)
        axis.axvline(1.0, color="black", linewidth=0.8)
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set_xlabel("times as fast as")
        axis.set_title(f"{count} thread{'s' if count > 1 else ''}", fontsize=10)
        axis.grid(color="0.9")
        axis.set_axisbelow(True)
    titles = {row["case"]: _title(row) for row in shown}
    axes[0].set_yticks(range(len(cases)), [titles[case] for case in cases], fontsize=8)
    axes[0].set_ylim(len(cases) - 0.5, -0.5)
    axes[-1].legend(fontsize=8, loc="best")
    figure.suptitle(machine, fontsize=9)
    _save(figure, path)


def draw_curve(rows: Sequence[Row], path: Path, machine: str) -> None:
    """Draw nanoseconds per element over the length of the rows.

    Parameters
    ----------
    rows : sequence of dict
        What `table.rows_of` returned; only the points of the curve count.
    path : Path
        The PNG to write.
    machine : str
        The machine's description, for the title.
    """
    shown = [row for row in rows if row["curve"]]
    threads = sorted({row["threads"] for row in shown})
    figure, axes = _figure(1.5 + 5.0 * len(threads), 4.2, len(threads))
    for axis, count in zip(axes, threads, strict=True):
        here = sorted((row for row in shown if row["threads"] == count), key=lambda row: row["shape"][-1])
        lengths = [row["shape"][-1] for row in here]
        curves = {"two_pass": [row["ns_per_element"] for row in here]}
        for name in dict.fromkeys(name for row in here for name in row["peers"]):
            curves[name] = [row["peers"].get(name, {}).get("ns_per_element", float("nan")) for row in here]
        curves["memory limit"] = [row["ns_per_element"] * row["percent_of_limit"] / 100.0 for row in here]
        for (name, values), colour, marker in zip(curves.items(), _COLOURS, _MARKERS, strict=False):
            style = "--" if name == "memory limit" else "-"
            axis.plot(lengths, values, style, marker=marker, color=colour, label=name, markersize=3.5, linewidth=1.2)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xlabel("length of a row")
        axis.set_title(f"softmax, float32, {count} thread{'s' if count > 1 else ''}", fontsize=10)
        axis.grid(color="0.9", which="both")
    axes[0].set_ylabel("ns per element")
    axes[0].legend(fontsize=8)
    figure.suptitle(machine, fontsize=9)
    _save(figure, path)


def draw(rows: Sequence[Row], folder: Path, machine: str) -> list[Path]:
    """Draw what there is: bench.png from rows of the table, curve.png from points of the curve.

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
    for curve, name, function in ((False, "bench.png", draw_ratios), (True, "curve.png", draw_curve)):
        if any(row["curve"] is curve for row in rows):
            written.append(folder / name)
            function(rows, written[-1], machine)
    return written
