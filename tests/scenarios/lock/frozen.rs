//! The API server stands still, clocks are wrong, a standby's view is old: whatever happens, one at a time, and nothing twice.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;
use testkit::nfs::{Procedure, nfsstat3};
use tokio::time::{Instant, sleep_until};

use super::ledger::{Ledger, Standstill};
use super::{Terms, identity, leads, stands_by_warm};
use crate::expect::eventually_within;
use crate::fixtures::{mk_claim, mk_volume};
use crate::provisioner::{Provisioner, Settings};
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};
use crate::world::{Part, Turn};

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut list = Vec::new();
    list.extend(
        Scenario::of(an_api_server_frozen_past_every_deadline_lets_nobody_work_twice)
            .alone()
            .under_both_rights(),
    );
    list.push(
        Scenario::of(a_standby_whose_view_is_old_looks_again_before_it_takes_a_directory_away)
            .alone()
            .only_on_the_double("a real API server's watches do not fall behind on demand"),
    );
    list
}

const CLAIMS: usize = 200;
/// Twice the default lease.
const FROZEN: Duration = Duration::from_secs(30);
/// The cap for all of it to be made up for.
const CAP: Duration = Duration::from_secs(90);

/// A process whose wall clock is an hour ahead; what it counts deadlines by is not.
fn an_hour_ahead(stage: &Stage, settings: Settings) -> Settings {
    let library = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
        .map(|arch| PathBuf::from(format!("/usr/lib/{arch}/faketime/libfaketimeMT.so.1")))
        .into_iter()
        .find(|path| path.exists());
    let Some(library) = library else {
        assert!(stage.world().double().is_some(), "faketime is missing");
        println!("faketime is not installed: both clocks are right");
        return settings;
    };
    settings
        .with("LD_PRELOAD", library.display().to_string())
        .with("FAKETIME", "+1h")
        .with("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

/// Claims are made, deleted and bound while the API server stops answering; what clients sent meanwhile takes effect when it goes on.
async fn an_api_server_frozen_past_every_deadline_lets_nobody_work_twice(stage: Stage) {
    let (world, terms) = (stage.world(), Terms::of(&stage));
    let class = stage.class("gone", json!({"onDelete": "delete"})).await;
    let (mark, calls) = (world.audit_mark(), world.calls_mark());
    let right = stage.start_with(&terms.put(stage.settings()));
    leads(&right).await;
    let wrong = stage.start_with(&an_hour_ahead(&stage, terms.put(stage.settings())));
    stands_by_warm(&stage, &wrong, mark).await;

    let breaking = async {
        eventually_within(CAP, "some claims are bound", async || {
            (volumes(&stage, &class).await.len() >= CLAIMS / 4).then_some(())
        })
        .await;
        made_on_the_share(&stage, calls, CLAIMS / 4);
        let from = Timestamp::now();
        world.turn(Part::Api, Turn::Frozen).await;
        let quiet = Instant::now() + terms.renew + Duration::from_secs(1);
        let thaw = Instant::now() + FROZEN;
        let stopped = [
            "WARN",
            "standing by, all work stopped",
            "not renewed in time",
        ];
        right.log().says(&stopped).await;
        sleep_until(quiet).await;
        let quiet = world.calls_mark();
        sleep_until(thaw).await;
        assert_eq!(world.changes_since(quiet), [""; 0]);
        let to = Timestamp::now();
        world.turn(Part::Api, Turn::Thawed).await;
        Standstill { from, to }
    };
    let (deleted, standstill) = tokio::join!(ask_for_claims(&stage, &class), breaking);
    let left = CLAIMS - deleted;
    let dirs = eventually_within(
        CAP,
        "what is wanted is bound and the rest gone",
        async || {
            let mut dirs = volumes(&stage, &class).await;
            dirs.sort();
            (dirs.len() == left && stage.entries() == dirs).then_some(dirs)
        },
    )
    .await;
    assert_eq!(dirs.len(), left);
    let ledger = Ledger::since(&stage, mark);
    created_once(&ledger);
    assert_eq!(
        ledger.effects_out_of_turn(terms.lease, Some(standstill)),
        []
    );
    works_on(&stage, &class, right, wrong).await;
}

/// That each of the claims got a volume was seen already. A real API server does not own up to every creation: the answer to a client that has gone is 504.
fn created_once(ledger: &Ledger) {
    let created = ledger.volumes_created();
    let names: BTreeSet<_> = created.iter().collect();
    assert!(!names.contains(&""), "a creation without a name");
    assert_eq!(
        names.len(),
        created.len(),
        "a claim was provisioned twice: {created:?}"
    );
    assert!(created.len() <= CLAIMS, "{} creations", created.len());
    println!(
        "measured: {} of {CLAIMS} creations owned up to",
        created.len()
    );
}

/// Both are whole: whoever leads now, the other takes over.
async fn works_on(stage: &Stage, class: &str, right: Provisioner, wrong: Provisioner) {
    let leader = super::held(stage).await.expect("a lock").holder;
    let (first, second) = if leader == identity(&right) {
        (right, wrong)
    } else {
        (wrong, right)
    };
    assert_eq!(first.stop().await.code(), Some(0));
    stage.provision("last", class).await;
    assert_eq!(second.stop().await.code(), Some(0));
}

/// Creates claims, ten at a time, and deletes the first fifth, each once it is bound: how many. Requests that the frozen server leaves unanswered are
/// waited for, and those that have timed out inside it are sent again.
async fn ask_for_claims(stage: &Stage, class: &str) -> usize {
    let claims = stage.claims();
    let some = (0..10).map(async |part| {
        let mut deleted = 0;
        for number in (part..CLAIMS).step_by(10) {
            let name = format!("data-{number}");
            let claim = mk_claim(&name, class);
            accepted(409, async || {
                claims
                    .create(&PostParams::default(), &claim)
                    .await
                    .map(drop)
            })
            .await;
            if number < CLAIMS / 5 {
                stage.bound_within(CAP, &name).await;
                accepted(404, async || {
                    claims
                        .delete(&name, &DeleteParams::default())
                        .await
                        .map(drop)
                })
                .await;
                deleted += 1;
            }
        }
        deleted
    });
    join_all(some).await.into_iter().sum()
}

/// Sends a request until it is accepted. A server that has stood still answers some with 500 ("resource quota evaluation timed out") or 504, and may have
/// done what they asked: the next one finds `done` then.
async fn accepted(done: u16, send: impl AsyncFn() -> kube::Result<()>) {
    eventually_within(CAP, "a request is accepted", async || match send().await {
        Err(kube::Error::Api(status)) if status.code >= 500 => {
            println!("sent again: {}", status.message);
            None
        }
        Err(kube::Error::Api(status)) if status.code == done => Some(()),
        Err(error) => panic!("a request was refused: {error}"),
        Ok(()) => Some(()),
    })
    .await;
}

/// Directories of the class's volumes.
async fn volumes(stage: &Stage, class: &str) -> Vec<String> {
    let all = stage.volumes().list(&ListParams::default()).await;
    let mut volumes = all.expect("volumes").items;
    volumes.retain(|volume| {
        volume
            .spec
            .as_ref()
            .and_then(|spec| spec.storage_class_name.as_deref())
            == Some(class)
    });
    volumes.iter().map(|volume| stage.dir_of(volume)).collect()
}

/// That the share's own log tells of what is done there: without this, its silence would say nothing.
fn made_on_the_share(stage: &Stage, since: u64, directories: usize) {
    let changes = stage.world().changes_since(since);
    let made = changes.iter().filter(|call| call.starts_with("MKDIR"));
    assert!(
        made.count() >= directories,
        "the file server logs no calls (a world of real parts needs E2E_NFS_CALLS=1): {changes:?}"
    );
}

/// The leader before has handed a directory out again, which the standby has not been told; then the leader is gone.
async fn a_standby_whose_view_is_old_looks_again_before_it_takes_a_directory_away(stage: Stage) {
    let world = stage.world();
    let double = world.double().expect("the double");
    let parameters = json!({"onDelete": "delete", "pathPattern": "shared"});
    let class = stage.class("shared", parameters).await;
    let settings = Terms::of(&stage).put(stage.settings());
    let mark = world.audit_mark();
    let first = stage.start_with(&settings);
    leads(&first).await;
    let old = stage.provision("old", &class).await;
    // It stays on the list of what is to be deleted.
    let refused = double
        .nfs_faults()
        .fail(Procedure::RENAME, nfsstat3::NFS3ERR_DQUOT);
    stage.delete_claim("old").await;
    stage.event(&name_of(&old), "VolumeFailedDelete", &[]).await;
    let second = stage.start_with(&settings);
    stands_by_warm(&stage, &second, mark).await;

    double.api().faults().still_watches();
    let path = format!("{}/shared", stage.share().path);
    let new = mk_volume(
        &format!("{}-new", stage.namespace()),
        &stage.share().server,
        &path,
        json!({}),
    );
    stage.create_volume(new).await;
    stage.write("shared", "precious");
    double.nfs_faults().clear(refused);
    first.kill();
    stage.gone(&old).await;
    leads(&second).await;
    assert!(stage.dir("shared/precious").is_file());
    let kept = [&*format!("{}-new", stage.namespace())];
    stage
        .event(&name_of(&old), "VolumeFailedDelete", &kept)
        .await;
}
