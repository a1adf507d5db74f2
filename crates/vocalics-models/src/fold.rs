//! What folding a batch norm into its convolution loses, and how it is kept.
//!
//! The folded weight is `v = w · s`, rounded, with `s = γ / √(σ² + ε)` of the norm. From `γ, β, μ, σ²`, four numbers a channel,
//! `s` follows exactly, and `w` lies within two steps of single precision of `v / s`. Mostly one number there gives `v`
//! and nothing more is needed; where several do, their place in ascending order is kept: a fraction of a bit a weight. Where
//! none does (`s` is zero in a fresh residual branch) the channel's weights are kept whole.

/// Bits, the first of a byte in its lowest place.
#[derive(Debug, Default)]
pub(crate) struct BitWriter {
    bytes: Vec<u8>,
    used: usize,
}

impl BitWriter {
    fn put(&mut self, value: u32, width: u32) {
        for place in 0..width {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= u8::from(value >> place & 1 == 1) << (self.used % 8);
            }
            self.used += 1;
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads what [`BitWriter`] wrote.
#[derive(Debug)]
pub(crate) struct BitReader<'a> {
    bytes: &'a [u8],
    used: usize,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, used: 0 }
    }

    fn take(&mut self, width: u32) -> Option<u32> {
        let mut value = 0;
        for place in 0..width {
            let byte = self.bytes.get(self.used / 8)?;
            value |= u32::from(byte >> (self.used % 8) & 1) << place;
            self.used += 1;
        }
        Some(value)
    }

    /// Whether nothing but the rest of the last byte is left.
    pub(crate) fn at_end(&self) -> bool {
        self.used.div_ceil(8) == self.bytes.len()
    }
}

/// Weights that give `folded` when scaled, ascending in their bits.
fn candidates(folded: f32, scale: f32) -> Vec<f32> {
    let guess = (folded / scale).to_bits();
    (-2..=2)
        .map(|step| f32::from_bits(guess.wrapping_add_signed(step)))
        .filter(|weight| (weight * scale).to_bits() == folded.to_bits())
        .collect()
}

/// Bits that tell so many apart.
fn width(candidates: usize) -> u32 {
    usize::BITS - candidates.saturating_sub(1).leading_zeros()
}

/// Keeps what `folded` and `scale` do not say of a channel's weights.
pub(crate) fn keep(weights: &[f32], folded: &[f32], scale: f32, bits: &mut BitWriter) {
    let places: Option<Vec<(usize, usize)>> = weights
        .iter()
        .zip(folded)
        .map(|(weight, &folded)| {
            let all = candidates(folded, scale);
            let place = all.iter().position(|it| it.to_bits() == weight.to_bits());
            place.map(|place| (place, all.len()))
        })
        .collect();
    bits.put(u32::from(places.is_none()), 1);
    match places {
        Some(places) => {
            for (place, of) in places {
                bits.put(u32::try_from(place).unwrap_or(0), width(of));
            }
        }
        None => weights.iter().for_each(|it| bits.put(it.to_bits(), 32)),
    }
}

/// A channel's weights before they were folded; `None` if the bits are not of them.
pub(crate) fn unfold(folded: &[f32], scale: f32, bits: &mut BitReader<'_>) -> Option<Vec<f32>> {
    let whole = bits.take(1)? == 1;
    folded
        .iter()
        .map(|&folded| {
            if whole {
                return bits.take(32).map(f32::from_bits);
            }
            let all = candidates(folded, scale);
            let place = bits.take(width(all.len()))?;
            all.get(usize::try_from(place).ok()?).copied()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    #[test]
    fn weights_come_back_bit_for_bit_from_few_bits() {
        let rng = &mut StdRng::seed_from_u64(1);
        let (mut bits, mut channels) = (BitWriter::default(), Vec::new());
        let mut count = 0;
        for channel in 0..200 {
            let scale: f32 = match channel {
                0 => 0.0,
                1 => -1.7,
                2 => 1.0,
                3 => f32::MIN_POSITIVE,
                _ => rng.random_range(0.01..5.0),
            };
            let mut weights: Vec<f32> = (0..90).map(|_| rng.random_range(-0.3..0.3)).collect();
            if channel < 10 {
                weights[..5].copy_from_slice(&[0.0, -0.0, 1e-42, -1e-20, 1.0]);
            }
            let folded: Vec<f32> = weights.iter().map(|w| w * scale).collect();
            let before = bits.used;
            keep(&weights, &folded, scale, &mut bits);
            if channel >= 10 {
                count += bits.used - before;
            }
            channels.push((weights, folded, scale));
        }
        assert!(count < 190 * 90 * 4 / 10, "{count} bits");
        let bytes = bits.into_bytes();
        let mut reader = BitReader::new(&bytes);
        for (weights, folded, scale) in channels {
            let back = unfold(&folded, scale, &mut reader).expect("weights");
            let same = back.iter().zip(&weights);
            assert!(
                same.clone().all(|(a, b)| a.to_bits() == b.to_bits()),
                "{scale}"
            );
        }
        assert!(reader.at_end());
        assert_eq!(unfold(&[1.0], 1.0, &mut BitReader::new(&[])), None);
    }

    #[test]
    fn weights_that_were_changed_are_noticed() {
        let scale = 1.7;
        let mut steps = (0..1000).map(|step| f32::from_bits(0x3f80_0000 + step));
        let unreachable = steps.find(|it| candidates(*it, scale).is_empty());
        let unreachable = unreachable.expect("a number that no weight gives");
        let mut bits = BitWriter::default();
        keep(&[0.3, 0.7], &[0.3 * scale, 0.7 * scale], scale, &mut bits);
        let bytes = bits.into_bytes();
        let back = unfold(&[unreachable, 1.0], scale, &mut BitReader::new(&bytes));
        assert_eq!(back, None);
    }
}
