"""How well independent trainings share the cores: one fold alone, then as many side by side as there are cores.

    cargo build --release
    python bench/side-by-side/run.py DATA [--config C] [--epochs N] [--jobs N] [--rounds N]

Each training has one thread. Prints the median seconds of an epoch alone and beside the others, and the scaling:
N trainings side by side do N times the work in the time of one, at best. The features are cached before.
"""

import argparse
import csv
import os
import pathlib
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--config", default=str(ROOT / "configs" / "emobox-6fold.toml"))
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=3)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--binary", default=str(target / "release" / "vocalics"))
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as scratch:
        def epoch(jobs, name):
            run = pathlib.Path(scratch, name)
            folds = [f"fold-{i + 1}" for i in range(jobs)]
            subprocess.run(
                [args.binary, "evaluate", "--config", args.config, "--protocol", "emobox-6fold", "--fold", *folds,
                 "--epochs", str(args.epochs), "--jobs", str(jobs), "--threads", "1", "--data", args.data,
                 "--cache", f"{scratch}/cache", "--run", str(run)],
                check=True, capture_output=True, env={**os.environ, "MIMALLOC_PURGE_DELAY": "-1"},
            )
            return [float(row["seconds"]) for row in csv.DictReader(open(run / "history.csv"))]

        alone, beside = [], []
        for round in range(args.rounds):
            alone += epoch(1, f"alone-{round}")
            beside += epoch(args.jobs, f"beside-{round}")
    one, many = statistics.median(alone), statistics.median(beside)
    print(f"epoch alone {one:.1f} s, {args.jobs} side by side {many:.1f} s: scaling {args.jobs * one / many:.2f}")


if __name__ == "__main__":
    main()
