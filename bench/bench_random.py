"""Draws beside those of peers: `python bench/bench_random.py --shape 64x131072 --data normal`."""

import argparse

import sorgum
from sorgum.bench.cases import DRAWS
from sorgum.bench.draws import DATA, compare


def main() -> None:
    """Print a line for every draw and rival: ratios of medians above 1 where ours is faster, with quartiles."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=lambda text: tuple(map(int, text.split("x"))), default=(64, 131072))
    parser.add_argument("--data", choices=DATA, default="normal")
    parser.add_argument("--draw", choices=DRAWS, nargs="+", default=DRAWS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"{'x'.join(map(str, given.shape))} float32, {given.data}, threads: {given.threads}, {sorgum.isa()}")
    size = given.shape[0] * given.shape[1]
    rows = compare(given.shape, given.data, threads=given.threads, rounds=given.rounds, select=tuple(given.draw))
    for row in rows:
        low, high = row.pair["quartiles"]
        print(
            f"{row.draw:<21} {row.rival.library + ': ' + row.rival.how:<42}"
            f"{row.pair['rival'] / size * 1e9:8.3f} ns, ours {row.pair['ours'] / size * 1e9:6.3f} ns per element; "
            f"ratio {row.pair['ratio_of_medians']:.1f} ({low:.1f} to {high:.1f})",
            flush=True,
        )


if __name__ == "__main__":
    main()
