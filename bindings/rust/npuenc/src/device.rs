// SPDX-License-Identifier: MIT
//! What devices there are.
use npuenc_sys as sys;

use crate::error::{call, field_status, field_text, require_library, Result};
use crate::values::{DeviceType, Status};

/// A device. Texts are empty and numbers 0 where something is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// `Cpu` or `Npu`.
    pub device_type: DeviceType,
    /// Among the devices of its type.
    pub index: u32,
    /// `Ok` when usable, else what opening it would fail with.
    pub status: std::result::Result<(), Status>,
    /// CPU: physical cores that this process may use; NPU: compute tiles.
    pub n_cores: u32,
    /// NPU: columns of the array; CPU: 0.
    pub n_columns: u32,
    /// Its memory.
    pub memory_bytes: u64,
    /// As the driver or the processor calls it.
    pub name: String,
    /// CPU: the instruction set in use; NPU: the array's generation.
    pub isa: String,
    /// PCI address.
    pub bus_address: String,
    /// The driver with its version.
    pub driver: String,
    /// The firmware's version.
    pub firmware: String,
    /// XRT's version.
    pub runtime: String,
    /// Why it is not usable, and what to do about it.
    pub reason: String,
}

/// All devices: the CPU, then every NPU that the system shows, usable or not.
///
/// ```
/// for device in npuenc::devices()? {
///     println!("{:?} {}: {}", device.device_type, device.index, device.name);
/// }
/// # Ok::<(), npuenc::Error>(())
/// ```
pub fn devices() -> Result<Vec<DeviceInfo>> {
    require_library()?;
    let mut count = 0;
    // SAFETY: a place for a number.
    call(|| unsafe { sys::npuenc_device_count(&mut count) })?;
    (0..count).map(device).collect()
}

fn device(i: u32) -> Result<DeviceInfo> {
    let mut info = sys::npuenc_device_info::default();
    // SAFETY: a struct with its size.
    call(|| unsafe { sys::npuenc_device_get(i, &mut info) })?;
    Ok(DeviceInfo {
        device_type: DeviceType::from_code(info.device_type),
        index: info.index,
        status: field_status(info.status),
        n_cores: info.n_cores,
        n_columns: info.n_columns,
        memory_bytes: info.memory_bytes,
        name: field_text(&info.name),
        isa: field_text(&info.isa),
        bus_address: field_text(&info.bus_address),
        driver: field_text(&info.driver),
        firmware: field_text(&info.firmware),
        runtime: field_text(&info.runtime),
        reason: field_text(&info.reason),
    })
}
