// SPDX-License-Identifier: MIT
//! The raw layer without anything above it.
use std::ptr;

use npuenc_sys::*;

#[test]
fn defaults_are_zeros_with_a_size() {
    let desc = npuenc_matmul_desc::default();
    assert_eq!(desc.struct_size as usize, std::mem::size_of_val(&desc));
    assert_eq!((desc.a_type, desc.m, desc.stride_c), (0, 0, 0));
    assert_eq!(desc.scale.to_bits(), 0);
    assert!(npuenc_open_options::default().log_fn.is_none());
}

#[test]
fn a_product() {
    load().unwrap();
    let (a, b, mut c) = ([2f32], [3f32], [0f32]);
    let desc = npuenc_matmul_desc {
        a_type: NPUENC_F32,
        b_type: NPUENC_F32,
        c_type: NPUENC_F32,
        m: 1,
        n: 1,
        k: 1,
        ..Default::default()
    };
    let options = npuenc_open_options {
        device_type: NPUENC_DEVICE_CPU,
        ..Default::default()
    };
    let mut ctx = ptr::null_mut();
    // SAFETY: as in C.
    unsafe {
        assert_eq!(npuenc_open(&options, &mut ctx), NPUENC_OK);
        let (a, b, c) = (a.as_ptr().cast(), b.as_ptr().cast(), c.as_mut_ptr().cast());
        let status = npuenc_matmul(ctx, &desc, a, 4, b, 4, c, 4, ptr::null_mut());
        assert_eq!(status, NPUENC_OK);
        npuenc_close(ctx);
    }
    assert_eq!(c, [6.0]);
}
