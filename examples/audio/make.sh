#!/usr/bin/env bash
# Makes the clips beside this script with espeak-ng and sox: one sentence in several prosodies,
# 16 kHz, mono, 16-bit. The same versions of both tools give the same bytes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

for tool in espeak-ng sox; do
    if ! command -v "$tool" >/dev/null; then
        echo "error: $tool not found" >&2
        echo "hint: apt-get install espeak-ng sox" >&2
        exit 1
    fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sentence='The train to the coast leaves at seven tomorrow.'

# clip NAME VOICE PITCH RANGE WORDS_PER_MINUTE PEAK_DB
# PITCH and RANGE are SSML prosody values, in percent of the voice's own.
# sox: -R fixes its random numbers, -D switches dither off, so that the result can be repeated.
clip() {
    local name=$1 voice=$2 pitch=$3 range=$4 words=$5 peak=$6
    espeak-ng -v "$voice" -s "$words" -m -w "$work/$name.wav" \
        "<speak><prosody pitch=\"$pitch\" range=\"$range\">$sentence</prosody></speak>"
    sox -R -D "$work/$name.wav" -r 16000 -c 1 -b 16 "$name.wav" gain -n "$peak" pad 0.2 0.2
    echo "$name.wav $(soxi -D "$name.wav") s, $(stat -c %s "$name.wav") bytes"
}

clip even en-us 100% 100% 160 -9
clip flat-slow en-us 80% 5% 150 -20
clip lively-high en-us+f3 100% 200% 175 -6
clip loud-fast en-us+m3 140% 180% 215 -1
