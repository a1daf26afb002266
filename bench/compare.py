"""Compare implementations on one case, interleaved: `python bench/compare.py softmax 64x131072 PyTorch JAX`.

An implementation is a peer, or "three_pass_recompute" or "three_pass_reload", which are algorithms of ours.
"""

import argparse
from functools import partial

import sorgum
from sorgum.bench import peers
from sorgum.bench.case import Case, make_ring, touch
from sorgum.bench.machine import cache_bytes
from sorgum.bench.paired import paired


def main() -> None:
    """Print the ratio of medians with its quartiles, rival by rival."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operation", choices=sorgum.special.__all__)
    parser.add_argument("shape", type=lambda text: tuple(map(int, text.split("x"))), help="as in 64x131072")
    parser.add_argument("rivals", nargs="+")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    parser.add_argument("--axis", type=int, choices=(0, -1), default=-1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=21)
    given = parser.parse_args()
    data = "positive" if given.operation == "log" else "normal"
    case = Case(given.operation, given.shape, given.dtype, given.axis, data)
    ring = make_ring(case, min(2 * cache_bytes(3), 1536 << 20))
    sorgum.set_num_threads(given.threads)
    ours = peers.calls(peers.OURS, case, ring, given.threads)
    for name in given.rivals:
        rival = peers.calls(name, case, ring, given.threads)
        pair = paired(ours, rival, rounds=given.rounds, pause=0.01, prepare=partial(touch, ring))
        found = pair.summary()
        low, high = found["quartiles"]
        theirs_ns, ours_ns = (found[side] / case.size * 1e9 for side in ("rival", "ours"))
        print(
            f"{name}: {theirs_ns:.3f} ns per element, ours {ours_ns:.3f}; "
            f"ratio of medians {found['ratio_of_medians']:.2f} (quartiles {low:.2f} to {high:.2f}), "
            f"of minima {found['ratio_of_minima']:.2f}; "
            f"page faults per call {found['rival_faults']:.0f}, ours {found['our_faults']:.0f}"
        )


if __name__ == "__main__":
    main()
