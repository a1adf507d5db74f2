"""One fold of a cross-validation from audio files to test scores, beside the same job in PyTorch.

    cargo build --release
    python bench/train-job/run.py DATA [--config C] [--epochs N] [--threads N] [--rounds N]

The job is fold 1 of emobox-6fold under configs/emobox-6fold.toml, cut to N epochs (3): read and decode the recordings,
resample, compute log-mel, train on augmented crops, test on whole clips. No side finds anything cached. The peer
(torch_job.py) reads with soundfile, resamples with soxr, computes log-mel with librosa in worker processes, augments in a DataLoader
with worker processes, and trains the network of ../train-epoch/torch_epoch.py; it works through the split that ours wrote.
Rounds alternate. Prints the median wall time and peak memory of both, and the ratios: above 1, and for memory below 1,
Vocalics is better. Memory is that of the largest moment over all processes of a side (proportional set size).

Needs: numpy, soundfile, librosa, soxr, torch.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def tree(root):
    """The process and its descendants."""
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                queue += map(int, open(f"/proc/{pid}/task/{task}/children").read().split())
        except OSError:
            pass
    return found


def memory_mb(root):
    """Proportional set size of a process tree: shared pages count once."""
    total = 0
    for pid in tree(root):
        try:
            with open(f"/proc/{pid}/smaps_rollup") as rollup:
                total += next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
        except (OSError, StopIteration):
            pass
    return total / 1024


def measured(command, environment=None):
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
    )
    peak, ended = [0.0], threading.Event()

    def watch():
        while not ended.wait(0.2):
            peak[0] = max(peak[0], memory_mb(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, err = process.communicate()
    ended.set()
    watcher.join()
    if process.returncode:
        sys.exit(f"error: {command[0]} failed\n{err[-3000:]}")
    return time.perf_counter() - started, peak[0], out


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--config", type=pathlib.Path, default=ROOT / "configs" / "emobox-6fold.toml")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--binary", default=str(target / "release" / "vocalics"))
    args = parser.parse_args()
    config = tomllib.loads(args.config.read_text())
    sides = {"vocalics": [], "pytorch": []}
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as scratch:
            run = f"{scratch}/run"
            seconds, peak, out = measured([
                args.binary, "evaluate", "--config", str(args.config), "--protocol", "emobox-6fold", "--fold", "fold-1",
                "--epochs", str(args.epochs), "--jobs", "1", "--threads", str(args.threads), "--data", str(args.data),
                "--cache", f"{scratch}/cache", "--run", run, "--format", "json",
            ])
            sides["vocalics"].append((seconds, peak, json.loads(out)["metrics"]["uar"]))
            seconds, peak, out = measured([
                sys.executable, str(HERE / "torch_job.py"), f"{run}/manifest.csv", str(args.data), str(args.config),
                str(args.epochs), str(args.threads),
            ])
            sides["pytorch"].append((seconds, peak, json.loads(out)["uar"]))
        for name, values in sides.items():
            seconds, peak, uar = values[-1]
            print(f"{name}: {seconds:.1f} s, {peak:.0f} MB, UAR {100 * uar:.1f}", file=sys.stderr)
    median = {
        name: [statistics.median(value[i] for value in values) for i in range(2)] for name, values in sides.items()
    }
    print(f"{config['name']}, fold 1, {args.epochs} epochs, {args.threads} threads, {args.rounds} rounds")
    for name, (seconds, peak) in median.items():
        print(f"{name:10}{seconds:8.1f} s{peak:8.0f} MB")
    (mine, small), (theirs, large) = median["vocalics"], median["pytorch"]
    print(f"ratio     {theirs / mine:8.2f}  {small / large:8.2f}")


if __name__ == "__main__":
    main()
