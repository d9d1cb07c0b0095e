// SPDX-License-Identifier: MIT
//! Numbers for the tests: pseudo-random ones, and the types seen as f64.
use npuenc::{Bf16, F16};

/// The unit roundoffs of f32 and of bf16.
pub const U: f64 = 1.0 / (1 << 24) as f64;
pub const U_BF16: f64 = 1.0 / (1 << 8) as f64;
pub const U_F16: f64 = 1.0 / (1 << 11) as f64;

pub trait Number: Copy {
    /// From a number in [-1, 1).
    fn of(value: f32) -> Self;
    fn value(self) -> f64;
    /// The most that rounding a result to this type changes of it, relatively.
    const ROUNDOFF: f64;
}

impl Number for f32 {
    fn of(value: f32) -> Self {
        value
    }
    fn value(self) -> f64 {
        f64::from(self)
    }
    const ROUNDOFF: f64 = 0.0; // that of the sums, which are f32 already
}

impl Number for Bf16 {
    fn of(value: f32) -> Self {
        Self::from_f32(value)
    }
    fn value(self) -> f64 {
        f64::from(self.to_f32())
    }
    const ROUNDOFF: f64 = U_BF16;
}

impl Number for F16 {
    fn of(value: f32) -> Self {
        Self::from_f32(value)
    }
    fn value(self) -> f64 {
        f64::from(self.to_f32())
    }
    const ROUNDOFF: f64 = U_F16;
}

impl Number for i8 {
    fn of(value: f32) -> Self {
        (value * 127.0) as i8
    }
    fn value(self) -> f64 {
        f64::from(self)
    }
    const ROUNDOFF: f64 = 0.0;
}

/// Numbers that are the same every time.
pub fn random<T: Number>(count: usize, seed: u32) -> Vec<T> {
    let mut state = seed.wrapping_mul(2_654_435_769) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            T::of(state as i32 as f32 / (1u32 << 31) as f32)
        })
        .collect()
}
