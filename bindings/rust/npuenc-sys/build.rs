// SPDX-License-Identifier: MIT
//! Finds libnpuenc by pkg-config, unless it is to be loaded at run time.
use std::env;
use std::process::{exit, Command};

/// The oldest library that has everything of raw.rs.
const LIBRARY: &str = "npuenc >= 0.9";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_DLOPEN").is_some() {
        return;
    }
    for name in [
        "PKG_CONFIG",
        "PKG_CONFIG_PATH",
        "PKG_CONFIG_LIBDIR",
        "PKG_CONFIG_SYSROOT_DIR",
    ] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    match linker_words() {
        Ok(words) => tell_cargo(&words),
        Err(problem) => {
            eprintln!("npuenc-sys: {problem}");
            exit(1);
        }
    }
}

fn linker_words() -> Result<String, String> {
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".into());
    let output = Command::new(&program)
        .args(["--print-errors", "--libs", LIBRARY])
        .output()
        .map_err(|problem| {
            format!(
                "cannot run {program}: {problem}. Install pkg-config, name it in PKG_CONFIG, or use \
                 the feature `dlopen`."
            )
        })?;
    if !output.status.success() {
        return Err(format!(
            "{program} does not find {LIBRARY}: {} Install libnpuenc with its npuenc.pc, add the \
             latter's directory to PKG_CONFIG_PATH, or use the feature `dlopen`.",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{program} prints no UTF-8"))
}

fn tell_cargo(words: &str) {
    for word in words.split_whitespace() {
        if let Some(directory) = word.strip_prefix("-L") {
            println!("cargo:rustc-link-search=native={directory}");
        } else if let Some(library) = word.strip_prefix("-l") {
            println!("cargo:rustc-link-lib=dylib={library}");
        }
    }
}
