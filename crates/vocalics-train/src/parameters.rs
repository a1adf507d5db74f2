//! A network as one flat vector: weights, biases and running statistics in the order in which burn
//! visits them.

use std::ops::Range;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Gradients, Tensor, TensorData};
use vocalics_models::stages::Stage;

/// One tensor within the flat vector.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    pub(crate) range: Range<usize>,
    /// Moved by the optimiser; running statistics are not.
    pub(crate) trained: bool,
    /// Subject to weight decay: matrices and kernels, not biases and norms.
    pub(crate) decays: bool,
    /// Stays as it is, running statistics too.
    pub(crate) frozen: bool,
    /// Learning rate over that of the head.
    pub(crate) rate: f64,
}

/// Where each tensor lies within the flat vector.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Layout {
    segments: Vec<Segment>,
    /// Of each segment.
    ids: Vec<ParamId>,
}

impl Layout {
    #[cfg(test)]
    pub(crate) fn from_segments(segments: Vec<Segment>) -> Self {
        Self {
            segments,
            ids: Vec::new(),
        }
    }

    /// The same with the first `frozen` stages frozen, and with rates that fall by the factor `decay` from stage to stage
    /// away from the head.
    pub(crate) fn staged(mut self, stages: &[Stage], frozen: usize, decay: f64) -> Self {
        for (place, stage) in stages.iter().enumerate() {
            let distance = i32::try_from(stages.len() - 1 - place).unwrap_or(i32::MAX);
            for (segment, id) in self.segments.iter_mut().zip(&self.ids) {
                if stage.parameters.contains(id) {
                    segment.frozen = place < frozen;
                    segment.rate = decay.powi(distance);
                }
            }
        }
        self
    }

    /// What moves: weights that are trained and running statistics.
    pub(crate) fn moving(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| !segment.frozen)
    }

    pub(crate) fn trained(&self) -> impl Iterator<Item = &Segment> {
        self.moving().filter(|segment| segment.trained)
    }

    pub(crate) fn len(&self) -> usize {
        self.segments.last().map_or(0, |segment| segment.range.end)
    }

    /// Numbers that training moves.
    pub(crate) fn parameters(&self) -> usize {
        self.trained().map(|segment| segment.range.len()).sum()
    }
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    // Networks are single precision throughout.
    tensor.into_data().try_to_vec::<f32>().unwrap_or_default()
}

struct Gather {
    layout: Layout,
    state: Vec<f32>,
}

impl ModuleVisitor for Gather {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        let trained = tensor.is_require_grad();
        let start = self.state.len();
        self.state.extend(values(tensor));
        let range = start..self.state.len();
        self.layout.segments.push(Segment {
            range,
            trained,
            decays: D > 1,
            frozen: false,
            rate: 1.0,
        });
        self.layout.ids.push(param.id);
    }
}

/// The state of a network and where its tensors lie within it.
pub(crate) fn gather(module: &impl Module) -> (Layout, Vec<f32>) {
    let mut gather = Gather {
        layout: Layout::default(),
        state: Vec::new(),
    };
    module.visit(&mut gather);
    (gather.layout, gather.state)
}

struct Scatter<'a> {
    state: &'a [f32],
    at: usize,
}

impl ModuleMapper for Scatter<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|old| {
            let (dims, trained) = (old.dims(), old.is_require_grad());
            let len = dims.iter().product::<usize>();
            let values = self.state[self.at..self.at + len].to_vec();
            self.at += len;
            let new = Tensor::from_data(TensorData::new(values, dims), &old.device());
            if trained { new.require_grad() } else { new }
        })
    }
}

/// The network with another state.
pub(crate) fn scatter<M: Module>(module: M, state: &[f32]) -> M {
    module.map(&mut Scatter { state, at: 0 })
}

struct GatherGradients<'a> {
    gradients: &'a Gradients,
    flat: Vec<f32>,
}

impl ModuleVisitor for GatherGradients<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let tensor = param.val();
        match tensor.grad(self.gradients) {
            Some(gradient) => self.flat.extend(values(gradient)),
            None => {
                let len = tensor.dims().iter().product::<usize>();
                self.flat.resize(self.flat.len() + len, 0.0);
            }
        }
    }
}

/// The gradient of every number of the state, zero where there is none.
pub(crate) fn gather_gradients(module: &impl Module, gradients: &Gradients) -> Vec<f32> {
    let mut gather = GatherGradients {
        gradients,
        flat: Vec::new(),
    };
    module.visit(&mut gather);
    gather.flat
}
