//! Runs `agreement.py` with the interpreter of `VOCALICS_PYTHON`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A batch and the logits that are expected for it.
pub(crate) fn row(shape: [usize; 3], features: &[f32], logits: &[f32]) -> String {
    format!("{{\"shape\":{shape:?},\"features\":{features:?},\"logits\":{logits:?}}}")
}

/// Panics when onnxruntime disagrees; says so when there is none.
#[expect(clippy::print_stdout, reason = "a skipped check says so")]
pub(crate) fn agrees(model: &Path, rows: &[String], tolerance: f32) {
    let Some(python) = std::env::var_os("VOCALICS_PYTHON") else {
        println!("skipped: onnxruntime (set VOCALICS_PYTHON to a Python that has it)");
        return;
    };
    let mut child = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnxruntime/agreement.py"))
        .arg(model)
        .arg(tolerance.to_string())
        .stdin(Stdio::piped())
        .spawn()
        .expect("python starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin
        .write_all(rows.join("\n").as_bytes())
        .expect("rows are read");
    drop(stdin);
    assert!(
        child.wait().expect("python ends").success(),
        "onnxruntime disagrees"
    );
}
