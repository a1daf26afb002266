"""From what the workers measured to rows, and from rows to text."""

from collections.abc import Iterable, Iterator, Sequence
from math import prod
from typing import Any

from sorgum.bench.case import TOLD_DATA
from sorgum.bench.peers import OURS
from sorgum.bench.settings import thread_count

__all__ = ["FEW_HAVE", "WIDTH", "Row", "explain", "format_limits", "format_table", "rounded", "rows_of"]

Row = dict[str, Any]
WIDTH = 120  # columns of the table, at most
_APART = (frozenset({"PyAMG", "Numba", "scikit-learn"}), frozenset({"TensorLy", "pyttb"}))
FEW_HAVE = frozenset(name for names in _APART for name in names)  # peers of rows that make tables of their own
_LEADING = ("operation", "shape", "dtype", "where", "ns/elem", "GB/s", "limit")
_SHORT = {"ONNX Runtime": "ONNX"}
_NOISY = 1.5  # quartiles of a ratio that are further apart are marked
_FAULT_NS = 1000.0  # or so: what the system takes to clear a page and to map it


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
    kept = (
        "case",
        "operation",
        "shape",
        "dtype",
        "axis",
        "data",
        "cached",
        "curve",
        "algorithms",
        "threads",
        "isa",
        "place",
    )
    row: Row = {key: ours[key] for key in kept}
    limit = ours["pair"]
    row["ns_per_element"] = seconds / ours["size"] * 1e9
    row["gb_per_s"] = ours["traffic_bytes"] / seconds * 1e-9
    row["faults_per_call"] = min(group, key=lambda one: one["pair"]["ours"])["pair"]["our_faults"]
    row["percent_of_limit"] = None if ours["cached"] else 100.0 * limit["ratio_of_minima"]
    row["peers"] = {
        one["name"]: {
            "ns_per_element": one["pair"]["rival"] / one["size"] * 1e9,
            "ratio": one["pair"]["ratio_of_minima"],
            "ratio_of_medians": one["pair"]["ratio_of_medians"],
            "quartiles": one["pair"]["quartiles"],
            "rounds": one["pair"]["rounds"],
            "faults_per_call": one["pair"]["rival_faults"],
            "our_faults_per_call": one["pair"]["our_faults"],
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


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _faulted(row: Row, faults_per_call: float, ns_per_element: float) -> bool:
    """Return whether page faults took a hundredth of a call's time or more."""
    return faults_per_call >= 1 and faults_per_call * _FAULT_NS >= 0.01 * ns_per_element * prod(row["shape"])


def _our_faults(row: Row, peer: dict[str, Any] | None = None) -> float:
    """Return those of ours that count, alone or beside a peer; else 0."""
    faults: float = row["faults_per_call"] if peer is None else peer["our_faults_per_call"]
    return faults if _faulted(row, faults, row["ns_per_element"]) else 0.0


def _ratio(row: Row, name: str) -> str:
    if name not in row["peers"]:
        return "-"
    peer = row["peers"][name]
    low, high = peer["quartiles"]
    faulted = _faulted(row, peer["faults_per_call"], peer["ns_per_element"]) or _our_faults(row, peer) > 0
    return _number(peer["ratio"]) + ("*" if faulted else "~" if high > _NOISY * low else "")


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    return [
        _label(row),
        "x".join(str(n) for n in row["shape"]),
        row["dtype"],
        "cache" if row["cached"] else row["place"],
        f"{row['ns_per_element']:.3f}" + ("*" if _our_faults(row) > 0 else ""),
        _number(row["gb_per_s"]),
        "-" if row["percent_of_limit"] is None else f"{row['percent_of_limit']:.0f}%",
        *(_ratio(row, name) for name in names),
    ]


def _shown(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if not row["curve"]]


def format_table(rows: Sequence[Row]) -> str:
    """Return a table per number of threads as text, at most `WIDTH` columns wide.

    Parameters
    ----------
    rows : sequence of dict
        What `rows_of` returned; points of the curve are left out, and so are our other algorithms (see `explain`).

    Returns
    -------
    str
        A line per row; the columns named for an implementation hold its time divided by ours.
    """
    shown = _shown(rows)
    tables = [
        [row for row in shown if row["threads"] == threads and _place(row) == place]
        for threads in sorted({row["threads"] for row in shown})
        for place in range(1 + len(_APART))
    ]
    return "\n\n".join(_one_table(table, table[0]["threads"]) for table in tables if table)


def _place(row: Row) -> int:
    """Return the number of a row's table, by the peers that few others have: one of all of them would be too wide."""
    return next((place for place, names in enumerate(_APART, 1) if not names.isdisjoint(row["peers"])), 0)


def _one_table(rows: Sequence[Row], threads: int) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row["peers"] if name not in row["algorithms"]))
    cells = [[*_LEADING, *(_SHORT.get(name, name) for name in names)], *(_cells(row, names) for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = [
        "  ".join(
            text.ljust(width) if i < 4 else text.rjust(width)
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]
    ours = sum(widths[: len(_LEADING)]) + 2 * len(_LEADING)
    title = thread_count(threads).ljust(ours) + "sorgum is ... times as fast as"
    return "\n".join([title.rstrip(), lines[0], "-" * len(lines[0]), *lines[1:]])


def explain(rows: Sequence[Row]) -> list[str]:
    """Return sentences on the headings and marks of the table, and on what its numbers do not say by themselves.

    Parameters
    ----------
    rows : sequence of dict
        What `rows_of` returned.

    Returns
    -------
    list of str
    """
    shown = _shown(rows)
    notes = []
    if shown:
        notes += [
            "where: what all buffers together fit in, which take turns; cache: one pair of buffers, used over and over",
            "ns/elem: our fastest round; GB/s: the bytes that must move at least, in that time; limit: the time of "
            "plain loops that move them, measured in turn with ours, divided by ours (-: in a cache)",
            "NumPy and so on: their time divided by ours, the fastest of rounds in turn. Above 1 sorgum is faster; "
            "below 1 the peer wins. -: not there, or not measured (then it is named below)",
        ]
    if any("1 thread" in row["peers"] for row in shown):
        notes.append("1 thread: sorgum itself with one thread; below 1 the other threads are no help")
    if any((row["percent_of_limit"] or 0) > 100 for row in rows):
        notes.append(
            "limit above 100%: the plain loops run one after the other; a call that reads and writes at the same time, "
            "or finds part of a row in a cache when it comes back to it, can take less"
        )
    notes += _doubts(shown, "*", "~")
    notes += _doubts([row for row in rows if row["curve"]], "in the curve", "in the curve")
    for row in shown:
        others = [f"{name} {_ratio(row, name)}" for name in row["algorithms"] if name in row["peers"]]
        if others:
            case = " ".join([*_cells(row, ())[:3], thread_count(row["threads"])])
            notes.append(f"our other algorithms, {case}: their time divided by ours: {', '.join(others)}")
    return notes


def _doubts(rows: Sequence[Row], faulted: str, noisy: str) -> Iterator[str]:
    """Yield what is to be said of page faults and of noise where there are any, after the mark of what it is about."""
    ratios = [_ratio(row, name) for row in rows for name in row["peers"]]
    ours = [_our_faults(row, peer) for row in rows for peer in (None, *row["peers"].values())]
    if any(ours) or any(ratio.endswith("*") for ratio in ratios):
        yield (
            f"{faulted}: the system handed out memory while this was timed: page faults took a hundredth of the time "
            "or more (bench.json has their number). A peer that has no out, as SciPy and JAX, pays so for new results; "
            + (f"sorgum took up to {max(ours):.0f} in a call" if any(ours) else "sorgum took none")
        )
    if any(ratio.endswith("~") for ratio in ratios):
        yield f"{noisy}: noise; the rounds' ratios have quartiles more than a factor of {_NOISY:g} apart: measure again"


def format_limits(limits: Iterable[dict[str, Any]]) -> str:
    """Return a line per number of threads: the limits that the percentages refer to."""
    return "\n".join(
        f"limits, {thread_count(one['threads'])}: "
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
