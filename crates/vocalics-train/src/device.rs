//! Where a network learns: the CPU, or a graphics card if this was built for one.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;
#[cfg(feature = "wgpu")]
use burn::tensor::{DeviceKind, DeviceType};

use crate::TrainError;

/// The device that forward passes, gradients and batches of a training live on.
///
/// Validation, testing and export run on the CPU whatever the device, so that a score does not
/// depend on the card it was learnt on more than the weights do.
///
/// Written `cpu`; `cuda` or `cuda:N` for the first or another card; `wgpu` for the card that the
/// graphics interface prefers, `wgpu:N` for one of its list. All but the first exist in builds with
/// the cargo feature of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ComputeDevice {
    /// burn's CPU backend with the kernels of vocalics-kernels.
    #[default]
    Cpu,
    /// An NVIDIA card, by its index.
    #[cfg(feature = "cuda")]
    Cuda(usize),
    /// A card behind Vulkan, Metal or DirectX: the preferred one, or one by its place in the list.
    #[cfg(feature = "wgpu")]
    Wgpu(Option<usize>),
}

impl ComputeDevice {
    /// The device with gradients. A place that the list does not have is the preferred card; [`check`](Self::check)
    /// refuses it.
    pub(crate) fn training(self) -> Device {
        self.resting().autodiff()
    }

    /// The device without gradients.
    pub(crate) fn resting(self) -> Device {
        match self {
            Self::Cpu => Device::flex(),
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => Device::cuda(index),
            #[cfg(feature = "wgpu")]
            Self::Wgpu(index) => index
                .and_then(|index| adapters().into_iter().nth(index))
                .unwrap_or_else(|| Device::wgpu(DeviceKind::DefaultDevice)),
        }
    }

    /// Checks that the device is there, by a first operation on it.
    ///
    /// # Errors
    /// [`TrainError::Device`] with what the driver said.
    pub fn check(self) -> Result<(), TrainError> {
        #[cfg(feature = "wgpu")]
        if let Self::Wgpu(Some(index)) = self {
            let count = guarded(self, || adapters().len())?;
            if index >= count {
                let reason = format!("there are {count} adapters, counted from 0");
                return Err(unusable(&self.to_string(), reason));
            }
        }
        #[cfg(any(feature = "cuda", feature = "wgpu"))]
        if self != Self::Cpu {
            return first_operation(self);
        }
        Ok(())
    }
}

#[cfg(feature = "wgpu")]
fn adapters() -> Vec<Device> {
    Device::enumerate(DeviceType::Wgpu).into_iter().collect()
}

/// A missing driver shows only in a panic of the first call that needs it.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
fn guarded<T>(
    device: ComputeDevice,
    operation: impl FnOnce() -> T + std::panic::UnwindSafe,
) -> Result<T, TrainError> {
    std::panic::catch_unwind(operation).map_err(|panic| {
        let reason = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "no reason given".to_owned());
        unusable(&device.to_string(), reason)
    })
}

#[cfg(any(feature = "cuda", feature = "wgpu"))]
fn first_operation(device: ComputeDevice) -> Result<(), TrainError> {
    use burn::tensor::{Tensor, TensorData};
    let sum = guarded(device, || {
        let data = TensorData::new(vec![1.0f32, 2.0], [2]);
        let sum = Tensor::<1>::from_data(data, &device.training()).sum();
        sum.into_scalar::<f32>()
    })?;
    if (sum - 3.0).abs() < 1e-6 {
        return Ok(());
    }
    let reason = format!("1 + 2 gave {sum} on it");
    Err(unusable(&device.to_string(), reason))
}

fn unusable(asked: &str, reason: impl Into<String>) -> TrainError {
    TrainError::Device {
        asked: asked.to_owned(),
        reason: reason.into(),
    }
}

impl fmt::Display for ComputeDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            #[cfg(feature = "wgpu")]
            Self::Wgpu(None) => f.write_str("wgpu"),
            #[cfg(feature = "wgpu")]
            Self::Wgpu(Some(index)) => write!(f, "wgpu:{index}"),
        }
    }
}

impl FromStr for ComputeDevice {
    type Err = TrainError;

    fn from_str(text: &str) -> Result<Self, TrainError> {
        let (kind, index) = match text.split_once(':') {
            Some((kind, index)) => (kind, Some(index.parse::<usize>())),
            None => (text, None),
        };
        match (kind, index.transpose()) {
            ("cpu", Ok(None)) => Ok(Self::Cpu),
            #[cfg(feature = "cuda")]
            ("cuda", Ok(index)) => Ok(Self::Cuda(index.unwrap_or(0))),
            #[cfg(feature = "wgpu")]
            ("wgpu", Ok(index)) => Ok(Self::Wgpu(index)),
            #[cfg(not(all(feature = "cuda", feature = "wgpu")))]
            ("cuda" | "wgpu", Ok(_)) => Err(unusable(
                text,
                format!(
                    "this program was built without it; build with `cargo build --release --features {kind}`"
                ),
            )),
            _ => Err(unusable(text, "expected cpu, cuda, cuda:N, wgpu or wgpu:N")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        assert_eq!("cpu".parse::<ComputeDevice>().unwrap(), ComputeDevice::Cpu);
        assert_eq!(ComputeDevice::Cpu.to_string(), "cpu");
        for bad in ["", "gpu", "cpu:1", "cuda:", "cuda:x", "wgpu:-1"] {
            let error = bad.parse::<ComputeDevice>().unwrap_err().to_string();
            assert!(error.contains("expected cpu"), "{error}");
        }
        #[cfg(not(feature = "cuda"))]
        {
            let error = "cuda:1".parse::<ComputeDevice>().unwrap_err().to_string();
            assert!(error.contains("--features cuda"), "{error}");
        }
        #[cfg(feature = "cuda")]
        assert_eq!(
            "cuda:1".parse::<ComputeDevice>().unwrap().to_string(),
            "cuda:1"
        );
        #[cfg(feature = "wgpu")]
        assert_eq!(
            "wgpu".parse::<ComputeDevice>().unwrap().to_string(),
            "wgpu:0"
        );
    }
}
