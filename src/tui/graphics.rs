//! The GPU that a run uses, as NVIDIA's management library (NVML) tells of it; the library is loaded at run time, and where
//! it isn't there nothing is told.

use crate::app::machine::Gpu;

/// Reads one GPU.
pub struct Reader {
    #[cfg(feature = "cuda")]
    found: Option<(nvml_wrapper::Nvml, u32)>,
}

#[cfg(feature = "cuda")]
impl Reader {
    /// Of the GPU that the program sees as number `number`, if any.
    pub fn new(number: Option<usize>) -> Self {
        let open = |number: usize| {
            let nvml = nvml_wrapper::Nvml::init().ok()?;
            let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
            let index = match chosen(visible.as_deref(), number)? {
                Chosen::Index(index) => index,
                Chosen::Uuid(uuid) => nvml.device_by_uuid(uuid).ok()?.index().ok()?,
            };
            Some((nvml, index))
        };
        Self { found: number.and_then(open) }
    }

    /// What it does now.
    pub fn read(&self) -> Option<Gpu> {
        use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
        let (nvml, index) = self.found.as_ref()?;
        let device = nvml.device_by_index(*index).ok()?;
        let memory = device.memory_info().ok();
        Some(Gpu {
            memory: memory.as_ref().map(|m| m.used),
            total_memory: memory.as_ref().map(|m| m.total),
            utilisation: device.utilization_rates().ok().map(|rates| f64::from(rates.gpu) / 100.0),
            temperature: device.temperature(TemperatureSensor::Gpu).ok(),
        })
    }
}

#[cfg(not(feature = "cuda"))]
impl Reader {
    /// Of no GPU: this build uses none.
    pub fn new(_: Option<usize>) -> Self {
        Self {}
    }

    /// Nothing.
    #[allow(clippy::unused_self)] // as the other one
    pub fn read(&self) -> Option<Gpu> {
        None
    }
}

/// A GPU as the system names it.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "cuda"), allow(dead_code))] // tested in every build
enum Chosen<'a> {
    Index(u32),
    Uuid(&'a str),
}

/// The GPU that a program sees as number `number` under `CUDA_VISIBLE_DEVICES`.
#[cfg_attr(not(feature = "cuda"), allow(dead_code))] // tested in every build
fn chosen(visible: Option<&str>, number: usize) -> Option<Chosen<'_>> {
    let Some(visible) = visible else {
        return Some(Chosen::Index(u32::try_from(number).ok()?));
    };
    let name = visible.split(',').nth(number)?.trim();
    Some(name.parse().map_or(Chosen::Uuid(name), Chosen::Index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visible_devices_are_counted_anew() {
        assert_eq!(chosen(None, 2), Some(Chosen::Index(2)));
        assert_eq!(chosen(Some("3,5"), 1), Some(Chosen::Index(5)));
        assert_eq!(chosen(Some("GPU-8f3a, 1"), 0), Some(Chosen::Uuid("GPU-8f3a")));
        assert_eq!(chosen(Some("3"), 1), None);
    }

    #[test]
    fn without_a_gpu_nothing_is_told() {
        assert_eq!(Reader::new(None).read(), None);
    }
}
