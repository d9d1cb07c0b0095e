// SPDX-License-Identifier: MIT
//! What the safe layer does, on the library that was built. `bindings/rust/test` runs it.
mod command;
mod logging;
mod misuse;
mod models;
mod numbers;
mod operators;

use std::env;

use npuenc::{Context, DeviceType, Model, ModelOptions};

fn context() -> Context {
    Context::builder()
        .device_type(DeviceType::Cpu)
        .n_threads(2)
        .open()
        .unwrap()
}

/// The path of a small model with random weights.
fn model_path() -> String {
    env::var("NPUENC_TEST_MODEL").expect("NPUENC_TEST_MODEL: bindings/rust/test sets it")
}

fn model(context: &Context) -> Model {
    Model::load(context, model_path(), &ModelOptions::default()).unwrap()
}

/// Something like speech: a voice of some harmonics that comes and goes, again every second.
fn speech(n_samples: usize) -> Vec<f32> {
    let second: Vec<f32> = (0..16_000)
        .map(|i| {
            let t = i as f32 / 16_000.0;
            let voice: f32 = (1..6)
                .map(|n| (t * 700.0 * n as f32).sin() / n as f32)
                .sum();
            voice * (t * 9.0).sin() * 0.2
        })
        .collect();
    let mut speech = second.repeat(n_samples / second.len() + 1);
    speech.truncate(n_samples);
    speech
}
