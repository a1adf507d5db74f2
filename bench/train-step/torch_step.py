"""Seconds of one training step in PyTorch, of networks with the layers and sizes of ours.

    torch_step.py KIND THREADS STEPS

Batch 32, 128 frames, 64 mel bands, invented numbers. A step is the forward pass, the loss, the backward
pass, the clipped gradient, AdamW and the average of the weights. Prints one line of JSON; the first two
steps are left out.
"""

import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

BATCH, FRAMES, N_MELS, CLASSES, WARM_UP = 32, 128, 64, 8, 2


class Door(nn.Module):
    """Standardised log-mel, less the clip's mean, and slope: [batch, 3, n_mels, n_frames]."""

    def __init__(self):
        super().__init__()
        n = torch.arange(-4.0, 5.0)
        self.register_buffer("delta", (5 * n / (n * n).sum()).view(1, 1, 1, -1))
        self.register_buffer("mean", torch.zeros(N_MELS))
        self.register_buffer("inv_std", torch.ones(N_MELS))

    def forward(self, x):
        x = ((x - self.mean) * self.inv_std).transpose(1, 2).unsqueeze(1)
        centred = x - x.mean(3, keepdim=True)
        return torch.cat([x, centred, F.conv2d(centred, self.delta, padding=(0, 4))], 1)


def conv(inputs, outputs, kernel, stride=1, dilation=1, groups=1, relu=True):
    rows, columns = kernel
    down, along = (dilation, dilation) if isinstance(dilation, int) else dilation
    padding = (rows // 2 * down, columns // 2 * along)
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, (down, along), groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


class TimePool(nn.Module):
    """Mean and deviation over time, weighted by attention if it has hidden units."""

    def __init__(self, features, hidden):
        super().__init__()
        self.hidden = nn.Conv1d(features, hidden, 1) if hidden else None
        self.weights = nn.Conv1d(hidden, features, 1) if hidden else None

    def forward(self, x):
        if self.hidden is None:
            mean, square = x.mean(2), (x * x).mean(2)
        else:
            weighted = x * torch.softmax(self.weights(torch.tanh(self.hidden(x))), 2)
            mean, square = weighted.sum(2), (weighted * x).sum(2)
        return torch.cat([mean, ((square - mean * mean).clamp_min(0) + 1e-5).sqrt()], 1)


class Head(nn.Module):
    def __init__(self, features, hidden):
        super().__init__()
        self.pool, self.dense = TimePool(features, hidden), nn.Linear(2 * features, CLASSES)

    def forward(self, x):
        return self.dense(F.dropout(self.pool(x), 0.5, self.training))


class ResidualBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first = conv(inputs, outputs, (3, 3), stride)
        self.second = conv(outputs, outputs, (3, 3), relu=False)
        self.shortcut = None
        if inputs != outputs or stride != 1:
            self.shortcut = conv(inputs, outputs, (1, 1), stride, relu=False)
        self.squeeze = nn.Linear(outputs, outputs // 4)
        self.excite = nn.Linear(outputs // 4, outputs)

    def forward(self, x):
        y = self.second(self.first(x))
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(y.mean((2, 3))))))
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return F.relu(y * gate[:, :, None, None] + shortcut)


class ResidualCnn(nn.Module):
    def __init__(self):
        super().__init__()
        channels = [24, 48, 96, 144]
        widths = [channels[0]] + channels
        self.body = nn.Sequential(
            Door(),
            conv(3, channels[0], (5, 5), 2),
            *[ResidualBlock(widths[i], widths[i + 1], 2 if i else 1) for i in range(len(channels))],
        )
        self.head = Head(channels[-1] * N_MELS // 16, 64)

    def forward(self, x):
        return self.head(self.body(x).flatten(1, 2))


class PlainCnn(nn.Module):
    def __init__(self):
        super().__init__()
        layers, width = [Door()], 3
        for channels in [32, 64, 128, 256]:
            layers += [conv(width, channels, (3, 3)), conv(channels, channels, (3, 3))]
            layers += [nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)]
            width = channels
        self.body, self.head = nn.Sequential(*layers), Head(width, 0)

    def forward(self, x):
        return self.head(self.body(x).mean(2))


class TemporalBlock(nn.Module):
    def __init__(self, width, dilation):
        super().__init__()
        self.first = conv(width, width, (1, 3), dilation=(1, dilation))
        self.second = conv(width, width, (1, 3), dilation=(1, dilation), relu=False)

    def forward(self, x):
        return F.relu(self.second(self.first(x)) + x)


class Temporal(nn.Module):
    def __init__(self, width=160):
        super().__init__()
        self.door, self.stem = Door(), conv(3 * N_MELS, width, (1, 5))
        self.blocks = nn.Sequential(*[TemporalBlock(width, 2**i) for i in range(6)])
        self.head = Head(width, 64)

    def forward(self, x):
        return self.head(self.blocks(self.stem(self.door(x).flatten(1, 2).unsqueeze(2))).squeeze(2))


class Separable(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.keeps = stride == 1 and inputs == outputs
        self.depthwise = conv(inputs, inputs, (3, 3), stride, groups=inputs)
        self.pointwise = conv(inputs, outputs, (1, 1), relu=not self.keeps)

    def forward(self, x):
        y = self.pointwise(self.depthwise(x))
        return F.relu(y + x) if self.keeps else y


class Depthwise(nn.Module):
    def __init__(self):
        super().__init__()
        layers, width = [Door(), conv(3, 32, (3, 3), 2)], 32
        for stage, channels in enumerate([64, 128, 256, 384]):
            for block in range(2):
                layers.append(Separable(width, channels, 2 if stage and not block else 1))
                width = channels
        self.body, self.head = nn.Sequential(*layers), Head(width * N_MELS // 16, 64)

    def forward(self, x):
        return self.head(self.body(x).flatten(1, 2))


class CnnRecurrent(nn.Module):
    def __init__(self, hidden=128):
        super().__init__()
        self.body = nn.Sequential(
            Door(),
            conv(3, 32, (5, 5), (2, 2)),
            conv(32, 64, (3, 3), (2, 2)),
            conv(64, 96, (3, 3), (2, 1)),
        )
        self.recurrent = nn.GRU(96 * N_MELS // 8, hidden, batch_first=True, bidirectional=True)
        self.head = Head(2 * hidden, 64)

    def forward(self, x):
        x = self.body(x).flatten(1, 2).transpose(1, 2)
        return self.head(self.recurrent(x)[0].transpose(1, 2))


NETWORKS = {
    "residual-cnn": ResidualCnn,
    "plain-cnn": PlainCnn,
    "temporal": Temporal,
    "depthwise": Depthwise,
    "cnn-recurrent": CnnRecurrent,
}


def main():
    kind, threads, steps = sys.argv[1], *map(int, sys.argv[2:4])
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    network = NETWORKS[kind]().train()
    # What PyTorch recommends for convolutions on a CPU; the faster of the two memory formats counts (compare.py).
    tuned = sys.argv[4:] == ["channels-last"]
    if tuned:
        network = network.to(memory_format=torch.channels_last)
    parameters = list(network.parameters())
    average = [p.detach().clone() for p in parameters]
    optimiser = torch.optim.AdamW(parameters, 3e-3, weight_decay=0.02, fused=True)
    x = torch.randn(BATCH, FRAMES, N_MELS)
    y = torch.arange(BATCH) % CLASSES
    seconds = []
    for _ in range(steps + WARM_UP):
        started = time.perf_counter()
        loss = F.cross_entropy(network(x), y, label_smoothing=0.1)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 5.0)
        optimiser.step()
        with torch.no_grad():
            torch._foreach_lerp_(average, parameters, 0.005)
        loss.item()
        seconds.append(time.perf_counter() - started)
    count = sum(p.numel() for p in parameters)
    print(json.dumps({"parameters": count, "torch": torch.__version__, "seconds": seconds[WARM_UP:]}))


if __name__ == "__main__":
    main()
