//! One process works, the others stand by: the lock, and what becomes of the work when it changes hands.

mod frozen;
mod handover;
mod ledger;
mod old;

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Endpoints;
use kube::Api;
use serde_json::Value;

use crate::expect::{eventually, until};
use crate::provisioner::{Provisioner, Settings};
use crate::scenario::Scenario;
use crate::stage::Stage;
use crate::world::{Part, Request, Rights, Turn};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    [handover::scenarios(), old::scenarios(), frozen::scenarios()]
        .into_iter()
        .flatten()
        .collect()
}

/// client-go's annotation.
const ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";

/// How long a term lasts.
#[derive(Debug, Clone, Copy)]
struct Terms {
    lease: Duration,
    renew: Duration,
    retry: Duration,
}

/// What is on the lock object that this scenario's rights lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    kind: &'static str,
    holder: String,
    /// As the annotation or the Lease's spec has it.
    record: Value,
}

// === impl Terms ===

impl Terms {
    /// The defaults, where there is time for them.
    fn of(stage: &Stage) -> Self {
        let seconds = |lease, renew, retry| Self {
            lease: Duration::from_secs(lease),
            renew: Duration::from_secs(renew),
            retry: Duration::from_secs(retry),
        };
        match stage.world().double() {
            None => seconds(15, 10, 2),
            Some(_) => seconds(6, 4, 1),
        }
    }

    fn put(self, settings: Settings) -> Settings {
        let text = |duration: Duration| format!("{}s", duration.as_secs());
        settings
            .with("LEASE_DURATION", text(self.lease))
            .with("RENEW_DEADLINE", text(self.renew))
            .with("RETRY_PERIOD", text(self.retry))
    }
}

/// The lock's name: the provisioner's, without what an object's name cannot hold.
fn lock_name(stage: &Stage) -> String {
    stage.provisioner_name().replace('/', "-")
}

fn leases(stage: &Stage) -> Api<Lease> {
    Api::namespaced(stage.client(), &stage.account().namespace)
}

fn endpoints(stage: &Stage) -> Api<Endpoints> {
    Api::namespaced(stage.client(), &stage.account().namespace)
}

/// The object that bears the lock, and who holds it. None: there is neither a Lease nor an annotated Endpoints object.
async fn held(stage: &Stage) -> Option<Held> {
    let name = lock_name(stage);
    let lease = leases(stage).get_opt(&name).await.expect("an answer");
    let (kind, record) = if let Some(lease) = lease {
        ("Lease", serde_json::to_value(lease.spec?).expect("a spec"))
    } else {
        let object = endpoints(stage).get_opt(&name).await.expect("an answer")?;
        let text = object.metadata.annotations?.remove(ANNOTATION)?;
        ("Endpoints", serde_json::from_str(&text).expect("a record"))
    };
    let holder = record["holderIdentity"].as_str().unwrap_or_default();
    Some(Held {
        kind,
        holder: holder.to_owned(),
        record,
    })
}

/// The API server is away for longer than a term, which is the process's first; then it leads again.
pub async fn loses_the_lead_for_a_while(stage: &Stage, provisioner: &Provisioner) {
    stage.world().turn(Part::Api, Turn::Off).await;
    let stopped = ["WARN", "standing by, all work stopped"];
    provisioner.log().says(&stopped).await;
    stage.world().turn(Part::Api, Turn::On).await;
    let leads = || provisioner.log().with_all(&["INFO", "leading"]).len();
    until("it leads again", || leads() > 1).await;
}

/// Which object it has to be.
fn kind_for(rights: Rights) -> &'static str {
    match rights {
        Rights::Go => "Endpoints",
        Rights::Own => "Lease",
    }
}

/// Waits until a process leads.
pub async fn leads(process: &Provisioner) {
    process.log().says(&["INFO", "leading"]).await;
}

/// Waits until a process stands by with its stores filled.
async fn stands_by_warm(stage: &Stage, process: &Provisioner, mark: u64) {
    process.log().says(&["INFO", "standing by"]).await;
    let me = identity(process);
    for kind in [
        "persistentvolumes",
        "persistentvolumeclaims",
        "storageclasses",
    ] {
        until(format!("{me} watches {kind}"), || {
            let requests = stage.world().requests_since(mark);
            let watching =
                |r: &Request| r.agent.contains(&me) && r.resource == kind && r.verb == "watch";
            // A real API server tells of a watch when it ends: before that there is the list.
            let listed =
                |r: &Request| r.agent.contains(&me) && r.resource == kind && r.verb == "list";
            requests.iter().any(|r| watching(r) || listed(r))
        })
        .await;
    }
}

/// The process's name in the lock and in its requests, which it has said by the time that it leads or stands by.
fn identity(process: &Provisioner) -> String {
    let lines = process.log().with_all(&["identity="]);
    let line = lines.first().expect("a line with the identity");
    let (_, rest) = line.split_once("identity=\"").expect("a quoted identity");
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// Waits until the lock is given back.
pub async fn given_back(stage: &Stage) {
    eventually("the lock is given back", async || {
        held(stage).await.filter(|held| held.holder.is_empty())
    })
    .await;
}
