//! Convolution, pooling, normalisation and recurrent kernels, forward and backward, on the `gemm`
//! crate.
//!
//! A training step of a small convolutional network spends its time around the matrix products,
//! not in them: in the column buffer of the convolution, in the passes of batch normalisation, in
//! copies. The kernels here are written for that:
//!
//! - [`conv`]: two-dimensional convolution, of which one-dimensional is a case. The column matrix is
//!   built a tile at a time, so that it stays in the second-level cache, and handed to `gemm`; where
//!   every channel is its own group, the taps run directly over the rows.
//! - [`pool`]: the largest or the mean of each window.
//! - [`norm`]: batch normalisation with an optional ReLU in one pass over the data, and its
//!   gradient in two.
//! - [`gate`]: per-channel means, and the tail of a squeeze-excite residual block,
//!   `relu(x · s + shortcut)`.
//!
//! - [`lstm`], [`gru`]: recurrent layers over whole sequences. One product for the inputs of all
//!   frames, one a frame for the state.
//!
//! All kernels work on plain slices, images in `[batch, channels, height, width]` order and sequences
//! in `[batch, n_frames, features]` order, and are generic over `f32` and `f64` ([`Real`]), so that
//! gradients are checked in double precision. Work is split over the samples of a batch on the
//! current rayon pool; sums over the batch are always formed in the same order, so that a result does
//! not depend on the number of threads.
//!
//! With the feature `burn` the module [`extension`] offers them as operations of burn's CPU backend
//! with their gradients. Other devices take burn's own operations.

pub mod conv;
pub mod gate;
pub mod gru;
pub mod infer;
pub mod lstm;
pub mod matmul;
pub mod norm;
pub mod pool;
pub mod recurrent;

mod real;
mod simd;
mod window;
mod zeros;

#[cfg(feature = "burn")]
pub mod extension;

pub use real::Real;
