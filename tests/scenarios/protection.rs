//! Nothing is deleted that is not provably nobody else's.

use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolume;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use testkit::nfs::{Effect, Procedure, Rule};

use crate::expect::{LASTING, eventually, until};
use crate::fixtures::mk_volume;
use crate::lock;
use crate::runbook::quotes;
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};
use crate::world::{Part, Request, Turn};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::of(a_shared_directory_stays_until_its_last_volume_goes),
        Scenario::of(a_directory_that_holds_another_volume_stays),
        Scenario::of(a_directory_inside_another_volume_stays),
        Scenario::of(a_similar_name_is_no_part_of_a_directory),
        Scenario::of(volumes_of_others_protect_their_directories),
        Scenario::of(empty_parents_go_with_their_last_volume_and_others_stay),
        Scenario::of(all_volumes_of_one_directory_deleted_at_once_take_it_along),
        Scenario::of(what_is_to_be_kept_is_not_left_to_a_volume_that_deletes),
        Scenario::of(a_volume_that_waits_for_one_that_is_refused_says_so),
        Scenario::of(a_volume_that_waits_for_one_that_does_not_go_says_so),
        Scenario::of(a_retained_volume_outlives_one_that_would_take_its_directory_along)
            .with_own_rights()
            .alone(),
        Scenario::of(a_directory_left_under_the_name_of_one_on_its_way_out_goes_too),
        Scenario::of(a_directory_of_which_nobody_knows_whether_it_was_moved_is_given_to_nobody)
            .alone()
            .only_on_the_double("a real server cannot be told to lose one call"),
        Scenario::of(a_renaming_that_outlives_its_term_takes_nothing_along)
            .alone()
            .only_on_the_double("a real server cannot be told to be late with one call"),
        Scenario::of(a_claim_made_anew_while_its_old_volume_is_deleted_loses_nothing).alone(),
        Scenario::of(a_volume_taken_back_loses_nothing_though_the_watch_has_not_told)
            .alone()
            .only_on_the_double("a real API server cannot be told to keep its watches back"),
    ]
}

/// The heading in docs/operations.md.
const DOES_NOT_GO: &str = "A volume that does not go";

async fn del(stage: &Stage, name: &str, pattern: &str) -> String {
    stage
        .class(name, json!({"onDelete": "delete", "pathPattern": pattern}))
        .await
}

/// The object goes, an event says which volume holds the data, and the data is there.
async fn kept(stage: &Stage, volume: &PersistentVolume, holder: &str, verb: &str) {
    stage.gone(volume).await;
    stage
        .event(
            &name_of(volume),
            "VolumeFailedDelete",
            &["stays", holder, verb],
        )
        .await;
}

async fn a_shared_directory_stays_until_its_last_volume_goes(stage: Stage) {
    let class = del(&stage, "shared", "shared").await;
    let _provisioner = stage.start();
    let first = stage.provision("first", &class).await;
    let second = stage.provision("second", &class).await;
    stage.write("shared", "canary");
    stage.delete_claim("first").await;
    kept(&stage, &first, &name_of(&second), "uses").await;
    assert!(stage.dir("shared").join("canary").is_file());
    stage.delete_claim("second").await;
    stage.gone(&second).await;
    assert_eq!(stage.entries(), [""; 0]);
}

async fn a_directory_that_holds_another_volume_stays(stage: Stage) {
    let outer = del(&stage, "outer", "outer").await;
    let inner = del(&stage, "inner", "outer/inner").await;
    let _provisioner = stage.start();
    let around = stage.provision("around", &outer).await;
    let within = stage.provision("within", &inner).await;
    stage.write("outer/inner", "canary");
    stage.delete_claim("around").await;
    kept(&stage, &around, &name_of(&within), "lies inside").await;
    assert!(stage.dir("outer/inner").join("canary").is_file());
}

async fn a_directory_inside_another_volume_stays(stage: Stage) {
    let outer = del(&stage, "outer", "outer").await;
    let inner = del(&stage, "inner", "outer/inner").await;
    let _provisioner = stage.start();
    let around = stage.provision("around", &outer).await;
    let within = stage.provision("within", &inner).await;
    stage.write("outer/inner", "canary");
    stage.delete_claim("within").await;
    kept(&stage, &within, &name_of(&around), "contains").await;
    assert!(stage.dir("outer/inner").join("canary").is_file());
}

async fn a_similar_name_is_no_part_of_a_directory(stage: Stage) {
    let short = del(&stage, "short", "a/b").await;
    let long = del(&stage, "long", "a/bc").await;
    let _provisioner = stage.start();
    let going = stage.provision("going", &short).await;
    stage.provision("staying", &long).await;
    stage.write("a/bc", "canary");
    stage.delete_claim("going").await;
    stage.gone(&going).await;
    assert_eq!(crate::stage::entries(&stage.dir("a")), ["bc"]);
    assert!(stage.dir("a/bc").join("canary").is_file());
}

async fn volumes_of_others_protect_their_directories(stage: Stage) {
    let csi = |path: &str| -> Value {
        let share = stage.share();
        json!({"spec": {"nfs": null, "csi": {
            "driver": "nfs.csi.k8s.io",
            "volumeHandle": path,
            "volumeAttributes": {"server": share.server, "share": share.path, "subdir": path},
        }}})
    };
    let _provisioner = stage.start();
    for (name, more) in [("hand", json!({})), ("csi", csi("csi/in"))] {
        let class = del(&stage, name, &format!("{name}/in")).await;
        let volume = stage.provision(name, &class).await;
        stage.write(&format!("{name}/in"), "canary");
        let other = format!("{}-{name}", stage.namespace());
        let path = format!("{}/{name}/in", stage.share().path);
        stage
            .create_volume(mk_volume(&other, &stage.share().server, &path, more))
            .await;
        // Now the provisioner has seen it: what is created later is bound.
        stage.passed_by().await;
        stage.delete_claim(name).await;
        kept(&stage, &volume, &other, "uses").await;
        assert!(stage.dir(&format!("{name}/in")).join("canary").is_file());
        stage.delete_volume(&other).await;
    }
}

async fn empty_parents_go_with_their_last_volume_and_others_stay(stage: Stage) {
    let class = del(&stage, "nested", "teams/${.PVC.namespace}/${.PVC.name}").await;
    let _provisioner = stage.start();
    let first = stage.provision("first", &class).await;
    let second = stage.provision("second", &class).await;
    stage.delete_claim("first").await;
    stage.gone(&first).await;
    let parent = format!("teams/{}", stage.namespace());
    assert_eq!(crate::stage::entries(&stage.dir(&parent)), ["second"]);
    stage.write("teams", "somebody-elses");
    stage.delete_claim("second").await;
    stage.gone(&second).await;
    assert_eq!(
        crate::stage::entries(&stage.dir("teams")),
        ["somebody-elses"]
    );

    std::fs::remove_file(stage.dir("teams").join("somebody-elses")).unwrap();
    let third = stage.provision("third", &class).await;
    stage.delete_claim("third").await;
    stage.gone(&third).await;
    assert_eq!(stage.entries(), [""; 0]);
    assert!(stage.share().dir.is_dir());
}

async fn all_volumes_of_one_directory_deleted_at_once_take_it_along(stage: Stage) {
    let class = del(&stage, "shared", "shared").await;
    let nested = del(&stage, "nested", "shared/in").await;
    let provisioner = stage.start();
    let mut volumes = Vec::new();
    for number in 0..6 {
        let class = if number % 2 == 0 { &class } else { &nested };
        volumes.push(stage.provision(&format!("data-{number}"), class).await);
    }
    stage.write("shared/in", "canary");
    // All of them are released by the time that anybody looks.
    provisioner.kill();
    for number in 0..6 {
        stage.delete_claim(&format!("data-{number}")).await;
    }
    for volume in &volumes {
        stage.volume_is(&name_of(volume), "Released").await;
    }
    let _provisioner = stage.start_with(&stage.settings().with("ENABLE_LEADER_ELECTION", "false"));
    for volume in &volumes {
        stage.gone(volume).await;
    }
    assert_eq!(stage.entries(), [""; 0]);
}

/// Several volumes with a part in each other's directories, each of a class of its own, are all released by the time that anybody looks.
async fn what_is_to_be_kept_is_not_left_to_a_volume_that_deletes(stage: Stage) {
    const VOLUMES: [(&str, &str, &str); 6] = [
        ("outer", "one", "delete"),
        ("inner", "one/inner", "archive"),
        ("first", "two", "archive"),
        ("second", "two", "delete"),
        ("around", "three", "delete"),
        ("within", "three/within", "retain"),
    ];
    let mut volumes = Vec::new();
    let provisioner = stage.start();
    for (name, pattern, policy) in VOLUMES {
        let parameters = json!({"onDelete": policy, "pathPattern": pattern});
        let class = stage.class(name, parameters).await;
        volumes.push(stage.provision(name, &class).await);
        stage.write(pattern, name);
    }
    provisioner.kill();
    for (volume, (name, _, _)) in volumes.iter().zip(VOLUMES) {
        stage.delete_claim(name).await;
        stage.volume_is(&name_of(volume), "Released").await;
    }
    let _provisioner = stage.start_with(&stage.settings().with("ENABLE_LEADER_ELECTION", "false"));
    for volume in &volumes {
        stage.gone(volume).await;
    }
    assert_eq!(
        stage.entries(),
        ["archived-inner", "archived-two", "three"],
        "outer alone goes"
    );
    assert!(stage.dir("archived-inner").join("inner").is_file());
    for name in ["first", "second"] {
        assert!(stage.dir("archived-two").join(name).is_file(), "{name}");
    }
    assert!(stage.dir("three/within").join("within").is_file());
    let left = ["is left to", "archives it", &name_of(&volumes[2])];
    let second = name_of(&volumes[3]);
    stage.event(&second, "VolumeFailedDelete", &left).await;
}

async fn a_volume_that_waits_for_one_that_is_refused_says_so(stage: Stage) {
    let outer = del(&stage, "outer", "outer").await;
    let parameters = json!({"archiveOnDelete": "nope", "pathPattern": "outer/inner"});
    let inner = stage.class("inner", parameters).await;
    let _provisioner = stage.start();
    let around = stage.provision("around", &outer).await;
    let within = stage.provision("within", &inner).await;
    stage.write("outer/inner", "canary");
    stage.delete_claim("within").await;
    let refused = ["strconv.ParseBool"];
    stage
        .event(&name_of(&within), "VolumeFailedDelete", &refused)
        .await;
    stage.delete_claim("around").await;
    let waits = [
        "waits",
        &*name_of(&within),
        "lies inside",
        "strconv.ParseBool",
    ];
    stage
        .event(&name_of(&around), "VolumeFailedDelete", &waits)
        .await;
    assert!(stage.dir("outer/inner").join("canary").is_file());
    let classes = stage.classes();
    let how = DeleteParams::default();
    classes.delete(&inner, &how).await.unwrap();
    stage.class("inner", json!({"onDelete": "delete"})).await;
    stage.gone(&within).await;
    stage.gone(&around).await;
    assert_eq!(stage.entries(), [""; 0]);
}

/// Another program's volume, on its way out, and the program is not there to let it go.
async fn a_volume_that_waits_for_one_that_does_not_go_says_so(stage: Stage) {
    let class = del(&stage, "shared", "shared").await;
    let theirs = json!({"metadata": {
        "annotations": {"pv.kubernetes.io/provisioned-by": "example.com/uninstalled"},
        "finalizers": ["example.com/uninstalled"],
    }});
    let terminating = stage.released_volume("shared", &class, theirs).await;
    let terminating = name_of(&terminating);
    stage.volume_is(&terminating, "Released").await;
    stage.delete_volume(&terminating).await;
    let provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    stage.delete_claim("data").await;
    provisioner.log().says(&["not yet", "GoesLater"]).await;
    assert_eq!(stage.events(&name_of(&volume)).await, []);
    let waits = ["waits", &*terminating, "uses", "finalizers"];
    let event = stage
        .event_within(LASTING, &name_of(&volume), "VolumeFailedDelete", &waits)
        .await;
    let message = event.message.unwrap();
    quotes(DOES_NOT_GO, &message.replace(stage.namespace(), "default"));
    assert!(stage.dir("shared").join("data").is_file());
    let freed = json!({"metadata": {"finalizers": null}});
    stage.patch_volume(&terminating, freed).await;
    stage.gone(&volume).await;
    assert_eq!(stage.entries(), [""; 0]);
}

/// The share is down while one volume is to take the directory along, and somebody deletes the other, whose data is to stay.
async fn a_retained_volume_outlives_one_that_would_take_its_directory_along(stage: Stage) {
    let class = del(&stage, "takes", "shared").await;
    let fields = json!({"reclaimPolicy": "Retain",
        "parameters": {"onDelete": "delete", "pathPattern": "shared/in"}});
    let keeps = stage.class_from("keeps", fields).await;
    let provisioner = stage.start();
    let taker = stage.provision("taker", &class).await;
    let kept = stage.provision("kept", &keeps).await;
    stage.write("shared/in", "canary");
    stage.world().turn(Part::Nfs, Turn::Off).await;
    stage.delete_claim("taker").await;
    stage
        .event(&name_of(&taker), "VolumeFailedDelete", &[])
        .await;
    stage.delete_claim("kept").await;
    stage.volume_is(&name_of(&kept), "Released").await;
    stage.delete_volume(&name_of(&kept)).await;
    eventually("the retained volume waits, or is gone", async || {
        let waits = provisioner.log().with_all(&["not yet", "LeavesLater"]);
        let there = stage.volumes().get_opt(&name_of(&kept)).await.ok()?;
        (there.is_none() || !waits.is_empty()).then_some(())
    })
    .await;
    stage.world().turn(Part::Nfs, Turn::On).await;
    stage.gone(&taker).await;
    stage.gone(&kept).await;
    assert!(stage.dir("shared/in").join("canary").is_file());
}

/// The process died after it had moved the directory away. A later volume of the same directory came, went, and left it to the first one.
async fn a_directory_left_under_the_name_of_one_on_its_way_out_goes_too(stage: Stage) {
    let class = del(&stage, "shared", "shared").await;
    let provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    stage.write("shared", "old");
    provisioner.kill();
    let hidden = stage.dir(".nfs-subdir-external-provisioner");
    std::fs::create_dir_all(&hidden).unwrap();
    let trash = hidden.join(name_of(&volume));
    std::fs::rename(stage.dir("shared"), &trash).unwrap();
    stage.write("shared", "left");
    stage.delete_claim("data").await;
    stage.volume_is(&name_of(&volume), "Released").await;
    let _provisioner = stage.start_with(&stage.settings().with("ENABLE_LEADER_ELECTION", "false"));
    stage.gone(&volume).await;
    assert_eq!(stage.entries(), [""; 0]);
    assert!(!trash.exists());
}

async fn a_directory_of_which_nobody_knows_whether_it_was_moved_is_given_to_nobody(stage: Stage) {
    let double = stage.world().double().expect("the double");
    let class = del(&stage, "fixed", "fixed/data").await;
    let provisioner = stage.start_with(&stage.settings().with("NFS_CALL_TIMEOUT", "1s"));
    let old = stage.provision("data", &class).await;
    stage.write("fixed/data", "old");
    let lost = |procedure| Rule::on(procedure, Effect::Ignore);
    let faults = double.nfs_faults();
    faults.inject(lost(Procedure::RENAME).times(1));
    let renamings = double.nfs_calls().count(Procedure::RENAME);
    stage.delete_claim("data").await;
    until("the renaming is asked for", || {
        double.nfs_calls().count(Procedure::RENAME) > renamings
    })
    .await;
    // The next attempts do not get so far as to ask again.
    let lost =
        [Procedure::MKDIR, Procedure::LOOKUP].map(|procedure| faults.inject(lost(procedure)));
    let old_volume = name_of(&old);
    let parts = ["could not rename", "no answer within 1s"];
    stage.event(&old_volume, "VolumeFailedDelete", &parts).await;
    stage.claim("again", &class).await;
    provisioner.log().says(&["DirectoryIsLeaving"]).await;
    let failures = || {
        let parts = ["DEBUG", "deletion failed", "could not create"];
        provisioner.log().with_all(&parts).len()
    };
    let before = failures();
    until("two more attempts have failed", || failures() >= before + 2).await;
    assert_eq!(stage.events("again").await, []);
    let place = format!("{}/fixed/data", stage.share().path);
    let waits = [&*place, "is on its way out", &*old_volume];
    let event = stage.event_within(LASTING, "again", "ProvisioningFailed", &waits);
    quotes(DOES_NOT_GO, &event.await.message.unwrap());
    for lost in lost {
        faults.clear(lost);
    }
    stage.bound("again").await;
    assert!(!stage.dir("fixed/data").join("old").exists());
    stage.gone(&old).await;
}

/// The server is about to rename when the lock is lost; when it does, the process leads again, and a new claim wants the directory.
async fn a_renaming_that_outlives_its_term_takes_nothing_along(stage: Stage) {
    let world = stage.world();
    let faults = world.double().expect("the double").nfs_faults();
    let settings = stage.settings().with("LEASE_DURATION", "3s");
    let settings = settings
        .with("RENEW_DEADLINE", "2s")
        .with("RETRY_PERIOD", "500ms");
    let class = del(&stage, "fixed", "fixed").await;
    let provisioner = stage.start_with(&settings);
    let old = stage.provision("old", &class).await;
    stage.write("fixed", "old");
    // Calls wait in a queue: the second is not carried out before the first.
    let late = Effect::ExecuteLate(Duration::from_secs(8));
    let late = faults.inject(Rule::on(Procedure::RENAME, late));
    stage.delete_claim("old").await;
    until("the renaming is under way", || faults.hits(late) > Some(0)).await;
    stage.claim("new", &class).await;
    lock::loses_the_lead_for_a_while(&stage, &provisioner).await;
    stage.bound("new").await;
    stage.write("fixed", "canary");
    until("both renamings are done", || faults.hits(late) > Some(1)).await;
    stage.gone(&old).await;
    stage.passed_by().await;
    assert!(stage.dir("fixed").join("canary").is_file());
    assert!(!stage.dir("fixed").join("old").exists());
}

/// The share stands still while the old volume's deletion and the new claim meet.
async fn a_claim_made_anew_while_its_old_volume_is_deleted_loses_nothing(stage: Stage) {
    let class = del(&stage, "fixed", "fixed/${.PVC.name}").await;
    let _provisioner = stage.start();
    for _ in 0..5 {
        let old = stage.provision("data", &class).await;
        stage.write("fixed/data", "old");
        stage.world().turn(Part::Nfs, Turn::Frozen).await;
        stage.delete_claim("data").await;
        stage.volume_is(&name_of(&old), "Released").await;
        let claim = stage.claim("data", &class).await;
        stage.world().turn(Part::Nfs, Turn::Thawed).await;
        let new = stage.bound("data").await;
        assert_eq!(
            name_of(&new),
            format!("pvc-{}", claim.metadata.uid.unwrap())
        );
        stage.write("fixed/data", "new");
        stage.gone(&old).await;
        assert!(stage.dir("fixed/data").join("new").is_file());
        stage.delete_claim("data").await;
        stage.gone(&new).await;
    }
}

/// The share is down when the volume is to be deleted. Until it is back somebody changes their mind, and the watch is behind.
async fn a_volume_taken_back_loses_nothing_though_the_watch_has_not_told(stage: Stage) {
    let world = stage.world();
    let api = world.double().expect("the double").api();
    let _provisioner = stage.start();
    let retained = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}});
    let freed = json!({"spec": {"claimRef": null}});
    for (name, policy, patch) in [
        ("retained", "delete", &retained),
        ("freed", "delete", &freed),
        ("unarchived", "archive", &retained),
    ] {
        let class = stage.class(name, json!({"onDelete": policy})).await;
        let volume = stage.provision(name, &class).await;
        let (volume, dir) = (name_of(&volume), stage.dir_of(&volume));
        stage.write(&dir, "canary");
        world.turn(Part::Nfs, Turn::Off).await;
        stage.delete_claim(name).await;
        stage.event(&volume, "VolumeFailedDelete", &[]).await;
        api.faults().still_watches();
        stage.patch_volume(&volume, patch.clone()).await;
        let mark = world.audit_mark();
        world.turn(Part::Nfs, Turn::On).await;
        // It looked, and then it looked at everything.
        eventually("the provisioner does not trust its watch", async || {
            let asked = world.requests_since(mark);
            let relists = |request: &Request| {
                (&*request.verb, &*request.resource) == ("list", "persistentvolumes")
            };
            (asked.iter().any(relists) || !stage.dir(&dir).exists()).then_some(())
        })
        .await;
        api.faults().stir_watches();
        stage.passed_by().await;
        assert!(stage.dir(&dir).join("canary").is_file(), "{name}");
        assert!(
            stage.volumes().get_opt(&volume).await.unwrap().is_some(),
            "{name}"
        );
    }
}
