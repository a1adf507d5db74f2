//! The operators that a model may use.

macro_rules! operators {
    ($($operator:ident),* $(,)?) => {
        /// The operators a model may use, all of the standard ONNX domain.
        ///
        /// Enough for convolutional, recurrent and attention networks, for the shape arithmetic that exporters of such
        /// write, and for int8 weights. The list is fixed so that the engine links nothing else. `Constant` is always
        /// accepted.
        pub const OPERATORS: &[&str] = &[$(stringify!($operator)),*];

        /// The engine's registry of exactly [`OPERATORS`].
        pub(crate) fn registry() -> rten::OpRegistry {
            rten::op_registry!($($operator),*)
        }
    };
}

operators!(
    Abs,
    Add,
    And,
    AveragePool,
    BatchNormalization,
    Cast,
    Ceil,
    Clip,
    Concat,
    ConstantOfShape,
    Conv,
    ConvInteger,
    Cos,
    CumSum,
    DequantizeLinear,
    Div,
    DynamicQuantizeLinear,
    Einsum,
    Elu,
    Equal,
    Erf,
    Exp,
    Expand,
    Flatten,
    Floor,
    GRU,
    Gather,
    GatherElements,
    GatherND,
    Gelu,
    Gemm,
    GlobalAveragePool,
    Greater,
    GreaterOrEqual,
    HardSigmoid,
    HardSwish,
    Identity,
    InstanceNormalization,
    IsNaN,
    LSTM,
    LayerNormalization,
    LeakyRelu,
    Less,
    LessOrEqual,
    Log,
    LogSoftmax,
    MatMul,
    MatMulInteger,
    Max,
    MaxPool,
    Mean,
    Min,
    Mod,
    Mul,
    Neg,
    Not,
    Or,
    PRelu,
    Pad,
    Pow,
    QuantizeLinear,
    Range,
    Reciprocal,
    ReduceL2,
    ReduceMax,
    ReduceMean,
    ReduceMin,
    ReduceProd,
    ReduceSum,
    ReduceSumSquare,
    Relu,
    Reshape,
    Round,
    ScatterElements,
    ScatterND,
    Shape,
    Sigmoid,
    Sign,
    Sin,
    Size,
    Slice,
    Softmax,
    Softplus,
    Softsign,
    Split,
    Sqrt,
    Squeeze,
    Sub,
    Sum,
    Tanh,
    Tile,
    Transpose,
    Trilu,
    Unsqueeze,
    Where,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_sorted_and_unique() {
        assert!(OPERATORS.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
