// SPDX-License-Identifier: MIT
//! What the process takes of memory; one test, as others beside it would be counted too.
use std::{env, fs};

use npuenc::*;

/// Resident memory in bytes: now, and the most there has been.
fn resident(line: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let text = status.lines().find_map(|text| text.strip_prefix(line));
    let kilobytes = text.unwrap().split_whitespace().next().unwrap();
    kilobytes.parse::<usize>().unwrap() * 1024
}

const MIB: usize = 1 << 20;

#[test]
fn a_million_calls_and_buffers_that_are_not_copied() {
    let path = env::var("NPUENC_TEST_MODEL").expect("NPUENC_TEST_MODEL");
    let context = Context::builder()
        .device_type(DeviceType::Cpu)
        .n_threads(1)
        .open()
        .unwrap();
    let model = Model::load(&context, path, &ModelOptions::default()).unwrap();
    let encode = Encode {
        n_ctx: 1,
        ..Default::default()
    };
    let product = Matmul {
        m: 1,
        n: 1,
        k: 1,
        ..Default::default()
    };
    let wrong = Matmul {
        lda: 1,
        k: 2,
        ..product
    };
    let weights = WeightOptions {
        n_out: 1,
        n_in: 1,
        ..Default::default()
    };
    // A million short calls, with everything that is made and freed, and with errors, among them.
    let round = |i: usize| {
        for n in 0..10 {
            let (a, mut c) = ([n as f32], [0f32]);
            context.matmul(&product, &a, &[2.0], &mut c, None).unwrap();
            assert_eq!(c, [2.0 * n as f32]);
        }
        context
            .matmul(&wrong, &[1f32], &[2.0], &mut [0.0], None)
            .unwrap_err();
        assert_eq!(model.output_len(&encode).unwrap(), 64);
        let run = Run::new(&context).unwrap();
        drop(run.canceller());
        drop(Weight::new(&context, &weights, &[1f32]).unwrap());
        if i % 500 == 0 {
            let pending = model.submit::<f32>(vec![0.1; 320], &encode).unwrap();
            if i % 1000 == 0 {
                pending.wait().unwrap();
            }
        }
    };
    let n_rounds = 1_000_000 / 14;
    (0..n_rounds / 10).for_each(round);
    let before = resident("VmRSS:");
    (0..n_rounds).for_each(round);
    let grown = resident("VmRSS:").saturating_sub(before);
    assert!(grown < 2 * MIB, "{grown} bytes more");

    // Memory that nobody has touched is not resident: a copy of it, either way, would be.
    const HUGE: usize = 64 * MIB;
    let (a, mut c) = (vec![0f32; HUGE], vec![0f32; HUGE]);
    let pcm = vec![0i16; HUGE];
    let mut states = vec![0f32; HUGE];
    let far = Encode {
        lengths: Some(&[1, 1]),
        batch: 2,
        ..encode
    };
    let before = resident("VmHWM:");
    let rows = Matmul {
        m: 2,
        lda: HUGE as u64 / 2,
        ldc: HUGE as u64 / 2,
        ..product
    };
    context.matmul(&rows, &a, &[1.0], &mut c, None).unwrap();
    model.encode_into(&pcm, &far, &mut states, None).unwrap();
    let finished = model.submit_into(pcm, &far, states).unwrap().finish();
    assert_eq!(finished.result, Ok(()));
    let grown = resident("VmHWM:") - before;
    assert!(
        grown < 8 * MIB,
        "{grown} bytes more with buffers of {HUGE} elements"
    );
    assert_eq!(finished.states.len(), 2 * 64);
}
