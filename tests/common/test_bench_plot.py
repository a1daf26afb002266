"""The plots show what they say: every number, each peer always in the same colour, nothing empty and nothing hidden."""

import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from sorgum.bench import plot
from sorgum.bench.peers import DISTRIBUTIONS

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench" / "results"
README = (ROOT / "README.md").read_text()


def row(case: str, threads: int, **ratios: float) -> dict[str, Any]:
    found = {"case": case, "operation": case, "shape": [7, 33], "dtype": "float32", "data": "normal", "axis": -1}
    peers = {name.replace("_", " "): {"ratio": ratio} for name, ratio in ratios.items()}
    return found | {"cached": False, "curve": False, "threads": threads, "peers": peers}


def point(length: int, threads: int = 1) -> dict[str, Any]:
    peers = {name: {"ns_per_element": ns} for name, ns in (("PyTorch", 0.9), ("three_pass_reload", 0.7))}
    return row("softmax", threads) | {
        "shape": [1, length],
        "curve": True,
        "ns_per_element": 0.5,
        "percent_of_limit": 80.0,
        "peers": peers,
    }


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a list that collects the figures drawn."""
    plt = pytest.importorskip("matplotlib.pyplot")
    kept: list[Any] = []
    close = plt.close
    monkeypatch.setattr(plt, "close", lambda figure: (kept.append(figure), close(figure)))
    return kept


def texts(figure: Any) -> list[str]:
    import matplotlib.text

    return [found.get_text() for found in figure.findobj(matplotlib.text.Text) if found.get_visible()]


def test_ratios(figures: list[Any], tmp_path: Path) -> None:
    rows = [row("softmax", 1, NumPy=4.0, JAX=0.5), row("softmax", 2, NumPy=8.0, ONNX_Runtime=7.9)]
    rows += [row("exp", 1, PyTorch=2.0), row("exp", 2), row("log", 1), row("log", 2)]
    assert plot.draw(rows, tmp_path, "a machine") == [tmp_path / "bench.png"]
    (figure,) = figures
    shown = texts(figure)
    assert "sorgum is … times as fast as the peer\na machine" in shown
    assert shown.count("times as fast (grey, below 1: the peer wins)") == 2
    assert {"1 thread", "2 threads", "softmax 7×33", "exp 7×33"} <= set(shown)
    assert "log 7×33" not in shown  # nothing to show
    assert shown.count("not measured") == 1  # exp, on two threads
    marks = [line for axis in figure.axes for line in axis.lines if line.get_marker() != "None"]
    found = [(float(line.get_xdata()[0]), line.get_color(), line.get_marker()) for line in marks]
    expected = [(4.0, "NumPy"), (0.5, "JAX"), (2.0, "PyTorch"), (8.0, "NumPy"), (7.9, "ONNX Runtime")]
    assert found == [(ratio, *plot._STYLES[name]) for ratio, name in expected]
    assert [float(line.get_ydata()[0]) for line in marks[3:]] == [0.32, 0.0]  # they would hide each other


def test_every_peer_has_a_colour_and_a_mark_of_its_own() -> None:
    assert set(DISTRIBUTIONS) < set(plot._STYLES)
    assert len(set(plot._STYLES.values())) == len(plot._STYLES)
    peers = [plot._STYLES[name] for name in DISTRIBUTIONS]
    assert len({colour for colour, _ in peers}) == len({mark for _, mark in peers}) == len(peers)


def test_curve(figures: list[Any], tmp_path: Path) -> None:
    assert plot.draw([point(64), point(1024)], tmp_path, "a machine") == [tmp_path / "curve.png"]
    (figure,) = figures
    drawn = {line.get_color(): (line.get_marker(), list(line.get_ydata())) for line in figure.axes[0].lines[:3]}
    for name, ns in (("sorgum", 0.5), ("PyTorch", 0.9), ("sorgum, three passes (reload)", 0.7)):
        colour, mark = plot._STYLES[name]
        assert drawn[colour] == (mark, [ns, ns])
    assert list(figure.axes[0].lines[3].get_ydata()) == [0.4, 0.4]  # the memory limit
    shown = texts(figure)
    assert "softmax of float32 takes … nanoseconds per element: lower is faster\na machine" in shown
    assert {"elements of a row", "nanoseconds per element", "PyTorch", "memory limit"} <= set(shown)


def test_curves_over_short_rows(figures: list[Any], tmp_path: Path) -> None:
    rows = [
        point(n, threads) | {"cached": True, "percent_of_limit": None, "operation": operation}
        for n in (1, 256)
        for threads in (1, 2)
        for operation in ("logsumexp", "softmax")
    ]
    assert plot.draw(rows, tmp_path, "a machine") == [tmp_path / "lengths.png"]
    (figure,) = figures
    assert [axis.get_title() for axis in figure.axes] == ["softmax", "logsumexp"]
    for axis in figure.axes:
        assert [list(line.get_ydata()) for line in axis.lines] == [[0.5, 0.5], [0.9, 0.9], [0.7, 0.7]]
        assert [list(line.get_xdata()) for line in axis.lines] == [[1, 256]] * 3
    assert "memory limit" not in texts(figure)


def test_nothing_to_draw(tmp_path: Path) -> None:
    assert plot.draw([row("softmax", 1)], tmp_path, "a machine") == []


def test_marks_do_not_hide_each_other() -> None:
    for count in range(1, 6):
        offsets = plot.side_by_side([1.0] * count, 0.5, 0.3)
        assert offsets[0] == 0.0
        assert max(map(abs, offsets)) <= 0.32
        assert all(abs(a - b) >= 0.16 for a, b in itertools.combinations(offsets, 2))
    assert plot.side_by_side([3.0, 1.0, 2.0], 0.5, 0.3) == [0.0, 0.0, 0.0]
    assert plot.side_by_side([], 0.5, 0.3) == []


def test_labels_are_legible_where_the_readme_shows_them(figures: list[Any], tmp_path: Path) -> None:
    content = json.loads((RESULTS / "0.1.0.dev0.json").read_text())
    plot.draw(content["rows"] + [point(64), point(128)], tmp_path, "a machine")
    for figure in figures:
        assert figure.get_figwidth() * 100 <= 838  # the README's width in pixels, a hundred to an inch
        import matplotlib.text

        sizes = {found.get_fontsize() for found in figure.findobj(matplotlib.text.Text) if found.get_text()}
        assert min(sizes) * 100 / 72 >= 11


def rows_of(name: str) -> list[dict[str, Any]]:
    return list(json.loads((RESULTS / name).read_text())["rows"])


def wins_in_the_readme() -> set[tuple[str, int, str, str]]:
    """Return case, threads, peer and ratio."""
    lines = re.findall(r"^\| `([a-z_]+-[\dx]+-[\w-]+)`.* \| (\d) \| (.+) \|$", README, flags=re.MULTILINE)
    return {(case, int(threads), *one.rsplit(" ", 1)) for case, threads, peers in lines for one in peers.split(", ")}


def test_the_readme_names_every_win_of_a_peer_and_no_other() -> None:
    won = {
        (row["case"], row["threads"], name, f"{peer['ratio']:.2f}")
        for row in rows_of("0.1.0.dev0.json")
        for name, peer in row["peers"].items()
        if name in DISTRIBUTIONS and peer["ratio"] < 1
    }
    assert won
    assert wins_in_the_readme() == won


def test_what_the_readme_says_of_the_plots_is_in_the_results() -> None:
    rows = rows_of("0.1.0.dev0.json")
    found = [
        (peer["ratio"], name, row["case"], row["threads"])
        for row in rows
        for name, peer in row["peers"].items()
        if name in DISTRIBUTIONS
    ]
    assert f"in {len({row['case'] for row in rows})} cases with one and two threads" in README
    assert min(found)[1:] == ("PyTorch", "softmax-32x32000-float32", 2)
    assert f"from {min(found)[0]:.2f} times, PyTorch's softmax of 32 rows of 32000 on two threads" in README
    assert max(found)[1:] == ("SciPy", "softmax-1024x1024-float16", 2)
    assert f"to {max(found)[0]:.0f} times, SciPy's softmax of float16" in README

    lost = {case for case, threads, *_ in wins_in_the_readme() if threads == 2}
    alone = [row["peers"]["1 thread"]["ratio"] for row in rows if row["case"] in lost and row["threads"] == 2]
    assert f"one thread takes {min(alone):.2f} to {max(alone):.2f} times as long as two" in README


def test_what_the_readme_says_of_the_curve_is_in_the_results() -> None:
    curve = rows_of("0.1.0.dev0-curve.json")
    assert [row["shape"][-1] for row in curve] == [1 << k for k in range(6, 27)]
    assert {row["threads"] for row in curve} == {1}
    assert {len(row["peers"]) for row in curve} == {3}
    assert min(peer["ratio"] for row in curve for peer in row["peers"].values()) > 1
    nearest = max(curve, key=lambda row: row["percent_of_limit"])
    assert nearest["shape"][-1] == 1 << 25
    assert f"reaches {math.floor(nearest['percent_of_limit'])} percent of the memory's limit at 2^25" in README


def test_what_the_readme_says_of_short_rows_is_in_the_results() -> None:
    rows = rows_of("0.1.0.dev0-lengths-avx2.json")
    assert {row["isa"] for row in rows} == {"avx2"}

    def ratios(operation: str, name: str, least: int, most: int = 256) -> list[float]:
        here = [row for row in rows if row["operation"] == operation and least <= row["shape"][-1] <= most]
        return [row["peers"][name]["ratio"] for row in here]

    readme = " ".join(README.split())
    wins = {
        "log_softmax at most lengths from 8 to 40 (PyTorch, up to {} times as fast)": ratios(
            "log_softmax", "PyTorch", 8
        ),
        "and from 40 on (ONNX Runtime, up to {} times)": ratios("log_softmax", "ONNX Runtime", 40),
        "softmax_grad from 8 to 24 (PyTorch, up to {} times)": ratios("softmax_grad", "PyTorch", 8),
        "softmax from 128 on (ONNX Runtime, up to {} times)": ratios("softmax", "ONNX Runtime", 128),
    }
    for sentence, found in wins.items():
        assert sentence.format(f"{1 / min(found):.1f}") in readme
    assert f"at least {min(ratios('softmax', 'PyTorch', 1)):.2f} times as fast" in readme
    assert min(ratios("logsumexp", "PyTorch", 2) + ratios("logsumexp", "ONNX Runtime", 2)) > 1
    assert min(ratios("log_softmax", "PyTorch", 48) + ratios("softmax_grad", "PyTorch", 32)) > 1
    assert max(ratios("softmax_grad", "PyTorch", 8, 24) + ratios("softmax", "ONNX Runtime", 128)) < 1


def test_what_the_readme_says_of_the_curve_with_avx2_is_in_the_results() -> None:
    curve = rows_of("0.1.0.dev0-curve-avx2.json")
    assert [row["shape"][-1] for row in curve] == [1 << k for k in range(6, 27)]
    assert {row["isa"] for row in curve} == {"avx2"}
    assert f"at least {min(row['peers']['PyTorch']['ratio'] for row in curve):.2f} times as\nfast as PyTorch" in README
    assert (
        f"reaches {math.floor(max(row['percent_of_limit'] for row in curve))} percent of the memory's limit. Rows"
        in README
    )
    assert min(row["peers"]["two_pass"]["ratio"] for row in curve if row["shape"][-1] <= 1 << 18) > 1
