"""What augmentations change, measured with `vocalics features --set prosody`.

    python bench/augment/prosody.py WORK FILE...

WORK is a folder to write into. The binary is target/release/vocalics, or VOCALICS. Standard library only.
"""

import csv
import os
import pathlib
import statistics
import subprocess
import sys

VOCALICS = os.environ.get("VOCALICS", "target/release/vocalics")
PLANS = {
    "pitch-shift -2": 'kind = "pitch-shift"\nshift_semitones = -2',
    "pitch-shift +2": 'kind = "pitch-shift"\nshift_semitones = 2',
    "pitch-shift +2, wsola": 'kind = "pitch-shift"\nshift_semitones = 2\nmethod = "wsola"',
    "time-stretch 0.8": 'kind = "time-stretch"\ntempo = 0.8',
    "time-stretch 1.25": 'kind = "time-stretch"\ntempo = 1.25',
    "time-stretch 1.25, wsola": 'kind = "time-stretch"\ntempo = 1.25\nmethod = "wsola"',
    "speed 0.9": 'kind = "speed"\nspeed = 0.9',
    "speed 1.1": 'kind = "speed"\nspeed = 1.1',
    "vocal-tract 0.9": 'kind = "vocal-tract"\nwarp = 0.9',
    "vocal-tract 1.1": 'kind = "vocal-tract"\nwarp = 1.1',
    "gain +6": 'kind = "gain"\ngain_db = 6',
    "telephone": 'kind = "telephone"\nlines = ["a-law"]',
    "room, 0.4 s": 'kind = "room"\nrt60_secs = 0.4',
    "pink noise, 20 dB": 'kind = "noise"\nsources = ["pink"]\nsnr_db = 20',
}


def features(inputs, out):
    command = [VOCALICS, "features", "--set", "prosody", "--keep-going", "-o", str(out)]
    subprocess.run(command + [str(it) for it in inputs], check=True, stderr=subprocess.DEVNULL)
    with open(out, newline="") as file:
        return {pathlib.Path(row["file"]).stem: row for row in csv.DictReader(file)}


def main():
    work, files = pathlib.Path(sys.argv[1]), sys.argv[2:]
    work.mkdir(parents=True, exist_ok=True)
    before = features(files, work / "before.csv")
    print(f"{len(before)} clips; median over clips of the change, and the range that holds 90 % of them")
    print("| step | median pitch, semitones | duration, factor | speech rate, factor | intensity, dB | HNR, dB | jitter, points |")
    print("|---|---|---|---|---|---|---|")
    for name, text in PLANS.items():
        slug = name.replace(" ", "_").replace(",", "")
        plan = work / f"{slug}.toml"
        plan.write_text(f"[[step]]\n{text}\n")
        command = [VOCALICS, "augment", "--plan", str(plan), "--overwrite", "-o", str(work / slug), *files]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        after = features([work / slug], work / f"{slug}.csv")
        with open(work / slug / "examples.csv", newline="") as file:
            scaled = {pathlib.Path(row["file"]).stem: float(row["scaled_db"]) for row in csv.DictReader(file)}

        def change(column, by, take_back=False):
            values = []
            for stem, row in before.items():
                example = after.get(f"{stem}-1")
                if example and row[column] and example[column]:
                    new = float(example[column]) - (scaled[f"{stem}-1"] if take_back else 0.0)
                    values.append(by(new, float(row[column])))
            values.sort()
            low, high = values[round(0.05 * (len(values) - 1))], values[round(0.95 * (len(values) - 1))]
            return f"{statistics.median(values):.3f} [{low:.3f}, {high:.3f}]"

        def less(a, b):
            return a - b

        def ratio(a, b):
            return a / b if b else 1.0

        cells = [
            change("pitch_median_semitones", less),
            change("clip_secs", ratio),
            change("speech_rate_per_sec", ratio),
            change("intensity_mean_db", less, take_back=True),
            change("hnr_mean_db", less),
            change("jitter_local", lambda a, b: 100 * (a - b)),
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
