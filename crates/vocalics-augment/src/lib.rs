//! Augmentation of speech: what a microphone, a room, a line or another voice would have made of a clip.
//!
//! Each augmentation is a type with its ranges in units, read from TOML; its [`apply`](Augmentation::apply) draws from a generator it is
//! given and does what it drew. Nothing else is random, and nothing is kept between calls, so the same seed gives the
//! same samples on any thread. A [`Plan`] is a list of them with probabilities; it gives back what was drawn.
//!
//! | type | what it does | length |
//! |---|---|---|
//! | [`Noise`] | white, pink, babble or recorded noise at a signal-to-noise ratio | kept |
//! | [`Room`] | reverberation, simulated by the image method or recorded | kept |
//! | [`Gain`], [`TimeShift`] | louder and softer, earlier and later | kept |
//! | [`Speed`] | tempo and pitch together | `/ speed` |
//! | [`TimeStretch`], [`PitchShift`] | one without the other | `/ tempo`, kept |
//! | [`VocalTract`] | formants | kept |
//! | [`Telephone`], [`Codec`], [`LowPass`] | band and quantisation | kept |
//! | [`CopyPaste`] | joins clips of one class | both |
//!
//! A [`Clip`] is checked once, where it is made: at least one sample, finite, of a usual rate. Silence is a clip: it stays silence,
//! except under a codec. Samples may leave full scale; whoever writes a file scales them.
//!
//! Plans are for training clips alone, in the loop. What goes into a [`Material`] must come from the training part
//! too.
//!
//! A new augmentation is one file, one variant of [`Operation`] with its line, and its row in `docs/augmentation.md`.

mod augmentation;
mod clip;
mod copy_paste;
mod error;
mod fft;
mod g711;
mod gain;
mod gaussian;
mod image_source;
mod kaiser;
mod material;
mod noise;
mod operation;
mod overlap_add;
mod phase_vocoder;
mod plan;
mod range;
mod record;
mod resample;
mod room;
mod scaled;
mod speech_level;
mod speed;
mod step;
mod telephone;
#[cfg(test)]
mod test_signal;
mod time_shift;
mod time_stretch;
mod vocal_tract;
mod wsola;

pub use augmentation::Augmentation;
pub use clip::{Augmented, Clip, Drawn, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, Value};
pub use copy_paste::{CopyPaste, Partner};
pub use error::AugmentError;
pub use g711::Law;
pub use gain::Gain;
pub use image_source::BoxRoom;
pub use material::{MAX_FOLDER_SECS, Material, MaterialKind, Sound, read_responses, read_sounds};
pub use noise::{Noise, NoiseSource, SignalLevel};
pub use operation::Operation;
pub use plan::Plan;
pub use range::Range;
pub use record::{Done, Outcome, Record};
pub use room::{ImpulseResponse, Room, RoomSource};
pub use speech_level::speech_level;
pub use speed::Speed;
pub use step::Step;
pub use telephone::{Codec, Line, LowPass, Telephone};
pub use time_shift::{Fill, TimeShift};
pub use time_stretch::{Method, PitchShift, TimeStretch};
pub use vocal_tract::VocalTract;
