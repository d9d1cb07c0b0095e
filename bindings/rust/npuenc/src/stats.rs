// SPDX-License-Identifier: MIT
//! What calls took.
use npuenc_sys as sys;

use crate::error::{call, field_text, Result};
use crate::values::{DeviceType, Precision};

/// What a call took, or all calls of a context. Times are nanoseconds of wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Calls that ended, in whatever way.
    pub n_calls: u32,
    /// Inside the calls; a submitted one counts from its start.
    pub wall_ns: u64,
    /// Submitted calls: from submission to start.
    pub queue_ns: u64,
    /// Log-mel.
    pub mel_ns: u64,
    /// Multiply-adds of all products.
    pub macs: u64,
    /// To the NPU; it and what follows is 0 on the CPU.
    pub n_submissions: u64,
    /// Synchronisations of buffers with the NPU.
    pub n_syncs: u64,
    /// To the NPU.
    pub bytes_to_device: u64,
    /// From the NPU.
    pub bytes_from_device: u64,
    /// Host: operands into device order, with norms, quantisation and softmax on the way.
    pub pack_ns: u64,
    /// Host: handing over.
    pub submit_ns: u64,
    /// Host: synchronisations.
    pub sync_ns: u64,
    /// Waiting for the device.
    pub device_ns: u64,
    /// Host: results out of device order, with scales, bias, GELU and addition on the way.
    pub unpack_ns: u64,
    /// Host: adding partial sums.
    pub accumulate_ns: u64,
}

impl Stats {
    pub(crate) fn filled(fill: impl FnOnce(*mut sys::npuenc_stats) -> i32) -> Result<Self> {
        let mut stats = sys::npuenc_stats::default();
        call(|| fill(&mut stats))?;
        Ok(Self {
            n_calls: stats.n_calls,
            wall_ns: stats.wall_ns,
            queue_ns: stats.queue_ns,
            mel_ns: stats.mel_ns,
            macs: stats.macs,
            n_submissions: stats.n_submissions,
            n_syncs: stats.n_syncs,
            bytes_to_device: stats.bytes_to_device,
            bytes_from_device: stats.bytes_from_device,
            pack_ns: stats.pack_ns,
            submit_ns: stats.submit_ns,
            sync_ns: stats.sync_ns,
            device_ns: stats.device_ns,
            unpack_ns: stats.unpack_ns,
            accumulate_ns: stats.accumulate_ns,
        })
    }
}

/// One operator of a call; the windows of a batch are added up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// "mel", "conv1", "qkv", "attention", "mlp", ...
    pub name: String,
    /// That ran it: `Cpu` or `Npu`.
    pub device_type: DeviceType,
    /// Of its products.
    pub precision: Precision,
    /// From 0; `None`: not of a layer.
    pub layer: Option<u32>,
    /// How often it ran.
    pub n_calls: u32,
    /// Nanoseconds of wall clock.
    pub wall_ns: u64,
    /// Multiply-adds.
    pub macs: u64,
}

impl Operation {
    pub(crate) fn filled(fill: impl FnOnce(*mut sys::npuenc_op_info) -> i32) -> Result<Self> {
        let mut info = sys::npuenc_op_info::default();
        call(|| fill(&mut info))?;
        Ok(Self {
            name: field_text(&info.name),
            device_type: DeviceType::from_code(info.device_type),
            precision: Precision::from_code(info.precision),
            layer: u32::try_from(info.layer).ok(),
            n_calls: info.n_calls,
            wall_ns: info.wall_ns,
            macs: info.macs,
        })
    }
}
