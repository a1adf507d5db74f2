#!/usr/bin/env python3
"""Exports a speech encoder of Hugging Face's transformers to ONNX, with the description that vocalics reads beside it.

    python3 examples/encoders/export.py facebook/wav2vec2-base
    python3 examples/encoders/export.py facebook/hubert-base-ls960 --layer 9
    python3 examples/encoders/export.py microsoft/wavlm-base-plus -o wavlm.onnx
    python3 examples/encoders/export.py openai/whisper-small
    python3 examples/encoders/export.py ./a-local-folder --source "https://example.org/weights" --licence "Apache-2.0" --redistributable

MODEL is a name on huggingface.co or a folder written by save_pretrained: config.json, the weights, and
preprocessor_config.json, which says how the sound is prepared. The model types wav2vec2, hubert, wavlm and whisper are known; of
whisper only the encoder is taken.

The licence decides whether a trained head and the encoder may become one file, so it has to be said: with --licence, and
--redistributable if it lets the weights be passed on (MIT, Apache-2.0 and the like do).

--layer N takes the output of layer N, counted from 1, instead of the last; middle layers often know more about how something
was said. --compare FILE... writes what PyTorch makes of recordings (16 kHz mono) as JSON instead of exporting, to compare with
`cargo run --release -p vocalics-train --example embed -- ENCODER.onnx FILE...`.

Needs: torch, transformers, onnx; for --compare also soundfile.
"""

import argparse
import json
import pathlib

import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

OPSET = 17
WAVEFORM = ("wav2vec2", "hubert", "wavlm")


class Frames(torch.nn.Module):
    """Samples [batch, samples], or log-mel [batch, n_mels, 3000], to frames [batch, time, dim]."""

    def __init__(self, model, layer):
        super().__init__()
        self.model, self.layer = model, layer

    def forward(self, x):
        out = self.model(x, output_hidden_states=self.layer is not None, return_dict=True)
        return out.last_hidden_state if self.layer is None else out.hidden_states[self.layer]


def load(name):
    """The encoder, its feature extractor and its type."""
    config = AutoConfig.from_pretrained(name)
    kind = config.model_type
    if kind not in WAVEFORM + ("whisper",):
        raise SystemExit(f"error: {name} is of the type {kind}, known are {', '.join(WAVEFORM)} and whisper")
    # "eager" writes attention as plain products, which every ONNX engine knows.
    model = AutoModel.from_pretrained(name, attn_implementation="eager", dtype=torch.float32).eval()
    return model, AutoFeatureExtractor.from_pretrained(name), kind


def wrapped(model, kind, layer):
    encoder = model.get_encoder() if kind == "whisper" else model
    most = encoder.config.num_hidden_layers
    if layer is not None and not 1 <= layer <= most:
        raise SystemExit(f"error: --layer {layer}, expected from 1 to {most}")
    return Frames(encoder, layer).eval()


def least_samples(config):
    """Samples that give one frame: the receptive field of the convolutions."""
    field, stride = 1, 1
    for kernel, step in zip(config.conv_kernel, config.conv_stride):
        field += (kernel - 1) * stride
        stride *= step
    return field


def toml_text(text):
    return json.dumps(text, ensure_ascii=False)


def description(arguments, config, extractor, kind):
    head = f"""# Written by examples/encoders/export.py; docs/encoders.md explains every field.
name = {toml_text(arguments.name or pathlib.Path(arguments.model).name)}
version = {toml_text(f"layer {arguments.layer or 'last'}, opset {OPSET}")}
source = {toml_text(arguments.source or f"https://huggingface.co/{arguments.model}")}
licence = {toml_text(arguments.licence)}
redistributable = {str(arguments.redistributable).lower()}

[input]
"""
    tail = f"""
[output]
kind = "frames"
name = "frames"
pooling = {toml_text(arguments.pooling)}
"""
    if kind == "whisper":
        return (
            head
            + f"""kind = "log-mel"
name = "input_features"
sample_rate = {extractor.sampling_rate}
n_fft = {extractor.n_fft}
win_length = {extractor.n_fft}
hop_length = {extractor.hop_length}
n_mels = {extractor.feature_size}
fmin = 0.0
fmax = 8000.0
mel_scale = "slaney"
mel_norm = "slaney"
center = true
padding = "reflect"
# Whisper clamps to 8 below the largest and takes (x + 4) / 4.
log = {{ base = "log10", floor = 1e-10, range = 8.0 }}
standardise = {{ kind = "fixed", mean = -4.0, std = 4.0 }}
layout = "[batch, n_mels, frames]"
frames = {2 * config.max_source_positions}
"""
            + tail
        )
    normalised = "zero-mean-unit-variance" if extractor.do_normalize else "none"
    return (
        head
        + f"""kind = "waveform"
name = "input_values"
sample_rate = {extractor.sampling_rate}
normalisation = "{normalised}"
min_samples = {least_samples(config)}
"""
        + tail
    )


def pool(frames, how):
    mean = frames.mean(0)
    if how == "mean":
        return mean
    if how == "mean+std":
        return torch.cat([mean, frames.std(0, unbiased=False)])
    return frames.max(0).values + mean


def embeddings(module, extractor, kind, arguments):
    """The peer: transformers' feature extractor and network, nothing of ours."""
    import math

    import soundfile

    result = {}
    for file in arguments.compare:
        samples, rate = soundfile.read(file, dtype="float32")
        assert rate == extractor.sampling_rate and samples.ndim == 1, f"{file} is not {extractor.sampling_rate} Hz mono"
        made = extractor(samples, sampling_rate=rate, return_tensors="pt")
        with torch.no_grad():
            if kind == "whisper":
                frames = module(made.input_features)[0]
                # The encoder's frames that see the clip and not only the zeros behind it.
                frames = frames[: math.ceil(len(frames) * len(samples) / extractor.n_samples)]
            else:
                frames = module(made.input_values)[0]
        result[str(file)] = pool(frames, arguments.pooling).tolist()
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="name on huggingface.co, or a folder")
    parser.add_argument("-o", "--out", type=pathlib.Path, help="NAME.onnx if not given")
    parser.add_argument("--layer", type=int, metavar="N", help="layer whose output is taken, from 1; the last if not given")
    parser.add_argument("--pooling", choices=["mean", "mean+std", "max+mean"], default="mean")
    parser.add_argument("--name", help="name in the description")
    parser.add_argument("--source", help="where the weights come from, if not huggingface.co")
    parser.add_argument("--licence", default="unknown")
    parser.add_argument("--redistributable", action="store_true")
    parser.add_argument("--compare", nargs="+", metavar="FILE")
    arguments = parser.parse_args()
    if pathlib.Path(arguments.model).is_dir() and not arguments.source and not arguments.compare:
        parser.error("a folder needs --source: where the weights come from")

    model, extractor, kind = load(arguments.model)
    module = wrapped(model, kind, arguments.layer)
    if arguments.compare:
        print(json.dumps(embeddings(module, extractor, kind, arguments)))
        return
    out = arguments.out or pathlib.Path(f"{pathlib.Path(arguments.model).name}.onnx")
    if kind == "whisper":
        example = torch.zeros(1, extractor.feature_size, 2 * model.config.max_source_positions)
        names, axes = ["input_features"], {}
    else:
        # A length whose parts no shape computed from it divides evenly.
        example = torch.randn(1, 16_123)
        names, axes = ["input_values"], {"input_values": {1: "samples"}, "frames": {1: "time"}}
    with torch.no_grad():
        torch.onnx.export(
            module,
            (example,),
            str(out),
            input_names=names,
            output_names=["frames"],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
        )
    out.with_suffix(".toml").write_text(description(arguments, model.config, extractor, kind))
    print(f"{out} and {out.with_suffix('.toml')}")


if __name__ == "__main__":
    main()
