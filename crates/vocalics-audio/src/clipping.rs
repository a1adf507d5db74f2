//! Counting samples that were cut off at full scale.

/// Largest positive value of 16-bit audio, and so the level from which a sample counts as clipped.
pub const FULL_SCALE_16_BIT: f32 = 32_767.0 / 32_768.0;

/// The least run of full-scale samples that counts: single peaks at full scale are legal.
const MIN_RUN: u32 = 3;

/// Frames looked at together.
const BLOCK_FRAMES: usize = 256;

/// The level from which a decoded sample is at full scale, for a codec and its bit depth.
///
/// Companded telephone audio ends below 1 (G.711: 32 124 and 32 256 of 32 768), and so does 8-bit
/// PCM (127 of 128).
pub(crate) fn full_scale(codec: &str, bits_per_sample: Option<u32>) -> f32 {
    match (codec, bits_per_sample) {
        ("pcm_mulaw", _) => 32_124.0 / 32_768.0,
        ("pcm_alaw", _) => 32_256.0 / 32_768.0,
        (codec, Some(8)) if codec.starts_with("pcm") => 127.0 / 128.0,
        _ => FULL_SCALE_16_BIT,
    }
}

/// Counts samples in runs of at least three at full scale, per channel, over any chunking.
#[derive(Debug)]
pub(crate) struct ClipCounter {
    threshold: f32,
    runs: Vec<u32>,
    clipped: u64,
    total: u64,
}

impl ClipCounter {
    pub(crate) fn new(channels: usize, threshold: f32) -> Self {
        Self {
            threshold,
            runs: vec![0; channels.max(1)],
            clipped: 0,
            total: 0,
        }
    }

    /// Takes interleaved samples, whole frames.
    pub(crate) fn push(&mut self, interleaved: &[f32]) {
        let channels = self.runs.len();
        for block in interleaved.chunks(BLOCK_FRAMES * channels) {
            // Without a branch, so that it runs several samples at a time: hardly any block touches full scale.
            let touches = |found: bool, x: &f32| found | (x.abs() >= self.threshold);
            if block.iter().fold(false, touches) {
                self.count(block);
            } else {
                self.runs.fill(0);
            }
        }
        self.total += interleaved.len() as u64;
    }

    fn count(&mut self, block: &[f32]) {
        for frame in block.chunks_exact(self.runs.len()) {
            for (run, sample) in self.runs.iter_mut().zip(frame) {
                if sample.abs() >= self.threshold {
                    *run = run.saturating_add(1);
                    if *run == MIN_RUN {
                        self.clipped += u64::from(MIN_RUN);
                    } else if *run > MIN_RUN {
                        self.clipped += 1;
                    }
                } else {
                    *run = 0;
                }
            }
        }
    }

    /// Share of clipped samples so far; 0 before the first.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a ratio in [0, 1] fits f32"
    )]
    pub(crate) fn ratio(&self) -> f32 {
        if self.total == 0 {
            0.0
        } else {
            (self.clipped as f64 / self.total as f64) as f32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_runs_of_three_count_and_chunking_does_not_matter() {
        let samples = [1.0, 1.0, 0.0, -1.0, -1.0, -1.0, -1.0, 0.5, 1.0, 0.0];
        let mut whole = ClipCounter::new(1, FULL_SCALE_16_BIT);
        whole.push(&samples);
        assert!((whole.ratio() - 0.4).abs() < 1e-6);
        let mut pieces = ClipCounter::new(1, FULL_SCALE_16_BIT);
        for sample in samples {
            pieces.push(&[sample]);
        }
        assert!((pieces.ratio() - whole.ratio()).abs() < 1e-9);
    }

    #[test]
    fn runs_go_on_from_block_to_block() {
        // Two channels: five at full scale over the end of the first block on the left, two on the right.
        let mut samples = vec![0.1; 2 * (BLOCK_FRAMES + 40)];
        for frame in BLOCK_FRAMES - 2..BLOCK_FRAMES + 3 {
            samples[2 * frame] = 1.0;
        }
        for frame in BLOCK_FRAMES - 1..=BLOCK_FRAMES {
            samples[2 * frame + 1] = -1.0;
        }
        let mut counter = ClipCounter::new(2, FULL_SCALE_16_BIT);
        counter.push(&samples);
        assert_eq!((counter.clipped, counter.total), (5, 592));
        // A block that does not touch full scale ends the run of the one before.
        samples.fill(0.1);
        for frame in [BLOCK_FRAMES - 2, BLOCK_FRAMES - 1] {
            samples[2 * frame] = 1.0;
        }
        let mut counter = ClipCounter::new(2, FULL_SCALE_16_BIT);
        counter.push(&samples[..2 * BLOCK_FRAMES]);
        counter.push(&[0.1, 0.1]);
        counter.push(&[1.0, 0.1]);
        assert_eq!(counter.clipped, 0);
    }

    #[test]
    fn channels_are_counted_apart() {
        let mut counter = ClipCounter::new(2, FULL_SCALE_16_BIT);
        counter.push(&[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
        assert!((counter.ratio() - 0.5).abs() < 1e-6);
    }
}
