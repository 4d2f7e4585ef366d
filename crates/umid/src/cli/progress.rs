//! Progress on a terminal as a bar with rate and time left, elsewhere as plain lines.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use umid::progress::{Progress, Silent};

/// Time between two plain lines of one stage.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// What suits the standard error stream; silence where that was asked for.
pub(crate) fn watcher(quiet: bool) -> Box<dyn Progress> {
    if quiet {
        Box::new(Silent)
    } else if std::io::stderr().is_terminal() {
        Box::new(Bar(RefCell::new(ProgressBar::hidden())))
    } else {
        Box::new(Lines(RefCell::new(Stage::new("", 0))))
    }
}

struct Bar(RefCell<ProgressBar>);

impl Progress for Bar {
    fn stage(&self, name: &str, total: usize) {
        let template = "{msg:>20} [{bar:30}] {pos}/{len}, {per_sec}, {eta} left";
        let style =
            ProgressStyle::with_template(template).expect("a fixed template").progress_chars("=> ");
        let bar = ProgressBar::new(total as u64).with_style(style).with_message(name.to_owned());
        self.0.replace(bar).finish_and_clear();
    }

    fn advance(&self, count: usize) {
        let bar = self.0.borrow();
        bar.inc(count as u64);
        if bar.length() == Some(bar.position()) {
            bar.finish_and_clear();
        }
    }

    fn note(&self, message: &str) {
        self.0.borrow().suspend(|| eprintln!("umid: {message}"));
    }
}

struct Lines(RefCell<Stage>);

struct Stage {
    name: String,
    done: usize,
    total: usize,
    started: Instant,
    printed: Instant,
}

impl Stage {
    fn new(name: &str, total: usize) -> Self {
        let now = Instant::now();
        Self { name: name.to_owned(), done: 0, total, started: now, printed: now }
    }
}

impl Progress for Lines {
    fn stage(&self, name: &str, total: usize) {
        self.0.replace(Stage::new(name, total));
    }

    fn advance(&self, count: usize) {
        let mut stage = self.0.borrow_mut();
        stage.done += count;
        if stage.done == stage.total || stage.printed.elapsed() >= LINE_INTERVAL {
            stage.printed = Instant::now();
            let seconds = stage.started.elapsed().as_secs_f64();
            let rate = stage.done as f64 / seconds.max(1e-9);
            let left = (stage.total - stage.done) as f64 / rate;
            eprintln!(
                "umid: {} {}/{}, {rate:.1} a second, {left:.0} s left",
                stage.name, stage.done, stage.total
            );
        }
    }

    fn note(&self, message: &str) {
        eprintln!("umid: {message}");
    }
}
