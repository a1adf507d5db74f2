"""The peer of run.py: a fold from audio files to test scores in PyTorch. Prints one JSON line.

    torch_job.py MANIFEST.csv DATA CONFIG.toml EPOCHS THREADS
"""

import csv
import json
import math
import multiprocessing
import os
import pathlib
import sys
import tomllib

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import librosa  # noqa: E402
import numpy as np  # noqa: E402
import soundfile  # noqa: E402

RATE, N_FFT, WIN, HOP, N_MELS, FMIN, FMAX, TRIM_DB = 16_000, 1024, 640, 256, 64, 50.0, 8000.0, 40.0
NORMALISED_RMS, LOG_FLOOR = 0.05, 1e-6


def features(path):
    y, rate = soundfile.read(path, dtype="float32", always_2d=True)
    y = librosa.resample(y.mean(axis=1), orig_sr=rate, target_sr=RATE)
    y, _ = librosa.effects.trim(y, top_db=TRIM_DB)
    y = y * (NORMALISED_RMS / max(float(np.sqrt(np.mean(y * y))), 1e-8))
    mel = librosa.feature.melspectrogram(
        y=y, sr=RATE, n_fft=N_FFT, win_length=WIN, hop_length=HOP, n_mels=N_MELS, fmin=FMIN, fmax=FMAX
    )
    return np.log(np.maximum(LOG_FLOOR, mel)).T.astype(np.float32)


class Crops:
    """A DataLoader's dataset: augmented crops, as the configuration's defaults say."""

    def __init__(self, clips, classes, crop):
        self.clips, self.classes, self.crop = clips, classes, crop

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, index):
        clip, rng = self.clips[index], np.random.default_rng()
        rate = math.exp(rng.uniform(math.log(0.8), math.log(1.25)))
        span, length = self.crop * rate, len(clip)
        # As ours: within a longer clip; a shorter one lies in the crop whole, with repetitions around it.
        first, last = (0, length - span) if span < length else (max(2 * length - span, 0), length)
        start = rng.uniform(first, last)
        position = start + np.arange(self.crop) * rate
        low = position.astype(np.int64)
        share = (position - low).astype(np.float32)[:, None]
        x = clip[low % len(clip)] * (1 - share) + clip[(low + 1) % len(clip)] * share
        x = x[:, np.clip(np.arange(N_MELS) - rng.integers(-4, 5), 0, N_MELS - 1)]
        x = x + np.float32(rng.uniform(-3, 3) * math.log(10) / 10)
        mean = x.mean(axis=0)
        length = rng.integers(0, 21)
        at = rng.integers(0, self.crop - length + 1)
        x[at : at + length] = mean
        height = rng.integers(0, 9)
        at = rng.integers(0, N_MELS - height + 1)
        x[:, at : at + height] = mean[at : at + height]
        return x, self.classes[index]


def main():
    manifest, data, config = map(pathlib.Path, sys.argv[1:4])
    epochs, threads = map(int, sys.argv[4:6])
    training = tomllib.loads(config.read_text())["training"]
    rows = [row for row in csv.DictReader(manifest.open()) if row["fold"] == "fold-1"]
    where = {}
    for path in data.rglob("*"):
        if path.suffix in (".wav", ".flac"):
            where[path.stem] = path
    paths = [where[row["id"].rsplit("/", 1)[1]] for row in rows]
    # Before torch is loaded, so that the workers stay small.
    with multiprocessing.get_context("fork").Pool(threads) as pool:
        clips = pool.map(features, paths, chunksize=16)

    import torch
    from torch import nn
    from torch.nn import functional as F

    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "train-epoch"))
    from torch_epoch import Network

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    labels = sorted({row["class"] for row in rows})
    classes = [labels.index(row["class"]) for row in rows]
    part = lambda name: [i for i, row in enumerate(rows) if row["part"] == name]
    train, test = part("train"), part("test")
    frames = np.concatenate([clips[i] for i in train])
    mean, std = frames.mean(axis=0, dtype=np.float64), frames.std(axis=0, dtype=np.float64)
    del frames
    clips = [((clip - mean) / std).astype(np.float32) for clip in clips]
    crops = Crops([clips[i] for i in train], [classes[i] for i in train], training["crop_frames"])
    loader = torch.utils.data.DataLoader(
        crops, batch_size=training.get("batch_size", 32), shuffle=True, num_workers=1, persistent_workers=True
    )
    network = Network().train()
    # Early steps count more, as in ours, so that the first weights are soon forgotten.
    def ema(averaged, current, count):
        keep = min(0.995, float((1 + count) / (10 + count)))
        return keep * averaged + (1 - keep) * current if averaged.is_floating_point() else current

    average = torch.optim.swa_utils.AveragedModel(network, avg_fn=ema, use_buffers=True)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.02)
    steps = epochs * len(loader)
    warm = 2 * len(loader)
    rate = lambda s: (s + 1) / warm if s + 1 < warm else 0.5 * (1 + math.cos(math.pi * (s + 1 - warm) / max(steps - warm, 1)))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    for _ in range(epochs):
        for x, y in loader:
            loss = F.cross_entropy(network(x), y, label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            average.update_parameters(network)
    average.eval()
    hits = {}
    with torch.inference_mode():
        for i in test:
            guess = int(average(torch.from_numpy(clips[i])[None]).argmax())
            hits.setdefault(classes[i], []).append(guess == classes[i])
    uar = float(np.mean([np.mean(values) for values in hits.values()]))
    print(json.dumps({"torch": torch.__version__, "uar": uar}))


if __name__ == "__main__":
    main()
