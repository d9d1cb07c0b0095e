// SPDX-License-Identifier: MIT
//! Models and encoding: from path and memory, all inputs and outputs, submitted calls.
use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use npuenc::*;

use crate::{context, model, model_path, speech};

const N_CTX: u32 = 50;

fn short() -> Encode<'static> {
    Encode {
        n_ctx: N_CTX,
        ..Default::default()
    }
}

fn bits(states: &[f32]) -> Vec<u32> {
    states.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn what_there_is() {
    assert_eq!(version().unwrap(), HEADER_VERSION);
    let (major, minor, patch) = version().unwrap();
    assert_eq!(
        version_string().unwrap(),
        format!("{major}.{minor}.{patch}")
    );
    let devices = devices().unwrap();
    assert_eq!(devices[0].device_type, DeviceType::Cpu);
    assert_eq!(devices[0].status, Ok(()));
    assert!(devices[0].n_cores > 0 && devices[0].memory_bytes > 0);
    assert!(!devices[0].name.is_empty() && !devices[0].isa.is_empty());
    let context = context();
    let info = context.info().unwrap();
    assert_eq!(info.device_type, DeviceType::Cpu);
    assert_eq!((info.device_index, info.n_threads), (0, 2));
    assert_eq!((info.status, info.fell_back), (Ok(()), false));
    assert_eq!(
        (info.device_name, info.isa),
        (devices[0].name.clone(), devices[0].isa.clone())
    );
    // A CPU that was asked for needs no reason; AUTO has one where there is no NPU.
    let auto = Context::open().unwrap();
    if auto.info().unwrap().fell_back {
        assert_ne!(auto.reason().unwrap(), "");
    }
    assert_eq!(context.reason().unwrap(), "");
}

#[test]
fn load_from_path_and_from_memory() {
    let context = context();
    let options = ModelOptions {
        precision: Precision::Bf16,
        linear_device: DeviceType::Cpu,
        attention_device: DeviceType::Cpu,
        conv_device: DeviceType::Cpu,
        elementwise_device: DeviceType::Cpu,
    };
    let info = Model::load(&context, model_path(), &options)
        .unwrap()
        .info()
        .unwrap();
    assert_eq!((info.n_mels, info.n_ctx), (80, 1500));
    let wide = match &context.info().unwrap().isa[..] {
        "amx" => Precision::Bf16x2,
        _ => Precision::F32,
    };
    assert_eq!(
        (info.precision, info.wide_precision),
        (Precision::Bf16, wide)
    );
    assert_eq!(info.linear_device, DeviceType::Cpu);
    assert_eq!(info.attention_device, DeviceType::Cpu);
    assert_eq!(info.conv_device, DeviceType::Cpu);
    assert_eq!(info.elementwise_device, DeviceType::Cpu);
    assert_eq!(
        (&info.name[..], &info.format[..]),
        ("custom", "safetensors")
    );
    assert!(info.n_parameters > 0 && info.weight_bytes > 0 && info.n_head > 0);
    assert!(info.file_bytes > 0 && info.n_layer > 0 && !info.weight_type.is_empty());
    // The file alone, without its config.json beside it.
    let bytes = fs::read(Path::new(&model_path()).join("model.safetensors")).unwrap();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("alone.safetensors");
    fs::write(&file, &bytes).unwrap();
    let from_path = Model::load(&context, &file, &options).unwrap();
    let from_memory = Model::from_bytes(&context, &bytes, &options).unwrap();
    drop(bytes);
    assert_eq!(from_path.info().unwrap(), from_memory.info().unwrap());
    let pcm = speech(16_000);
    let states: Vec<f32> = from_path.encode(&pcm, &short(), None).unwrap();
    let again: Vec<f32> = from_memory.encode(&pcm, &short(), None).unwrap();
    assert_eq!(bits(&states), bits(&again));
}

#[test]
fn encode_in_every_way() {
    let context = context();
    let model = model(&context);
    let n_state = model.info().unwrap().n_state as usize;
    let shorts: Vec<i16> = speech(16_000)
        .iter()
        .map(|x| (x * 32768.0) as i16)
        .collect();
    let pcm: Vec<f32> = shorts.iter().map(|&x| f32::from(x) / 32768.0).collect();
    let states: Vec<f32> = model.encode(&pcm, &short(), None).unwrap();
    assert_eq!(states.len(), N_CTX as usize * n_state);
    assert_eq!(states.len(), model.output_len(&short()).unwrap());
    assert!(states.iter().all(|x| x.is_finite()));
    assert!(states.iter().any(|&x| x != states[0]));

    let of_shorts: Vec<f32> = model.encode(&shorts, &short(), None).unwrap();
    assert_eq!(bits(&states), bits(&of_shorts));

    // The log-mel of the same window, by the operator.
    let window = Mel {
        n_mels: 80,
        n_frames: 2 * N_CTX,
    };
    let mut mel = vec![0f32; window.output_len().unwrap()];
    context.mel(&window, &pcm, &mut mel, None).unwrap();
    let of_mel: Vec<f32> = model.encode(Input::mel(&mel), &short(), None).unwrap();
    assert_eq!(bits(&states), bits(&of_mel));

    let halves: Vec<Bf16> = model.encode(&pcm, &short(), None).unwrap();
    assert!(halves
        .iter()
        .zip(&states)
        .all(|(h, &x)| *h == Bf16::from_f32(x)));
    let halves: Vec<F16> = model.encode(&pcm, &short(), None).unwrap();
    assert!(halves
        .iter()
        .zip(&states)
        .all(|(h, &x)| *h == F16::from_f32(x)));

    // Two items, the second shorter than their distance; each as if it were alone.
    let batch = Encode {
        batch: 2,
        n_per_item: 8000,
        lengths: Some(&[8000, 6000]),
        ..short()
    };
    let mut both = vec![0f32; 2 * states.len()];
    model.encode_into(&pcm, &batch, &mut both, None).unwrap();
    for (item, samples) in [&pcm[..8000], &pcm[8000..14_000]].iter().enumerate() {
        let alone: Vec<f32> = model.encode(*samples, &short(), None).unwrap();
        assert_eq!(
            bits(&alone),
            bits(&both[item * alone.len()..][..alone.len()])
        );
    }
}

#[test]
fn runs_tell_what_happened() {
    let context = context();
    let model = model(&context);
    let run = Run::new(&context).unwrap();
    assert_eq!(run.progress().unwrap(), Progress::default());
    assert_eq!(run.wait(None), Ok(()));
    let _: Vec<f32> = model.encode(speech(16_000), &short(), Some(&run)).unwrap();
    let progress = run.progress().unwrap();
    assert!(progress.total > 0);
    assert_eq!(progress.done, progress.total);
    let stats = run.stats().unwrap();
    assert_eq!(stats.n_calls, 1);
    assert!(stats.wall_ns > 0 && stats.mel_ns > 0 && stats.macs > 0);
    assert_eq!((stats.n_submissions, stats.device_ns), (0, 0));
    let operations = run.operations().unwrap();
    assert_eq!(operations[0].name, "mel");
    assert_eq!(operations[0].layer, None);
    assert!(operations
        .iter()
        .any(|operation| operation.layer == Some(1)));
    assert!(operations
        .iter()
        .all(|operation| operation.device_type == DeviceType::Cpu));
    let macs: u64 = operations.iter().map(|operation| operation.macs).sum();
    assert_eq!(macs, stats.macs);
    assert_eq!(context.stats().unwrap().n_calls, 1);
}

#[test]
fn submitted_calls_own_their_buffers_and_give_them_back() {
    let context = context();
    let model = model(&context);
    let pcm = speech(16_000);
    let expected: Vec<f32> = model.encode(&pcm, &short(), None).unwrap();
    let given = Vec::with_capacity(expected.len());
    let (audio_at, states_at) = (pcm.as_ptr(), given.as_ptr());
    let pending = model.submit_into(pcm, &short(), given).unwrap();
    // Moved about, and all that it came from let go.
    let boxed = Box::new(pending);
    drop((model, context));
    let finished = thread::spawn(move || boxed.finish()).join().unwrap();
    assert_eq!(finished.result, Ok(()));
    assert_eq!(bits(&finished.states), bits(&expected));
    assert_eq!(finished.run.stats().unwrap().n_calls, 1);
    // Nothing has been copied.
    assert_eq!(finished.states.as_ptr(), states_at);
    match finished.audio {
        Input::PcmF32(samples) => assert_eq!(samples.as_ptr(), audio_at),
        other => panic!("{other:?}"),
    }
}

#[test]
fn waiting_for_submitted_calls() {
    let context = context();
    let model = model(&context);
    let pending: Vec<Pending<f32>> = (1..=4)
        .map(|i| model.submit(speech(4000 * i), &short()).unwrap())
        .collect();
    while !pending.iter().all(Pending::is_done) {
        thread::sleep(Duration::from_millis(1));
    }
    for (i, pending) in (1..=4).zip(pending) {
        assert_eq!(pending.wait_timeout(Duration::ZERO), Some(Ok(())));
        let progress = pending.progress().unwrap();
        assert_eq!(progress.done, progress.total);
        let alone: Vec<f32> = model.encode(speech(4000 * i), &short(), None).unwrap();
        assert_eq!(bits(&pending.wait().unwrap()), bits(&alone));
    }
    // An hour of windows takes longer than nothing.
    let long = Encode {
        batch: 120,
        ..Default::default()
    };
    let pending = model.submit::<f32>(speech(120 * 16_000), &long).unwrap();
    assert_eq!(pending.wait_timeout(Duration::from_nanos(1)), None);
    assert!(!pending.is_done());
}

struct Count(AtomicUsize, thread::Thread);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.1.unpark();
    }
}

/// The smallest executor.
fn block_on<F: Future + Unpin>(mut future: F) -> (F::Output, usize) {
    let count = Arc::new(Count(AtomicUsize::new(0), thread::current()));
    let waker = Waker::from(Arc::clone(&count));
    loop {
        let before = count.0.load(Ordering::SeqCst);
        let mut task = std::task::Context::from_waker(&waker);
        match Pin::new(&mut future).poll(&mut task) {
            Poll::Ready(output) => return (output, count.0.load(Ordering::SeqCst)),
            Poll::Pending => {
                while count.0.load(Ordering::SeqCst) == before {
                    thread::park();
                }
            }
        }
    }
}

#[test]
fn submitted_calls_are_futures() {
    let context = context();
    let model = model(&context);
    let pcm = speech(16_000);
    let expected: Vec<f32> = model.encode(&pcm, &short(), None).unwrap();
    for _ in 0..20 {
        let (result, n_wakes) = block_on(model.submit::<f32>(pcm.clone(), &short()).unwrap());
        assert_eq!(bits(&result.unwrap()), bits(&expected));
        assert!(n_wakes <= 1);
    }
    // One that is done is ready at once.
    let pending = model.submit::<f32>(pcm.clone(), &short()).unwrap();
    assert_eq!(pending.wait_timeout(Duration::from_secs(60)), Some(Ok(())));
    assert_eq!(block_on(pending).1, 0);
    // One that is cancelled while it is awaited, and one that is let go after a poll.
    let long = Encode {
        batch: 120,
        ..Default::default()
    };
    let mut polled = model.submit::<f32>(speech(120 * 16_000), &long).unwrap();
    let count = Arc::new(Count(AtomicUsize::new(0), thread::current()));
    let waker = Waker::from(Arc::clone(&count));
    let mut task = std::task::Context::from_waker(&waker);
    assert!(Pin::new(&mut polled).poll(&mut task).is_pending());
    let canceller = polled.canceller();
    let cancel = thread::spawn(move || canceller.cancel());
    assert_eq!(block_on(polled).0.unwrap_err().status(), Status::Canceled);
    cancel.join().unwrap();
    let mut polled = model.submit::<f32>(speech(120 * 16_000), &long).unwrap();
    assert!(Pin::new(&mut polled).poll(&mut task).is_pending());
    drop(polled);
}

#[test]
fn eight_threads() {
    let context = context();
    let model = model(&context);
    let pcm = speech(16_000);
    let expected: Vec<f32> = model.encode(&pcm, &short(), None).unwrap();
    thread::scope(|scope| {
        for number in 0..8 {
            let (context, model, pcm, expected) = (&context, &model, &pcm, &expected);
            scope.spawn(move || {
                let run = Run::new(context).unwrap();
                for round in 0..6 {
                    let states = match (number + round) % 3 {
                        0 => model.encode(pcm, &short(), Some(&run)).unwrap(),
                        1 => model.submit(pcm.clone(), &short()).unwrap().wait().unwrap(),
                        _ => {
                            let mut states = vec![0f32; expected.len()];
                            model.encode_into(pcm, &short(), &mut states, None).unwrap();
                            states
                        }
                    };
                    assert_eq!(bits(&states), bits(expected));
                    let product = Matmul {
                        m: 1,
                        n: 1,
                        k: 2,
                        ..Default::default()
                    };
                    let (a, mut c) = ([number as f32, 1.0], [0.0]);
                    context
                        .matmul(&product, &a, &[2.0, 3.0], &mut c, Some(&run))
                        .unwrap();
                    assert_eq!(c, [2.0 * number as f32 + 3.0]);
                }
            });
        }
    });
}
