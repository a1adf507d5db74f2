//! Convolution in one or two dimensions, any stride, dilation, padding and grouping.
//!
//! The image of a sample is stored once with its padding. A stride above 1 splits it by phase: plane
//! `(a, b)` of a channel holds the padded rows `a, a + s, a + 2s, ...` and columns likewise, so that
//! neighbouring outputs read neighbouring values again and every convolution becomes the product of
//! [`super::tile`]. Only the phases that the kernel looks at are stored.

use super::Level;
use super::tile::{self, Finish, Lines, Planes, SLACK, Source, Weights};

/// Sizes of a convolution; in one dimension the rows are 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Channels of the input.
    pub inputs: usize,
    /// Channels of the output.
    pub outputs: usize,
    /// Groups; divides both.
    pub groups: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Steps between outputs.
    pub stride: [usize; 2],
    /// Steps between elements of the kernel.
    pub dilation: [usize; 2],
    /// Zeros before the first row and column.
    pub before: [usize; 2],
    /// Zeros after the last row and column.
    pub after: [usize; 2],
}

impl Shape {
    /// Rows and columns of the output for an image of `rows` by `columns`; `None` when the kernel
    /// does not fit into the padded image.
    #[must_use]
    pub fn output(&self, image: [usize; 2]) -> Option<[usize; 2]> {
        let axis = |i: usize| {
            let reach = (self.kernel[i] - 1) * self.dilation[i] + 1;
            let padded = image[i] + self.before[i] + self.after[i];
            (image[i] > 0 && padded >= reach).then(|| (padded - reach) / self.stride[i] + 1)
        };
        Some([axis(0)?, axis(1)?])
    }
}

/// A convolution with its weights packed.
#[derive(Debug, Clone)]
pub struct Conv {
    shape: Shape,
    groups: Vec<Weights>,
    bias: Vec<f32>,
}

/// Where things lie for one size of the image; computed when the size changes.
#[derive(Debug, Clone, Default)]
pub struct Geometry {
    image: [usize; 2],
    output: [usize; 2],
    /// Rows and columns of a phase's plane.
    plane: [usize; 2],
    phases: Vec<[usize; 2]>,
    offsets: Vec<usize>,
}

impl Conv {
    /// Packs weights `[outputs, inputs / groups, rows, columns]` and a bias `[outputs]`, which may be empty.
    ///
    /// # Panics
    /// When a slice does not have the length of its shape.
    #[must_use]
    pub fn new(shape: Shape, weights: &[f32], bias: &[f32]) -> Self {
        let (rows, depth) = (
            shape.outputs / shape.groups,
            shape.inputs / shape.groups * shape.kernel[0] * shape.kernel[1],
        );
        assert_eq!(
            weights.len(),
            shape.outputs * depth,
            "weights of a convolution"
        );
        assert!(
            bias.is_empty() || bias.len() == shape.outputs,
            "bias of a convolution"
        );
        let groups = (0..shape.groups)
            .map(|group| {
                let weights = &weights[group * rows * depth..];
                Weights::pack(rows, depth, |row, k| weights[row * depth + k])
            })
            .collect();
        Self {
            shape,
            groups,
            bias: bias.to_vec(),
        }
    }

    /// The sizes.
    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Multiplications for an output of one position.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.groups
            .first()
            .map_or(0, |weights| weights.depth() * self.shape.outputs)
    }

    /// Lays out an image of another size; `false` when the kernel does not fit.
    pub fn prepare(&self, geometry: &mut Geometry, image: [usize; 2]) -> bool {
        let Some(output) = self.shape.output(image) else {
            return false;
        };
        let Shape {
            kernel,
            stride,
            dilation,
            ..
        } = self.shape;
        let reach = |axis: usize| (kernel[axis] - 1) * dilation[axis] / stride[axis];
        geometry.image = image;
        geometry.output = output;
        geometry.plane = [output[0] + reach(0), output[1] + reach(1)];
        geometry.phases.clear();
        geometry.offsets.clear();
        let [plane_rows, plane_columns] = geometry.plane;
        for i in (0..kernel[0]).map(|i| i * dilation[0]) {
            for j in (0..kernel[1]).map(|j| j * dilation[1]) {
                let phase = [i % stride[0], j % stride[1]];
                let known = geometry.phases.iter().position(|&other| other == phase);
                let index = known.unwrap_or_else(|| {
                    geometry.phases.push(phase);
                    geometry.phases.len() - 1
                });
                let inside = (i / stride[0]) * plane_columns + j / stride[1];
                geometry
                    .offsets
                    .push(index * plane_rows * plane_columns + inside);
            }
        }
        true
    }

    /// Values of scratch memory needed.
    #[must_use]
    pub fn scratch(&self, geometry: &Geometry) -> usize {
        let channel = geometry.phases.len().saturating_mul(geometry.plane[0]);
        let channel = channel.saturating_mul(geometry.plane[1]);
        self.shape
            .inputs
            .saturating_mul(channel)
            .saturating_add(SLACK)
    }

    /// Convolves one sample.
    ///
    /// # Shapes
    /// `x`: `[inputs, rows, columns]`; `shortcut` and `out`: `[outputs, rows, columns]`; `scratch`: at
    /// least [`scratch`](Self::scratch) values of any content. `finish.bias` is set here.
    ///
    /// # Panics
    /// When a slice does not have the length of its shape.
    #[expect(
        clippy::too_many_arguments,
        reason = "two inputs, one output, how and where"
    )]
    pub fn run(
        &self,
        level: Level,
        parts: usize,
        geometry: &Geometry,
        x: &[f32],
        finish: Finish<'_>,
        scratch: &mut [f32],
        out: &mut [f32],
    ) {
        let size = geometry.output[0] * geometry.output[1];
        let channel = geometry.channel();
        if size == 0 {
            return;
        }
        level.vectorised(
            #[inline(always)]
            || self.pack(geometry, x, scratch),
        );
        let group_inputs = self.shape.inputs / self.shape.groups;
        let lines = Lines {
            lines: geometry.output[0],
            length: geometry.output[1],
            pitch: geometry.plane[1],
        };
        let mut done = 0;
        for (group, weights) in self.groups.iter().enumerate() {
            let rows = done..done + weights.rows();
            let part = rows.start * size..rows.end * size;
            let finish = Finish {
                bias: (!self.bias.is_empty()).then(|| &self.bias[rows.clone()]),
                shortcut: finish.shortcut.map(|all| &all[part.clone()]),
                function: finish.function,
            };
            let source = Source::Planes(Planes {
                values: &scratch[group * group_inputs * channel..],
                plane: channel,
                offsets: &geometry.offsets,
            });
            let out = &mut out[part];
            tile::product(level, parts, weights, source, lines, finish, out);
            done = rows.end;
        }
    }

    #[inline(always)]
    fn pack(&self, geometry: &Geometry, x: &[f32], scratch: &mut [f32]) {
        let image = geometry.image;
        let plane = geometry.plane[0] * geometry.plane[1];
        let channels = x.chunks_exact(image[0] * image[1]);
        let places = scratch.chunks_exact_mut(geometry.channel());
        for (x, place) in channels.zip(places) {
            for (&phase, plane) in geometry.phases.iter().zip(place.chunks_exact_mut(plane)) {
                self.pack_plane(geometry, phase, x, plane);
            }
        }
    }

    #[inline(always)]
    fn pack_plane(&self, geometry: &Geometry, phase: [usize; 2], x: &[f32], plane: &mut [f32]) {
        let Shape { stride, before, .. } = self.shape;
        let [rows, columns] = geometry.image;
        let pitch = geometry.plane[1];
        // Column c of the plane is column c · stride + phase - before of the image.
        let first = before[1]
            .saturating_sub(phase[1])
            .div_ceil(stride[1])
            .min(pitch);
        let end = (columns + before[1])
            .saturating_sub(phase[1])
            .div_ceil(stride[1]);
        let end = end.clamp(first, pitch);
        for (r, line) in plane.chunks_exact_mut(pitch).enumerate() {
            let row = (r * stride[0] + phase[0]).checked_sub(before[0]);
            let Some(row) = row.filter(|&row| row < rows) else {
                line.fill(0.0);
                continue;
            };
            line[..first].fill(0.0);
            line[end..].fill(0.0);
            let line = &mut line[first..end];
            if line.is_empty() {
                continue;
            }
            let x = &x[row * columns..][..columns];
            let x = &x[first * stride[1] + phase[1] - before[1]..];
            match stride[1] {
                1 => line.copy_from_slice(&x[..line.len()]),
                2 => {
                    let (pairs, _) = pulp::as_arrays::<2, f32>(x);
                    for (value, pair) in line.iter_mut().zip(pairs) {
                        *value = pair[0];
                    }
                    // The last value may have no neighbour.
                    if pairs.len() < line.len() {
                        line[pairs.len()] = x[x.len() - 1];
                    }
                }
                stride => {
                    for (value, x) in line.iter_mut().zip(x.iter().step_by(stride)) {
                        *value = *x;
                    }
                }
            }
        }
    }
}

impl Geometry {
    /// Values of a channel, all its phases.
    fn channel(&self) -> usize {
        self.phases.len() * self.plane[0] * self.plane[1]
    }

    /// Rows and columns of the image.
    #[must_use]
    pub fn image(&self) -> [usize; 2] {
        self.image
    }

    /// Rows and columns of the output.
    #[must_use]
    pub fn output(&self) -> [usize; 2] {
        self.output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::function::Function;
    use proptest::prelude::*;

    /// The definition.
    fn naive(shape: &Shape, image: [usize; 2], x: &[f32], w: &[f32], b: &[f32]) -> Vec<f64> {
        let [rows, columns] = shape.output(image).expect("the kernel fits");
        let (inputs, outputs) = (shape.inputs / shape.groups, shape.outputs / shape.groups);
        let mut y = Vec::new();
        for o in 0..shape.outputs {
            for r in 0..rows {
                for c in 0..columns {
                    let mut sum = f64::from(b[o]);
                    for i in 0..inputs {
                        let channel = o / outputs * inputs + i;
                        for u in 0..shape.kernel[0] {
                            for v in 0..shape.kernel[1] {
                                let row = r * shape.stride[0] + u * shape.dilation[0];
                                let column = c * shape.stride[1] + v * shape.dilation[1];
                                let (Some(row), Some(column)) = (
                                    row.checked_sub(shape.before[0]).filter(|&r| r < image[0]),
                                    column
                                        .checked_sub(shape.before[1])
                                        .filter(|&c| c < image[1]),
                                ) else {
                                    continue;
                                };
                                let x = x[(channel * image[0] + row) * image[1] + column];
                                let w = w[((o * inputs + i) * shape.kernel[0] + u)
                                    * shape.kernel[1]
                                    + v];
                                sum += f64::from(x) * f64::from(w);
                            }
                        }
                    }
                    y.push(sum);
                }
            }
        }
        y
    }

    fn numbers(count: usize, seed: usize) -> Vec<f32> {
        (0..count)
            .map(|n| ((n * 37 + seed * 101) as f32 * 0.61).sin())
            .collect()
    }

    fn pair(low: usize, high: usize) -> impl Strategy<Value = [usize; 2]> {
        [low..=high, low..=high]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_level_matches_the_definition(
            groups in 1_usize..4, inputs in 1_usize..6,
            // The higher columns of tiles are gathered.
            outputs in prop_oneof![3 => 1_usize..15, 1 => 43_usize..60],
            kernel in pair(1, 4), stride in pair(1, 3), dilation in pair(1, 3),
            before in pair(0, 4), after in pair(0, 4), rows in 1_usize..9, columns in 1_usize..90,
            shortcut in any::<bool>(), relu in any::<bool>(),
        ) {
            let (inputs, outputs, image) = (inputs * groups, outputs * groups, [rows, columns]);
            let shape = Shape { inputs, outputs, groups, kernel, stride, dilation, before, after };
            let Some([rows, columns]) = shape.output(image) else {
                let conv = Conv::new(shape, &vec![0.0; outputs * inputs / groups * kernel[0] * kernel[1]], &[]);
                prop_assert!(!conv.prepare(&mut Geometry::default(), image));
                return Ok(());
            };
            let x = numbers(inputs * image[0] * image[1], 1);
            let w = numbers(outputs * inputs / groups * kernel[0] * kernel[1], 2);
            let b = numbers(outputs, 3);
            let more = numbers(outputs * rows * columns, 4);
            let conv = Conv::new(shape, &w, &b);
            let mut geometry = Geometry::default();
            prop_assert!(conv.prepare(&mut geometry, image));
            for level in Level::here() {
                for parts in [1, 3] {
                    let finish = Finish {
                        bias: None,
                        shortcut: shortcut.then_some(&more),
                        function: relu.then_some(Function::Relu),
                    };
                    // What is in the memory before must not matter.
                    let mut scratch = vec![f32::NAN; conv.scratch(&geometry)];
                    let mut y = vec![f32::NAN; outputs * rows * columns];
                    conv.run(level, parts, &geometry, &x, finish, &mut scratch, &mut y);
                    for (i, want) in naive(&shape, image, &x, &w, &b).into_iter().enumerate() {
                        let want = want + if shortcut { f64::from(more[i]) } else { 0.0 };
                        let want = if relu { want.max(0.0) } else { want };
                        prop_assert!((f64::from(y[i]) - want).abs() < 1e-4, "{level:?} {i}: {} {want}", y[i]);
                    }
                }
            }
        }
    }
}
