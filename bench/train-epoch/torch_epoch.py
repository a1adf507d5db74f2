"""One epoch of the default network in PyTorch: the same layers, features, crop and batch as ours.

    torch_epoch.py FEATURE_CACHE CLIPS CROP_FRAMES BATCH THREADS EPOCHS

Features are read from the cache that a training of ours left. Prints seconds per epoch, without the
first, as one JSON line.
"""

import json
import pathlib
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

CHANNELS, CLASSES, N_MELS = [24, 48, 96, 144], 8, 64


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        conv = lambda i, o, k, s: nn.Sequential(
            nn.Conv2d(i, o, k, s, k // 2, bias=False), nn.BatchNorm2d(o)
        )
        self.first, self.second = conv(inputs, outputs, 3, stride), conv(outputs, outputs, 3, 1)
        self.shortcut = None
        if inputs != outputs or stride != 1:
            self.shortcut = conv(inputs, outputs, 1, stride)
        self.squeeze = nn.Linear(outputs, outputs // 4)
        self.excite = nn.Linear(outputs // 4, outputs)

    def forward(self, x):
        y = self.second(F.relu(self.first(x)))
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(y.mean((2, 3))))))
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return F.relu(y * gate[:, :, None, None] + shortcut)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        n = torch.arange(-4.0, 5.0)
        self.register_buffer("delta", (5 * n / (n * n).sum()).view(1, 1, 1, -1))
        self.stem = nn.Sequential(
            nn.Conv2d(3, CHANNELS[0], 5, 2, 2, bias=False), nn.BatchNorm2d(CHANNELS[0]), nn.ReLU()
        )
        widths = [CHANNELS[0]] + CHANNELS
        self.blocks = nn.Sequential(
            *[Block(widths[i], widths[i + 1], 2 if i else 1) for i in range(len(CHANNELS))]
        )
        pooled = CHANNELS[-1] * N_MELS // 16
        self.hidden, self.weights = nn.Conv1d(pooled, 64, 1), nn.Conv1d(64, pooled, 1)
        self.head = nn.Linear(2 * pooled, CLASSES)

    def forward(self, x):
        x = x.transpose(1, 2).unsqueeze(1)
        centred = x - x.mean(3, keepdim=True)
        delta = F.conv2d(centred, self.delta, padding=(0, 4))
        x = self.blocks(self.stem(torch.cat([x, centred, delta], 1))).flatten(1, 2)
        weights = torch.softmax(self.weights(torch.tanh(self.hidden(x))), 2)
        mean = (weights * x).sum(2)
        deviation = ((weights * x * x).sum(2) - mean * mean).clamp_min(0).add(1e-5).sqrt()
        return self.head(F.dropout(torch.cat([mean, deviation], 1), 0.5, self.training))


def read(path):
    return np.frombuffer(path.read_bytes()[40:], "<f4").reshape(-1, N_MELS)


def main():
    cache, clips, crop, batch, threads, epochs = sys.argv[1], *map(int, sys.argv[2:7])
    torch.set_num_threads(threads)
    generator = np.random.default_rng(0)
    features = [read(p) for p in sorted(pathlib.Path(cache).rglob("*.feat"))[:clips]]
    labels = generator.integers(0, CLASSES, len(features))
    network = Network().train()
    average = [p.detach().clone() for p in network.parameters()]
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.02)
    seconds = []
    for _ in range(epochs):
        started = time.perf_counter()
        order = generator.permutation(len(features))
        for start in range(0, len(order), batch):
            rows = []
            for i in order[start : start + batch]:
                at = generator.integers(0, len(features[i]))
                frames = np.arange(at, at + crop) % len(features[i])
                rows.append(features[i][frames])
            x = torch.from_numpy(np.stack(rows))
            y = torch.from_numpy(labels[order[start : start + batch]])
            loss = F.cross_entropy(network(x), y, label_smoothing=0.1)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            with torch.no_grad():
                torch._foreach_lerp_(average, list(network.parameters()), 0.005)
        seconds.append(time.perf_counter() - started)
    print(json.dumps({"torch": torch.__version__, "clips": len(features), "seconds": seconds[1:]}))


if __name__ == "__main__":
    main()
