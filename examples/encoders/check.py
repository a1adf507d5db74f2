#!/usr/bin/env python3
"""Compares our embeddings with those of transformers and PyTorch, for small networks of random weights.

    cargo build --release -p vocalics-train --example embed
    python3 examples/encoders/check.py [FILE.wav|FILE.flac ...]

For each kind of encoder that export.py knows, in the forms of its base and its large models: a network of a few thousand weights is
made, saved, exported by export.py and run on recordings (16 kHz mono; those of examples/audio if none are given) by our code and
by PyTorch. Prints the largest difference, and fails where it is above 1e-3 of the largest value. Nothing is downloaded.

Needs: torch, transformers, onnx, soundfile.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOLERANCE = 1e-3
SMALL = dict(
    hidden_size=48,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=96,
    conv_dim=(32,) * 7,
    num_conv_pos_embeddings=32,
    num_conv_pos_embedding_groups=4,
)
LARGE = dict(SMALL, feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True)


def whisper(n_mels):
    return transformers.WhisperConfig(
        d_model=48,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=96,
        decoder_ffn_dim=96,
        num_mel_bins=n_mels,
        vocab_size=100,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )


def networks():
    """Name, network, feature extractor, further options of export.py."""
    t = transformers
    for name, config, network in [
        ("wav2vec2", t.Wav2Vec2Config, t.Wav2Vec2Model),
        ("hubert", t.HubertConfig, t.HubertModel),
        ("wavlm", t.WavLMConfig, t.WavLMModel),
    ]:
        yield f"{name}, base form", network(config(**SMALL)), t.Wav2Vec2FeatureExtractor(do_normalize=True), []
        options = ["--layer", "2", "--pooling", "mean+std"]
        yield f"{name}, large form, layer 2", network(config(**LARGE)), t.Wav2Vec2FeatureExtractor(do_normalize=False), options
    for n_mels in (80, 128):
        extractor = t.WhisperFeatureExtractor(feature_size=n_mels)
        yield f"whisper, {n_mels} bands", t.WhisperModel(whisper(n_mels)), extractor, ["--pooling", "max+mean"]


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"error: {' '.join(map(str, command))}\n{done.stderr[-2000:]}")
    return done.stdout


def main():
    files = sys.argv[1:] or sorted((ROOT / "examples/audio").glob("*.wav"))
    embed = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/examples/embed"
    torch.manual_seed(1)
    worst = 0.0
    print(f"transformers {transformers.__version__}, torch {torch.__version__}, {len(files)} recordings")
    for name, network, extractor, options in networks():
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            network.eval().save_pretrained(folder / "model")
            extractor.save_pretrained(folder / "model")
            export = [sys.executable, HERE / "export.py", folder / "model", "--source", "made here", *options]
            run(*export, "-o", folder / "e.onnx", "--licence", "none", "--source", "random weights")
            theirs = json.loads(run(*export, "--compare", *files))
            ours = json.loads(run(embed, folder / "e.onnx", *files))
        largest = max(abs(x) for values in theirs.values() for x in values)
        difference = 0.0
        for file, values in theirs.items():
            assert len(values) == len(ours[file]), f"{name}: {len(values)} and {len(ours[file])} numbers"
            difference = max(difference, max(abs(x - y) for x, y in zip(values, ours[file])))
        worst = max(worst, difference / largest)
        print(f"| {name} | {len(values)} | {difference:.1e} | {largest:.2f} |", flush=True)
    if worst > TOLERANCE:
        raise SystemExit(f"error: a difference of {worst:.1e} of the largest value, expected at most {TOLERANCE}")


if __name__ == "__main__":
    main()
