// SPDX-License-Identifier: MIT
//! libnpuenc loaded at run time, or not. In processes of their own, as it is loaded once.
#![cfg(feature = "dlopen")]
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use npuenc::{Context, Mel, Status};

/// What this process says of the library that it finds.
#[test]
fn report() {
    match npuenc::version_string() {
        Ok(version) => println!("version {version}"),
        Err(error) => {
            assert_eq!(error.status(), Status::NotFound);
            println!("error {error}");
            // Every way in says the same, and a second time.
            assert_eq!(npuenc::version().unwrap_err(), error);
            assert_eq!(npuenc::devices().unwrap_err(), error);
            assert_eq!(Context::open().unwrap_err(), error);
            assert_eq!(Mel::default().output_len().unwrap_err(), error);
        }
    }
}

/// The report of a process that searches this directory alone.
fn report_with(directory: &Path) -> String {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "report", "--nocapture"])
        .env("LD_LIBRARY_PATH", directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_missing_library_or_function_is_an_error() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("load");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    let library = directory.join("libnpuenc.so.1");

    let report = report_with(&directory);
    assert!(report.contains("error NotFound: "), "{report}");
    assert!(report.contains("libnpuenc.so.1"), "{report}");

    fs::write(&library, "not a library").unwrap();
    let report = report_with(&directory);
    assert!(report.contains("error NotFound: "), "{report}");

    let source = directory.join("library.c");
    fs::write(
        &source,
        "unsigned npuenc_version(void) { return 9 << 8; }\n",
    )
    .unwrap();
    let status = Command::new(env::var("CC").unwrap_or_else(|_| "cc".into()))
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status()
        .unwrap();
    assert!(status.success());
    let report = report_with(&directory);
    let expected = "error NotFound: libnpuenc.so.1 has no function npuenc_version_string";
    assert!(report.contains(expected), "{report}");
}
