"""Golden vectors for the training kernels (vocalics-kernels).

Writes `kernels.json`: for convolutions, poolings, batch norm and recurrent layers of odd sizes what PyTorch
computes in double precision, forward and backward. Inputs, weights and the gradient of the output are not
stored: `noise` here and in `crates/vocalics-kernels/tests/golden.rs` are the same generator.

    python golden/kernels.py           write the file
    python golden/kernels.py --check   compute again and compare (relative 1e-5)

Needs: torch, numpy. torch is not in golden/requirements.txt, because its wheel weighs gigabytes. Without it
--check says so and verifies that the file is complete: every case of this script with its arrays at full length.
"""

import json
import pathlib
import sys

import numpy as np
from vectors import digits, run

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = None

# batch, in_channels, out_channels, groups, input, kernel, stride, padding, dilation
CONVOLUTIONS = [
    ("dense", 2, 3, 4, 1, [7, 9], [3, 3], [1, 1], [1, 1], [1, 1]),
    ("strided and dilated", 2, 3, 2, 1, [11, 8], [3, 2], [2, 3], [2, 0], [2, 1]),
    ("grouped", 3, 4, 6, 2, [6, 5], [2, 3], [1, 2], [0, 1], [1, 1]),
    ("depthwise", 2, 3, 3, 3, [5, 21], [3, 3], [1, 1], [1, 1], [1, 2]),
    ("depthwise, two a channel, strided", 2, 3, 6, 3, [5, 19], [3, 5], [2, 2], [1, 2], [1, 1]),
    ("one row", 2, 3, 4, 1, [1, 40], [1, 5], [1, 3], [0, 2], [1, 2]),
    ("depthwise, one row", 2, 4, 4, 4, [1, 37], [1, 9], [1, 1], [0, 4], [1, 1]),
    ("pointwise", 2, 5, 3, 1, [3, 7], [1, 1], [1, 1], [0, 0], [1, 1]),
]
# planes, input, kernel, stride, padding
POOLINGS = [
    ("2x2", 3, [6, 8], [2, 2], [2, 2], [0, 0]),
    ("overlapping, padded", 2, [7, 19], [3, 3], [2, 1], [1, 1]),
    ("rest left over", 2, [5, 11], [2, 3], [2, 3], [1, 0]),
    ("one row", 3, [1, 23], [1, 4], [1, 2], [0, 2]),
]
# batch, channels, positions, epsilon, relu
NORMS = [
    ("plain", 3, 4, 7, 1e-5, False),
    ("with ReLU", 4, 3, 11, 1e-3, True),
]
# layer, batch, n_frames, inputs, hidden, reverse
RECURRENT = [
    ("lstm", 3, 6, 5, 7, False),
    ("lstm", 2, 5, 3, 4, True),
    ("gru", 3, 6, 5, 7, False),
    ("gru", 2, 5, 3, 4, True),
]
# ONNX's order of gates taken from PyTorch's: input, output, forget, cell; update, reset, new.
ORDER = {"lstm": [0, 3, 1, 2], "gru": [1, 0, 2]}


def noise(seed, *shape):
    """Steps of 2⁻¹⁰ in [-1, 1), from a linear congruential generator."""
    state, values = seed, np.empty(int(np.prod(shape)))
    for i in range(len(values)):
        state = (state * 1664525 + 1013904223) % 2**32
        values[i] = (state >> 21) / 1024 - 1
    return torch.tensor(values.reshape(shape), requires_grad=True)


def gradients(y, inputs, seed=9):
    dy = noise(seed, *y.shape).detach()
    return [digits(g.detach().numpy()) for g in torch.autograd.grad(y, inputs, dy)]


def convolution(case):
    name, batch, ins, outs, groups, size, kernel, stride, padding, dilation = case
    x, w = noise(1, batch, ins, *size), noise(2, outs, ins // groups, *kernel)
    y = F.conv2d(x, w, stride=stride, padding=padding, dilation=dilation, groups=groups)
    dx, dw = gradients(y, [x, w])
    return {
        "name": name, "batch": batch, "in_channels": ins, "out_channels": outs, "groups": groups,
        "input": size, "kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation,
        "y": digits(y.detach().numpy()), "dx": dx, "dw": dw,
    }


def pooling(case):
    name, planes, size, kernel, stride, padding = case
    x = noise(1, 1, planes, *size)
    # Coarse steps, so that there are ties.
    coarse = torch.round(x * 4).detach().requires_grad_()
    largest = F.max_pool2d(coarse, kernel, stride, padding)
    mean = F.avg_pool2d(x, kernel, stride, padding)
    return {
        "name": name, "planes": planes, "input": size, "kernel": kernel, "stride": stride,
        "padding": padding,
        "max": digits(largest.detach().numpy()), "max_dx": gradients(largest, [coarse])[0],
        "average": digits(mean.detach().numpy()), "average_dx": gradients(mean, [x])[0],
    }


def norm(case):
    name, batch, channels, positions, epsilon, relu = case
    x, gamma, beta = noise(1, batch, channels, positions), noise(2, channels), noise(3, channels)
    y = F.batch_norm(x, None, None, gamma, beta, training=True, eps=epsilon)
    y = F.relu(y) if relu else y
    dx, dgamma, dbeta = gradients(y, [x, gamma, beta])
    return {
        "name": name, "batch": batch, "channels": channels, "positions": positions, "epsilon": epsilon,
        "relu": relu, "mean": digits(x.mean((0, 2)).detach().numpy()),
        "variance": digits(x.var((0, 2), unbiased=False).detach().numpy()),
        "y": digits(y.detach().numpy()), "dx": dx, "dgamma": dgamma, "dbeta": dbeta,
    }


def recurrent(case):
    kind, batch, n_frames, inputs, hidden, reverse = case
    order = ORDER[kind]
    module = getattr(torch.nn, kind.upper())(inputs, hidden, batch_first=True).double()
    # Our weights are in ONNX's order; row block k of ours is row block order[k] of PyTorch's.
    rows = len(order) * hidden
    ours = [noise(2, rows, inputs), noise(3, rows, hidden), noise(4, rows), noise(5, rows)]
    theirs = [module.weight_ih_l0, module.weight_hh_l0, module.bias_ih_l0, module.bias_hh_l0]
    with torch.no_grad():
        for to, values in zip(theirs, ours):
            for block, place in enumerate(order):
                to[place * hidden : (place + 1) * hidden] = values[block * hidden : (block + 1) * hidden]
    x = noise(1, batch, n_frames, inputs)
    y = module(x.flip(1) if reverse else x)[0]
    y = y.flip(1) if reverse else y
    dy = noise(9, *y.shape).detach()
    dx, *parameters = torch.autograd.grad(y, [x, *theirs], dy)
    blocks = [torch.cat([g[p * hidden : (p + 1) * hidden] for p in order]) for g in parameters]
    names = ["dw_input", "dw_hidden", "dbias_input", "dbias_hidden"]
    return {
        "kind": kind, "batch": batch, "n_frames": n_frames, "inputs": inputs, "hidden": hidden,
        "reverse": reverse, "y": digits(y.detach().numpy()), "dx": digits(dx.numpy()),
        **{name: digits(g.numpy()) for name, g in zip(names, blocks)},
    }


def compute():
    return {
        # Without the suffix that says which build of the version it is.
        "tools": {"torch": torch.__version__.split("+")[0]},
        "command": "python golden/kernels.py",
        "convolutions": [convolution(case) for case in CONVOLUTIONS],
        "poolings": [pooling(case) for case in POOLINGS],
        "norms": [norm(case) for case in NORMS],
        "recurrent": [recurrent(case) for case in RECURRENT],
    }


def windows(size, kernel, stride, padding, dilation=(1, 1)):
    spans = zip(size, kernel, stride, padding, dilation)
    return int(np.prod([(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in spans]))


def faults(stored):
    """What is wrong with the stored file, as far as it can be told without torch."""
    if set(stored) != {"tools", "command", "convolutions", "poolings", "norms", "recurrent"}:
        yield f"keys {sorted(stored)}"
        return
    if not stored["tools"].get("torch"):
        yield "the version of torch is not recorded"

    def compare(where, fields, cases, lengths):
        if len(stored[where]) != len(cases):
            yield f"{where}: {len(stored[where])} cases, the script has {len(cases)}"
            return
        for entry, case in zip(stored[where], cases):
            if [entry.get(field) for field in fields] != list(case):
                yield f"{where}: {case} is stored as {[entry.get(field) for field in fields]}"
            for key, length in lengths(entry).items():
                values = entry.get(key)
                if not isinstance(values, list) or len(values) != length:
                    yield f"{where}, {case[0]}: {key} should have {length} numbers"
                elif not all(isinstance(v, float) for v in values):
                    yield f"{where}, {case[0]}: {key} holds what is no number"

    def conv_lengths(c):
        out = windows(c["input"], c["kernel"], c["stride"], c["padding"], c["dilation"])
        return {
            "y": c["batch"] * c["out_channels"] * out,
            "dx": c["batch"] * c["in_channels"] * int(np.prod(c["input"])),
            "dw": c["out_channels"] * c["in_channels"] // c["groups"] * int(np.prod(c["kernel"])),
        }

    def pool_lengths(c):
        out = c["planes"] * windows(c["input"], c["kernel"], c["stride"], c["padding"])
        size = c["planes"] * int(np.prod(c["input"]))
        return {"max": out, "average": out, "max_dx": size, "average_dx": size}

    def norm_lengths(c):
        size = c["batch"] * c["channels"] * c["positions"]
        per_channel = dict.fromkeys(["mean", "variance", "dgamma", "dbeta"], c["channels"])
        return {"y": size, "dx": size, **per_channel}

    def recurrent_lengths(c):
        frames, rows = c["batch"] * c["n_frames"], len(ORDER[c["kind"]]) * c["hidden"]
        return {
            "y": frames * c["hidden"], "dx": frames * c["inputs"], "dw_input": rows * c["inputs"],
            "dw_hidden": rows * c["hidden"], "dbias_input": rows, "dbias_hidden": rows,
        }

    yield from compare(
        "convolutions",
        ["name", "batch", "in_channels", "out_channels", "groups", "input", "kernel", "stride", "padding", "dilation"],
        CONVOLUTIONS, conv_lengths)
    yield from compare(
        "poolings", ["name", "planes", "input", "kernel", "stride", "padding"], POOLINGS, pool_lengths)
    yield from compare(
        "norms", ["name", "batch", "channels", "positions", "epsilon", "relu"], NORMS, norm_lengths)
    yield from compare(
        "recurrent", ["kind", "batch", "n_frames", "inputs", "hidden", "reverse"], RECURRENT, recurrent_lengths)


def main():
    path = pathlib.Path(__file__).with_suffix(".json")
    if torch is None:
        if "--check" not in sys.argv[1:]:
            sys.exit("error: torch is not installed, so there is nothing to compute with")
        stored = json.loads(path.read_text())
        found = list(faults(stored))
        for line in found[:10]:
            print(line, file=sys.stderr)
        if not found:
            print(f"kernels: torch is not installed: the file of torch {stored['tools']['torch']} is complete, "
                  "its numbers were not computed again")
        sys.exit(1 if found else 0)
    if "--check" in sys.argv[1:]:
        stored = json.loads(path.read_text())
        found = list(faults(stored))
        if found:
            sys.exit("\n".join(found[:10]))
        recorded, here = stored["tools"]["torch"], torch.__version__.split("+")[0]
        if recorded != here:
            print(f"kernels: the file is of torch {recorded}, this is {here}: comparing the numbers")
        # Another version must give the same numbers, but not the same version.
        torch.__version__ = recorded
    run(__file__, compute, absolute=1e-9)


if __name__ == "__main__":
    main()
