//! The processes that are timed.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, bail};
use umid_models::Precision;

use super::run_to_end;
use super::worker::{Answer, Request};

/// Who runs the loop, and how.
#[derive(Debug, Clone)]
pub enum Kind {
    /// This program.
    Ours {
        precision: Precision,
        /// Without the kernels of frozen blocks.
        unfused: bool,
    },
    /// PyTorch.
    PyTorch {
        python: PathBuf,
        script: PathBuf,
        precision: Precision,
        /// `torch.compile`.
        compile: bool,
    },
}

impl Kind {
    pub fn precision(&self) -> Precision {
        match self {
            Self::Ours { precision, .. } | Self::PyTorch { precision, .. } => *precision,
        }
    }

    pub fn pytorch(python: &Path, root: &Path, precision: Precision, compile: bool) -> Self {
        let script = root.join("scripts/bench_pytorch.py");
        Self::PyTorch { python: python.to_owned(), script, precision, compile }
    }
}

/// A process that answers.
pub struct Contender {
    kind: Kind,
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Contender {
    pub fn start(kind: &Kind, checkpoint: &Path, device: &str) -> anyhow::Result<Self> {
        Self::start_with(kind, checkpoint, device, &[])
    }

    /// A process that embeds texts.
    pub fn start_for_texts(kind: &Kind, checkpoint: &Path, device: &str) -> anyhow::Result<Self> {
        Self::start_with(kind, checkpoint, device, &["--texts"])
    }

    fn start_with(
        kind: &Kind,
        checkpoint: &Path,
        device: &str,
        more: &[&str],
    ) -> anyhow::Result<Self> {
        let mut command = match kind {
            Kind::Ours { unfused, .. } => {
                let mut command = Command::new(std::env::current_exe()?);
                command.arg("bench-worker");
                if *unfused {
                    command.arg("--unfused");
                }
                command
            }
            Kind::PyTorch { python, script, compile, .. } => {
                let mut command = Command::new(python);
                command.arg(script);
                if *compile {
                    command.arg("--compile");
                }
                command
            }
        };
        command.arg("--model").arg(checkpoint).args(["--device", device]);
        command.args(["--precision", &kind.precision().to_string()]).args(more);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("piped"));
        Ok(Self { kind: kind.clone(), child, requests, answers })
    }

    pub fn name(&self) -> String {
        let precision = self.precision();
        match &self.kind {
            Kind::Ours { unfused: false, .. } => format!("umid {precision}"),
            Kind::Ours { unfused: true, .. } => format!("umid {precision}, unfused"),
            Kind::PyTorch { compile: false, .. } => format!("PyTorch {precision}"),
            Kind::PyTorch { compile: true, .. } => format!("PyTorch compiled {precision}"),
        }
    }

    pub fn precision(&self) -> Precision {
        self.kind.precision()
    }

    /// Whether it multiplies matrices as another one does.
    pub fn is_variant(&self) -> bool {
        matches!(self.kind, Kind::PyTorch { compile: true, .. } | Kind::Ours { unfused: true, .. })
    }

    /// Seconds that a request took.
    pub fn ask(&mut self, request: &Request) -> anyhow::Result<f64> {
        self.answer(request)?.with_context(|| format!("{} did not say", self.name()))
    }

    /// MiB: of a graphics card what it says the process holds, else the process's peak.
    pub fn memory(&mut self, device: &str) -> anyhow::Result<Option<f64>> {
        if !device.starts_with("cuda") {
            return self.answer(&Request::Memory);
        }
        let query = ["--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"];
        let listed = Command::new("nvidia-smi").args(query).output()?;
        let own = format!("{},", self.child.id());
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        let line = listed.lines().find_map(|line| line.strip_prefix(&own));
        Ok(line.and_then(|memory| memory.trim().parse().ok()))
    }

    fn answer(&mut self, request: &Request) -> anyhow::Result<Option<f64>> {
        let name = self.name();
        let requests = self.requests.as_mut().expect("it is open until the end");
        writeln!(requests, "{}", serde_json::to_string(request)?)
            .with_context(|| format!("{name} has ended"))?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("{name} ended without an answer: {}", self.child.wait()?);
        }
        let answer: Answer =
            serde_json::from_str(&line).with_context(|| format!("{name} answered {line:?}"))?;
        Ok(answer.value)
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // It ends with its requests.
        self.requests.take();
        let _ = self.child.wait();
    }
}

/// A Python with PyTorch, made once.
pub fn environment(root: &Path, out: &Path) -> anyhow::Result<PathBuf> {
    let environment = out.join("python");
    let python = environment.join("bin/python");
    let made = environment.join("made");
    if !made.is_file() {
        eprintln!("making a Python environment in {}", environment.display());
        run_to_end(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
        run_to_end(
            Command::new(&python)
                .args(["-m", "pip", "install", "--quiet", "--requirement"])
                .arg(root.join("scripts/requirements.txt")),
        )
        .context("give --python a Python with PyTorch and transformers, or --ours-only")?;
        std::fs::write(&made, "")?;
    }
    Ok(python)
}
