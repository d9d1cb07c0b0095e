// SPDX-License-Identifier: MIT
//! The example program, beside the npuenc command.
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::{env, fs, thread, time};

/// Cargo builds examples before tests.
fn example() -> PathBuf {
    let test = env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    profile.join("examples").join("transcribe-states")
}

/// An empty directory.
fn scratch(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    directory
}

fn run(arguments: &[&Path]) -> Output {
    Command::new(example()).args(arguments).output().unwrap()
}

fn wav(path: &Path, head: [u16; 8], n_samples: usize) {
    let data: Vec<u8> = crate::speech(n_samples)
        .iter()
        .flat_map(|x| ((x * 32768.0) as i16).to_le_bytes())
        .collect();
    let mut bytes = b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0".to_vec();
    bytes.extend(head.iter().flat_map(|x| x.to_le_bytes()));
    bytes.extend(b"data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    let size = bytes.len() as u32 - 8;
    bytes[4..8].copy_from_slice(&size.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

const OURS: [u16; 8] = [1, 1, 16_000, 0, 32_000, 0, 2, 16];

/// What the example writes is what the command writes, to the byte.
fn compare(model: &Path, speech: &Path, directory: &Path) {
    let (ours, theirs) = (directory.join("ours.npy"), directory.join("theirs.npy"));
    let output = run(&[model, speech, &ours]);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("device ") && text.contains("\ntime "),
        "{text}"
    );
    assert!(String::from_utf8_lossy(&output.stderr).contains("100 %"));
    // By the same instructions: the signal stacks of Rust's threads may be too small for AMX.
    let isa = npuenc::Context::open().unwrap().info().unwrap().isa;
    let command = Command::new(env::var_os("NPUENC_COMMAND").expect("NPUENC_COMMAND"))
        .env("NPUENC_ISA", isa)
        .args(["encode", "--model"])
        .args([model, speech, Path::new("--output"), &theirs])
        .output()
        .unwrap();
    assert!(command.status.success(), "{command:?}");
    assert!(
        fs::read(&ours).unwrap() == fs::read(&theirs).unwrap(),
        "they differ"
    );
    let mut names: Vec<_> = fs::read_dir(directory).unwrap().collect();
    names.retain(|entry| entry.as_ref().unwrap().path().extension().unwrap() != "wav");
    assert_eq!(names.len(), 2, "nothing but the two files");
}

#[test]
fn real_speech_is_encoded_as_by_the_command() {
    match (env::var("NPUENC_MODEL"), env::var("NPUENC_SPEECH")) {
        (Ok(model), Ok(speech)) => {
            compare(model.as_ref(), speech.as_ref(), &scratch("real-speech"));
        }
        _ => eprintln!("skipped: there is no real model or no recording"),
    }
}

#[test]
fn several_windows_are_encoded_as_by_the_command() {
    let directory = scratch("windows");
    let speech = directory.join("speech.wav");
    wav(&speech, OURS, 2 * 480_000 + 777);
    compare(crate::model_path().as_ref(), &speech, &directory);
}

#[test]
fn the_example_refuses_what_it_cannot_do() {
    let directory = scratch("refused");
    let (speech, states) = (directory.join("speech.wav"), directory.join("states.npy"));
    let model = PathBuf::from(crate::model_path());
    let refused = |model: &Path, speech: &Path, states: &Path| {
        let output = run(&[model, speech, states]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(fs::read_dir(&directory).unwrap().count() <= 1, "{text}");
        text
    };
    let missing = refused(&model, &speech, &states);
    assert!(missing.contains("speech.wav"), "{missing}");
    for head in [
        [1, 2, 16_000, 0, 64_000, 0, 4, 16],
        [1, 1, 8_000, 0, 16_000, 0, 2, 16],
        [3, 1, 16_000, 0, 64_000, 0, 4, 32],
    ] {
        wav(&speech, head, 100);
        assert!(refused(&model, &speech, &states).contains("not 16-bit PCM, mono, 16 kHz"));
    }
    wav(&speech, OURS, 0);
    assert!(refused(&model, &speech, &states).contains("no sound"));
    for text in [
        "",
        "RIFF....WAVE",
        "RIFF....WAVEfmt ",
        "RIFF....WAVEfmt \x7f\0\0\0",
    ] {
        fs::write(&speech, text).unwrap();
        assert!(refused(&model, &speech, &states).contains("WAV"));
    }
    wav(&speech, OURS, 100);
    assert!(refused(Path::new("/no/model"), &speech, &states).contains("/no/model"));
    refused(&model, &speech, Path::new("/no/directory/states.npy"));
    let usage = run(&[&model, &speech]);
    assert_eq!(usage.status.code(), Some(2));
}

extern "C" {
    fn kill(process: i32, signal: i32) -> i32;
}
const SIGINT: i32 = 2;

#[test]
fn an_interruption_ends_the_example_without_a_file() {
    let directory = scratch("interrupted");
    let speech = directory.join("speech.wav");
    wav(&speech, OURS, 30 * 480_000);
    let mut child = Command::new(example())
        .args([
            crate::model_path().as_ref(),
            &*speech,
            &directory.join("states.npy"),
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Once it has begun to write.
    while fs::read_dir(&directory).unwrap().count() < 2 {
        assert!(child.try_wait().unwrap().is_none(), "it ends too soon");
        thread::sleep(time::Duration::from_millis(5));
    }
    // SAFETY: the child has not been waited for.
    assert_eq!(unsafe { kill(child.id() as i32, SIGINT) }, 0);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let left: Vec<_> = fs::read_dir(&directory).unwrap().collect();
    assert_eq!(left.len(), 1, "the recording alone: {left:?}");
}
