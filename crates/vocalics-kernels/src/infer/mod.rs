//! Kernels of inference: forward passes alone, in single precision, without allocation.
//!
//! A recognition runs one clip at a time through a small network. What counts there is not the
//! throughput of one large product but how little happens between many small ones:
//!
//! - [`tile`]: the one inner loop, a register-tiled product whose right side is read through a
//!   table of offsets. With the right table it is a convolution without a column matrix; with a
//!   trivial one it is a matrix product.
//! - [`conv`]: convolution in one or two dimensions, any stride, dilation, padding and grouping,
//!   with bias, shortcut and activation applied while a tile is still in the first-level cache.
//! - [`panels`]: a matrix in the order in which products read it.
//! - [`dense`]: products with a matrix of weights.
//! - [`recurrent`]: LSTM and GRU.
//! - [`pointwise`]: chains of element-wise operations with broadcasting, a block at a time.
//! - [`function`]: the functions of one number, on slices.
//! - [`reduce`], [`pool`], [`layout`]: sums, softmax; windows; copies.
//!
//! Every kernel takes a [`Level`], the instruction set to use, which is found once at run time. The
//! code is written once, on the vectors of the `pulp` crate or as plain loops that are compiled once
//! for each level; there is no unsafe code here.
//!
//! All of them trust their caller with shapes: lengths that do not agree panic, as slices do.

pub mod conv;
pub mod dense;
pub mod function;
pub mod layout;
pub mod panels;
pub mod pointwise;
pub mod pool;
pub mod recurrent;
pub mod reduce;
pub mod tile;

mod level;
#[cfg(test)]
mod test_numbers;

pub use level::Level;
