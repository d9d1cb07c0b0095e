// SPDX-License-Identifier: MIT
//! Messages to closures, whatever the closures do.
use std::sync::mpsc::{channel, Sender};
use std::sync::{Arc, Mutex};

use npuenc::*;

use crate::{model_path, speech};

fn open(level: LogLevel, handler: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Context {
    let builder = Context::builder().device_type(DeviceType::Cpu);
    builder.log(level, handler).open().unwrap()
}

/// A load and a submitted call: each has something to say.
fn work(context: &Context) -> Result<Vec<f32>> {
    let model = Model::load(context, model_path(), &ModelOptions::default())?;
    let encode = Encode {
        n_ctx: 10,
        ..Default::default()
    };
    model.submit(speech(1000), &encode)?.wait()
}

#[test]
fn messages_up_to_the_level() {
    let messages_at = |level| {
        let messages = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&messages);
        let context = open(level, move |level, message: &str| {
            noted.lock().unwrap().push((level, message.to_owned()));
        });
        work(&context).unwrap();
        drop(context);
        // The closure has gone with the context.
        Arc::try_unwrap(messages).unwrap().into_inner().unwrap()
    };
    let all = messages_at(LogLevel::Debug);
    let has = |level, beginning: &str| {
        let mut those = all.iter().filter(|(at, _)| *at == level);
        those.any(|(_, text)| text.starts_with(beginning))
    };
    assert!(has(LogLevel::Info, "model: "), "{all:?}");
    assert!(has(LogLevel::Debug, "encoded "), "{all:?}");
    let some = messages_at(LogLevel::Info);
    assert!(some.iter().all(|(level, _)| *level != LogLevel::Debug));
    assert!(!some.is_empty());
    assert_eq!(messages_at(LogLevel::Off), []);
}

#[test]
fn a_panic_ends_in_the_handler() {
    let context = open(LogLevel::Debug, |_, message| {
        panic!("on purpose: {message}")
    });
    for _ in 0..3 {
        assert!(work(&context).is_ok());
    }
}

#[test]
fn handlers_cannot_call_npuenc_and_what_they_drop_is_closed() {
    struct Inner {
        model: Model,
        pending: Pending<f32>,
        gone: Sender<()>,
    }
    impl Drop for Inner {
        fn drop(&mut self) {
            let _ = self.gone.send(());
        }
    }
    let inner_messages = Arc::new(Mutex::new(()));
    let kept = Arc::clone(&inner_messages);
    let other = open(LogLevel::Debug, move |_, _| drop(kept.lock()));
    let model = Model::load(&other, model_path(), &ModelOptions::default()).unwrap();
    let encode = Encode {
        batch: 20,
        ..Default::default()
    };
    let (gone, is_gone) = channel();
    let inner = Inner {
        pending: model.submit(speech(20 * 16_000), &encode).unwrap(),
        model,
        gone,
    };
    drop(other);
    let inner = Mutex::new(Some(inner));
    let (sender, refused) = channel();
    let sender = Mutex::new(sender);
    let context = open(LogLevel::Debug, move |_, _| {
        if let Some(inner) = inner.lock().unwrap().take() {
            let sender = sender.lock().unwrap();
            sender.send(inner.model.info().unwrap_err()).unwrap();
            sender.send(Context::open().unwrap_err()).unwrap();
            sender.send(devices().unwrap_err()).unwrap();
            sender.send(inner.pending.progress().unwrap_err()).unwrap();
            drop(inner); // the last of its model, its call in flight and its context
        }
    });
    work(&context).unwrap();
    is_gone.recv().unwrap();
    drop(context);
    let refused: Vec<Error> = refused.iter().collect();
    assert_eq!(refused.len(), 4);
    assert!(
        refused.iter().all(|error| error.status() == Status::Busy),
        "{refused:?}"
    );
    // The closure of the context that was dropped goes when that is closed.
    while Arc::strong_count(&inner_messages) > 1 {
        std::thread::yield_now();
    }
}

#[cfg(feature = "log")]
#[test]
fn without_a_closure_messages_go_to_the_crate_log() {
    static SEEN: Mutex<Vec<(log::Level, String, String)>> = Mutex::new(Vec::new());
    struct Noting;
    impl log::Log for Noting {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            let text = record.args().to_string();
            let entry = (record.level(), record.target().to_owned(), text);
            SEEN.lock().unwrap().push(entry);
        }
        fn flush(&self) {}
    }
    log::set_logger(&Noting).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    work(&crate::context()).unwrap();
    let seen = SEEN.lock().unwrap();
    assert!(seen.iter().any(|(level, target, text)| {
        *level == log::Level::Info && target == "npuenc" && text.starts_with("model: ")
    }));
    assert!(seen.iter().all(|(level, _, _)| *level <= log::Level::Info));
}
