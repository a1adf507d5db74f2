//! The stages of a network, from the features to the logits.
//!
//! What transfer learning counts in: the first stages hear sounds of any kind and are frozen or moved little, the last ones
//! belong to the task. The door ([`crate::input`]) has nothing to train and is no stage; a pool without attention is none
//! either. The last stage is always the head, the dense layer of the logits.

use std::collections::BTreeSet;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

use crate::Network;

/// Some layers that are frozen together and share a learning rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// What it is called, as `block 2`.
    pub name: String,
    /// Its weights, biases and running statistics.
    pub parameters: Vec<ParamId>,
}

impl Stage {
    /// A stage of everything in a layer or block.
    #[must_use]
    pub fn of(name: impl Into<String>, module: &impl Module) -> Self {
        Self {
            name: name.into(),
            parameters: ids(module),
        }
    }

    /// One stage for each block, `block 1` and so on.
    pub fn blocks<M: Module>(blocks: &[M]) -> impl Iterator<Item = Self> {
        let numbered = blocks.iter().enumerate();
        numbered.map(|(index, block)| Self::of(format!("block {}", index + 1), block))
    }
}

struct Ids(Vec<ParamId>);

impl ModuleVisitor for Ids {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.id);
    }
}

/// Every tensor of a module, in the order in which burn visits them.
pub(crate) fn ids(module: &impl Module) -> Vec<ParamId> {
    let mut ids = Ids(Vec::new());
    module.visit(&mut ids);
    ids.0
}

struct Freeze<'a>(&'a BTreeSet<ParamId>);

impl ModuleMapper for Freeze<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.0.contains(&param.id) {
            param.set_require_grad(false)
        } else {
            param
        }
    }
}

/// The network with its first `stages` stages frozen: their weights get no gradient, and their batch norms use the running
/// statistics in training too, and leave them as they are.
#[must_use]
pub fn freeze(network: Network, stages: usize) -> Network {
    let all = network.stages();
    let frozen = all.iter().take(stages).flat_map(|stage| &stage.parameters);
    let frozen: BTreeSet<ParamId> = frozen.copied().collect();
    network.map(&mut Freeze(&frozen))
}
