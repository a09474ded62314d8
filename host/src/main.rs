//! The `lantern` command. Everything is in the library, so that tests and tools can use it.

use std::process::ExitCode;

fn main() -> ExitCode {
    lantern::cli::main()
}
