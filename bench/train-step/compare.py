"""One training step, ours beside PyTorch's: same layers, sizes, batch and threads.

    cargo build --release -p vocalics-train --example train_step
    python bench/train-step/compare.py [--networks NAME...] [--threads N...] [--rounds N] [--steps N]

Forward, loss, backward, clipped gradient, AdamW, average of the weights; batch 32, 128 frames, 64 mel
bands. Ours is the loop of `vocalics train` on invented clips, the batch included, with the allocator of
the command line (crates/vocalics-train/examples/train_step.rs); the peer is torch_step.py. Both as they
are, and both with an allocator that keeps its pages: ours with MIMALLOC_PURGE_DELAY=-1, the peer's
jemalloc or tcmalloc, preloaded, where one is installed (Debian: libjemalloc2), else glibc's with trimming
off, and in the faster of its two memory formats. AdamW is PyTorch's fused one. Ours has, beside the threads
named, one that makes the next batch; the peer's batch is made beforehand. Each round starts every process anew, one after the other; the median over all steps of all rounds
counts. Refuses to compare networks of unequal size.

Prints a Markdown table: milliseconds per step, and how many times as fast we are (above 1: faster), as
they are and tuned against tuned. Run it with an interpreter that has torch, on a machine that does
nothing else. Last, the geometric mean of the ratios over the networks of the design (plain-cnn, temporal,
depthwise) if all were run.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DESIGN = ["plain-cnn", "temporal", "depthwise"]
NETWORKS = ["residual-cnn", *DESIGN, "cnn-recurrent"]
PRELOADS = ["libjemalloc.so.2", "libtcmalloc_minimal.so.4"]
# glibc gives nothing back and maps nothing apart.
GLIBC = {
    "MALLOC_TRIM_THRESHOLD_": "-1",
    "MALLOC_TOP_PAD_": str(256 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
}


def tuned():
    """Environment of the tuned peer, and its name."""
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
    for name in PRELOADS:
        paths = [line.split()[-1] for line in listed.splitlines() if line.split()[:1] == [name]]
        if paths:
            # Pages are kept, as mimalloc is told to on our side.
            keep = {"MALLOC_CONF": "dirty_decay_ms:-1,muzzy_decay_ms:-1"} if "jemalloc" in name else {}
            return {"LD_PRELOAD": paths[0], **keep}, name
    return GLIBC, "glibc, no trimming"


def run(command, environment):
    result = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if result.returncode:
        sys.exit(f"error: {' '.join(map(str, command))}\n{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    options = parser.parse_args()
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    ours = target / "release" / "examples" / "train_step"
    if not ours.exists():
        sys.exit(f"error: no {ours}\nhint: cargo build --release -p vocalics-train --example train_step")
    allocator, allocator_name = tuned()
    sides = {
        "vocalics": ([ours], {}),
        "torch": ([sys.executable, HERE / "torch_step.py"], {}),
        "vocalics tuned": ([ours], {"MIMALLOC_PURGE_DELAY": "-1"}),
        "torch tuned": ([sys.executable, HERE / "torch_step.py"], allocator),
        "torch tuned, channels last": ([sys.executable, HERE / "torch_step.py"], allocator),
    }
    ratios = {}
    version = ""
    print("| network | parameters | threads | " + " | ".join(f"{side}, ms" for side in sides) + " | ratio | tuned |")
    print("|---" * (5 + len(sides)) + "|")
    for threads in options.threads:
        for network in options.networks:
            seconds = {side: [] for side in sides}
            sizes = set()
            for _ in range(options.rounds):
                for side, (command, environment) in sides.items():
                    arguments = [*command, network, str(threads), str(options.steps)]
                    if side.endswith("channels last"):
                        arguments.append("channels-last")
                    threads_of = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
                    result = run(arguments, {**threads_of, **environment})
                    seconds[side] += result["seconds"]
                    sizes.add(result["parameters"])
                    version = result.get("torch", version)
            if len(sizes) != 1:
                sys.exit(f"error: {network} has {sizes} parameters, the sides differ")
            ms = {side: 1e3 * statistics.median(times) for side, times in seconds.items()}
            best = min(ms["torch tuned"], ms["torch tuned, channels last"])
            pair = [ms["torch"] / ms["vocalics"], best / ms["vocalics tuned"]]
            ratios[network, threads] = pair
            cells = [network, sizes.pop(), threads, *(f"{ms[side]:.0f}" for side in sides), *(f"{x:.2f}" for x in pair)]
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    for threads in options.threads:
        if all((network, threads) in ratios for network in DESIGN):
            means = [statistics.geometric_mean(ratios[n, threads][i] for n in DESIGN) for i in (0, 1)]
            print(f"\nThe design's three, {threads} thread(s): {means[0]:.2f}, tuned {means[1]:.2f}")
    print(f"\ntorch {version}; tuned: {allocator_name}; {options.rounds} rounds of {options.steps} steps")


if __name__ == "__main__":
    main()
