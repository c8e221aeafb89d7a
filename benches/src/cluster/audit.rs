//! The audit log: what the API server says the provisioner asked of it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Deserialize;

use crate::provisioner::ACCOUNT;
use crate::world::World;

/// Without a new request of the provisioner for so long, it is done.
const QUIET: Duration = Duration::from_secs(2);
/// Longest wait for that.
const CAP: Duration = Duration::from_mins(1);

/// A place in the log.
#[derive(Debug)]
pub(super) struct Audit {
    file: PathBuf,
    from: u64,
}

/// Requests by verb and resource.
pub(super) type Requests = BTreeMap<String, usize>;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    stage: String,
    verb: String,
    user: User,
    #[serde(default)]
    object_ref: Target,
}

#[derive(Debug, Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Debug, Default, Deserialize)]
struct Target {
    #[serde(default)]
    resource: String,
}

// === impl Audit ===

impl Audit {
    /// Where the log ends now.
    pub(super) fn mark(world: &World) -> anyhow::Result<Self> {
        let file = PathBuf::from(world.get("AUDIT_LOG")?);
        let from = std::fs::metadata(&file)?.len();
        Ok(Self { file, from })
    }

    /// Waits until the provisioner is done (its events are written behind the work), and counts its requests. Those that come by the clock and
    /// not by the claim, the lock's and the watches', are left out.
    pub(super) async fn settled(&self) -> anyhow::Result<Requests> {
        let started = Instant::now();
        let mut last = (self.count()?, Instant::now());
        while last.1.elapsed() < QUIET && started.elapsed() < CAP {
            tokio::time::sleep(Duration::from_millis(250)).await;
            let now = self.count()?;
            if now != last.0 {
                last = (now, Instant::now());
            }
        }
        Ok(last.0)
    }

    fn count(&self) -> anyhow::Result<Requests> {
        let mut file = File::open(&self.file)?;
        file.seek(SeekFrom::Start(self.from))?;
        let mut requests = Requests::new();
        for line in BufReader::new(file).lines() {
            // The last line may be half written.
            if let Ok(line) = serde_json::from_str::<Line>(&line?)
                && line.counts()
            {
                let request = format!("{} {}", line.verb, line.object_ref.resource);
                *requests.entry(request).or_default() += 1;
            }
        }
        Ok(requests)
    }
}

// === impl Line ===

impl Line {
    fn counts(&self) -> bool {
        self.stage == "ResponseComplete"
            && self.user.username == ACCOUNT
            && !matches!(self.verb.as_str(), "watch" | "list")
            && !matches!(self.object_ref.resource.as_str(), "endpoints" | "leases")
    }
}
