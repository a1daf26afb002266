"""From what the workers measured to rows, and from rows to text."""

from collections.abc import Iterable, Sequence
from typing import Any

from sorgum.bench.cases import TOLD_DATA
from sorgum.bench.peers import OURS

__all__ = ["Row", "format_limits", "format_table", "rounded", "rows_of"]

Row = dict[str, Any]
_LEADING = ("operation", "shape", "dtype", "where", "threads", "ns/elem", "GB/s", "% limit")
_SHORT = {"ONNX Runtime": "ONNX RT", "three_pass_recompute": "3p-recomp", "three_pass_reload": "3p-reload"}


def rows_of(benchmarks: Iterable[dict[str, Any]]) -> list[Row]:
    """Gather the benchmarks of each case and number of threads into one row.

    Parameters
    ----------
    benchmarks : iterable of dict
        The `extra_info` of the benchmarks.

    Returns
    -------
    list of dict
        In the order of the first benchmark of each; times are of our fastest call in any of the pairs.
    """
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for one in benchmarks:
        if one["kind"] == "case":
            groups.setdefault((one["case"], one["threads"]), []).append(one)
    return [_row(group) for group in groups.values() if any(one["name"] == OURS for one in group)]


def _row(group: list[dict[str, Any]]) -> Row:
    ours = next(one for one in group if one["name"] == OURS)
    seconds = min(one["pair"]["ours"] for one in group)
    kept = ("case", "operation", "shape", "dtype", "axis", "data", "cached", "curve", "threads", "isa", "place")
    row: Row = {key: ours[key] for key in kept}
    limit = ours["pair"]
    row["ns_per_element"] = seconds / ours["size"] * 1e9
    row["gb_per_s"] = ours["traffic_bytes"] / seconds * 1e-9
    row["percent_of_limit"] = None if ours["cached"] else 100.0 * limit["ratio_of_minima"]
    row["peers"] = {
        one["name"]: {
            "ns_per_element": one["pair"]["rival"] / one["size"] * 1e9,
            "ratio": one["pair"]["ratio_of_minima"],
            "ratio_of_medians": one["pair"]["ratio_of_medians"],
            "quartiles": one["pair"]["quartiles"],
            "rounds": one["pair"]["rounds"],
        }
        for one in group
        if one["name"] != OURS
    }
    return row


def _label(row: Row) -> str:
    words = [row["operation"]]
    words += [row["data"]] if row["data"] in TOLD_DATA else []
    words += ["axis=0"] if row["axis"] == 0 else []
    return " ".join(words)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    return [
        _label(row),
        "x".join(str(n) for n in row["shape"]),
        row["dtype"],
        "in cache" if row["cached"] else row["place"],
        str(row["threads"]),
        f"{row['ns_per_element']:.3f}",
        _number(row["gb_per_s"]),
        "-" if row["percent_of_limit"] is None else f"{row['percent_of_limit']:.0f}",
        *(_number(row["peers"].get(name, {}).get("ratio")) for name in names),
    ]


def format_table(rows: Sequence[Row]) -> str:
    """Return the table as text.

    Parameters
    ----------
    rows : sequence of dict
        What `rows_of` returned; points of the curve are left out.

    Returns
    -------
    str
        A line per row; the columns named for an implementation hold its time divided by ours.
    """
    shown = sorted((row for row in rows if not row["curve"]), key=lambda row: row["threads"])
    names = list(dict.fromkeys(name for row in shown for name in row["peers"]))
    cells = [[*_LEADING, *(_SHORT.get(name, name) for name in names)], *(_cells(row, names) for row in shown)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = [
        "  ".join(
            text.ljust(width) if i < 4 else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def format_limits(limits: Iterable[dict[str, Any]]) -> str:
    """Return a line per number of threads: the limits that the percentages refer to."""
    return "\n".join(
        f"limits, {one['threads']} thread{'s' if one['threads'] > 1 else ''}: "
        f"read {one['read_ns']:.3f} ns per float32 ({4 / one['read_ns']:.1f} GB/s), "
        f"copy {one['copy_ns']:.3f} ns ({8 / one['copy_ns']:.1f} GB/s), "
        f"multiply-adds {one['fma_gflops']:.0f} GFLOP/s"
        for one in limits
    )


def rounded(content: Any) -> Any:
    """Return nested lists and dictionaries with the numbers that a measurement justifies: four digits."""
    if isinstance(content, dict):
        return {key: rounded(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [rounded(value) for value in content]
    return float(f"{content:.4g}") if isinstance(content, float) else content
