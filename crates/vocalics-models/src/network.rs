//! All networks under one type, and the place where a network is registered.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::input::Door;
use crate::layers::Dense;
use crate::onnx::Graph;
use crate::stages::Stage;
use crate::{Init, Mode, ModelError};

/// Declares [`NetworkConfig`] and [`Network`] from one line for each network: the name in
/// configuration files, the variant, the configuration's type and the network's.
macro_rules! networks {
    ($($name:literal => $variant:ident, $module:ident, $config:ident, $network:ident;)+) => {
        $(pub use crate::$module::{$config, $network};)+

        /// Which network, and its sizes: in a configuration file the table `[network]`, where `kind`
        /// names the network and the other fields are those of its configuration.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        pub enum NetworkConfig {
            $(
                #[doc = concat!("[`crate::", stringify!($module), "`]")]
                #[serde(rename = $name)]
                $variant($config),
            )+
        }

        impl NetworkConfig {
            /// Names of all networks, as in configuration files.
            pub const KINDS: &[&str] = &[$($name),+];

            /// The network of a name with its default sizes.
            #[must_use]
            pub fn named(kind: &str) -> Option<Self> {
                match kind {
                    $($name => Some(Self::$variant($config::default())),)+
                    _ => None,
                }
            }

            /// Name of the network.
            #[must_use]
            pub fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)+
                }
            }

            /// Rejects sizes that no network can be built from.
            ///
            /// # Errors
            /// [`ModelError::Config`] naming the field.
            pub fn validate(&self, n_mels: usize) -> Result<(), ModelError> {
                match self {
                    $(Self::$variant(config) => config.validate(n_mels),)+
                }
            }

            /// A network with fresh weights.
            ///
            /// # Errors
            /// As [`Self::validate`].
            pub fn init(
                &self,
                n_mels: usize,
                n_classes: usize,
                door: Door,
                rng: &mut StdRng,
                device: &Device,
            ) -> Result<Network, ModelError> {
                let init = Init {
                    n_mels,
                    n_classes,
                    door,
                    rng,
                    device,
                };
                Ok(match self {
                    $(Self::$variant(config) => Network::$variant(config.init(init)?),)+
                })
            }
        }

        /// Any of the networks.
        #[derive(Module, Debug)]
        pub enum Network {
            $(
                #[doc = concat!("[`crate::", stringify!($module), "`]")]
                $variant($network),
            )+
        }

        impl Network {
            /// Logits of a batch. Any number of frames from one up gives finite logits.
            ///
            /// # Shapes
            /// `features`: `[batch, n_frames, n_mels]`, log-mel as the front end gives it, and behind the bands the functionals
            /// that the door knows of; result: `[batch, n_classes]`.
            #[must_use]
            pub fn forward(&self, features: Tensor<3>, mode: Mode<'_>) -> Tensor<2> {
                match self {
                    $(Self::$variant(network) => network.forward(features, mode),)+
                }
            }

            /// What the head classifies: a clip as one vector, before dropout.
            ///
            /// # Shapes
            /// `features`: `[batch, n_frames, n_mels]`; result: `[batch, embedding]`.
            #[must_use]
            pub fn embed(&self, features: Tensor<3>, mode: &mut Mode<'_>) -> Tensor<2> {
                match self {
                    $(Self::$variant(network) => network.embed(features, mode),)+
                }
            }

            /// What it is made of from the features to the logits, for freezing and learning rates; the head comes
            /// last.
            #[must_use]
            pub fn stages(&self) -> Vec<Stage> {
                match self {
                    $(Self::$variant(network) => network.stages(),)+
                }
            }

            /// The dense layer of the logits, whose numbers are the last of the network's.
            #[must_use]
            pub fn head(&self) -> &Dense {
                match self {
                    $(Self::$variant(network) => network.head(),)+
                }
            }

            /// Writes the forward pass of inference into an ONNX graph: `features` to `logits`.
            pub fn trace(&self, graph: &mut Graph) {
                match self {
                    $(Self::$variant(network) => network.trace(graph),)+
                }
            }
        }
    };
}

networks! {
    "residual-cnn" => ResidualCnn, residual, ResidualCnnConfig, ResidualCnn;
    "plain-cnn" => PlainCnn, plain_cnn, PlainCnnConfig, PlainCnn;
    "light-cnn" => LightCnn, light_cnn, LightCnnConfig, LightCnn;
    "depthwise" => Depthwise, depthwise, DepthwiseConfig, Depthwise;
    "temporal" => Temporal, temporal, TemporalConfig, Temporal;
    "cnn-recurrent" => CnnRecurrent, cnn_recurrent, CnnRecurrentConfig, CnnRecurrent;
    "dilated-recurrent" => DilatedRecurrent, dilated_recurrent, DilatedRecurrentConfig, DilatedRecurrent;
    "lstm" => Lstm, lstm, LstmConfig, Lstm;
    "head" => Head, head, HeadConfig, Head;
    "functionals-mlp" => FunctionalsMlp, functionals_mlp, FunctionalsMlpConfig, FunctionalsMlp;
    "two-branch" => TwoBranch, two_branch, TwoBranchConfig, TwoBranch;
}

impl NetworkConfig {
    /// Whether the network takes the functionals of a clip.
    #[must_use]
    pub fn takes_functionals(&self) -> bool {
        matches!(self, Self::FunctionalsMlp(_) | Self::TwoBranch(_))
    }
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self::ResidualCnn(ResidualCnnConfig::default())
    }
}
