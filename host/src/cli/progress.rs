//! Progress on a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Events, or offsets that stand for them.
    Events,
    /// Bytes.
    Bytes,
}

/// A bar with speed and remaining time. Nothing is drawn where stderr is no terminal.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar for what is being done; none when `hidden`.
    pub fn new(hidden: bool, doing: &str, unit: Unit) -> Self {
        if hidden {
            return Bar(ProgressBar::hidden());
        }
        let counts = match unit {
            Unit::Events => "{human_pos}/{human_len} events  {per_sec}",
            Unit::Bytes => "{bytes}/{total_bytes}  {bytes_per_sec}",
        };
        let template = format!("{doing} {{bar:30}} {{percent}}%  {counts}  ETA {{eta}}");
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Bar(ProgressBar::new(0).with_style(style))
    }

    /// Shows how much of how much is done.
    pub fn show(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    /// Takes it away, before output of the command.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}
