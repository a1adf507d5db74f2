#!/usr/bin/env python3
"""Converts BYOL-S weights (a .pth file) to ONNX, with the description that vocalics reads beside it.

    python3 examples/encoders/export_byol_s.py WEIGHTS.pth -o byol-s.onnx
    vocalics evaluate --encoder byol-s.onnx --protocol emobox-6fold

BYOL-S is a small convolutional speech encoder trained without labels: G. Elbanna et al., "BYOL-S: Learning
Self-supervised Speech Representations by Bootstrapping", HEAR 2021 (PMLR 166), https://github.com/GasserElbanna/serab-byols,
MIT. Its network is that of D. Niizumi et al., "BYOL for Audio", IJCNN 2021: three times 3x3 convolution of 64 channels,
batch norm, ReLU and 2x2 max-pool, then two linear layers over the 8 bands of 64 channels at every time step; maximum plus
mean over time. Log-mel of 64 bands, 64 ms window, 10 ms hop, 60 to 7800 Hz.

With --compare, embeddings of the given WAV or FLAC files (16 kHz, mono) by PyTorch and librosa alone are written as JSON, to
compare ours with.

Needs: torch, onnx; for --compare also librosa and soundfile.
"""

import argparse
import json
import pathlib

import torch

# Mean and deviation of natural log-mel, as the example in BYOL-A's README has them; our default.
FIXED = (-5.4919195, 5.0389895)
# torch.finfo(torch.float64).eps, what BYOL-A adds to a power before the logarithm.
EPS = 2.220446049250313e-16


class ByolS(torch.nn.Module):
    """Log-mel [batch, 1, 64, frames] to frames [batch, time, 512]."""

    def __init__(self, width=512):
        super().__init__()
        stages = []
        for channels in (1, 64, 64):
            stages += [
                torch.nn.Conv2d(channels, 64, 3, stride=1, padding=1),
                torch.nn.BatchNorm2d(64),
                torch.nn.ReLU(),
                torch.nn.MaxPool2d(2, stride=2),
            ]
        self.features = torch.nn.Sequential(*stages)
        self.fc = torch.nn.Sequential(
            torch.nn.Linear(64 * 8, width),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.3),
            torch.nn.Linear(width, width),
            torch.nn.ReLU(),
        )

    def forward(self, log_mel):
        x = self.features(log_mel)  # [batch, 64, 8, time]
        x = x.permute(0, 3, 2, 1)  # [batch, time, 8, 64]
        x = x.flatten(2)  # [batch, time, 512]
        return self.fc(x)


def description(standardise):
    how = (
        f'{{ kind = "fixed", mean = {FIXED[0]}, std = {FIXED[1]} }}'
        if standardise == "fixed"
        else '{ kind = "clip" }'
    )
    return f"""# Written by examples/encoders/export_byol_s.py; docs/encoders.md explains every field.
name = "byol-s"
version = "default512_BYOLAs64x96-2107281850-e100-bs256-lr0003-rs42"
source = "https://github.com/GasserElbanna/serab-byols"
licence = "MIT"
redistributable = true

[input]
kind = "log-mel"
name = "log_mel"
sample_rate = 16000
n_fft = 1024
win_length = 1024
hop_length = 160
n_mels = 64
fmin = 60.0
fmax = 7800.0
mel_scale = "htk"
mel_norm = "none"
center = true
padding = "reflect"
log = {{ base = "natural", eps = {EPS} }}
standardise = {how}
layout = "[batch, 1, n_mels, frames]"
# Three max-pools.
min_frames = 8

[output]
kind = "frames"
name = "frames"
pooling = "max+mean"
"""


def embeddings(network, files, standardise):
    """The peer: librosa's mel, torch's network, nothing of ours."""
    import librosa
    import soundfile

    result = {}
    for file in files:
        samples, rate = soundfile.read(file, dtype="float32")
        assert rate == 16000 and samples.ndim == 1, f"{file} is not 16 kHz mono"
        mel = librosa.feature.melspectrogram(
            y=samples, sr=16000, n_fft=1024, hop_length=160, n_mels=64, fmin=60, fmax=7800,
            htk=True, norm=None, power=2.0, center=True, pad_mode="reflect",
        )  # fmt: skip
        x = (torch.from_numpy(mel) + EPS).log()[None, None]  # [1, 1, 64, frames]
        mean, std = FIXED if standardise == "fixed" else (x.mean(), x.std(unbiased=False))
        with torch.no_grad():
            frames = network((x - mean) / std)
        vector = frames.max(1).values + frames.mean(1)
        result[str(file)] = vector[0].tolist()
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=pathlib.Path)
    parser.add_argument("-o", "--out", type=pathlib.Path, default=pathlib.Path("byol-s.onnx"))
    parser.add_argument("--standardise", choices=["fixed", "clip"], default="fixed")
    parser.add_argument("--compare", nargs="+", type=pathlib.Path, metavar="FILE")
    arguments = parser.parse_args()

    network = ByolS()
    network.load_state_dict(torch.load(arguments.weights, map_location="cpu", weights_only=True), strict=True)
    network.eval()
    if arguments.compare:
        print(json.dumps(embeddings(network, arguments.compare, arguments.standardise)))
        return
    torch.onnx.export(
        network,
        (torch.zeros(1, 1, 64, 96),),
        str(arguments.out),
        input_names=["log_mel"],
        output_names=["frames"],
        dynamic_axes={"log_mel": {3: "n_frames"}, "frames": {1: "time"}},
        opset_version=17,
        dynamo=False,
    )
    arguments.out.with_suffix(".toml").write_text(description(arguments.standardise))
    print(arguments.out, arguments.out.with_suffix(".toml"))


if __name__ == "__main__":
    main()
