//! Somebody takes a volume back whose directory is on its way out, and its object goes before the data is back.

use kube::api::DeleteParams;
use serde_json::json;
use testkit::api::{Fault, Requests};
use testkit::nfs::{Effect, Procedure, Rule, nfsstat3};

use crate::expect::until;
use crate::lock;
use crate::provisioner::Settings;
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};
use crate::world::{Part, Share, Turn};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::of(a_volume_taken_back_outlives_its_object_though_no_watch_saw_it_go)
            .alone()
            .only_on_the_double("a real API server does not forget its history on demand"),
        Scenario::of(a_volume_taken_back_outlives_its_object_and_the_lead)
            .alone()
            .only_on_the_double("a real server cannot be told to refuse one procedure"),
        Scenario::of(a_volume_taken_back_does_not_wait_until_leftovers_are_gone)
            .alone()
            .only_on_the_double("a real server cannot be told to ignore one procedure"),
        Scenario::of(a_class_made_anew_saves_what_is_being_removed)
            .alone()
            .only_on_the_double("a real server cannot be told to ignore one procedure"),
        Scenario::of(a_volume_taken_back_outlives_its_object_before_its_share_was_looked_at)
            .with_own_rights()
            .alone()
            .only_on_the_double("a real server cannot be told to ignore one procedure"),
        Scenario::of(a_retained_object_is_not_given_up_before_its_share_has_answered)
            .with_own_rights()
            .alone(),
        Scenario::of(a_volume_taken_back_has_its_data_though_no_class_names_its_share)
            .only_on_the_double("only root may move directories on a real share"),
    ]
}

const HIDDEN: &str = ".nfs-subdir-external-provisioner";

/// A process died after it had moved the directory of a volume away, and somebody has set the volume to Retain since. Returns the volume's name and its
/// directory, which holds a canary.
async fn retained_after_a_crash(stage: &Stage, claim: &str, class: &str) -> (String, String) {
    let provisioner = stage.start_with(&without_lock(stage));
    let volume = stage.provision(claim, class).await;
    let (name, dir) = (name_of(&volume), stage.dir_of(&volume));
    stage.write(&dir, "canary");
    provisioner.kill();
    stage.rename(&dir, &format!("{HIDDEN}/{name}")).await;
    stage.delete_claim(claim).await;
    stage.volume_is(&name, "Released").await;
    let retained = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}});
    stage.patch_volume(&name, retained).await;
    (name, dir)
}

fn without_lock(stage: &Stage) -> Settings {
    stage.settings().with("ENABLE_LEADER_ELECTION", "false")
}

/// The object goes in a gap of the watch, before the data could be brought back.
async fn a_volume_taken_back_outlives_its_object_though_no_watch_saw_it_go(stage: Stage) {
    let double = stage.world().double().expect("the double");
    let (api, faults) = (double.api(), double.nfs_faults());
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let (volume, dir) = retained_after_a_crash(&stage, "data", &class).await;
    let refused = faults.fail(Procedure::RENAME, nfsstat3::NFS3ERR_ACCES);
    let _provisioner = stage.start_with(&without_lock(&stage));
    stage.event(&volume, "VolumeFailedDelete", &[]).await;
    let watches = Requests::of("watch", "persistentvolumes");
    api.faults().fail(usize::MAX, watches, Fault::Unavailable);
    api.faults().cut_watches();
    stage.delete_volume(&volume).await;
    // What the watch has missed is not told any more.
    api.compact();
    let mark = api.audit().mark();
    api.faults().clear();
    until("all volumes are listed anew", || {
        api.audit().count(mark, "list", "persistentvolumes") > 0
    })
    .await;
    stage.passed_by().await;
    faults.clear(refused);
    let back = ["is back in", &dir];
    stage.event(&volume, "VolumeFailedDelete", &back).await;
    assert!(stage.dir(&dir).join("canary").is_file());
}

/// The object goes while the share is down, and the process does not lead for a while before the share is back.
async fn a_volume_taken_back_outlives_its_object_and_the_lead(stage: Stage) {
    let world = stage.world();
    let faults = world.double().expect("the double").nfs_faults();
    let settings = stage.settings();
    let settings = settings
        .with("LEASE_DURATION", "6s")
        .with("RENEW_DEADLINE", "4s");
    let provisioner = stage.start_with(&settings.with("RETRY_PERIOD", "1s"));
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let volume = stage.provision("data", &class).await;
    let (name, dir) = (name_of(&volume), stage.dir_of(&volume));
    stage.write(&dir, "canary");
    let refused = faults.fail(Procedure::REMOVE, nfsstat3::NFS3ERR_ACCES);
    stage.delete_claim("data").await;
    stage.event(&name, "VolumeFailedDelete", &[]).await;
    world.turn(Part::Nfs, Turn::Off).await;
    faults.clear(refused);
    let retained = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}});
    stage.patch_volume(&name, retained).await;
    stage.delete_volume(&name).await;
    stage.gone(&volume).await;
    lock::loses_the_lead_for_a_while(&stage, &provisioner).await;
    world.turn(Part::Nfs, Turn::On).await;
    let back = ["is back in", &dir];
    stage.event(&name, "VolumeFailedDelete", &back).await;
    assert!(stage.dir(&dir).join("canary").is_file());
}

/// The file server hangs while the first of many leftovers is removed, and the object goes.
async fn a_volume_taken_back_does_not_wait_until_leftovers_are_gone(stage: Stage) {
    let faults = stage.world().double().expect("the double").nfs_faults();
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let (volume, dir) = retained_after_a_crash(&stage, "data", &class).await;
    // A folder is read in an order of its own.
    for number in 0..20 {
        stage.write(&format!("{HIDDEN}/pvc-{number}"), "leftover");
    }
    let ignored = faults.inject(Rule::on(Procedure::REMOVE, Effect::Ignore).named("leftover"));
    let _provisioner = stage.start_with(&without_lock(&stage));
    until("one is being removed", || faults.hits(ignored) >= Some(1)).await;
    stage.delete_volume(&volume).await;
    let back = ["is back in", &dir];
    stage.event(&volume, "VolumeFailedDelete", &back).await;
    faults.clear(ignored);
    assert!(stage.dir(&dir).join("canary").is_file());
}

/// The directory of a volume on another share, which holds a canary, is moved away as by a process that dies right after it, and its claim is deleted.
/// Returns the volume's name and its directory.
async fn trashed_on(share: &Share, stage: &Stage, claim: &str) -> (String, String) {
    let name = name_of(&stage.bound(claim).await);
    let dir = format!("{}-{claim}-{name}", stage.namespace());
    let (at, hidden) = (share.dir.join(&dir), share.dir.join(HIDDEN));
    std::fs::write(at.join("canary"), "").expect("a file");
    std::fs::create_dir_all(&hidden).expect("the hidden folder");
    std::fs::rename(&at, hidden.join(&name)).expect("moved away");
    stage.delete_claim(claim).await;
    stage.volume_is(&name, "Released").await;
    (name, dir)
}

async fn delete_class(stage: &Stage, class: &str) {
    let (classes, params) = (stage.classes(), DeleteParams::default());
    let deleted = classes.delete(class, &params).await;
    deleted.expect("the class");
}

/// The file server hangs while the first leftover of another share is removed, and their own share is not listed before that is over. They were taken
/// back while no process ran: set to `Retain`, or by a class made anew. Their objects go at once.
async fn a_volume_taken_back_outlives_its_object_before_its_share_was_looked_at(stage: Stage) {
    let faults = stage.world().double().expect("the double").nfs_faults();
    let second = stage.world().second_share().folder(stage.namespace());
    let fields = |policy: &str| json!({"share": second.path, "onDelete": policy});
    let provisioner = stage.start_with(&without_lock(&stage));
    let mut volumes = Vec::new();
    for claim in ["held", "free", "retained", "archived"] {
        let class = stage.class(claim, fields("delete")).await;
        stage.provision(claim, &class).await;
    }
    provisioner.kill();
    for claim in ["held", "free", "retained", "archived"] {
        volumes.push(trashed_on(&second, &stage, claim).await);
    }
    let retained = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}});
    for (name, _) in &volumes[..2] {
        stage.patch_volume(name, retained.clone()).await;
    }
    for (claim, policy) in [("retained", "retain"), ("archived", "archive")] {
        delete_class(&stage, &stage.class_name(claim)).await;
        stage.class(claim, fields(policy)).await;
    }
    // As of a provisioner that may not put its finalizer on.
    let free = json!({"metadata": {"finalizers": null}});
    stage.patch_volume(&volumes[1].0, free).await;
    stage.delete_volume(&volumes[0].0).await;

    stage.write(&format!("{HIDDEN}/pvc-0"), "leftover");
    let ignored = faults.inject(Rule::on(Procedure::REMOVE, Effect::Ignore).named("leftover"));
    let _provisioner = stage.start_with(&without_lock(&stage));
    until("a leftover is being removed", || {
        faults.hits(ignored) >= Some(1)
    })
    .await;
    stage.delete_volume(&volumes[1].0).await;
    for (name, dir) in &volumes {
        stage
            .event(name, "VolumeFailedDelete", &["is back in", dir])
            .await;
    }
    let archive = format!("archived-{}", volumes[3].1);
    until("one is archived", || second.dir.join(&archive).is_dir()).await;
    faults.clear(ignored);
    let dirs = volumes[..3].iter().map(|(_, dir)| dir).chain([&archive]);
    for dir in dirs {
        assert!(second.dir.join(dir).join("canary").is_file(), "{dir}");
    }
}

/// Nobody knows whether an earlier process had moved its directory away.
async fn a_retained_object_is_not_given_up_before_its_share_has_answered(stage: Stage) {
    let class = json!({"reclaimPolicy": "Retain", "parameters": {"onDelete": "delete"}});
    let class = stage.class_from("kept", class).await;
    let provisioner = stage.start_with(&without_lock(&stage));
    let volume = stage.provision("data", &class).await;
    let (name, dir) = (name_of(&volume), stage.dir_of(&volume));
    stage.write(&dir, "canary");
    provisioner.kill();
    stage.delete_claim("data").await;
    stage.volume_is(&name, "Released").await;
    stage.delete_volume(&name).await;
    stage.world().turn(Part::Nfs, Turn::Off).await;
    let _provisioner = stage.start_with(&without_lock(&stage));
    let share = [&*stage.share().path];
    stage.event(&name, "VolumeFailedDelete", &share).await;
    let held = stage.volumes().get_opt(&name).await;
    assert!(held.expect("an answer").is_some());
    stage.world().turn(Part::Nfs, Turn::On).await;
    stage.gone(&volume).await;
    assert!(stage.dir(&dir).join("canary").is_file());
}

/// The process died after it had moved the directory away, and nothing but the volume itself tells of its share.
async fn a_volume_taken_back_has_its_data_though_no_class_names_its_share(stage: Stage) {
    let second = stage.world().second_share().folder(stage.namespace());
    let parameters = json!({"share": second.path, "onDelete": "delete"});
    let class = stage.class("second", parameters).await;
    let provisioner = stage.start_with(&without_lock(&stage));
    stage.provision("data", &class).await;
    provisioner.kill();
    let (name, dir) = trashed_on(&second, &stage, "data").await;
    delete_class(&stage, &class).await;
    let retained = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}});
    stage.patch_volume(&name, retained).await;
    let _provisioner = stage.start_with(&without_lock(&stage));
    let back = ["is back in", &dir];
    stage.event(&name, "VolumeFailedDelete", &back).await;
    assert!(second.dir.join(&dir).join("canary").is_file());
}

/// The class says now that data is to be archived; somebody has made it anew while a removal ran. The name is free in one case, and a new volume's in the
/// other.
async fn a_class_made_anew_saves_what_is_being_removed(stage: Stage) {
    let faults = stage.world().double().expect("the double").nfs_faults();
    let pattern = "${.PVC.name}";
    let class = stage
        .class(
            "anew",
            json!({"onDelete": "delete", "pathPattern": pattern}),
        )
        .await;
    let _provisioner = stage.start_with(&stage.settings().with("NFS_CALL_TIMEOUT", "300s"));
    let mut volumes = Vec::new();
    for claim in ["free", "taken"] {
        volumes.push(stage.provision(claim, &class).await);
        stage.write(claim, "canary");
    }
    let hangs = faults.inject(Rule::on(Procedure::REMOVE, Effect::Ignore).named("canary"));
    for claim in ["free", "taken"] {
        stage.delete_claim(claim).await;
    }
    until("the removals run", || faults.hits(hangs) > Some(1)).await;
    stage.provision("taken", &class).await;
    delete_class(&stage, &class).await;
    let parameters = json!({"archiveOnDelete": "true", "pathPattern": pattern});
    stage.class("anew", parameters).await;
    for (volume, claim) in volumes.iter().zip(["free", "taken"]) {
        stage.gone(volume).await;
        let archive = format!("archived-{claim}");
        let dir = stage.dir(&archive);
        let found = dir.join("canary").is_file();
        assert!(found, "{archive}: {:?}", stage.entries());
    }
}
