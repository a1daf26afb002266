"""Draws beside those of peers: `python bench/bench_random.py --shape 64x131072 --data normal`.

With `--grid`, those of sorgum.bench.draws.GRID over its batch sizes and vocabularies, which takes minutes; `--rows`,
`--sizes` and `--data` choose some of them.
"""

import argparse

import sorgum
from sorgum.bench.case import DRAWS
from sorgum.bench.draws import DATA, GRID_ROWS, GRID_SIZES, compare, grid


def main() -> None:
    """Print a line for every draw and rival: ratios of medians above 1 where ours is faster, with quartiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=lambda text: tuple(map(int, text.split("x"))), default=(64, 131072))
    parser.add_argument("--data", choices=DATA, nargs="+", default=("normal",))
    parser.add_argument("--draw", choices=DRAWS, nargs="+", default=DRAWS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--grid", action="store_true")
    parser.add_argument("--rows", type=int, nargs="+", default=GRID_ROWS)
    parser.add_argument("--sizes", type=int, nargs="+", default=GRID_SIZES)
    given = parser.parse_args()
    print(f"float32, threads: {given.threads}, {sorgum.isa()}")
    if given.grid:
        rows = grid(given.rows, given.sizes, given.data, threads=given.threads, rounds=given.rounds)
    else:
        of = {"threads": given.threads, "rounds": given.rounds, "select": tuple(given.draw)}
        rows = (row for data in given.data for row in compare(given.shape, data, **of))
    for row in rows:
        low, high = row.pair["quartiles"]
        size = row.shape[0] * row.shape[1]
        print(
            f"{row.draw:<21} {row.data:<6} {'x'.join(map(str, row.shape)):<11} "
            f"{row.rival.library + ': ' + row.rival.how:<44}"
            f"{row.pair['rival'] / size * 1e9:8.3f} ns, ours {row.pair['ours'] / size * 1e9:6.3f} ns per element; "
            f"ratio {row.pair['ratio_of_medians']:.1f} ({low:.1f} to {high:.1f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
