// SPDX-License-Identifier: MIT
//! Encodes a recording, in windows of 30 s, to a file for NumPy.
//!
//!     transcribe-states MODEL SPEECH.wav STATES.npy
//!
//! Exit status: 0 done, 1 not, 2 wrong usage, 130 interrupted; there is a file after 0 only.
use std::error::Error;
use std::io::{BufWriter, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, process};

use npuenc::{Context, Encode, Model, ModelOptions};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

extern "C" fn interrupt(_: i32) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
}
const SIGINT: i32 = 2;

/// The samples of a WAV file, two bytes each.
fn read_wav(path: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = fs::read(path).map_err(|error| format!("{path}: {error}"))?;
    if bytes.len() < 12 || &bytes[..4] != b"RIFF" || &bytes[8..12] != b"WAVE" {
        return Err(format!("{path}: not a WAV file").into());
    }
    // PCM, mono, 16000 a second, 32000 bytes a second, 2 bytes each, 16 bits.
    let format = b"\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0";
    let (mut at, mut is_ours) = (12, false);
    while let Some(head) = bytes.get(at..at + 8) {
        let length = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let is_data = &head[..4] == b"data";
        let is_format = &head[..4] == b"fmt ";
        at += 8;
        if is_format {
            is_ours = bytes[at..].starts_with(format);
        }
        if is_data && !is_ours {
            return Err(format!("{path}: not 16-bit PCM, mono, 16 kHz").into());
        }
        if is_data {
            bytes.truncate(at + length);
            bytes.drain(..at);
            return Ok(bytes);
        }
        at += length + length % 2;
    }
    Err(format!("{path}: a WAV file without samples").into())
}

/// The head of a .npy file: float32, [windows][n_ctx][n_state].
fn npy_head(shape: (usize, u32, u32)) -> Vec<u8> {
    let mut head = b"\x93NUMPY\x01\0\xb6\0".to_vec();
    head.extend(
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape:?}, }}").bytes(),
    );
    head.resize(191, b' ');
    head.push(b'\n');
    head
}

fn encode(model: &str, speech: &str, output: &str) -> Result<(), Box<dyn Error>> {
    let audio = read_wav(speech)?;
    let context = Context::open()?;
    let device = context.info()?;
    println!("device {} ({})", device.device_name, device.isa);
    let model = Model::load(&context, model, &ModelOptions::default())?;
    let info = model.info()?;
    let began = Instant::now();

    let windows = audio.chunks(2 * 320 * info.n_ctx as usize);
    let n_windows = windows.len();
    if n_windows == 0 {
        return Err(format!("{speech}: there is no sound in it").into());
    }
    let file = fs::File::create(output).map_err(|error| format!("{output}: {error}"))?;
    let mut file = BufWriter::new(file);
    file.write_all(&npy_head((n_windows, info.n_ctx, info.n_state)))?;
    for (i, window) in windows.enumerate() {
        if is_interrupted() {
            return Err("interrupted".into());
        }
        let samples = window.chunks_exact(2);
        let samples: Vec<i16> = samples.map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
        let pending = model.submit::<f32>(samples, &Encode::default())?;
        while pending.wait_timeout(Duration::from_millis(50)).is_none() {
            if is_interrupted() {
                pending.cancel();
            }
            let steps = pending.progress()?;
            let percent = 100 * steps.done / steps.total.max(1);
            eprint!("\rwindow {} of {n_windows}: {percent:3} %", i + 1);
        }
        for number in pending.wait()? {
            file.write_all(&number.to_le_bytes())?;
        }
    }
    eprintln!("\r{n_windows} windows: 100 %     ");
    file.flush()?;
    println!("time {:.3} s", began.elapsed().as_secs_f64());
    Ok(())
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [model, speech, output] = match <[String; 3]>::try_from(arguments) {
        Ok(three) => three,
        Err(_) => {
            eprintln!("usage: transcribe-states MODEL SPEECH.wav STATES.npy");
            process::exit(2);
        }
    };
    // SAFETY: the handler does nothing but store to an atomic.
    unsafe { signal(SIGINT, interrupt) };
    // Written beside, and renamed when all is there.
    let partial = format!("{output}.{}.part", process::id());
    let result = encode(&model, &speech, &partial).and_then(|()| {
        if is_interrupted() {
            return Err("interrupted".into());
        }
        Ok(fs::rename(&partial, &output)?)
    });
    if let Err(error) = result {
        let _ = fs::remove_file(&partial);
        if is_interrupted() {
            eprintln!("\ntranscribe-states: interrupted");
            process::exit(130);
        }
        eprintln!("transcribe-states: {error}");
        process::exit(1);
    }
}
