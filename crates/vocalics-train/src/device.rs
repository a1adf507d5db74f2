//! Where a network learns: the CPU, or a graphics card if this was built for one.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;

use crate::TrainError;

/// The device that forward passes, gradients and batches of a training live on.
///
/// Validation, testing and export run on the CPU whatever the device, so that a score does not
/// depend on the card it was learnt on more than the weights do.
///
/// Written `cpu`, `cuda`, `cuda:1`, `wgpu`, `wgpu:1`. The last two forms exist in builds with the
/// cargo feature of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ComputeDevice {
    /// burn's CPU backend with the kernels of vocalics-kernels.
    #[default]
    Cpu,
    /// An NVIDIA card, by its index.
    #[cfg(feature = "cuda")]
    Cuda(usize),
    /// A card behind Vulkan, Metal or DirectX, by its place in the list of adapters.
    #[cfg(feature = "wgpu")]
    Wgpu(usize),
}

impl ComputeDevice {
    /// The device with gradients.
    pub(crate) fn training(self) -> Device {
        match self {
            Self::Cpu => Device::flex(),
            #[cfg(feature = "cuda")]
            Self::Cuda(index) => Device::cuda(index),
            #[cfg(feature = "wgpu")]
            Self::Wgpu(index) => adapter(index),
        }
        .autodiff()
    }

    /// Checks that the device is there, by a first operation on it.
    ///
    /// # Errors
    /// [`TrainError::Device`] with what the driver said.
    pub fn check(self) -> Result<(), TrainError> {
        #[cfg(any(feature = "cuda", feature = "wgpu"))]
        if self != Self::Cpu {
            return first_operation(self);
        }
        Ok(())
    }
}

#[cfg(feature = "wgpu")]
fn adapter(index: usize) -> Device {
    use burn::tensor::{DeviceKind, DeviceType};
    if index == 0 {
        return Device::wgpu(DeviceKind::DefaultDevice);
    }
    Device::enumerate(DeviceType::Wgpu)
        .into_iter()
        .nth(index)
        .unwrap_or_else(|| panic!("there is no adapter {index}"))
}

/// A missing driver shows only when the first operation panics.
#[cfg(any(feature = "cuda", feature = "wgpu"))]
fn first_operation(device: ComputeDevice) -> Result<(), TrainError> {
    use burn::tensor::{Tensor, TensorData};
    let attempt = std::panic::catch_unwind(|| {
        let data = TensorData::new(vec![1.0f32, 2.0], [2]);
        let sum = Tensor::<1>::from_data(data, &device.training()).sum();
        sum.into_scalar::<f32>()
    });
    match attempt {
        Ok(sum) if (sum - 3.0).abs() < 1e-6 => Ok(()),
        Ok(sum) => Err(unusable(
            &device.to_string(),
            format!("1 + 2 gave {sum} on it"),
        )),
        Err(panic) => {
            let reason = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_else(|| "no reason given".to_owned());
            Err(unusable(&device.to_string(), reason))
        }
    }
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
            Self::Wgpu(index) => write!(f, "wgpu:{index}"),
        }
    }
}

impl FromStr for ComputeDevice {
    type Err = TrainError;

    fn from_str(text: &str) -> Result<Self, TrainError> {
        let (kind, index) = text.split_once(':').unwrap_or((text, "0"));
        let numbered = index.parse::<usize>();
        match (kind, numbered) {
            ("cpu", _) if text == "cpu" => Ok(Self::Cpu),
            #[cfg(feature = "cuda")]
            ("cuda", Ok(index)) => Ok(Self::Cuda(index)),
            #[cfg(feature = "wgpu")]
            ("wgpu", Ok(index)) => Ok(Self::Wgpu(index)),
            ("cuda" | "wgpu", Ok(_)) => Err(unusable(
                text,
                format!("this program was built without the cargo feature {kind}"),
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
            assert!(error.contains("without the cargo feature cuda"), "{error}");
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
