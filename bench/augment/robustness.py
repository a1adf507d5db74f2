"""What babble and a telephone line cost: a cross-validation's models on degraded clips of speakers they never heard.

    cargo build --release -p vocalics-cli
    vocalics evaluate --config configs/emobox-6fold.toml --protocol emobox-6fold --data DATA --run RUN
    python bench/augment/robustness.py DATA RUN [--manifest FILE] [--part test|validation] [--every N] [--binary PATH]

Every fold's model hears the RAVDESS speech clips of the part as they are, with babble at 10 dB over the active speech level (four to
eight voices from clips of the fold's training speakers), and over a telephone line (300 to 3400 Hz, A-law), all made by `vocalics
augment`. Prints UAR in percent over all folds, and the points lost. Recipes are chosen with --part validation. --manifest is for
combined runs whose members' manifests differ, as where one has temperatures from paired folds: that of a member.
"""

import argparse
import csv
import json
import os
import pathlib
import subprocess
import tempfile
from collections import defaultdict

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLANS = {
    "babble, 10 dB": '[[step]]\nkind = "noise"\nsources = ["babble"]\nsnr_db = 10\n',
    "telephone": '[[step]]\nkind = "telephone"\nlines = ["a-law"]\n',
}
# Voices for babble: enough to be different each time, few enough to be read in a second.
VOICES = 200


def labels(binary, model, folder):
    command = [binary, "predict", "--format", "jsonl", "--model", model, folder]
    # Exit code 1: some clips failed; those lines have no label and count as wrong.
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    return {pathlib.Path(answer["file"]).name: answer.get("label") for answer in map(json.loads, lines)}


def uar(pairs):
    hits = defaultdict(list)
    for truth, answer in pairs:
        hits[truth].append(truth == answer)
    return 100 * sum(sum(of) / len(of) for of in hits.values()) / len(hits)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--manifest", type=pathlib.Path, help="which clips have which part; RUN/manifest.csv unless given")
    parser.add_argument("--part", choices=["test", "validation"], default="test")
    parser.add_argument("--every", type=int, default=1, help="take every Nth clip")
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--binary", default=target / "release" / "vocalics")
    options = parser.parse_args()

    files = {path.stem: path.resolve() for path in options.data.glob("ravdess-speech/Actor_*/*.flac")}
    parts = defaultdict(lambda: defaultdict(dict))
    with open(options.manifest or options.run / "manifest.csv", newline="") as manifest:
        for row in csv.DictReader(manifest):
            stem = row["id"].rsplit("/", 1)[-1]
            if row["corpus"] == "ravdess-speech" and stem in files:
                parts[row["fold"]][row["part"]][stem] = row["class"]

    pairs = defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        for fold, of in parts.items():
            model = options.run / fold / "model.onnx"
            tested = dict(sorted(of[options.part].items())[:: options.every])
            if not tested or not model.exists():
                continue
            clean, voices = scratch / fold / "clean", scratch / fold / "voices"
            training = sorted(of["train"])
            for folder, stems in ((clean, tested), (voices, training[:: max(1, len(training) // VOICES)])):
                folder.mkdir(parents=True)
                for stem in stems:
                    (folder / f"{stem}.flac").symlink_to(files[stem])
            heard = {"clean": labels(options.binary, model, clean)}
            for name, plan in PLANS.items():
                out, written = scratch / fold / name, scratch / "plan.toml"
                written.write_text(plan)
                command = [options.binary, "augment", clean, "--plan", written, "--babble", voices, "-o", out]
                subprocess.run(command, check=True, capture_output=True)
                heard[name] = labels(options.binary, model, out)
            for name, answers in heard.items():
                ending = ".flac" if name == "clean" else "-1.wav"
                pairs[name] += [(truth, answers.get(stem + ending)) for stem, truth in tested.items()]
    if not pairs:
        raise SystemExit(f"no {options.part} clip with a model in {options.run}")
    clean = uar(pairs["clean"])
    print(f"{options.part} clips of {options.run.name}: {len(pairs['clean'])}")
    for name, of in pairs.items():
        print(f"{name:14} UAR {uar(of):5.1f}  lost {clean - uar(of):5.1f}")


if __name__ == "__main__":
    main()
