//! What the provisioner depends on is down, slow, or comes and goes.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use serde_json::json;
use testkit::api::{Fate, Fault, Requests};
use testkit::nfs::{Effect, FaultId, Procedure, Rule, nfsstat3};
use tokio::time::Instant;

use crate::expect::{SOON, until};
use crate::fixtures::mk_volume;
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};
use crate::world::{Part, Turn};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::of(nfs_down_at_the_start_is_survived_said_and_made_up_for).alone(),
        Scenario::of(the_api_server_down_at_the_start_is_survived_said_and_made_up_for).alone(),
        Scenario::of(an_nfs_server_killed_in_the_middle_of_a_burst_loses_nothing).alone(),
        Scenario::of(an_api_server_killed_in_the_middle_of_a_burst_loses_nothing).alone(),
        Scenario::of(a_file_server_that_hangs_is_waited_for).alone(),
        Scenario::of(a_claim_deleted_while_it_is_provisioned_leaves_nothing).alone(),
        Scenario::of(a_claim_deleted_while_its_volume_cannot_be_made_leaves_nothing)
            .alone()
            .only_on_the_double("a real API server cannot be told to say 500"),
        Scenario::of(a_claim_deleted_after_its_directory_got_no_answer_leaves_nothing)
            .alone()
            .only_on_the_double("a real server cannot be told to lose one answer"),
        Scenario::of(a_claim_deleted_after_a_crash_before_its_volume_leaves_nothing)
            .alone()
            .only_on_the_double("a real API server cannot be told to say 500"),
        Scenario::of(deletion_goes_on_when_nfs_is_back).alone(),
        Scenario::of(too_many_requests_is_obeyed)
            .alone()
            .only_on_the_double("a real API server cannot be told to say 429"),
        Scenario::of(an_api_server_that_is_unavailable_for_long_is_asked_on_and_named)
            .alone()
            .only_on_the_double("a real API server cannot be told to say 503"),
        Scenario::of(a_volume_whose_creation_got_no_answer_is_not_made_twice)
            .alone()
            .only_on_the_double("a single answer cannot be lost on purpose on a real API server"),
        Scenario::of(a_volume_whose_creation_got_no_answer_keeps_the_directory_that_it_shares)
            .alone()
            .only_on_the_double("a single answer cannot be lost on purpose on a real API server"),
        Scenario::of(a_volume_whose_creation_got_no_answer_keeps_what_was_made_for_another_claim)
            .alone()
            .only_on_the_double("a single answer cannot be lost on purpose on a real API server"),
        Scenario::of(a_volume_whose_creation_got_no_answer_keeps_its_directory_around_another)
            .alone()
            .only_on_the_double("a single answer cannot be lost on purpose on a real API server"),
        Scenario::of(
            a_volume_whose_creation_got_no_answer_keeps_the_directory_that_is_to_be_archived,
        )
        .alone()
        .only_on_the_double("a single answer cannot be lost on purpose on a real API server"),
        Scenario::of(a_volume_that_is_there_already_is_looked_at)
            .alone()
            .only_on_the_double("a request cannot be held on its way into a real API server"),
    ]
}

/// The cap for what should take a moment; how long it took is printed.
const CAP: Duration = Duration::from_secs(40);

/// The cap for what is promised within 5 s, on a machine that does much else besides.
const PROMPTLY: Duration = Duration::from_secs(10);

fn measured(what: &str, since: Instant) {
    println!("measured: {what}: {:.2} s", since.elapsed().as_secs_f64());
}

async fn nfs_down_at_the_start_is_survived_said_and_made_up_for(stage: Stage) {
    let world = stage.world();
    let class = stage.class("plain", json!({})).await;
    world.turn(Part::Nfs, Turn::Off).await;
    let mut provisioner = stage.start();
    stage.claim("data", &class).await;
    let share = format!("{}:{}", stage.share().server, stage.share().path);
    stage
        .event_within(CAP, "data", "ProvisioningFailed", &[&share])
        .await;
    provisioner
        .log()
        .says(&["WARN", "share does not answer"])
        .await;
    // Let the failures pile up, so that it is not the first short pause that ends in time.
    stage
        .event_counted(CAP, "data", "ProvisioningFailed", 4)
        .await;
    assert!(provisioner.is_alive());
    assert_eq!(stage.phase("data").await, "Pending");
    world.turn(Part::Nfs, Turn::On).await;
    let up = Instant::now();
    stage.bound_within(PROMPTLY, "data").await;
    measured("from NFS up to the waiting claim bound (aim 5 s)", up);
}

async fn the_api_server_down_at_the_start_is_survived_said_and_made_up_for(stage: Stage) {
    let world = stage.world();
    let class = stage.class("plain", json!({})).await;
    stage.claim("data", &class).await;
    world.turn(Part::Api, Turn::Off).await;
    let mut provisioner = stage.start();
    provisioner.log().says(&["WARN", "API server"]).await;
    assert!(provisioner.is_alive());
    world.turn(Part::Api, Turn::On).await;
    let up = Instant::now();
    stage.bound_within(PROMPTLY, "data").await;
    measured(
        "from the API server up to the waiting claim bound (aim 5 s)",
        up,
    );
}

async fn burst(stage: &Stage, class: &str, count: usize, broken: Part) {
    let name = |number| format!("data-{number}");
    for number in 0..count / 2 {
        stage.claim(&name(number), class).await;
    }
    let world = stage.world();
    if broken == Part::Nfs {
        world.turn(Part::Nfs, Turn::Off).await;
        for number in count / 2..count {
            stage.claim(&name(number), class).await;
        }
    } else {
        for number in count / 2..count {
            stage.claim(&name(number), class).await;
        }
        world.turn(Part::Api, Turn::Off).await;
    }
    world.turn(broken, Turn::On).await;
    let up = Instant::now();
    let mut dirs = Vec::new();
    for number in 0..count {
        let volume = stage.bound_within(CAP, &name(number)).await;
        dirs.push(stage.dir_of(&volume));
    }
    measured("from up again to all claims bound", up);
    dirs.sort();
    assert_eq!(stage.entries(), dirs, "no directory but the volumes' own");
}

async fn an_nfs_server_killed_in_the_middle_of_a_burst_loses_nothing(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let _provisioner = stage.start();
    burst(&stage, &class, 60, Part::Nfs).await;
}

async fn an_api_server_killed_in_the_middle_of_a_burst_loses_nothing(stage: Stage) {
    let class = stage.class("plain", json!({})).await;
    let _provisioner = stage.start();
    burst(&stage, &class, 60, Part::Api).await;
}

async fn a_file_server_that_hangs_is_waited_for(stage: Stage) {
    let world = stage.world();
    let class = stage.class("plain", json!({})).await;
    let settings = stage.settings().with("NFS_CALL_TIMEOUT", "1s");
    let mut provisioner = stage.start_with(&settings);
    stage.provision("before", &class).await;
    world.turn(Part::Nfs, Turn::Frozen).await;
    stage.claim("data", &class).await;
    stage
        .event_within(
            CAP,
            "data",
            "ProvisioningFailed",
            &[stage.share().path.as_str()],
        )
        .await;
    assert!(provisioner.is_alive());
    world.turn(Part::Nfs, Turn::Thawed).await;
    let up = Instant::now();
    stage.bound_within(CAP, "data").await;
    measured("from NFS thawed to the waiting claim bound", up);
}

async fn a_claim_deleted_while_it_is_provisioned_leaves_nothing(stage: Stage) {
    let world = stage.world();
    let class = stage
        .class("plain", json!({"pathPattern": "deep/${.PVC.name}"}))
        .await;
    let provisioner = stage.start();
    stage.passed_by().await;
    let before = stage.entries();
    world.turn(Part::Nfs, Turn::Frozen).await;
    let claim = stage.claim("data", &class).await;
    stage.event("data", "Provisioning", &[]).await;
    stage.delete_claim("data").await;
    crate::expect::eventually("the claim is gone", async || {
        stage
            .claims()
            .get_opt("data")
            .await
            .ok()?
            .is_none()
            .then_some(())
    })
    .await;
    // One that does not know yet makes the volume, and deletes it by the rules of its class.
    let knows = ["claim deleted before it was bound", "/data "];
    provisioner.log().says(&knows).await;
    world.turn(Part::Nfs, Turn::Thawed).await;
    stage.passed_by().await;
    crate::expect::until("the directory is gone again", || {
        !stage.dir("deep").exists()
    })
    .await;
    let volume = format!("pvc-{}", claim.metadata.uid.unwrap());
    assert_eq!(stage.volumes().get_opt(&volume).await.unwrap(), None);
    assert_eq!(
        stage.entries().len(),
        before.len() + 1,
        "what passed by, and nothing else"
    );
}

async fn a_claim_deleted_while_its_volume_cannot_be_made_leaves_nothing(stage: Stage) {
    let api = stage.world().double().unwrap().api();
    let pattern = json!({"pathPattern": "deep/${.PVC.name}"});
    let class = stage.class("plain", pattern).await;
    let _provisioner = stage.start();
    stage.passed_by().await;
    let creations = Requests::of("create", "persistentvolumes");
    api.faults().fail(usize::MAX, creations, Fault::Internal);
    stage.claim("data", &class).await;
    stage.event("data", "ProvisioningFailed", &[]).await;
    // By now its directory is found, not made.
    stage
        .event_counted(CAP, "data", "ProvisioningFailed", 2)
        .await;
    assert!(stage.dir("deep/data").is_dir());
    stage.delete_claim("data").await;
    crate::expect::until("the directory is gone again", || {
        !stage.dir("deep").exists()
    })
    .await;
    api.faults().clear();
}

/// The server carries MKDIR out and dies before it answers; the claims go before it is back. One chose a directory that had been there before.
async fn a_claim_deleted_after_its_directory_got_no_answer_leaves_nothing(stage: Stage) {
    let world = stage.world();
    let faults = world.double().unwrap().nfs_faults();
    let plain = stage.class("plain", json!({})).await;
    let by_hand = stage.class("by-hand", json!({"pathPattern": "by-hand"}));
    let by_hand = by_hand.await;
    stage.make_dir("by-hand").await;
    let provisioner = stage.start();
    stage.passed_by().await;
    let before = stage.entries();
    let lost = faults.inject(Rule::on(Procedure::MKDIR, Effect::LoseReply));
    stage.claim("found", &by_hand).await;
    until("its directory is asked for", || {
        faults.hits(lost) >= Some(1)
    })
    .await;
    let claim = stage.claim("data", &plain).await;
    let volume = format!("pvc-{}", claim.metadata.uid.unwrap());
    let dir = stage.dir(&format!("{}-data-{volume}", stage.namespace()));
    until("its directory is made", || dir.is_dir()).await;
    world.turn(Part::Nfs, Turn::Off).await;
    faults.clear(lost);
    for name in ["found", "data"] {
        stage
            .event_within(CAP, name, "ProvisioningFailed", &[])
            .await;
        stage.delete_claim(name).await;
    }
    for name in ["/found ", "/data "] {
        let knows = ["claim deleted before it was bound", name];
        provisioner.log().says(&knows).await;
    }
    assert!(dir.is_dir());
    world.turn(Part::Nfs, Turn::On).await;
    until("the directory is gone again", || !dir.exists()).await;
    stage.passed_by().await;
    assert!(stage.dir("by-hand").is_dir());
    assert_eq!(
        stage.entries().len(),
        before.len() + 1,
        "what passed by, and nothing else"
    );
}

/// The directory is another process's work: this one finds it, and its volume cannot be made.
async fn a_claim_deleted_after_a_crash_before_its_volume_leaves_nothing(stage: Stage) {
    let api = stage.world().double().unwrap().api();
    let class = stage.class("plain", json!({})).await;
    let settings = stage.settings().with("ENABLE_LEADER_ELECTION", "false");
    let first = stage.start_with(&settings);
    let creations = Requests::of("create", "persistentvolumes");
    api.faults().fail(usize::MAX, creations, Fault::Internal);
    stage.claim("data", &class).await;
    stage.event("data", "ProvisioningFailed", &[]).await;
    assert_eq!(stage.entries().len(), 1);
    first.kill();
    let second = stage.start_with(&settings);
    second.log().says(&["provisioning failed", "/data"]).await;
    stage.delete_claim("data").await;
    until("the directory is gone", || stage.entries().is_empty()).await;
    api.faults().clear();
}

async fn deletion_goes_on_when_nfs_is_back(stage: Stage) {
    let world = stage.world();
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let _provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    stage.write(&stage.dir_of(&volume), "canary");
    world.turn(Part::Nfs, Turn::Off).await;
    stage.delete_claim("data").await;
    stage
        .event_within(
            CAP,
            &name_of(&volume),
            "VolumeFailedDelete",
            &[stage.share().path.as_str()],
        )
        .await;
    world.turn(Part::Nfs, Turn::On).await;
    let up = Instant::now();
    stage.gone(&volume).await;
    measured("from NFS up to the waiting volume gone", up);
    assert_eq!(stage.entries(), [""; 0]);
}

async fn too_many_requests_is_obeyed(stage: Stage) {
    let api = stage.world().double().unwrap().api();
    let class = stage.class("plain", json!({})).await;
    let _provisioner = stage.start();
    stage.passed_by().await;
    let mark = api.audit().mark();
    let begin = Instant::now();
    api.faults().fail(
        3,
        Requests::of("create", "persistentvolumes"),
        Fault::TooManyRequests(1),
    );
    stage.claim("data", &class).await;
    stage.bound_within(SOON, "data").await;
    let tries = api.audit().count(mark, "create", "persistentvolumes");
    assert_eq!(tries, 4, "three refusals and a success");
    assert!(
        begin.elapsed() >= Duration::from_secs(3),
        "each refusal asked for a second: {:?}",
        begin.elapsed()
    );
}

/// A client that waits twice as long after each refusal would sleep for as long again as the trouble lasted, or twice that.
async fn an_api_server_that_is_unavailable_for_long_is_asked_on_and_named(stage: Stage) {
    let api = stage.world().double().unwrap().api();
    let class = stage.class("plain", json!({})).await;
    let provisioner = stage.start();
    stage.passed_by().await;
    for resource in ["persistentvolumeclaims", "persistentvolumes"] {
        let requests = Requests::of("watch", resource);
        api.faults().fail(usize::MAX, requests, Fault::Unavailable);
    }
    let mark = api.audit().mark();
    api.faults().cut_watches();
    let tries = || api.audit().count(mark, "watch", "persistentvolumeclaims");
    crate::expect::until("it is refused for a while", || tries() >= 12).await;
    stage.claim("data", &class).await;
    let says = [
        "WARN",
        "kind=PersistentVolumeClaim",
        "currently unable to handle",
    ];
    provisioner.log().says(&says).await;
    api.faults().clear();
    let up = Instant::now();
    stage.bound_within(Duration::from_secs(8), "data").await;
    measured("from the end of 503 to the waiting claim bound", up);
}

async fn a_volume_whose_creation_got_no_answer_is_not_made_twice(stage: Stage) {
    let api = stage.world().double().unwrap().api();
    let class = stage.class("plain", json!({})).await;
    let _provisioner = stage.start();
    stage.passed_by().await;
    api.faults().fail(
        1,
        Requests::of("create", "persistentvolumes"),
        Fault::CutAfter,
    );
    let claim = stage.claim("data", &class).await;
    let volume = stage.bound("data").await;
    assert_eq!(
        name_of(&volume),
        format!("pvc-{}", claim.metadata.uid.unwrap())
    );
    stage.delete_claim("data").await;
    stage.gone(&volume).await;
}

/// Somebody's volume takes the name between the look at the store and the creation.
async fn a_volume_that_is_there_already_is_looked_at(stage: Stage) {
    let api = stage.world().double().unwrap().api();
    let class = stage.class("plain", json!({})).await;
    let _provisioner = stage.start();
    stage.passed_by().await;
    let creations = || Requests::of("create", "persistentvolumes");
    let in_between = async |claim: &str, holder: Option<&str>| {
        let held = api.faults().hold(creations());
        let uid = stage.claim(claim, &class).await.metadata.uid.unwrap();
        held.reached(1).await;
        let fields = json!({
            "spec": {
                "storageClassName": class,
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": stage.namespace(),
                    "name": claim, "uid": holder.unwrap_or(&uid)},
            },
        });
        let dir = format!("{}/by-hand", stage.share().path);
        let (name, server) = (format!("pvc-{uid}"), &stage.share().server);
        let volume = mk_volume(&name, server, &dir, fields);
        // Another verb, which is not held.
        let (params, patch) = (PatchParams::apply("by-hand"), Patch::Apply(&volume));
        let made = stage.volumes().patch(&name, &params, &patch).await;
        held.release();
        made.expect("a volume")
    };

    let by_hand = in_between("restored", None).await;
    let bound = stage.bound("restored").await;
    assert_eq!(bound.metadata.uid, by_hand.metadata.uid);
    let nothing = "the directory that was made for nothing is gone";
    until(nothing, || {
        !stage.entries().iter().any(|dir| dir.contains("-restored-"))
    })
    .await;

    let nobody = "00000000-0000-4000-8000-000000000000";
    let foreign = in_between("taken", Some(nobody)).await;
    let parts = [
        &*name_of(&foreign),
        "is there already",
        "delete that volume",
    ];
    stage.event("taken", "ProvisioningFailed", &parts).await;
    stage.delete_volume(&name_of(&foreign)).await;
    let volume = stage.bound("taken").await;
    assert_ne!(volume.metadata.uid, foreign.metadata.uid);
}

/// The provisioner does not know that the second volume is there, and is about to delete the first one, of the same directory.
async fn a_volume_whose_creation_got_no_answer_keeps_the_directory_that_it_shares(stage: Stage) {
    let api = stage.world().double().unwrap().api();
    let class = json!({"onDelete": "delete", "pathPattern": "shared"});
    let class = stage.class("shared", class).await;
    let provisioner = stage.start();
    // The first deletion of a term looks afresh anyway.
    let before = stage.provision("before", &class).await;
    stage.delete_claim("before").await;
    stage.gone(&before).await;
    let first = stage.provision("first", &class).await;
    let creations = || Requests::of("create", "persistentvolumes");
    let held = api.faults().hold(creations());
    let claim = stage.claim("second", &class).await;
    held.reached(1).await;
    stage.delete_claim("first").await;
    let waits = [&*name_of(&first), "not yet", "DirectoryIsArriving"];
    provisioner.log().says(&waits).await;

    api.faults().still_watches();
    api.faults().fail(1, creations(), Fault::CutAfter);
    stage.write("shared", "canary");
    held.release();
    let second = format!("pvc-{}", claim.metadata.uid.unwrap());
    stage
        .event(&name_of(&first), "VolumeFailedDelete", &["stays", &second])
        .await;
    assert!(stage.dir("shared").join("canary").is_file());
    api.faults().stir_watches();
    assert_eq!(name_of(&stage.bound("second").await), second);
}

/// The volume of a claim is made, and the provisioner does not know it, nor sees it before the watches are stirred; the next attempt makes no directory.
async fn made_unseen(stage: &Stage, claim: &str, class: &str) -> FaultId {
    let double = stage.world().double().unwrap();
    let (api, nfs) = (double.api(), double.nfs_faults());
    let creations = || Requests::of("create", "persistentvolumes");
    let held = api.faults().hold(creations());
    stage.claim(claim, class).await;
    held.reached(1).await;
    let refused = nfs.fail(Procedure::MKDIR, nfsstat3::NFS3ERR_ACCES);
    api.faults().still_watches();
    api.faults().fail(1, creations(), Fault::CutAfter);
    held.release();
    stage.event(claim, "ProvisioningFailed", &[]).await;
    refused
}

/// It is empty, and was made for a claim that goes before it has a volume.
async fn a_volume_whose_creation_got_no_answer_keeps_what_was_made_for_another_claim(stage: Stage) {
    let double = stage.world().double().unwrap();
    let (api, nfs) = (double.api(), double.nfs_faults());
    let class = json!({"onDelete": "delete", "pathPattern": "shared"});
    let class = stage.class("shared", class).await;
    let _provisioner = stage.start();
    // The first deletion of a term looks afresh anyway.
    let before = stage.provision("before", &class).await;
    stage.delete_claim("before").await;
    stage.gone(&before).await;
    let creations = Requests::of("create", "persistentvolumes");
    api.faults().fail(usize::MAX, creations, Fault::Internal);
    stage.claim("first", &class).await;
    stage.event("first", "ProvisioningFailed", &[]).await;
    let dir = stage.dir("shared");
    assert!(dir.is_dir());
    // The directory is about to be taken back.
    let looks = api.faults().hold(Requests::of("get", "persistentvolumes"));
    stage.delete_claim("first").await;
    looks.reached(1).await;
    api.faults().clear();
    let refused = made_unseen(&stage, "second", &class).await;

    let mark = api.audit().mark();
    looks.release();
    let listed = || api.audit().count(mark, "list", "persistentvolumes") > 0;
    until("that is decided", || listed() || !dir.is_dir()).await;
    api.faults().stir_watches();
    stage.bound("second").await;
    nfs.clear(refused);
    stage.passed_by().await;
    assert!(dir.is_dir());
}

/// It is empty as soon as the other directory, which lay in it, is removed.
async fn a_volume_whose_creation_got_no_answer_keeps_its_directory_around_another(stage: Stage) {
    let double = stage.world().double().unwrap();
    let (api, nfs) = (double.api(), double.nfs_faults());
    let fields = |pattern: &str| json!({"onDelete": "delete", "pathPattern": pattern});
    let inner = stage.class("inner", fields("outer/inner")).await;
    let outer = stage.class("outer", fields("outer")).await;
    let _provisioner = stage.start();
    let first = stage.provision("first", &inner).await;
    stage.write("outer/inner", "canary");
    // A removal that takes long is followed by a look at the volume, and that by the parents.
    let late = Effect::AnswerLate(Duration::from_secs(3));
    let late = nfs.inject(Rule::on(Procedure::REMOVE, late).named("canary"));
    let gets = Requests::of("get", "persistentvolumes");
    let looks = api.faults().stop(gets, 1, Fate::Wait);
    stage.delete_claim("first").await;
    looks.reached(1).await;
    let refused = made_unseen(&stage, "second", &outer).await;

    let (mark, dir) = (api.audit().mark(), stage.dir("outer"));
    looks.release();
    let listed = || api.audit().count(mark, "list", "persistentvolumes") > 0;
    until("that is decided", || listed() || !dir.is_dir()).await;
    api.faults().stir_watches();
    stage.bound("second").await;
    stage.gone(&first).await;
    assert!(dir.is_dir());
    nfs.clear(refused);
    nfs.clear(late);
}

/// The leftovers on its share were not listed yet, so that it is looked up whether the other volume's directory is one of them; that takes long.
async fn a_volume_whose_creation_got_no_answer_keeps_the_directory_that_is_to_be_archived(
    stage: Stage,
) {
    let double = stage.world().double().unwrap();
    let (api, nfs) = (double.api(), double.nfs_faults());
    let second = stage.world().second_share().folder(stage.namespace());
    let plain = stage.class("plain", json!({"onDelete": "delete"})).await;
    let shared = json!({"share": second.path, "archiveOnDelete": "true", "pathPattern": "shared"});
    let shared = stage.class("shared", shared).await;
    let hidden = ".nfs-subdir-external-provisioner";
    stage.write(&format!("{hidden}/pvc-0"), "leftover");
    let leftover = Rule::on(Procedure::REMOVE, Effect::Ignore).named("leftover");
    let leftover = nfs.inject(leftover);
    let provisioner = stage.start();
    until("a leftover is being removed", || {
        nfs.hits(leftover) >= Some(1)
    })
    .await;
    // The first deletion of a term looks afresh anyway.
    let before = stage.provision("before", &plain).await;
    stage.delete_claim("before").await;
    stage.gone(&before).await;
    let first = stage.provision("first", &shared).await;
    let late = Effect::AnswerLate(Duration::from_secs(8));
    let late = nfs.inject(Rule::on(Procedure::LOOKUP, late).named(hidden));
    stage.delete_claim("first").await;
    until("it is looked up", || nfs.hits(late) >= Some(1)).await;
    let refused = made_unseen(&stage, "second", &shared).await;
    let (archive, name) = (second.dir.join("archived-shared"), name_of(&first));
    let kept = || {
        provisioner
            .log()
            .with_all(&[&name, "directory kept for another volume"])
    };
    until("that is decided", || !kept().is_empty() || archive.is_dir()).await;
    api.faults().stir_watches();
    stage.bound("second").await;
    stage.gone(&first).await;
    assert!(second.dir.join("shared").is_dir());
    for fault in [leftover, late, refused] {
        nfs.clear(fault);
    }
}
