//! An LSTM over MFCC, pooled by attention.
//!
//! The features that enter are log-mel; their orthonormal DCT-II over the bands is the MFCC:
//!
//! `c[k] = √(2 / n_mels) · s[k] · Σ_m x[m] · cos(π · k · (m + ½) / n_mels)`, `s[0] = √½`, else 1
//!
//! The transform is fixed and taken at the network's door, of the log-mel less its mean over the
//! training part; a batch norm then brings every coefficient to unit deviation. (The mean goes
//! through a linear map unharmed, and the scale of the logarithm goes in the batch norm.)
//!
//! Source: S. Davis, P. Mermelstein, *Comparison of Parametric Representations for Monosyllabic Word
//! Recognition*, IEEE TASSP 1980 (MFCC); S. Hochreiter, J. Schmidhuber, *Long Short-Term Memory*,
//! Neural Computation 1997; S. Mirsamadi et al., *Automatic Speech Emotion Recognition Using
//! Recurrent Neural Networks with Local Attention*, ICASSP 2017 (two layers, attention over time).
//! Reference: `scipy.fft.dct(x, norm="ortho")[:n_mfcc]`.

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};
use vocalics_dsp::cepstrum::{CepstralConvention, Cepstrum};
use vocalics_kernels::extension::{self, Conv2dOptions};

use crate::input::Door;
use crate::layers::{Dense, Norm};
use crate::onnx::Graph;
use crate::pooling::{Classifier, Pooling};
use crate::recurrent::{Cell, Recurrent};
use crate::stages::Stage;
use crate::{Init, Mode, ModelError, check};

/// Sizes of an [`Lstm`]. As it stands 0.61 M parameters (64 mel bands, 8 classes).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LstmConfig {
    /// Cepstral coefficients, from the zeroth on.
    pub n_mfcc: usize,
    /// Units of each layer in each direction.
    pub hidden: usize,
    /// Layers.
    pub layers: usize,
    /// Whether the layers also run from the last frame to the first.
    pub bidirectional: bool,
    /// How the frames become one vector.
    pub pooling: Pooling,
    /// Hidden units of the attention.
    pub attention: usize,
    /// Probability that a pooled feature is dropped in training.
    pub dropout: f64,
}

impl Default for LstmConfig {
    fn default() -> Self {
        Self {
            n_mfcc: 40,
            hidden: 128,
            layers: 2,
            bidirectional: true,
            pooling: Pooling::Attentive,
            attention: 64,
            dropout: 0.5,
        }
    }
}

impl LstmConfig {
    /// Rejects sizes that no network can be built from.
    ///
    /// # Errors
    /// [`ModelError::Config`] naming the field.
    pub fn validate(&self, n_mels: usize) -> Result<(), ModelError> {
        if !(1..=n_mels).contains(&self.n_mfcc) {
            return Err(ModelError::Config {
                field: "n_mfcc",
                actual: format!("{} of {n_mels} mel bands", self.n_mfcc),
                expected: "at least 1 and at most n_mels",
            });
        }
        check::size("hidden", self.hidden)?;
        check::depth("layers", self.layers)?;
        check::size("attention", self.attention)?;
        check::probability("dropout", self.dropout)
    }

    /// A network with fresh weights.
    ///
    /// # Errors
    /// As [`Self::validate`]; [`ModelError::Cepstrum`] for more mel bands than a transform may have.
    pub fn init(&self, init: Init<'_>) -> Result<Lstm, ModelError> {
        self.validate(init.n_mels)?;
        let dct = Cepstrum::new(init.n_mels, self.n_mfcc, 0.0, CepstralConvention::Librosa)?;
        let sizes = [self.n_mfcc, self.hidden];
        let recurrent = Recurrent::new(
            Cell::Lstm,
            sizes,
            self.layers,
            self.bidirectional,
            init.rng,
            init.device,
        );
        let sizes = [recurrent.outputs(), self.attention, init.n_classes];
        Ok(Lstm {
            door: init.door,
            dct: dct.basis().to_vec(),
            norm: Norm::new(self.n_mfcc, false, init.device),
            recurrent,
            classifier: Classifier::new(sizes, self.pooling, self.dropout, init.rng, init.device),
        })
    }
}

/// The network. See the module's documentation.
#[derive(Module, Debug)]
pub struct Lstm {
    door: Door,
    /// `[n_mfcc, n_mels]`; not trained.
    #[module(skip)]
    dct: Vec<f32>,
    norm: Norm,
    recurrent: Recurrent,
    classifier: Classifier,
}

impl Lstm {
    /// Logits of a batch.
    ///
    /// # Shapes
    /// `features`: `[batch, n_frames, n_mels]`, log-mel as the front end gives it; result:
    /// `[batch, n_classes]`.
    #[must_use]
    pub fn forward(&self, features: Tensor<3>, mut mode: Mode<'_>) -> Tensor<2> {
        let x = self.embed(features, &mut mode); // [batch, embedding]
        self.classifier.classify(x, &mut mode)
    }

    /// What the head classifies: a clip as one vector, before dropout.
    ///
    /// # Shapes
    /// `features`: `[batch, n_frames, n_mels]`, log-mel as the front end gives it; result: `[batch, embedding]`.
    #[must_use]
    pub fn embed(&self, features: Tensor<3>, mode: &mut Mode<'_>) -> Tensor<2> {
        let x = self.mfcc(self.door.centre(features)); // [batch, n_mfcc, 1, n_frames]
        let x = self.norm.forward(x, mode).squeeze_dim::<3>(2); // [batch, n_mfcc, n_frames]
        let x = self.recurrent.forward(x); // [batch, outputs, n_frames]
        self.classifier.embed(x) // [batch, embedding]
    }

    /// `[batch, n_mels, 1, n_frames]` to `[batch, n_mfcc, 1, n_frames]`.
    fn mfcc(&self, x: Tensor<4>) -> Tensor<4> {
        let n_mels = x.dims()[1];
        let dims = [self.dct.len() / n_mels, n_mels, 1, 1];
        let dct = Tensor::from_data(TensorData::new(self.dct.clone(), dims), &x.device());
        let options = Conv2dOptions {
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
        };
        extension::conv2d(x, dct, &options)
    }

    /// What it is made of from the features to the logits.
    #[must_use]
    pub fn stages(&self) -> Vec<Stage> {
        let mut stages = vec![Stage::of("cepstra", &self.norm)];
        stages.push(Stage::of("recurrent", &self.recurrent));
        stages.extend(self.classifier.stages());
        stages
    }

    /// The dense layer of the logits.
    #[must_use]
    pub fn head(&self) -> &Dense {
        self.classifier.head()
    }

    /// Writes the forward pass of inference into an ONNX graph: `features` to `logits`.
    pub fn trace(&self, graph: &mut Graph) {
        let x = graph.centre(&self.door); // [batch, n_mels, n_frames]
        let x = graph.linear_norm(&x, &self.dct, &self.norm);
        let x = self.recurrent.trace(graph, &x);
        self.classifier.trace(graph, &x);
    }
}
