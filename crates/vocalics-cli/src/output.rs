//! Standard output for data, standard error for everything else.

use std::io::{self, BufWriter, StdoutLock, Write};

use crate::failure::Failure;

/// Standard output, buffered; [`Write::flush`] after every record that should be seen.
pub(crate) fn data() -> BufWriter<StdoutLock<'static>> {
    BufWriter::new(io::stdout().lock())
}

/// Writes all of a text to standard output.
///
/// # Errors
/// [`Failure::ReaderGone`] when nobody reads, else what the system says.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = data();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// Writes a value to standard output as indented JSON.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let mut out = data();
    serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Writes a line to standard error. That nobody hears it is no reason to stop.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
