//! Real NFS servers and what becomes of them in the middle of the work: nfs-ganesha, and Linux's own.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::stream;
use futures::{FutureExt, StreamExt};
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::api::ListParams;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::expect::{eventually, eventually_within};
use crate::provisioner::Provisioner;
use crate::runbook::quotes;
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};
use crate::world::{Real, Share};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    let why = "it is about a real server";
    let ganesha = [
        Scenario::of(a_server_is_reached_over_ipv6),
        Scenario::of(ganesha_squashing_root_says_so_on_the_claim),
        Scenario::of(ganesha_refusing_high_ports_says_so_on_the_claim),
        Scenario::of(an_export_that_is_not_secure_serves_from_any_port),
        Scenario::of(five_hundred_claims_survive_a_restart_of_ganesha).alone(),
        Scenario::of(a_minute_without_a_packet_from_ganesha_is_survived).alone(),
    ];
    let knfsd = [
        Scenario::of(knfsd_archives_and_deletes),
        Scenario::of(knfsd_squashing_root_says_so_on_the_claim),
        Scenario::of(knfsd_refusing_high_ports_says_so_on_the_claim),
        Scenario::of(knfsd_that_exports_nothing_to_us_any_more_says_so_on_the_claim).alone(),
        Scenario::of(what_is_mounted_inside_a_volume_is_left_alone),
        Scenario::of(a_full_share_says_so_and_serves_when_there_is_room),
        Scenario::of(five_hundred_claims_survive_a_power_cut_of_knfsd).alone(),
        Scenario::of(a_minute_without_a_packet_from_knfsd_is_survived).alone(),
        Scenario::of(a_knfsd_that_hangs_keeps_nobody_of_ganesha_waiting).alone(),
    ];
    let knfsd = knfsd.map(Scenario::with_knfsd);
    ganesha
        .into_iter()
        .chain(knfsd)
        .map(|scenario| scenario.only_on_real_parts(why))
        .collect()
}

const COUNT: usize = 500;
/// How long a server is out of reach.
const CUT: Duration = Duration::from_secs(60);
/// For what has to go through 500 claims after an interruption.
const CAP: Duration = Duration::from_secs(180);

fn real(stage: &Stage) -> &Real {
    stage.world().real().expect("real parts")
}

/// A directory of one of nfs-ganesha's other exports as a share of the scenario's own.
fn ganesha(stage: &Stage, path: &str) -> Share {
    let path = real(stage).says(path).expect("a share");
    let share = Share {
        path: path.to_owned(),
        dir: path.into(),
        ..stage.share().clone()
    };
    share.folder(stage.namespace())
}

/// A directory of knfsd as a share of the scenario's own.
async fn knfsd(stage: &Stage, path: &str) -> Share {
    let real = real(stage);
    let says = |key| real.says(key).expect("knfsd").to_owned();
    let path = format!("{}/{}", says(path), stage.namespace());
    exec(stage, &format!("mkdir -m 777 {path}")).await;
    Share {
        server: says("KNFSD_SERVER"),
        // It lies in another machine.
        dir: "/nonexistent".into(),
        path,
        nfs_port: None,
        mount_port: None,
    }
}

/// Runs a command in knfsd's machine.
async fn exec(stage: &Stage, command: &str) -> String {
    real(stage).world_sh(&["knfsd", "exec", command]).await
}

async fn listing(stage: &Stage, share: &Share) -> BTreeSet<String> {
    if share.dir.is_dir() {
        return crate::stage::entries(&share.dir).into_iter().collect();
    }
    let text = exec(stage, &format!("ls {}", share.path)).await;
    text.lines().map(str::to_owned).collect()
}

fn start(stage: &Stage, share: &Share) -> Provisioner {
    let settings = stage.settings_for(share).with("LOG_LEVEL", "info");
    stage.start_with(&settings)
}

/// The volumes of a class.
async fn volumes(stage: &Stage, class: &str) -> Vec<PersistentVolume> {
    let all = stage
        .volumes()
        .list(&ListParams::default())
        .await
        .expect("volumes");
    let of_class = |volume: &PersistentVolume| {
        let spec = volume.spec.as_ref();
        spec.and_then(|spec| spec.storage_class_name.as_deref()) == Some(class)
    };
    all.into_iter().filter(of_class).collect()
}

/// Creates 500 claims, has the server restarted while they are worked on, and sees every one bound, with a directory for each and no other.
async fn burst(stage: &Stage, share: &Share, restart: impl AsyncFnOnce()) {
    let class = stage.class("burst", json!({"onDelete": "delete"})).await;
    let _provisioner = start(stage, share);
    let create = stream::iter(0..COUNT).map(|number| {
        let (name, class) = (format!("data-{number}"), class.clone());
        async move { stage.claim(&name, &class).await }
    });
    let create = create.buffer_unordered(16).collect::<Vec<_>>();
    let interrupt = async {
        eventually_within(CAP, "a tenth is done", async || {
            (volumes(stage, &class).await.len() >= COUNT / 10).then_some(())
        })
        .await;
        let before = volumes(stage, &class).await.len();
        assert!(before < COUNT, "not in the middle of it");
        restart().await;
        (before, Instant::now())
    };
    let (_, (before, up)) = tokio::join!(create, interrupt);
    let all = eventually_within(CAP, "all volumes are made", async || {
        let all = volumes(stage, &class).await;
        (all.len() == COUNT).then_some(all)
    })
    .await;
    println!(
        "measured: server gone after {before} of {COUNT} volumes; all made {:.1} s after it was back",
        up.elapsed().as_secs_f64()
    );
    for volume in &all {
        stage.volume_is(&name_of(volume), "Bound").await;
    }
    let paths = all
        .iter()
        .filter_map(|volume| volume.spec.as_ref()?.nfs.as_ref()?.path.rsplit('/').next());
    let wanted: BTreeSet<_> = paths.map(str::to_owned).collect();
    assert_eq!(wanted.len(), COUNT);
    assert_eq!(
        listing(stage, share).await,
        wanted,
        "a directory for each volume, and no other"
    );
}

async fn five_hundred_claims_survive_a_restart_of_ganesha(stage: Stage) {
    let share = stage.share().clone();
    burst(&stage, &share, async || {
        real(&stage).world_sh(&["nfs", "kill"]).await;
        real(&stage).world_sh(&["nfs", "start"]).await;
    })
    .await;
}

async fn five_hundred_claims_survive_a_power_cut_of_knfsd(stage: Stage) {
    let share = knfsd(&stage, "KNFSD_PATH").await;
    burst(&stage, &share, async || {
        real(&stage).world_sh(&["knfsd", "kill"]).await;
        real(&stage).world_sh(&["knfsd", "start"]).await;
    })
    .await;
}

/// A minute in which packets vanish, as behind a broken switch: nothing refuses, nothing answers.
async fn minute_without_packets(stage: &Stage, share: &Share, server: &str) {
    let class = stage.class("cut", json!({"onDelete": "delete"})).await;
    let mut provisioner = start(stage, share);
    let before = stage.provision("before", &class).await;
    real(stage).world_sh(&[server, "block"]).await;
    let cut = Instant::now();
    stage.claim("data", &class).await;
    stage.delete_claim("before").await;
    // Packets flow again only once both have been tried in vain.
    let place = [&*share.path];
    stage
        .event_within(CUT, "data", "ProvisioningFailed", &place)
        .await;
    stage
        .event_within(CUT, &name_of(&before), "VolumeFailedDelete", &place)
        .await;
    sleep_until(cut + CUT).await;
    assert_eq!(stage.phase("data").await, "Pending");
    stage.volume_is(&name_of(&before), "Released").await;
    real(stage).world_sh(&[server, "unblock"]).await;
    let back = Instant::now();
    assert!(provisioner.is_alive());
    stage.bound_within(CAP, "data").await;
    println!(
        "measured: bound {:.1} s after packets flow again ({server})",
        back.elapsed().as_secs_f64()
    );
    stage.gone(&before).await;
}

async fn a_minute_without_a_packet_from_ganesha_is_survived(stage: Stage) {
    let share = stage.share().clone();
    minute_without_packets(&stage, &share, "nfs").await;
}

async fn a_minute_without_a_packet_from_knfsd_is_survived(stage: Stage) {
    let share = knfsd(&stage, "KNFSD_PATH").await;
    minute_without_packets(&stage, &share, "knfsd").await;
}

/// For as long as a call may take nobody knows that anything is wrong, and more of the one server's work is there than may be under way.
async fn a_knfsd_that_hangs_keeps_nobody_of_ganesha_waiting(stage: Stage) {
    let share = knfsd(&stage, "KNFSD_PATH").await;
    let parameters = json!({"server": share.server, "share": share.path, "onDelete": "delete"});
    let hanging = stage.class("hangs", parameters).await;
    let serving = stage.class("serves", json!({"onDelete": "delete"})).await;
    let settings = stage.settings();
    let settings = settings.with("CLAIM_CONCURRENCY", "4");
    let _provisioner = stage.start_with(&settings.with("VOLUME_CONCURRENCY", "2"));
    let mut leaving = Vec::new();
    for number in 0..4 {
        leaving.push(stage.provision(&format!("leaves-{number}"), &hanging).await);
    }
    let tried = async || stage.events_of("Provisioning").await.len();
    let before = tried().await;
    real(&stage).world_sh(&["knfsd", "block"]).await;
    for (number, volume) in leaving.iter().enumerate() {
        stage.delete_claim(&format!("leaves-{number}")).await;
        stage.volume_is(&name_of(volume), "Released").await;
    }
    for number in 0..10 {
        stage.claim(&format!("waits-{number}"), &hanging).await;
    }
    eventually("as many are tried as may be", async || {
        (tried().await == before + 4).then_some(())
    })
    .await;
    let served = stage.provision("served", &serving).await;
    stage.delete_claim("served").await;
    stage.gone(&served).await;
    for reason in ["ProvisioningFailed", "VolumeFailedDelete"] {
        assert_eq!(
            stage.events_of(reason).await,
            [],
            "what hangs was given up before"
        );
    }
    real(&stage).world_sh(&["knfsd", "unblock"]).await;
    for number in 0..10 {
        stage.bound_within(CAP, &format!("waits-{number}")).await;
    }
    for volume in &leaving {
        stage.gone(volume).await;
    }
}

/// A global address, and a link-local one, which means nothing without its scope.
async fn a_server_is_reached_over_ipv6(stage: Stage) {
    let class = stage.class("six", json!({})).await;
    for (claim, key) in [("global", "NFS_SERVER6"), ("link", "NFS_SERVER6_LINK")] {
        let server = real(&stage).says(key).expect("an address").to_owned();
        let share = Share {
            server: server.clone(),
            ..stage.share().clone()
        };
        let provisioner = start(&stage, &share);
        let volume = stage.provision(claim, &class).await;
        let nfs = volume.spec.and_then(|spec| spec.nfs);
        assert_eq!(nfs.map(|nfs| nfs.server), Some(server));
        assert_eq!(provisioner.stop().await.code(), Some(0));
    }
    assert_eq!(stage.entries().len(), 2);
}

/// Only root may write to the share, and root is nobody there.
async fn squashed(stage: &Stage, share: &Share) {
    let class = stage.class("plain", json!({})).await;
    let _provisioner = start(stage, share);
    stage.claim("data", &class).await;
    let event = stage.event("data", "ProvisioningFailed", &["squash"]).await;
    quotes("Squashed root", &event.message.unwrap_or_default());
}

async fn ganesha_squashing_root_says_so_on_the_claim(stage: Stage) {
    let share = ganesha(&stage, "NFS_PATH_SQUASH");
    squashed(&stage, &share).await;
}

async fn knfsd_squashing_root_says_so_on_the_claim(stage: Stage) {
    let share = knfsd(&stage, "KNFSD_PATH_SQUASH").await;
    exec(&stage, &format!("chmod 755 {}", share.path)).await;
    squashed(&stage, &share).await;
}

/// As a pod without the sysctl: no port below 1024, on a server that does not ask for one.
async fn an_export_that_is_not_secure_serves_from_any_port(stage: Stage) {
    let share = ganesha(&stage, "NFS_PATH_OPEN");
    let class = stage.class("plain", json!({"onDelete": "delete"})).await;
    let settings = stage.settings_for(&share).without_low_ports();
    let provisioner = stage.start_with(&settings);
    stage.provision("data", &class).await;
    provisioner
        .log()
        .says(&["no port below 1024 can be bound"])
        .await;
    assert_eq!(listing(&stage, &share).await.len(), 1);
}

/// The same, on a server that does ask for one, until the process may; what the claim was told, `how` among it.
async fn refused_high_ports(stage: &Stage, share: &Share, how: &str) -> String {
    let class = stage.class("plain", json!({})).await;
    let refused = stage.start_with(&stage.settings_for(share).without_low_ports());
    stage.claim("data", &class).await;
    let parts = [how, "net.ipv4.ip_unprivileged_port_start=0"];
    let event = stage.event("data", "ProvisioningFailed", &parts).await;
    assert_eq!(refused.stop().await.code(), Some(0));
    let _allowed = start(stage, share);
    stage.bound("data").await;
    event.message.unwrap_or_default()
}

async fn ganesha_refusing_high_ports_says_so_on_the_claim(stage: Stage) {
    let share = ganesha(&stage, "NFS_PATH");
    let message = refused_high_ports(&stage, &share, "AUTH_TOOWEAK").await;
    quotes("Reserved port refused", &message);
}

/// knfsd's exports are `secure` unless told otherwise.
async fn knfsd_refusing_high_ports_says_so_on_the_claim(stage: Stage) {
    let share = knfsd(&stage, "KNFSD_PATH").await;
    refused_high_ports(&stage, &share, "secure").await;
}

/// To an address that is in none of its exports knfsd refuses the credential, whatever that is.
async fn knfsd_that_exports_nothing_to_us_any_more_says_so_on_the_claim(stage: Stage) {
    let share = knfsd(&stage, "KNFSD_PATH").await;
    let class = stage.class("plain", json!({})).await;
    let _provisioner = start(&stage, &share);
    stage.provision("before", &class).await;
    exec(&stage, "exportfs -ua && exportfs -f").await;
    stage.claim("data", &class).await;
    let parts = ["AUTH_BADCRED", "sec=sys"];
    let told = stage.event("data", "ProvisioningFailed", &parts);
    let told = AssertUnwindSafe(told).catch_unwind().await;
    // First of all, for the scenarios after this one.
    exec(&stage, "exportfs -ra").await;
    let message = told.expect("the event").message.unwrap_or_default();
    quotes("Wrong path", &message);
    stage.bound("data").await;
}

/// Something is mounted inside a volume on the server, and the export lets clients cross into it.
async fn what_is_mounted_inside_a_volume_is_left_alone(stage: Stage) {
    let share = knfsd(&stage, "KNFSD_PATH").await;
    let other = knfsd(&stage, "KNFSD_PATH_TMPFS").await;
    let class = stage
        .class(
            "del",
            json!({"onDelete": "delete", "pathPattern": "${.PVC.name}"}),
        )
        .await;
    let _provisioner = start(&stage, &share);
    let volume = stage.provision("data", &class).await;
    let inner = format!("{}/data/inner", share.path);
    let clients = clients(&share.server);
    let crossmnt = format!(
        "rw,sync,no_root_squash,no_subtree_check,crossmnt,fsid={}",
        std::process::id()
    );
    exec(
        &stage,
        &format!(
            "set -e; touch {0}/canary {1}/data/file; mkdir {inner}; mount --bind {0} {inner}; \
             exportfs -o {crossmnt} {clients}:{1}",
            other.path, share.path
        ),
    )
    .await;
    stage.delete_claim("data").await;
    let parts = ["1 entry could not be removed, the rest is gone", "inner"];
    stage
        .event(&name_of(&volume), "VolumeFailedDelete", &parts)
        .await;
    let canary = format!("ls {}/canary", other.path);
    exec(&stage, &canary).await;
    exec(
        &stage,
        &format!(
            "set -e; exportfs -u {clients}:{0}; \
             umount $(awk '$2 ~ \"^{0}/.*/inner$\" {{ print $2 }}' /proc/mounts)",
            share.path
        ),
    )
    .await;
    stage.gone(&volume).await;
    exec(&stage, &canary).await;
    exec(&stage, &format!("rm -r {} {}", share.path, other.path)).await;
}

/// Everyone on the network of knfsd's machine, as `exports(5)` names them.
fn clients(server: &str) -> String {
    let network = server
        .rsplit_once('.')
        .map_or(server, |(network, _)| network);
    format!("{network}.0/24")
}

async fn a_full_share_says_so_and_serves_when_there_is_room(stage: Stage) {
    let share = knfsd(&stage, "KNFSD_PATH_SMALL").await;
    let class = stage.class("full", json!({"onDelete": "delete"})).await;
    let _provisioner = start(&stage, &share);
    exec(
        &stage,
        &format!(
            "i=0; while mkdir {}/fill-$i 2>/dev/null; do i=$((i+1)); done",
            share.path
        ),
    )
    .await;
    stage.claim("data", &class).await;
    let event = stage.event("data", "ProvisioningFailed", &["space"]).await;
    quotes("Share full", &event.message.unwrap_or_default());
    exec(&stage, &format!("rmdir {}/fill-*", share.path)).await;
    stage.bound("data").await;
    exec(&stage, &format!("rm -rf {}", share.path)).await;
}

async fn knfsd_archives_and_deletes(stage: Stage) {
    let share = knfsd(&stage, "KNFSD_PATH").await;
    let (del, arch) = (
        stage.class("del", json!({"onDelete": "delete"})).await,
        stage
            .class("arch", json!({"pathPattern": "a/b/${.PVC.name}"}))
            .await,
    );
    let _provisioner = start(&stage, &share);
    let gone = stage.provision("gone", &del).await;
    let kept = stage.provision("kept", &arch).await;
    let modes = exec(
        &stage,
        &format!(
            "touch {0}/a/b/kept/canary; stat -c %a {0}/a {0}/a/b {0}/a/b/kept",
            share.path
        ),
    )
    .await;
    assert_eq!(modes.lines().collect::<Vec<_>>(), ["777"; 3]);
    for claim in ["gone", "kept"] {
        stage.delete_claim(claim).await;
    }
    stage.gone(&gone).await;
    stage.gone(&kept).await;
    assert_eq!(
        listing(&stage, &share).await,
        BTreeSet::from(["archived-kept".to_owned()])
    );
    assert_eq!(
        exec(&stage, &format!("ls {}/archived-kept", share.path))
            .await
            .trim(),
        "canary"
    );
}
