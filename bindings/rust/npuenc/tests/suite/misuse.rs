// SPDX-License-Identifier: MIT
//! What goes wrong is an error and nothing else.
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;
use std::thread;

use npuenc::*;

use crate::{context, model, speech};

/// The status, after a look at what people are told.
fn status<T: std::fmt::Debug>(result: Result<T>) -> Status {
    let error = result.unwrap_err();
    assert!(!error.detail().is_empty(), "{error:?}");
    assert!(!error.detail().contains('\n'), "{error:?}");
    assert!(error.to_string().ends_with(error.detail()));
    error.status()
}

#[test]
fn errors_say_what_and_why() {
    let context = context();
    let error = Model::load(&context, "/no/such/model", &ModelOptions::default()).unwrap_err();
    assert_eq!(error.status(), Status::NotFound);
    assert!(
        error.to_string().starts_with("no such device or file: "),
        "{error}"
    );
    assert!(error.detail().contains("/no/such/model"), "{error}");
    assert_eq!(Status::Other(-1000).to_string(), "unknown status");
    let nul = Model::load(&context, "a\0b", &ModelOptions::default());
    assert_eq!(status(nul), Status::Invalid);
    let garbage = Model::from_bytes(&context, b"not a model at all", &ModelOptions::default());
    assert_eq!(status(garbage), Status::BadModel);
    assert_eq!(
        status(Model::from_bytes(&context, b"", &ModelOptions::default())),
        Status::BadModel
    );
}

#[test]
fn wrong_options() {
    let threads = Context::builder()
        .device_type(DeviceType::Cpu)
        .n_threads(5000);
    assert_eq!(status(threads.open()), Status::Invalid);
    let index = Context::builder()
        .device_type(DeviceType::Cpu)
        .device_index(7);
    assert_eq!(status(index.open()), Status::NotFound);
    let other = Context::builder().device_type(DeviceType::Other(99));
    assert_eq!(status(other.open()), Status::Invalid);
    let level = Context::builder().log(LogLevel::Other(99), |_, _| ());
    assert_eq!(status(level.open()), Status::Invalid);
    let options = ModelOptions {
        precision: Precision::Bf16x2,
        ..Default::default()
    };
    let context = context();
    assert_eq!(
        status(Model::load(&context, crate::model_path(), &options)),
        Status::Invalid
    );
}

#[test]
fn wrong_sizes() {
    let context = context();
    let product = Matmul {
        m: 2,
        n: 2,
        k: 2,
        ..Default::default()
    };
    let (four, three) = ([1f32; 4], [1f32; 3]);
    let mut c = [7f32; 4];
    let mut matmul =
        |a: &[f32], b: &[f32], n: usize| status(context.matmul(&product, a, b, &mut c[..n], None));
    assert_eq!(matmul(&three, &four, 4), Status::Buffer);
    assert_eq!(matmul(&four, &three, 4), Status::Buffer);
    assert_eq!(matmul(&four, &four, 3), Status::Buffer);
    assert_eq!(matmul(&[], &four, 4), Status::Buffer);
    assert_eq!(c, [7.0; 4], "nothing is written");
    let narrow = Matmul { lda: 1, ..product };
    assert_eq!(
        status(context.matmul(&narrow, &four, &four, &mut c, None)),
        Status::Invalid
    );
    let huge = Matmul {
        batch: u32::MAX,
        m: u32::MAX,
        n: u32::MAX,
        k: u32::MAX,
        ..Default::default()
    };
    assert_eq!(
        status(context.matmul(&huge, &four, &four, &mut c, None)),
        Status::Invalid
    );
    let empty = Matmul::default();
    context
        .matmul::<f32, f32>(&empty, &[], &[], &mut [], None)
        .unwrap();

    let attention = Attention {
        n_head: 1,
        head_dim: 2,
        q_len: 2,
        kv_len: 2,
        mask: Mask::KeyLengths(&[3]),
        ..Default::default()
    };
    let wrong = context.attention(&attention, &four, &four, &four, &mut c, None);
    assert_eq!(status(wrong), Status::Invalid);
    let mask = Mask::Add {
        scores: &three,
        per_item: false,
        per_head: false,
    };
    let attention = Attention { mask, ..attention };
    let wrong = context.attention(&attention, &four, &four, &four, &mut c, None);
    assert_eq!(status(wrong), Status::Buffer);

    let options = WeightOptions {
        n_out: 2,
        n_in: 2,
        ..Default::default()
    };
    assert_eq!(
        status(Weight::new(&context, &options, &three)),
        Status::Buffer
    );
    assert_eq!(
        status(Weight::new(&context, &options, &[1i8; 4])),
        Status::Invalid
    );
    let bias = WeightOptions {
        bias: Some(&[1.0]),
        ..options
    };
    assert_eq!(status(Weight::new(&context, &bias, &four)), Status::Buffer);
    let weight = Weight::new(&context, &options, &four).unwrap();
    let two_rows = Linear {
        rows: 2,
        ..Default::default()
    };
    assert_eq!(
        status(weight.linear(&two_rows, &three, &mut c, None)),
        Status::Buffer
    );

    let mut mel = [0f32; 79];
    let window = Mel {
        n_mels: 80,
        n_frames: 2,
    };
    assert_eq!(
        status(context.mel(&window, &four, &mut mel, None)),
        Status::Buffer
    );
    let odd = Mel {
        n_mels: 81,
        n_frames: 2,
    };
    assert_eq!(status(odd.output_len()), Status::Invalid);
}

#[test]
fn wrong_audio() {
    let model = model(&context());
    let encode = Encode {
        n_ctx: 50,
        ..Default::default()
    };
    let refused = |audio: Vec<f32>, encode: Encode<'_>| {
        let waited = status(model.encode::<f32>(&audio, &encode, None));
        let submitted = status(model.submit::<f32>(audio, &encode));
        assert_eq!(waited, submitted);
        waited
    };
    assert_eq!(refused(vec![0.0; 16_001], encode), Status::Invalid);
    assert_eq!(refused(vec![f32::NAN; 10], encode), Status::Invalid);
    let three = Encode { batch: 3, ..encode };
    assert_eq!(refused(vec![0.0; 16_000], three), Status::Invalid);
    let lengths = Encode {
        lengths: Some(&[1, 2]),
        ..encode
    };
    assert_eq!(refused(vec![0.0; 10], lengths), Status::Invalid);
    let none = Encode {
        lengths: Some(&[]),
        ..encode
    };
    assert_eq!(refused(vec![0.0; 10], none), Status::Invalid);
    let too_long = Encode {
        n_ctx: 1501,
        ..encode
    };
    assert_eq!(refused(vec![0.0; 10], too_long), Status::Invalid);
    let many = Encode {
        batch: 70_000,
        ..encode
    };
    assert_eq!(refused(vec![0.0; 10], many), Status::Invalid);
    let mut few = [0f32; 5];
    let small = model.encode_into(&[0f32; 10], &encode, &mut few, None);
    assert_eq!(status(small), Status::Buffer);
    let no_frames = model.encode::<f32>(Input::mel(vec![0.0; 81]), &encode, None);
    assert_eq!(status(no_frames), Status::Invalid);
}

#[test]
fn a_refused_submission_leaves_nothing_behind() {
    let context = context();
    let model = model(&context);
    for _ in 0..100 {
        let refused = model.submit_into(vec![f32::NAN; 10], &Encode::default(), vec![1f32; 9]);
        assert_eq!(status(refused), Status::Invalid);
    }
    assert_eq!(context.stats().unwrap().n_calls, 0);
}

#[test]
fn runs_of_others_and_runs_in_use() {
    let (first, second) = (context(), context());
    let model = model(&first);
    let run = Run::new(&second).unwrap();
    let encode = Encode::default();
    let wrong = model.encode::<f32>(&speech(100), &encode, Some(&run));
    assert_eq!(status(wrong), Status::Invalid);

    let run = Run::new(&first).unwrap();
    let pcm = speech(40 * 16_000);
    let long = Encode {
        batch: 40,
        ..Default::default()
    };
    thread::scope(|scope| {
        let call = scope.spawn(|| model.encode::<f32>(&pcm, &long, Some(&run)));
        while run.progress().unwrap().done == 0 && !call.is_finished() {
            thread::yield_now();
        }
        let product = Matmul::default();
        let busy = first.matmul::<f32, f32>(&product, &[], &[], &mut [], Some(&run));
        assert_eq!(status(busy), Status::Busy);
        assert_eq!(status(run.stats()), Status::Busy);
        assert_eq!(status(run.operations()), Status::Busy);
        let patience = std::time::Duration::from_nanos(1);
        assert_eq!(status(run.wait(Some(patience))), Status::Pending);
        // From here, from another thread, and by what was given away.
        let canceller = run.canceller().clone();
        canceller.cancel();
        assert_eq!(status(call.join().unwrap()), Status::Canceled);
    });
    // The run is as good as new.
    run.cancel();
    let states = model.encode::<f32>(&speech(100), &encode, Some(&run));
    assert!(states.is_ok());
}

#[test]
fn cancelled_in_flight_again_and_again() {
    let model = model(&context());
    let encode = Encode {
        batch: 20,
        ..Default::default()
    };
    for round in 0..8 {
        let pending = model.submit::<f32>(speech(20 * 16_000), &encode).unwrap();
        if round % 2 == 0 {
            while pending.progress().unwrap().done == 0 && !pending.is_done() {
                thread::yield_now();
            }
        }
        if round % 4 < 2 {
            pending.cancel();
            let finished = pending.finish();
            assert_eq!(status(finished.result), Status::Canceled);
            assert!(finished.states.is_empty());
        } // else it is cancelled as it goes
    }
    // Everybody goes while calls are in flight.
    let pending: Vec<_> = (0..3)
        .map(|_| model.submit::<f32>(speech(20 * 16_000), &encode).unwrap())
        .collect();
    drop(model);
    drop(pending);
    // One that nobody ends: its buffers stay as long as the process.
    static FORGOTTEN: Mutex<Option<Pending<f32>>> = Mutex::new(None);
    let model = crate::model(&context());
    let pending = model.submit(speech(16_000), &Encode::default()).unwrap();
    *FORGOTTEN.lock().unwrap() = Some(pending);
}

#[test]
fn what_is_dropped_is_cancelled() {
    let context = context();
    let model = model(&context);
    let window = Encode::default();
    let _: Vec<f32> = model.encode(&[0f32; 10], &window, None).unwrap();
    let macs = context.stats().unwrap().macs;
    let batch = Encode {
        batch: 50,
        ..window
    };
    drop(model.submit::<f32>(vec![0f32; 50 * 10], &batch).unwrap());
    let stats = context.stats().unwrap();
    assert_eq!(stats.n_calls, 2, "it has ended");
    assert!(stats.macs < 40 * macs, "long before its end");
}

#[test]
fn cancelling_while_others_wait() {
    let model = model(&context());
    let encode = Encode {
        batch: 20,
        ..Default::default()
    };
    let pending = model.submit::<f32>(speech(20 * 16_000), &encode).unwrap();
    let has_ended = AtomicBool::new(false);
    let canceller = pending.canceller();
    thread::scope(|scope| {
        for _ in 0..4 {
            let canceller = canceller.clone();
            let has_ended = &has_ended;
            scope.spawn(move || {
                while !has_ended.load(Ordering::SeqCst) {
                    canceller.cancel();
                    thread::yield_now();
                }
            });
        }
        let result = pending.wait();
        has_ended.store(true, Ordering::SeqCst);
        assert_eq!(status(result), Status::Canceled);
    });
    canceller.cancel(); // of nothing
}

#[test]
fn everything_can_be_shared() {
    fn check<T: Send + Sync>() {}
    check::<Context>();
    check::<Model>();
    check::<Weight>();
    check::<Run>();
    check::<Canceller>();
    check::<Pending<f32>>();
    check::<Finished<Bf16>>();
    check::<Error>();
}
