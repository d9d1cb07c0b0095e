// SPDX-License-Identifier: MIT
//! Every constant's value, every struct's size and every field's offset is the C compiler's; these
//! and every function's type are bindgen's too.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

include!("offset.rs");
include!("table.rs");

type Table = Vec<(String, i64)>;

fn ours() -> Table {
    let table: Vec<(&str, i64)> = table!(npuenc_sys);
    let owned = table.into_iter();
    owned
        .map(|(name, number)| (name.to_owned(), number))
        .collect()
}

/// The lines that a program prints.
fn printed(program: &Path) -> Table {
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, number)| (name.to_owned(), number.parse().unwrap()))
        .collect()
}

fn include_flags() -> Vec<String> {
    let output = Command::new("pkg-config")
        .args(["--cflags", "npuenc"])
        .output()
        .expect("pkg-config");
    assert!(output.status.success(), "pkg-config does not find npuenc");
    let flags = String::from_utf8(output.stdout).unwrap();
    flags.split_whitespace().map(str::to_owned).collect()
}

fn header() -> String {
    include_flags()
        .iter()
        .filter_map(|flag| flag.strip_prefix("-I"))
        .map(|directory| format!("{directory}/npuenc/npuenc.h"))
        .find(|path| Path::new(path).exists())
        .unwrap_or_else(|| "/usr/include/npuenc/npuenc.h".into())
}

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn values_and_layouts_are_the_c_compilers() {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("layout");
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".into());
    let status = Command::new(&compiler)
        .arg("-std=c99")
        .args(include_flags())
        .arg(source("tests/layout/layout.c"))
        .arg("-o")
        .arg(&program)
        .status()
        .expect(&compiler);
    assert!(status.success(), "{compiler} does not compile layout.c");
    let theirs = printed(&program);
    assert!(theirs.len() > 200, "{} lines", theirs.len());
    assert_eq!(ours(), theirs);
}

/// A program that prints the table of bindgen's output.
const PRINT_TABLE: &str = r#"
mod bindgen {
    include!("bindgen.rs");
}
fn main() {
    for (name, number) in table!(bindgen) {
        println!("{name} {number}");
    }
}
"#;

/// bindgen's output, None where there is no bindgen.
fn bindgens(directory: &Path) -> Option<String> {
    let bindgen = Command::new("bindgen")
        .args([
            "--no-prepend-enum-name",
            "--allowlist-function",
            "npuenc_.*",
        ])
        .args([
            "--allowlist-type",
            "npuenc_.*",
            "--allowlist-var",
            "NPUENC_.*",
        ])
        .args([&header(), "--"])
        .args(include_flags())
        .output()
        .ok()?;
    assert!(bindgen.status.success(), "{bindgen:?}");
    let text = String::from_utf8(bindgen.stdout).unwrap();
    fs::write(directory.join("bindgen.rs"), &text).unwrap();
    Some(text)
}

#[test]
fn values_layouts_and_functions_are_bindgens() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bindgen");
    fs::create_dir_all(&directory).unwrap();
    let text = match bindgens(&directory) {
        Some(text) => text,
        None => {
            eprintln!("skipped: there is no bindgen");
            return;
        }
    };
    let macros = ["tests/layout/offset.rs", "tests/layout/table.rs"]
        .map(|path| fs::read_to_string(source(path)).unwrap());
    let main = directory.join("main.rs");
    fs::write(&main, macros.concat() + PRINT_TABLE).unwrap();
    let program = directory.join("table");
    let compiled = Command::new(env::var("RUSTC").unwrap_or_else(|_| "rustc".into()))
        .args(["--edition=2021", "--cap-lints=allow", "-o"])
        .args([&program, &main])
        .status()
        .unwrap();
    assert!(compiled.success(), "bindgen's output does not compile");
    assert_eq!(ours(), printed(&program));
    let raw = fs::read_to_string(source("src/raw.rs")).unwrap();
    let functions = functions_of(raw.split_once("functions! {").unwrap().1);
    assert!(functions.len() > 30, "{} functions", functions.len());
    assert_eq!(functions, functions_of(&text));
}

/// Function by function what it takes and returns, in one spelling.
fn functions_of(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for part in text.split("fn npuenc_").skip(1) {
        let (name, rest) = part.split(';').next().unwrap().split_once('(').unwrap();
        let rest = rest
            .replace("::std::os::raw::", "")
            .replace("size_t", "usize")
            .replace(char::is_whitespace, "")
            .replace(",)", ")");
        found.insert(name.to_owned(), rest);
    }
    found
}
