//! The world that `e2e/world.sh` made; see `e2e/README.md` for what it says about itself.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::process::Command;

use super::{Account, CHANGES, Part, Request, Rights, Share, Turn, World};

/// A world of real parts.
#[derive(Debug)]
pub struct Real {
    run_dir: PathBuf,
    says: HashMap<String, String>,
    starts: Mutex<Starts>,
}

/// The parts of the audit log in which the API server was starting: until it has read its own rules it forbids everything to everybody.
#[derive(Debug, Default)]
struct Starts {
    since: Option<u64>,
    over: Vec<Range<u64>>,
}

// === impl Real ===

impl Real {
    /// The world whose run directory this is.
    ///
    /// # Panics
    /// When there is none.
    pub fn at(run_dir: &Path) -> Self {
        let file = run_dir.join("world.env");
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}; e2e/world.sh up?", file.display()));
        let says: HashMap<_, _> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Self {
            run_dir: run_dir.to_owned(),
            says,
            starts: Mutex::default(),
        }
    }

    fn share_at(&self, path: &str) -> Share {
        Share {
            server: self.says["NFS_SERVER"].clone(),
            path: self.says[path].clone(),
            // What nfs-ganesha exports lies here under the same path.
            dir: self.says[path].clone().into(),
            nfs_port: None,
            mount_port: None,
        }
    }

    /// What the world says about itself under this key; nothing where it has no such part.
    pub fn says(&self, key: &str) -> Option<&str> {
        self.says.get(key).map(String::as_str)
    }

    fn starts(&self) -> MutexGuard<'_, Starts> {
        self.starts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `world.sh ARGUMENTS`; returns what it printed.
    pub async fn world_sh(&self, arguments: &[&str]) -> String {
        let output = Command::new(&self.says["WORLD_SH"])
            .args(arguments)
            .env("E2E_WORLD", &self.run_dir)
            .output()
            .await
            .expect("world.sh");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "world.sh {arguments:?}: {told}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl World for Real {
    fn admin_kubeconfig(&self) -> PathBuf {
        self.says["ADMIN_KUBECONFIG"].clone().into()
    }

    fn real(&self) -> Option<&Real> {
        Some(self)
    }

    fn account(&self, rights: Rights) -> Account {
        let prefix = match rights {
            Rights::Go => "GO",
            Rights::Own => "OWN",
        };
        Account {
            kubeconfig: self.says[&format!("{prefix}_RBAC_KUBECONFIG")]
                .clone()
                .into(),
            namespace: self.says[&format!("{prefix}_RBAC_NAMESPACE")].clone(),
        }
    }

    fn share(&self) -> Share {
        self.share_at("NFS_PATH")
    }

    fn second_share(&self) -> Share {
        self.share_at("NFS_PATH_SECOND")
    }

    fn turn(&self, part: Part, turn: Turn) -> BoxFuture<'_, ()> {
        let service = match part {
            Part::Nfs => "nfs",
            Part::Api => "apiserver",
        };
        let verb = match turn {
            Turn::Off => "kill",
            Turn::On => "start",
            Turn::Frozen => "freeze",
            Turn::Thawed => "thaw",
        };
        async move {
            if (part, turn) == (Part::Api, Turn::Off) {
                self.starts().since = Some(self.audit_mark());
            }
            self.world_sh(&[service, verb]).await;
            if (part, turn) == (Part::Api, Turn::On) {
                let (mut starts, now) = (self.starts(), self.audit_mark());
                let since = starts.since.take();
                starts.over.extend(since.map(|since| since..now));
            }
        }
        .boxed()
    }

    fn audit_mark(&self) -> u64 {
        std::fs::metadata(&self.says["AUDIT_LOG"]).map_or(0, |meta| meta.len())
    }

    fn requests_since(&self, mark: u64) -> Vec<Request> {
        let mut log = File::open(&self.says["AUDIT_LOG"]).expect("the audit log");
        log.seek(SeekFrom::Start(mark)).expect("the audit log");
        let starts = self.starts();
        let mut at = mark;
        let lines = BufReader::new(log).lines().map_while(Result::ok);
        let settled = lines.filter(|line| {
            let here = at;
            at += line.len() as u64 + 1;
            !starts.over.iter().any(|start| start.contains(&here))
        });
        settled
            // The last line may be half written.
            .filter_map(|line| serde_json::from_str::<Value>(&line).ok())
            .map(|entry| request(&entry))
            .filter(Request::is_provisioners)
            .collect()
    }

    fn calls_mark(&self) -> u64 {
        std::fs::metadata(&self.says["NFS_LOG"]).map_or(0, |meta| meta.len())
    }

    fn changes_since(&self, mark: u64) -> Vec<String> {
        let mut log = File::open(&self.says["NFS_LOG"]).expect("the file server's log");
        log.seek(SeekFrom::Start(mark))
            .expect("the file server's log");
        // nfs-ganesha's: `… REQUEST PROCESSING: Calling NFS3_MKDIR File Handle V3: … name: NAME`.
        let lines = BufReader::new(log).lines().map_while(Result::ok);
        let calls = lines.filter_map(|line| Some(line.split_once("Calling NFS3_")?.1.to_owned()));
        calls
            .filter(|call| {
                let procedure = call.split(' ').next().unwrap_or_default();
                CHANGES.contains(&procedure)
            })
            .collect()
    }
}

fn request(entry: &Value) -> Request {
    let text = |at: &str| {
        entry
            .pointer(at)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let resource = match text("/objectRef/subresource") {
        "" => text("/objectRef/resource").to_owned(),
        sub => format!("{}/{sub}", text("/objectRef/resource")),
    };
    Request {
        user: text("/user/username").to_owned(),
        verb: text("/verb").to_owned(),
        resource,
        namespace: text("/objectRef/namespace").to_owned(),
        name: text("/objectRef/name").to_owned(),
        code: entry
            .pointer("/responseStatus/code")
            .and_then(Value::as_u64)
            .and_then(|code| u16::try_from(code).ok())
            .unwrap_or_default(),
        agent: text("/userAgent").to_owned(),
        at: text("/requestReceivedTimestamp")
            .parse()
            .unwrap_or_default(),
    }
}
