"""What the scripts here share: clips, our process that times itself, rounds that alternate between the tools."""

import argparse
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
RATE, SECONDS = 16_000, 3.5
EXAMPLE = "front_end_speed"


def arguments(description):
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=9)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--binary", type=pathlib.Path, default=target / "release" / "examples" / EXAMPLE)
    args = parser.parse_args()
    if not args.binary.is_file():
        sys.exit(f"error: no {args.binary}\nhint: cargo build --release -p vocalics-features --example {EXAMPLE}")
    return args


def clips(count):
    rng = np.random.default_rng(1)
    t = np.arange(int(RATE * SECONDS)) / RATE
    for _ in range(count):
        phase = 2 * np.pi * (rng.uniform(90, 250) * t + rng.uniform(-20, 20) * t**2)
        voice = sum(np.sin(k * phase) / k for k in range(1, 20))
        voice = voice * (0.5 + 0.5 * np.sin(2 * np.pi * 3 * t)) * 0.1
        yield (voice + 0.001 * rng.standard_normal(len(t))).astype(np.float32)


class Ours:
    """Our process: it computes `what` of the clips, and times itself as the calls of the others are timed."""

    def __init__(self, binary, what, signals):
        self.count = len(signals)
        self.process = subprocess.Popen([binary, what], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdin.write(struct.pack("<II", self.count, len(signals[0])))
        for y in signals:
            self.process.stdin.write(y.tobytes())
        self.process.stdin.flush()
        n_values = struct.unpack("<I", self.process.stdout.read(4))[0]
        self.first = np.frombuffer(self.process.stdout.read(4 * n_values), dtype="<f4")

    def seconds(self):
        self.process.stdin.write(b"r")
        self.process.stdin.flush()
        return list(np.frombuffer(self.process.stdout.read(8 * self.count), dtype="<f8"))

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def timed(call, inputs):
    times = []
    for y in inputs:
        begin = time.perf_counter()
        call(y)
        times.append(time.perf_counter() - begin)
    return times


def compare(calls, rounds, references, ours):
    """Prints the median time of a clip of each tool, its ratio to ours, and the largest difference on the first clip."""
    times = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            times[name] += call()
    ours.end()
    base = statistics.median(times["vocalics"])
    print(f"{'':24}{'ms a clip':>10}{'ratio':>8}{'largest difference to ours':>30}")
    for name, values in times.items():
        median = statistics.median(values)
        difference = np.abs(references[name] - references["vocalics"]).max()
        print(f"{name:24}{1e3 * median:10.3f}{median / base:8.2f}{difference:30.1e}")
