//! The audit log: what the API server says the provisioner asked of it, and when the volume binder asked for the provisioner.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::bail;
use jiff::Timestamp;
use serde::Deserialize;

use crate::provisioner::ACCOUNT;
use crate::series::rate;
use crate::world::World;

/// Without a new request of the provisioner for so long, it is done.
const QUIET: Duration = Duration::from_secs(2);
/// Longest wait for that.
const CAP: Duration = Duration::from_mins(1);

const COMPLETE: &str = "ResponseComplete";
/// How the volume binder's process names itself.
const BINDER: &str = "kube-controller-manager/";

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
    #[serde(default)]
    user_agent: String,
    request_received_timestamp: Timestamp,
    stage_timestamp: Timestamp,
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
    #[serde(default)]
    name: String,
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

    /// Claims a second that the volume binder marked for a provisioner, from the first claim's creation to the last mark: nobody can make volumes
    /// faster. The mark is the binder's first update of a claim.
    pub(super) fn marked(&self) -> anyhow::Result<f64> {
        let mut since: Option<Timestamp> = None;
        let mut marks = BTreeMap::new();
        for line in self.lines()? {
            let of_claim =
                line.stage == COMPLETE && line.object_ref.resource == "persistentvolumeclaims";
            match line.verb.as_str() {
                "create" if of_claim => {
                    let asked = line.request_received_timestamp;
                    since = Some(since.map_or(asked, |since| since.min(asked)));
                }
                "update" if of_claim && line.user_agent.starts_with(BINDER) => {
                    marks
                        .entry(line.object_ref.name)
                        .or_insert(line.stage_timestamp);
                }
                _ => {}
            }
        }
        match (since, marks.values().max()) {
            (Some(since), Some(last)) => {
                Ok(rate(marks.len(), last.duration_since(since).unsigned_abs()))
            }
            _ => bail!("the audit log shows no claim that the volume binder marked"),
        }
    }

    fn count(&self) -> anyhow::Result<Requests> {
        let mut requests = Requests::new();
        for line in self.lines()?.into_iter().filter(Line::counts) {
            let request = format!("{} {}", line.verb, line.object_ref.resource);
            *requests.entry(request).or_default() += 1;
        }
        Ok(requests)
    }

    fn lines(&self) -> anyhow::Result<Vec<Line>> {
        let mut file = File::open(&self.file)?;
        file.seek(SeekFrom::Start(self.from))?;
        let mut lines = Vec::new();
        for line in BufReader::new(file).lines() {
            // The last line may be half written.
            lines.extend(serde_json::from_str(&line?).ok());
        }
        Ok(lines)
    }
}

// === impl Line ===

impl Line {
    fn counts(&self) -> bool {
        self.stage == COMPLETE
            && self.user.username == ACCOUNT
            && !matches!(self.verb.as_str(), "watch" | "list")
            && !matches!(self.object_ref.resource.as_str(), "endpoints" | "leases")
    }
}
