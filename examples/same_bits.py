"""One digest for every instruction set and number of threads: compare it with README's, from another machine."""

import hashlib

import numpy as np

import sorgum as sg

x = (np.arange(300_000) * 7919 % 8191 / 256).astype(np.float32)  # integers only: the same on every machine
before = sg.isa(), sg.get_num_threads()
runs = {}
for isa in sg.available_isas():
    for threads in (1, 2, 3):
        sg.set_isa(isa)
        sg.set_num_threads(threads)
        runs[isa, threads] = hashlib.sha256(sg.special.softmax(x).tobytes()).hexdigest()
        print(f"{isa:7} {threads} thread{'s' * (threads > 1):1}  {runs[isa, threads][:16]}")
sg.set_isa(before[0])
sg.set_num_threads(before[1])

digests = set(runs.values())
found = "one digest" if len(digests) == 1 else f"{len(digests)} DIGESTS"
print(f"softmax of {x.size} elements: {len(runs)} runs, {found}")
assert len(digests) == 1
