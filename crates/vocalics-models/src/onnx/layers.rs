//! Layers with weights, which the file says where they come from so that a training can go on from it ([`crate::restore`]).

use burn::module::Param;
use burn::tensor::Tensor;

use super::{Graph, int, ints, signed, text};
use crate::layers::{ConvNorm, Dense, Norm};
use crate::recurrent::{Cell, Direction};
use crate::restore::{Note, Origin};
use crate::stages::ids;

impl Graph {
    /// A dense layer over `[batch, in]`.
    pub fn dense(&mut self, x: &str, layer: &Dense) -> String {
        let dims = layer.weight.dims();
        let weight = self.stacked("dense.weight", std::iter::once(&layer.weight), &dims);
        let bias = self.stacked("dense.bias", std::iter::once(&layer.bias), &dims[1..]);
        self.node("Gemm", &[x, &weight, &bias])
    }

    /// A fixed linear map at every frame of `[batch, in, n_frames]`, row-major `[out, in]`, with the
    /// batch norm behind it folded in.
    pub fn linear_norm(&mut self, x: &str, map: &[f32], norm: &Norm) -> String {
        let (scale, shift) = norm.affine();
        let (scale, shift) = (values(scale), values(shift));
        let (outputs, inputs) = (scale.len(), map.len() / scale.len().max(1));
        let rows = map.chunks(inputs.max(1)).zip(&scale);
        let scaled = rows.flat_map(|(row, scale)| row.iter().map(move |x| x * scale));
        let origin = Origin::Folded {
            weight: None,
            map: map.to_vec(),
            norm: ids(norm),
        };
        self.note(|note| note.norm(norm));
        let dims = [outputs, inputs, 1];
        let weight = self.constant_of(origin, "linear.weight", scaled.collect(), &dims);
        let bias = self.constant("linear.bias", shift, &[outputs]);
        let attributes = vec![ints("kernel_shape", &[1])];
        self.node_with("Conv", &[x, &weight, &bias], attributes)
    }

    /// One recurrent layer, one way or both ways: `[n_frames, batch, in]` to `[n_frames, batch,
    /// directions · hidden]`.
    pub(crate) fn recurrent(&mut self, x: &str, cell: Cell, layer: &[Direction]) -> String {
        let [rows, inputs] = layer[0].w_input.dims();
        let hidden = layer[0].w_hidden.dims()[1];
        let ways = layer.len();
        let inner = layer.iter().map(|side| &side.w_input);
        let w_input = self.stacked("recurrent.input", inner, &[ways, rows, inputs]);
        let inner = layer.iter().map(|side| &side.w_hidden);
        let w_hidden = self.stacked("recurrent.hidden", inner, &[ways, rows, hidden]);
        let inner = layer
            .iter()
            .flat_map(|side| [&side.bias_input, &side.bias_hidden]);
        let bias = self.stacked("recurrent.bias", inner, &[ways, 2 * rows]);
        let mut attributes = vec![int("hidden_size", signed(hidden))];
        if ways == 2 {
            attributes.push(text("direction", "bidirectional"));
        }
        let operator = match cell {
            Cell::Lstm => "LSTM",
            Cell::Gru => {
                // The reset gate acts on the product, as in the kernels.
                attributes.push(int("linear_before_reset", 1));
                "GRU"
            }
        };
        let y = self.node_with(operator, &[x, &w_input, &w_hidden, &bias], attributes);
        let y = self.transpose(&y, &[0, 2, 1, 3]); // [n_frames, batch, directions, hidden]
        self.reshape(&y, &[0, 0, -1])
    }

    /// Parameters one after another as one constant.
    fn stacked<'a, const D: usize>(
        &mut self,
        name: &str,
        parts: impl Iterator<Item = &'a Param<Tensor<D>>>,
        dims: &[usize],
    ) -> String {
        let (mut origin, mut all) = (Vec::new(), Vec::new());
        for part in parts {
            let values = values(part.val());
            origin.push((part.id, values.len()));
            all.extend(values);
        }
        self.constant_of(Origin::Whole(origin), name, all, dims)
    }

    /// A convolution with its batch norm folded in, and its ReLU.
    pub fn conv_norm(&mut self, x: &str, layer: &ConvNorm) -> String {
        let (weight, bias) = layer.folded();
        let dims = weight.dims();
        let [_, _, rows, columns] = dims;
        let outputs = dims[0];
        let (scale, _) = layer.norm.affine();
        let (weight, scale) = (values(weight), values(scale));
        let unfolded = values(layer.conv.weight.val());
        self.note(|note| {
            note.norm(&layer.norm);
            note.weights(&unfolded, &weight, &scale);
        });
        let origin = Origin::Folded {
            weight: Some(layer.conv.weight.id),
            map: Vec::new(),
            norm: ids(&layer.norm),
        };
        let weight = self.constant_of(origin, "conv.weight", weight, &dims);
        let bias = self.constant("conv.bias", values(bias), &[outputs]);
        let [top, left] = layer.conv.padding.map(signed);
        let mut attributes = vec![
            ints("kernel_shape", &[signed(rows), signed(columns)]),
            ints("pads", &[top, left, top, left]),
            ints("strides", &layer.conv.stride.map(signed)),
        ];
        if layer.conv.dilation != [1, 1] {
            attributes.push(ints("dilations", &layer.conv.dilation.map(signed)));
        }
        if layer.conv.groups != 1 {
            attributes.push(int("group", signed(layer.conv.groups)));
        }
        let y = self.node_with("Conv", &[x, &weight, &bias], attributes);
        if layer.norm.relu {
            self.node("Relu", &[&y])
        } else {
            y
        }
    }

    /// A dense layer over the channels of `[batch, in, 1, 1]`.
    pub fn pointwise(&mut self, x: &str, layer: &Dense) -> String {
        self.dense_as_conv(x, layer, 2)
    }

    /// A dense layer at every frame of `[batch, in, n_frames]`.
    pub fn framewise(&mut self, x: &str, layer: &Dense) -> String {
        self.dense_as_conv(x, layer, 1)
    }

    fn dense_as_conv(&mut self, x: &str, layer: &Dense, axes: usize) -> String {
        let weight = layer.weight.val().transpose();
        let [outputs, inputs] = weight.dims();
        let ones = vec![1i64; axes];
        let mut dims = vec![outputs, inputs];
        dims.resize(2 + axes, 1);
        let origin = Origin::Transposed(layer.weight.id, [inputs, outputs]);
        let weight = self.constant_of(origin, "dense.weight", values(weight), &dims);
        let bias = self.stacked("dense.bias", std::iter::once(&layer.bias), &[outputs]);
        self.node_with(
            "Conv",
            &[x, &weight, &bias],
            vec![ints("kernel_shape", &ones)],
        )
    }

    /// The last layer, whose output is the graph's.
    pub fn logits(&mut self, x: &str, layer: &Dense) {
        if self.headless {
            self.output("Identity", &[x]);
            return;
        }
        let dims = layer.weight.dims();
        let weight = self.stacked("head.weight", std::iter::once(&layer.weight), &dims);
        let bias = self.stacked("head.bias", std::iter::once(&layer.bias), &dims[1..]);
        self.output("Gemm", &[x, &weight, &bias]);
    }

    fn note(&mut self, write: impl FnOnce(&mut Note)) {
        if let Some(note) = self.notes.last_mut() {
            write(note);
        }
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .convert::<f32>()
        .try_to_vec()
        .unwrap_or_default()
}
