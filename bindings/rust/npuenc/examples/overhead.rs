// SPDX-License-Identifier: MIT
//! What short calls take, in nanoseconds: overhead MODEL
use std::env;
use std::time::Instant;

use npuenc::{Context, DeviceType, Encode, Matmul, Model, ModelOptions, Result};

const BATCHES: usize = 30;
const CALLS: u32 = 10_000;

/// The fastest of many batches.
fn measure(name: &str, mut call: impl FnMut() -> Result<()>) -> Result<()> {
    let mut best = f64::INFINITY;
    for _ in 0..BATCHES {
        let began = Instant::now();
        for _ in 0..CALLS {
            call()?;
        }
        best = best.min(began.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
    }
    println!("{name} {best:.1}");
    Ok(())
}

fn main() -> Result<()> {
    let path = env::args().nth(1).expect("usage: overhead MODEL");
    let context = Context::builder()
        .device_type(DeviceType::Cpu)
        .n_threads(1)
        .open()?;
    let model = Model::load(&context, path, &ModelOptions::default())?;
    let encode = Encode {
        n_per_item: 16_000,
        ..Default::default()
    };
    let product = Matmul {
        m: 1,
        n: 1,
        k: 1,
        ..Default::default()
    };
    let (a, b, mut c) = ([2f32], [3f32], [0f32]);
    measure("bare", || {
        assert_ne!(npuenc::version()?, (0, 0, 0));
        Ok(())
    })?;
    measure("size", || {
        assert_ne!(model.output_len(&encode)?, 0);
        Ok(())
    })?;
    measure("matmul", || context.matmul(&product, &a, &b, &mut c, None))
}
