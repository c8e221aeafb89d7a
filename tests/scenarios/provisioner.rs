//! `Provisioner`: the program as a process of its own, with the environment that a Deployment would give it and nothing else.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::expect::{eventually_within, until};

/// How long the process may take from SIGTERM to its end: its own grace period and some.
const STOPS_WITHIN: Duration = Duration::from_secs(40);

/// The environment to start the program in.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    environment: BTreeMap<&'static str, String>,
    arguments: Vec<String>,
    low_ports_refused: bool,
    binds: Vec<(PathBuf, &'static str)>,
    /// Another program than ours.
    program: Option<PathBuf>,
}

/// A running process; killed when dropped. One that has ended before, and that nobody waited for, is told of in its log's [`Log::mishaps`].
#[derive(Debug)]
pub struct Provisioner {
    child: Child,
    log: Log,
    /// Some until the end.
    reader: Option<JoinHandle<()>>,
    /// Its end was waited for.
    is_over: bool,
}

/// What a process has written, line by line; clones see the same.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Written>>);

#[derive(Debug, Default)]
struct Written {
    lines: Vec<String>,
    /// How it ended before anybody wanted it to.
    died: Option<ExitStatus>,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; None after a signal.
    pub code: Option<i32>,
    /// What it wrote to standard error.
    pub stderr: String,
}

// === impl Settings ===

impl Settings {
    /// Sets one variable.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.insert(name, value.into());
        self
    }

    /// Unsets one.
    pub fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Adds an argument.
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Takes away the right to bind a port below 1024, as a pod without the sysctl has none.
    pub fn without_low_ports(mut self) -> Self {
        self.low_ports_refused = true;
        self
    }

    /// Names have the addresses that this file gives them, in the form of `hosts(5)`; it is read anew at each look-up.
    pub fn with_hosts(self, file: impl Into<PathBuf>) -> Self {
        self.with_bind(file, "/etc/hosts")
    }

    /// What is at `from` is at `to` as well, for the program alone; something has to be there. Only root may do that.
    pub fn with_bind(mut self, from: impl Into<PathBuf>, to: &'static str) -> Self {
        self.binds.push((from.into(), to));
        self
    }

    /// Another program than ours.
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// Starts the program.
    pub fn start(&self) -> Provisioner {
        let mut child = self.command().spawn().expect("the program");
        let log = Log::default();
        let stderr = child.stderr.take().expect("piped");
        let sink = log.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                sink.push(line);
            }
        });
        Provisioner {
            child,
            log,
            reader: Some(reader),
            is_over: false,
        }
    }

    /// Runs the program to its end, which must come by itself.
    pub async fn run(&self) -> Ended {
        let mut provisioner = self.start();
        let status = provisioner.ended(Duration::from_secs(20)).await;
        Ended {
            code: status.code(),
            stderr: provisioner.log.text(),
        }
    }

    fn command(&self) -> Command {
        let program = self.program.clone().unwrap_or_else(binary);
        let mut command = if self.low_ports_refused {
            let mut command = Command::new("/usr/bin/setpriv");
            command.arg("--bounding-set=-net_bind_service").arg(program);
            command
        } else if !self.binds.is_empty() {
            let mut command = Command::new("/usr/bin/unshare");
            let mount = "while [ \"$1\" != -- ]; do /bin/mount --bind \"$1\" \"$2\" || exit; shift 2; done; shift; exec \"$@\"";
            command.args(["--mount", "/bin/sh", "-c", mount, "sh"]);
            for (from, to) in &self.binds {
                command.arg(from).arg(to);
            }
            command.arg("--").arg(program);
            command
        } else {
            Command::new(program)
        };
        command
            .env_clear()
            .envs(&self.environment)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }
}

/// The release binary under `make e2e`, else the one that cargo built for this test.
fn binary() -> PathBuf {
    std::env::var_os("E2E_BINARY").map_or_else(
        || env!("CARGO_BIN_EXE_nfs-subdir-external-provisioner").into(),
        PathBuf::from,
    )
}

// === impl Provisioner ===

impl Provisioner {
    /// What it has written so far.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// As the kubelet stops a pod. Returns how it ended.
    #[must_use]
    pub async fn stop(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended(STOPS_WITHIN).await
    }

    /// SIGKILL: no chance to put anything in order.
    pub fn kill(self) {
        drop(self);
    }

    /// Stops it in the middle of whatever it does, as SIGSTOP does.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Ends [`Provisioner::freeze`].
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a pid"), signal).expect("a child that was not waited for");
    }

    /// Waits for its end.
    #[must_use]
    pub async fn ended(&mut self, cap: Duration) -> ExitStatus {
        self.is_over = true;
        let child = &mut self.child;
        let status = eventually_within(cap, "the process ends", async || {
            child.try_wait().expect("a child")
        })
        .await;
        let reader = self.reader.as_ref();
        until("its last words are read", || {
            reader.is_none_or(JoinHandle::is_finished)
        })
        .await;
        status
    }
}

impl Drop for Provisioner {
    fn drop(&mut self) {
        let died = self.child.try_wait().ok().flatten();
        if !self.is_over {
            self.log.written().died = died;
        }
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Its last words count, too.
        let _ = self.reader.take().map(JoinHandle::join);
    }
}

// === impl Log ===

impl Log {
    /// All of it.
    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// The lines that contain all of these texts.
    pub fn with_all(&self, parts: &[&str]) -> Vec<String> {
        let mut lines = self.lines();
        lines.retain(|line| parts.iter().all(|part| line.contains(part)));
        lines
    }

    /// Waits for a line that contains all of these texts.
    pub async fn says(&self, parts: &[&str]) {
        until(format!("the log says {parts:?}"), || {
            !self.with_all(parts).is_empty()
        })
        .await;
    }

    /// What must not happen to any process: a panic in it, whatever became of it, and an end that nobody waited for.
    pub fn mishaps(&self) -> Vec<String> {
        let mut mishaps = self.with_all(&["panicked at"]);
        let died = self.written().died;
        mishaps.extend(died.map(|status| format!("ended by itself: {status}")));
        mishaps
    }

    fn lines(&self) -> Vec<String> {
        self.written().lines.clone()
    }

    fn push(&self, line: String) {
        self.written().lines.push(line);
    }

    fn written(&self) -> MutexGuard<'_, Written> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
