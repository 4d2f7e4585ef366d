//! Standard output and standard error, either of which may be closed or full. The standard macros
//! would panic; these, which take their place in the binary, do not.
//!
//! A reader who has closed the pipe has seen enough: the command goes on and ends as it would.
//! Any other failure of standard output is told at the end ([`failure`]). One of standard error
//! cannot be told.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Writes a line to standard output.
macro_rules! println {
    ($($text:tt)*) => { $crate::cli::output::line(format_args!($($text)*)) };
}

/// Writes a line to standard error.
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::cli::output::error_line(format_args!($($text)*)) };
}

pub(crate) fn line(text: Arguments<'_>) {
    if let Err(error) = writeln!(io::stdout(), "{text}")
        && error.kind() != ErrorKind::BrokenPipe
    {
        FAILURE.get_or_init(|| error);
    }
}

pub(crate) fn error_line(text: Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Why lines that were printed did not arrive.
pub(crate) fn failure() -> Option<&'static io::Error> {
    FAILURE.get()
}
