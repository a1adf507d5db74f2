//! The two laws of digital telephony, 64 kbit/s.

/// One of the two laws of G.711.
///
/// Source: ITU-T Recommendation G.711 (1988), tables 1a to 2b. Full scale, ±1, is 8192 (μ) or 4096 (A) of the standard's steps, its
/// overload point in μ-law 8159; what lies on a decision value belongs to the interval above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Law {
    /// North America and Japan.
    MuLaw,
    /// Everywhere else.
    ALaw,
}

/// Offset of μ-law that makes its segments powers of two.
const BIAS: u32 = 33;
/// Largest magnitude of μ-law in steps, and of A-law.
const MU_OVERLOAD: f32 = 8_159.0;
const A_OVERLOAD: f32 = 4_096.0;

impl Law {
    /// Its name in plans and records.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MuLaw => "mu-law",
            Self::ALaw => "a-law",
        }
    }

    /// Magnitude of full scale in the standard's steps.
    fn steps(self) -> f32 {
        match self {
            // 14 bits and a sign; 2¹³ rather than 8159, so that 16-bit PCM falls on whole steps.
            Self::MuLaw => 8_192.0,
            Self::ALaw => 4_096.0,
        }
    }

    /// The character signal of a sample, as it is transmitted: magnitude bits inverted (μ), even bits inverted (A).
    ///
    /// NaN counts as 0.
    #[must_use]
    pub fn encode(self, sample: f32) -> u8 {
        let steps = if sample.is_nan() {
            0.0
        } else {
            sample * self.steps()
        };
        let positive = if steps.is_sign_negative() { 0 } else { 0x80 };
        match self {
            Self::MuLaw => {
                // Decision values are odd: 1, 3, … 31, 35, …
                let magnitude = whole(steps.abs().min(MU_OVERLOAD - 1.0) + BIAS as f32);
                let segment = magnitude.ilog2().saturating_sub(5).min(7);
                let interval = (magnitude >> (segment + 1)) & 15;
                positive | (!byte(segment << 4 | interval) & 0x7f)
            }
            Self::ALaw => {
                let magnitude = whole(steps.abs().min(A_OVERLOAD - 1.0));
                let segment = magnitude.checked_ilog2().unwrap_or(0).saturating_sub(4);
                let interval = (magnitude >> segment.max(1)) & 15;
                (positive | byte(segment << 4 | interval)) ^ 0x55
            }
        }
    }

    /// The sample of a character signal: the middle of its interval.
    #[must_use]
    pub fn decode(self, code: u8) -> f32 {
        let (code, magnitude) = match self {
            Self::MuLaw => {
                let code = code ^ 0x7f;
                let (segment, interval) = (code >> 4 & 7, u32::from(code & 15));
                (code, ((2 * interval + BIAS) << segment) - BIAS)
            }
            Self::ALaw => {
                let code = code ^ 0x55;
                let (segment, interval) = (code >> 4 & 7, u32::from(code & 15));
                let magnitude = match segment {
                    0 => 2 * interval + 1,
                    _ => (2 * interval + 33) << (segment - 1),
                };
                (code, magnitude)
            }
        };
        let sign = if code & 0x80 == 0 { -1.0 } else { 1.0 };
        sign * magnitude as f32 / self.steps()
    }
}

/// The whole part of a magnitude of at most 13 bits.
fn whole(magnitude: f32) -> u32 {
    vocalics_dsp::floor_index(f64::from(magnitude))
        .try_into()
        .unwrap_or(0)
}

fn byte(bits: u32) -> u8 {
    bits.to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decision value, code and output value of the intervals that tables 1a and 2a print: the first of each segment, the second of
    /// the first and the last.
    const MU: [(f32, u8, f32); 11] = [
        (7_903.0, 0b1000_0000, 8_031.0),
        (4_063.0, 0b1000_1111, 4_191.0),
        (2_015.0, 0b1001_1111, 2_079.0),
        (991.0, 0b1010_1111, 1_023.0),
        (479.0, 0b1011_1111, 495.0),
        (223.0, 0b1100_1111, 231.0),
        (95.0, 0b1101_1111, 99.0),
        (31.0, 0b1110_1111, 33.0),
        (3.0, 0b1111_1101, 4.0),
        (1.0, 0b1111_1110, 2.0),
        (0.0, 0b1111_1111, 0.0),
    ];
    /// The same of A-law, before the even bits are inverted.
    const A: [(f32, u8, f32); 8] = [
        (3_968.0, 0b1111_1111, 4_032.0),
        (2_048.0, 0b1111_0000, 2_112.0),
        (1_024.0, 0b1110_0000, 1_056.0),
        (512.0, 0b1101_0000, 528.0),
        (256.0, 0b1100_0000, 264.0),
        (128.0, 0b1011_0000, 132.0),
        (64.0, 0b1010_0000, 66.0),
        (0.0, 0b1000_0000, 1.0),
    ];

    #[test]
    fn codes_and_values_are_those_of_the_tables() {
        for (law, full, flip, rows) in [
            (Law::MuLaw, 8_192.0, 0, &MU[..]),
            (Law::ALaw, 4_096.0, 0x55, &A[..]),
        ] {
            for (decision, code, value) in rows {
                let sent = code ^ flip;
                assert_eq!(law.encode(decision / full), sent, "{law:?} {decision}");
                assert_eq!(
                    law.encode((decision + 0.5) / full),
                    sent,
                    "{law:?} {decision}"
                );
                assert!(
                    (law.decode(sent) * full - value).abs() < 1e-3,
                    "{law:?} {value}"
                );
                if *decision > 0.0 {
                    let below = law.encode((decision - 0.25) / full);
                    assert_ne!(below, sent, "{law:?} {decision}");
                    // Negative values differ in the sign bit alone.
                    assert_eq!(law.encode(-(decision + 0.5) / full), sent ^ 0x80);
                    assert!((law.decode(sent ^ 0x80) * full + value).abs() < 1e-3);
                }
            }
            let overload = law.encode(2.0);
            assert_eq!(overload, rows[0].1 ^ flip);
            assert_eq!(law.encode(-1e30), overload ^ 0x80);
        }
    }

    #[test]
    fn every_code_comes_back_and_values_are_ascending() {
        for law in [Law::MuLaw, Law::ALaw] {
            let mut values: Vec<f32> = (0..=255).map(|code| law.decode(code)).collect();
            for (code, value) in (0..=255).zip(&values) {
                // μ-law has two zeros, and 0 is encoded as the positive one unless it is −0.
                assert_eq!(law.encode(*value), code, "{law:?} {value}");
            }
            values.sort_by(f32::total_cmp);
            let n = values.len();
            values.dedup();
            assert!(values.len() >= n - 1);
        }
        assert_eq!(Law::MuLaw.encode(f32::NAN), 0xff);
    }
}
