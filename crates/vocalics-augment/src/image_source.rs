//! The impulse response of a box-shaped room, by the image method.

use std::f64::consts::{PI, TAU};

use vocalics_dsp::{floor_index, narrow};

use crate::kaiser::sinc;

/// Speed of sound in metres a second, at 20 °C.
const SPEED_OF_SOUND: f64 = 343.0;
/// Longest response that is made, in seconds.
const MAX_RESPONSE_SECS: f64 = 2.0;
/// Samples on either side of an impulse at a fractional time.
pub(crate) const REACH: usize = 20;
/// Impulses within this time of the direct sound lie at their exact times, in seconds; later ones at the nearest
/// sample, where they are too dense for it to be heard. A sphere of that radius holds about a thousand.
const EXACT_SECS: f64 = 0.08;
/// Fractional times that are tabulated between two samples.
const PHASES: usize = 128;
/// Directions in azimuth, and in elevation, that stand for an eighth of the sphere.
const DIRECTIONS: u32 = 12;
/// Cut-off of the high-pass that takes off what adds up at 0 Hz, in hertz.
const HIGH_PASS_HZ: f64 = 100.0;

/// A room without furniture, a source and a microphone in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxRoom {
    /// Length, width and height in metres.
    pub size_m: [f64; 3],
    /// Place of the source.
    pub source_m: [f64; 3],
    /// Place of the microphone.
    pub microphone_m: [f64; 3],
    /// Share of the energy that each wall takes at each reflection, above 0 and at most 1.
    pub absorption: f64,
}

impl BoxRoom {
    /// The absorption that gives a room a reverberation time: the inverse of [`rt60_secs`](Self::rt60_secs).
    #[must_use]
    pub fn absorption_for(size_m: [f64; 3], rt60_secs: f64) -> f64 {
        1.0 - (-decay_constant(size_m) / rt60_secs).exp()
    }

    /// The reverberation time in seconds, T20, of the image method in a room of that size and absorption.
    ///
    /// An image in direction `u` at distance `ct` was reflected `ct · g(u)` times, `g = |uₓ|/L + |u_y|/W + |u_z|/H`, so the
    /// power at `t` is the mean over all directions of `exp(−γ · ct · g)` with `γ = −ln(1 − α)`; T20 is read off the
    /// integral of that. Eyring's formula supposes one mean rate for all directions; the test of this
    /// module prints by how much longer the rooms really ring.
    ///
    /// Source: after E. A. Lehmann, A. M. Johansson, *Prediction of energy decay in room impulse responses simulated
    /// with an image-source model*, JASA 124(1), 2008.
    #[must_use]
    pub fn rt60_secs(&self) -> f64 {
        decay_constant(self.size_m) / -(1.0 - self.absorption).max(1e-12).ln()
    }

    /// From source to microphone in metres.
    #[must_use]
    pub fn distance_m(&self) -> f64 {
        let squares = (0..3).map(|axis| (self.source_m[axis] - self.microphone_m[axis]).powi(2));
        squares.sum::<f64>().sqrt()
    }

    /// The response from the direct sound on, with 20 samples before it, to −60 dB or for 2 s.
    ///
    /// `h(t) = Σ βⁿ / d · δ(t − d / c)` over the images of the source, at distance `d` in metres after `n` reflections, `β = √(1 − α)`: the
    /// pressure of the source below by `4π`, which leaves the direct sound at 1 for one metre.
    ///
    /// Source: J. B. Allen, D. A. Berkley, *Image method for efficiently simulating small-room acoustics*, JASA 65(4),
    /// 1979, with its high-pass; impulses at fractional times as P. M. Peterson, JASA 80(5), 1986.
    #[must_use]
    pub fn impulse_response(&self, sample_rate: u32) -> Vec<f32> {
        let rate = f64::from(sample_rate);
        let direct = self.distance_m().max(1e-2);
        let tail_secs = self.rt60_secs().min(MAX_RESPONSE_SECS);
        let reach = direct + tail_secs * SPEED_OF_SOUND;
        let n = floor_index(tail_secs * rate) + 2 * REACH + 1;
        let beta = (1.0 - self.absorption).max(0.0).sqrt();
        let [xs, ys, zs] = [0, 1, 2].map(|axis| self.images_along(axis, beta, reach));
        let table = pulses();
        let mut response = vec![0.0_f64; n];
        let per_metre = rate / SPEED_OF_SOUND;
        let exact = floor_index(EXACT_SECS * rate) as f64;
        let furthest = reach * reach;
        for (x2, x_weight) in &xs {
            for (y2, y_weight) in &ys {
                let plane = x2 + y2;
                if plane > furthest {
                    break;
                }
                let plane_weight = x_weight * y_weight;
                for (z2, z_weight) in &zs {
                    let square = plane + z2;
                    if square > furthest {
                        break;
                    }
                    let distance = square.sqrt().max(1e-2);
                    let amplitude = plane_weight * z_weight / distance;
                    let delay = (distance - direct) * per_metre;
                    if delay < exact {
                        let position = delay.max(0.0) + REACH as f64;
                        let whole = floor_index(position);
                        let phase = floor_index((position - whole as f64) * PHASES as f64 + 0.5);
                        let pulse = &table[phase * 2 * REACH..(phase + 1) * 2 * REACH];
                        let from = whole + 1 - REACH;
                        let target = response.get_mut(from..).unwrap_or_default();
                        for (h, p) in target.iter_mut().zip(pulse) {
                            *h += amplitude * p;
                        }
                    } else if let Some(h) = response.get_mut(floor_index(delay + 0.5) + REACH) {
                        *h += amplitude;
                    }
                }
            }
        }
        high_pass(&mut response, rate);
        response.into_iter().map(narrow).collect()
    }

    /// Square of the distance along an axis, and weight, of each image, the nearest first.
    fn images_along(&self, axis: usize, beta: f64, reach: f64) -> Vec<(f64, f64)> {
        let (size, source) = (self.size_m[axis], self.source_m[axis]);
        let microphone = self.microphone_m[axis];
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rooms across a response of 2 s"
        )]
        let rooms = (reach / (2.0 * size)).ceil() as i32 + 1;
        let mut images: Vec<(f64, f64)> = (-rooms..=rooms)
            .flat_map(|room| {
                let shift = 2.0 * f64::from(room) * size;
                let straight = (source + shift, 2 * room.abs());
                let mirrored = (shift - source, (room - 1).abs() + room.abs());
                [straight, mirrored]
            })
            .map(|(place, reflections)| ((place - microphone).powi(2), beta.powi(reflections)))
            .collect();
        images.sort_by(|a, b| a.0.total_cmp(&b.0));
        images
    }
}

/// `γ · T20` of a room in seconds: what the reverberation time would be at an absorption of `1 − 1/e`.
fn decay_constant(size_m: [f64; 3]) -> f64 {
    // Reflections a second in each of a grid of directions over an eighth of the sphere, which stands for all.
    let middle = |k: u32| (f64::from(k) + 0.5) / f64::from(DIRECTIONS);
    let rates: Vec<f64> = (0..DIRECTIONS * DIRECTIONS)
        .map(|k| {
            let up = middle(k / DIRECTIONS);
            let flat = (1.0 - up * up).sqrt();
            let (sine, cosine) = (PI / 2.0 * middle(k % DIRECTIONS)).sin_cos();
            let [length, width, height] = size_m;
            SPEED_OF_SOUND * (flat * cosine / length + flat * sine / width + up / height)
        })
        .collect();
    let energy_left = |time: f64| {
        rates
            .iter()
            .map(|rate| (-rate * time).exp() / rate)
            .sum::<f64>()
    };
    let total = energy_left(0.0);
    let falls_by = |db: f64| {
        let wanted = total * 10f64.powf(-db / 10.0);
        // The rate is at least that along the longest side.
        let slowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
        let (mut early, mut late) = (0.0, db / slowest);
        for _ in 0..30 {
            let time = 0.5 * (early + late);
            if energy_left(time) > wanted {
                early = time;
            } else {
                late = time;
            }
        }
        early
    };
    3.0 * (falls_by(25.0) - falls_by(5.0))
}

/// Impulses under a Hann window at each fractional time, `[PHASES + 1, 2 · REACH]`; tap `j` lies `j + 1 − REACH` samples
/// after the whole part.
fn pulses() -> Vec<f64> {
    let taps = (0..=PHASES).flat_map(|phase| {
        (0..2 * REACH).map(move |j| {
            let x = j as f64 + 1.0 - REACH as f64 - phase as f64 / PHASES as f64;
            if x.abs() >= REACH as f64 {
                0.0
            } else {
                sinc(x) * (0.5 + 0.5 * (PI * x / REACH as f64).cos())
            }
        })
    });
    taps.collect()
}

/// The high-pass of Allen and Berkley: all images have one sign, so without it they add up at 0 Hz.
fn high_pass(response: &mut [f64], rate: f64) {
    let w = TAU * HIGH_PASS_HZ / rate;
    let r = (-w).exp();
    let (b1, b2) = (2.0 * r * w.cos(), -r * r);
    let (mut y1, mut y2) = (0.0, 0.0);
    for h in response {
        let y = *h + b1 * y1 + b2 * y2;
        *h = y - (1.0 + r) * y1 + r * y2;
        (y2, y1) = (y1, y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_signal::reverberation_time_secs;

    const RATE: u32 = 16_000;

    #[test]
    fn an_exponential_decay_has_its_own_time() {
        let response: Vec<f32> = (0..16_000)
            .map(|n| {
                let sign = if n * 7919 % 13 < 6 { -1.0 } else { 1.0 };
                narrow(sign * 10f64.powf(-3.0 * f64::from(n) / 16_000.0 / 0.4))
            })
            .collect();
        let found = reverberation_time_secs(&response, RATE).unwrap();
        assert!((found - 0.4).abs() < 0.004, "{found}");
        assert_eq!(reverberation_time_secs(&[0.0; 9], RATE), None);
        assert_eq!(reverberation_time_secs(&[], RATE), None);
        assert_eq!(reverberation_time_secs(&[1.0], RATE), None);
    }

    fn room(size_m: [f64; 3], rt60_secs: f64) -> BoxRoom {
        let [x, y, z] = size_m;
        BoxRoom {
            size_m,
            source_m: [0.31 * x, 0.42 * y, 0.55 * z],
            microphone_m: [0.62 * x, 0.57 * y, 0.49 * z],
            absorption: BoxRoom::absorption_for(size_m, rt60_secs),
        }
    }

    #[test]
    fn the_reverberation_time_is_the_one_asked_for() {
        for (size, rt60) in [
            ([4.0, 3.2, 2.5], 0.2),
            ([5.1, 4.2, 2.7], 0.3),
            ([6.0, 4.9, 3.1], 0.5),
            ([9.0, 6.7, 3.4], 0.6),
            ([7.0, 5.6, 4.3], 1.0),
        ] {
            let room = room(size, rt60);
            assert!((room.rt60_secs() - rt60).abs() < 1e-9);
            let found = reverberation_time_secs(&room.impulse_response(RATE), RATE).unwrap();
            // Eyring's formula: one mean free path, 4 V / S, for all directions.
            let [x, y, z] = size;
            let per_metre = (x * y + y * z + z * x) / (2.0 * x * y * z);
            let eyring = 6.0 * std::f64::consts::LN_10
                / (SPEED_OF_SOUND * per_metre * -(1.0 - room.absorption).ln());
            println!("{size:?} asked {rt60}, made {found:.3}, Eyring {eyring:.3}");
            assert!(found > 1.1 * eyring, "{found} {eyring}");
            assert!((found / rt60 - 1.0).abs() < 0.1, "{size:?} {rt60}: {found}");
        }
    }

    #[test]
    fn without_reflection_there_is_the_direct_sound_alone() {
        let room = BoxRoom {
            absorption: 1.0,
            ..room([5.0, 4.0, 3.0], 0.3)
        };
        let response = room.impulse_response(RATE);
        let direct = narrow(1.0 / room.distance_m());
        assert!((response[REACH] - direct).abs() < 1e-5);
        // What follows is the high-pass.
        let rest = response.iter().enumerate().filter(|(n, _)| *n != REACH);
        assert!(rest.map(|(_, h)| h.abs()).fold(0.0, f32::max) < 0.05 * direct);
    }

    #[test]
    fn reflections_come_when_geometry_says() {
        // One reflecting surface's worth of time: floor and ceiling 3 m apart, both in the middle between them.
        let room = BoxRoom {
            size_m: [200.0, 200.0, 3.0],
            source_m: [100.0, 100.0, 1.5],
            microphone_m: [102.0, 100.0, 1.5],
            absorption: 0.5,
        };
        let response = room.impulse_response(RATE);
        let at = |metres: f64| {
            let n = floor_index((metres - 2.0) / SPEED_OF_SOUND * f64::from(RATE) + 0.5) + REACH;
            let around = &response[n - 1..=n + 1];
            around.iter().fold(0.0_f32, |most, h| most.max(h.abs()))
        };
        let (direct, floor) = (at(2.0), at(13f64.sqrt()));
        assert!((direct - 0.5).abs() < 0.01, "{direct}");
        // Two images, floor and ceiling, at √(2² + 3²) metres, each √0.5.
        let expected = 2.0 * 0.5_f32.sqrt() / 13f32.sqrt();
        assert!((floor / expected - 1.0).abs() < 0.3, "{floor} {expected}");
        assert!(at(3.0) < 0.05);
    }
}
