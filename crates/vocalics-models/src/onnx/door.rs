//! The features at the networks' door.

use super::{Graph, INPUT, ints, signed};
use crate::input::{DELTA_REACH, Door, FUNCTIONAL_REACH, delta_kernel};

impl Graph {
    /// The bands of every frame of `features`, `[batch, n_frames, n_mels]`.
    fn bands(&mut self, door: &Door) -> String {
        if door.n_functionals() == 0 {
            return INPUT.to_owned();
        }
        let n_mels = signed(door.standardisation().0.len());
        self.slice(INPUT, &[(2, 0, n_mels)])
    }

    /// The standardised functionals behind the bands of the last frame of `features`, `[batch, n_functionals]`, clipped to their reach.
    pub fn functionals(&mut self, door: &Door) -> String {
        let n_mels = signed(door.standardisation().0.len());
        let (mean, inv_std) = door.functional_standardisation();
        let count = mean.len();
        let mean = self.constant("door.functional_mean", mean.to_vec(), &[1, count]);
        let inv_std = self.constant("door.functional_inv_std", inv_std.to_vec(), &[1, count]);
        let columns = (2, n_mels, n_mels + signed(count));
        let x = self.slice(INPUT, &[(1, -1, i64::MAX), columns]); // [batch, 1, n_functionals]
        let x = self.squeeze(&x, 1);
        let x = self.node("Sub", &[&x, &mean]);
        let x = self.node("Mul", &[&x, &inv_std]);
        let low = self.constant("door.functional_low", vec![-FUNCTIONAL_REACH], &[]);
        let high = self.constant("door.functional_high", vec![FUNCTIONAL_REACH], &[]);
        self.node("Clip", &[&x, &low, &high])
    }

    /// Parts of axes, each `(axis, start, end)`.
    fn slice(&mut self, x: &str, parts: &[(i64, i64, i64)]) -> String {
        let [starts, ends, axes] = [
            parts.iter().map(|part| part.1).collect::<Vec<_>>(),
            parts.iter().map(|part| part.2).collect(),
            parts.iter().map(|part| part.0).collect(),
        ]
        .map(|list| self.indices(&list));
        self.node("Slice", &[x, &starts, &ends, &axes])
    }

    /// The networks' door: `features` to `[batch, 3, n_mels, n_frames]`.
    pub fn door(&mut self, door: &Door) -> String {
        let (mean, inv_std) = door.standardisation();
        let n_mels = mean.len();
        let mean = self.constant("door.mean", mean.to_vec(), &[1, 1, n_mels]);
        let inv_std = self.constant("door.inv_std", inv_std.to_vec(), &[1, 1, n_mels]);
        let x = self.bands(door);
        let x = self.node("Sub", &[&x, &mean]);
        let x = self.node("Mul", &[&x, &inv_std]);
        let x = self.transpose(&x, &[0, 2, 1]);
        let axis = self.indices(&[1]);
        let x = self.node("Unsqueeze", &[&x, &axis]); // [batch, 1, n_mels, n_frames]
        let mean = self.reduce_mean(&x, 3, true);
        let centred = self.node("Sub", &[&x, &mean]);
        let kernel = delta_kernel();
        let width = kernel.len();
        let kernel = self.constant("door.delta", kernel, &[1, 1, 1, width]);
        let reach = signed(DELTA_REACH);
        let delta = self.node_with(
            "Conv",
            &[&centred, &kernel],
            vec![
                ints("kernel_shape", &[1, signed(width)]),
                ints("pads", &[0, reach, 0, reach]),
                ints("strides", &[1, 1]),
            ],
        );
        self.concat(&[&x, &centred, &delta], 1)
    }

    /// The door of networks over cepstra: `features` less the mean of every band, `[batch, n_mels,
    /// n_frames]`.
    pub fn centre(&mut self, door: &Door) -> String {
        let (mean, _) = door.standardisation();
        let mean = self.constant("door.mean", mean.to_vec(), &[1, 1, mean.len()]);
        let x = self.bands(door);
        let x = self.node("Sub", &[&x, &mean]);
        self.transpose(&x, &[0, 2, 1])
    }

    /// The door of networks over one vector: the standardised mean of the frames of `features`, `[batch, n_mels]`.
    ///
    /// Of operators that mean the same in every version of the standard from 13 on, so that the graph can stand
    /// behind one of another version.
    pub fn vector(&mut self, door: &Door) -> String {
        let (mean, inv_std) = door.standardisation();
        let n_mels = mean.len();
        let x = self.bands(door);
        let x = self.transpose(&x, &[0, 2, 1]);
        let x = self.node("GlobalAveragePool", &[&x]); // [batch, n_mels, 1]
        let x = self.flatten(&x);
        let mean = self.constant("door.mean", mean.to_vec(), &[1, n_mels]);
        let inv_std = self.constant("door.inv_std", inv_std.to_vec(), &[1, n_mels]);
        let x = self.node("Sub", &[&x, &mean]);
        self.node("Mul", &[&x, &inv_std])
    }
}
