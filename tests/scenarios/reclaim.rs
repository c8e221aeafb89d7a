//! What becomes of a volume, its object and its data, when its claim is gone.

use std::time::Duration;

use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use testkit::nfs::{Effect, Procedure, Rule, nfsstat3};

use crate::expect::{eventually, until};
use crate::fixtures::{mk_class, mk_volume};
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};
use crate::world::{Part, Turn};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    let mut all =
        Vec::from(Scenario::of(the_class_says_what_becomes_of_the_data).under_both_rights());
    all.extend([
        Scenario::of(archive_on_delete_is_read_as_go_reads_a_bool),
        Scenario::of(a_bad_archive_on_delete_is_an_event_and_nothing_is_lost),
        Scenario::of(a_retained_volume_keeps_object_and_data),
        Scenario::of(a_directory_that_is_gone_already_is_success),
        Scenario::of(the_recorded_policy_is_used_when_the_class_is_gone),
        Scenario::of(a_class_that_has_become_anothers_does_not_decide),
        Scenario::of(without_class_and_record_the_data_is_archived),
        Scenario::of(a_volume_of_another_server_is_refused_and_stays),
        // Such a volume has a part in every directory of the share, and so in everybody's.
        Scenario::of(a_volume_that_is_the_share_itself_or_above_it_is_refused_and_stays).alone(),
        Scenario::of(a_volume_with_a_backstep_in_its_path_is_refused_and_stays),
        Scenario::of(a_volume_of_another_provisioner_is_left_alone),
        Scenario::of(a_migrated_volume_is_reclaimed).only_on_the_double(
            "a real volume controller takes the annotation off volumes that it does not migrate itself",
        ),
        Scenario::of(a_volume_taken_back_after_a_crash_gets_its_data_back),
        Scenario::of(a_volume_taken_back_in_mid_deletion_outlives_its_object)
            .alone()
            .only_on_the_double("a real server cannot be told to refuse a removal"),
        Scenario::of(a_volume_taken_back_while_its_removal_runs_stops_it)
            .alone()
            .only_on_the_double("a real server cannot be told to lose a removal"),
        Scenario::of(an_object_taken_back_while_the_watch_is_behind_outlives_a_long_removal)
            .alone()
            .only_on_the_double("a real server cannot be told to take its time"),
        Scenario::of(a_directory_on_a_file_system_of_its_own_is_removed_where_it_is)
            .alone()
            .only_on_the_double("a file system inside the share takes privileges to make"),
        Scenario::of(a_directory_half_removed_where_it_is_is_given_to_no_claim)
            .alone()
            .only_on_the_double("a file system inside the share takes privileges to make"),
        Scenario::of(a_removal_where_the_directory_is_stops_for_a_volume_made_by_hand)
            .alone()
            .only_on_the_double("a file system inside the share takes privileges to make"),
        Scenario::of(a_deep_directory_with_many_files_is_removed_and_links_are_not_followed),
    ]);
    all
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Gone,
    Stays,
    Archived,
}

/// Provisions, writes, deletes the claim, waits until the volume is gone, and looks.
async fn check(stage: &Stage, name: &str, parameters: Value, wanted: Fate) {
    let class = stage.class(name, parameters.clone()).await;
    let volume = stage.provision(name, &class).await;
    let dir = stage.dir_of(&volume);
    stage.write(&dir, "canary");
    stage.delete_claim(name).await;
    stage.gone(&volume).await;
    let archived = stage
        .dir(&format!("archived-{dir}"))
        .join("canary")
        .is_file();
    let stays = stage.dir(&dir).join("canary").is_file();
    let found = match (stays, archived) {
        (true, false) => Fate::Stays,
        (false, true) => Fate::Archived,
        (false, false) => Fate::Gone,
        (true, true) => panic!("two copies"),
    };
    assert_eq!(found, wanted, "{parameters}");
    assert!(stays || !stage.dir(&dir).exists());
}

async fn the_class_says_what_becomes_of_the_data(stage: Stage) {
    let _provisioner = stage.start();
    let cases = [
        (json!({}), Fate::Archived),
        (json!({"archiveOnDelete": "true"}), Fate::Archived),
        (json!({"archiveOnDelete": "false"}), Fate::Gone),
        (json!({"onDelete": "delete"}), Fate::Gone),
        (json!({"onDelete": "retain"}), Fate::Stays),
        (
            json!({"onDelete": "delete", "archiveOnDelete": "true"}),
            Fate::Gone,
        ),
        (
            json!({"onDelete": "retain", "archiveOnDelete": "false"}),
            Fate::Stays,
        ),
        (
            json!({"onDelete": "Retain", "archiveOnDelete": "false"}),
            Fate::Gone,
        ),
        (json!({"onDelete": "archive"}), Fate::Archived),
        (json!({"onDelete": ""}), Fate::Archived),
    ];
    for (number, (parameters, wanted)) in cases.into_iter().enumerate() {
        check(&stage, &format!("case-{number}"), parameters, wanted).await;
    }
}

async fn archive_on_delete_is_read_as_go_reads_a_bool(stage: Stage) {
    let _provisioner = stage.start();
    let truths = ["1", "t", "T", "TRUE", "true", "True"].map(|text| (text, Fate::Archived));
    let lies = ["0", "f", "F", "FALSE", "false", "False"].map(|text| (text, Fate::Gone));
    for (number, (text, wanted)) in truths.into_iter().chain(lies).enumerate() {
        check(
            &stage,
            &format!("bool-{number}"),
            json!({"archiveOnDelete": text}),
            wanted,
        )
        .await;
    }
}

async fn a_bad_archive_on_delete_is_an_event_and_nothing_is_lost(stage: Stage) {
    let class = stage
        .class("nope", json!({"archiveOnDelete": "nope"}))
        .await;
    let mut provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    let dir = stage.dir_of(&volume);
    stage.write(&dir, "canary");
    stage.delete_claim("data").await;
    let go = "strconv.ParseBool: parsing \"nope\": invalid syntax";
    stage
        .event(
            &name_of(&volume),
            "VolumeFailedDelete",
            &[go, "create the class anew"],
        )
        .await;
    stage.passed_by().await;
    stage.volume_is(&name_of(&volume), "Released").await;
    assert!(stage.dir(&dir).join("canary").is_file());
    assert!(provisioner.is_alive());

    stage
        .classes()
        .delete(&class, &DeleteParams::default())
        .await
        .unwrap();
    stage
        .class("nope", json!({"archiveOnDelete": "false"}))
        .await;
    stage.gone(&volume).await;
    assert!(!stage.dir(&dir).exists());
}

async fn a_retained_volume_keeps_object_and_data(stage: Stage) {
    let fields = json!({"reclaimPolicy": "Retain", "parameters": {"archiveOnDelete": "false"}});
    let class = stage.class_from("kept", fields).await;
    let _provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    stage.delete_claim("data").await;
    stage.volume_is(&name_of(&volume), "Released").await;
    stage.passed_by().await;
    stage.volume_is(&name_of(&volume), "Released").await;
    assert!(stage.dir(&stage.dir_of(&volume)).is_dir());
}

async fn a_directory_that_is_gone_already_is_success(stage: Stage) {
    let _provisioner = stage.start();
    for (name, parameters) in [("arch", json!({})), ("del", json!({"onDelete": "delete"}))] {
        let class = stage.class(name, parameters).await;
        let volume = stage.provision(name, &class).await;
        std::fs::remove_dir(stage.dir(&stage.dir_of(&volume))).unwrap();
        stage.delete_claim(name).await;
        stage.gone(&volume).await;
    }
    assert_eq!(stage.entries(), [""; 0]);
}

async fn the_recorded_policy_is_used_when_the_class_is_gone(stage: Stage) {
    let _provisioner = stage.start();
    let cases = [("del", "delete", false), ("ret", "retain", true)];
    for (name, policy, stays) in cases {
        let class = stage.class(name, json!({"onDelete": policy})).await;
        let volume = stage.provision(name, &class).await;
        let dir = stage.dir_of(&volume);
        stage.write(&dir, "canary");
        stage
            .classes()
            .delete(&class, &DeleteParams::default())
            .await
            .unwrap();
        stage.delete_claim(name).await;
        stage.gone(&volume).await;
        assert_eq!(stage.dir(&dir).join("canary").is_file(), stays, "{policy}");
        assert!(!stage.dir(&format!("archived-{dir}")).exists(), "{policy}");
    }
}

async fn a_class_that_has_become_anothers_does_not_decide(stage: Stage) {
    let _provisioner = stage.start();
    let class = stage.class("arch", json!({})).await;
    let volume = stage.provision("data", &class).await;
    let dir = stage.dir_of(&volume);
    stage.write(&dir, "canary");
    let classes = stage.classes();
    classes
        .delete(&class, &DeleteParams::default())
        .await
        .unwrap();
    let parameters = json!({"parameters": {"onDelete": "delete"}});
    let other = mk_class(&class, "other.example.com/nfs", parameters);
    classes
        .create(&PostParams::default(), &other)
        .await
        .unwrap();
    stage.delete_claim("data").await;
    stage.gone(&volume).await;
    let archive = stage.dir(&format!("archived-{dir}"));
    assert!(archive.join("canary").is_file());
}

async fn without_class_and_record_the_data_is_archived(stage: Stage) {
    let _provisioner = stage.start();
    let volume = stage
        .released_volume("old", "no-such-class", json!({}))
        .await;
    stage.gone(&volume).await;
    assert!(stage.dir("archived-old").join("data").is_file());
}

/// Waits for the refusal and sees that object and data are still there.
async fn refused(stage: &Stage, volume: &str, parts: &[&str]) {
    stage.event(volume, "VolumeFailedDelete", parts).await;
    stage.passed_by().await;
    stage.volume_is(volume, "Released").await;
}

async fn a_volume_of_another_server_is_refused_and_stays(stage: Stage) {
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let _provisioner = stage.start();
    let elsewhere = json!({"spec": {"nfs": {"server": "nfs.example.com"}}});
    let volume = stage.released_volume("old", &class, elsewhere).await;
    refused(
        &stage,
        &name_of(&volume),
        &[
            "nfs.example.com:",
            "on no share that is served here",
            "by hand",
        ],
    )
    .await;
    assert!(stage.dir("old").join("data").is_file());
}

async fn a_volume_that_is_the_share_itself_or_above_it_is_refused_and_stays(stage: Stage) {
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let _provisioner = stage.start();
    let share = &stage.share().path;
    let above = share.rsplit_once('/').unwrap().0;
    for path in [
        share.clone(),
        format!("{share}/"),
        format!("{share}/a/.."),
        above.to_owned(),
        "/".to_owned(),
    ] {
        let there = json!({"spec": {"nfs": {"path": path}}});
        // A real API server takes no path with a backstep.
        let Some(volume) = stage.try_released_volume("old", &class, there).await else {
            assert!(path.contains(".."), "{path}");
            continue;
        };
        refused(&stage, &name_of(&volume), &["by hand"]).await;
        assert!(stage.dir("old").join("data").is_file());
    }
}

async fn a_volume_with_a_backstep_in_its_path_is_refused_and_stays(stage: Stage) {
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let _provisioner = stage.start();
    stage.write("other", "data");
    let path = format!("{}/old/../other", stage.share().path);
    let there = json!({"spec": {"nfs": {"path": path}}});
    if let Some(volume) = stage.try_released_volume("old", &class, there).await {
        refused(&stage, &name_of(&volume), &["\"..\"", "by hand"]).await;
    }
    assert!(stage.dir("other").join("data").is_file());
}

async fn a_volume_of_another_provisioner_is_left_alone(stage: Stage) {
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let _provisioner = stage.start();
    let theirs = json!({"metadata": {"annotations": {"pv.kubernetes.io/provisioned-by": "example.com/somebody-else"}}});
    let volume = stage.released_volume("old", &class, theirs).await;
    let name = name_of(&volume);
    stage.volume_is(&name, "Released").await;
    stage.passed_by().await;
    stage.volume_is(&name, "Released").await;
    assert_eq!(stage.events(&name).await, []);
    assert!(stage.dir("old").join("data").is_file());
    stage.delete_volume(&name).await;
}

async fn a_migrated_volume_is_reclaimed(stage: Stage) {
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let _provisioner = stage.start();
    let migrated = json!({"metadata": {"annotations": {
        "pv.kubernetes.io/provisioned-by": "example.com/the-one-before",
        "pv.kubernetes.io/migrated-to": stage.provisioner_name(),
    }}});
    let volume = stage.released_volume("old", &class, migrated).await;
    stage.gone(&volume).await;
    assert!(!stage.dir("old").exists());
}

async fn a_deep_directory_with_many_files_is_removed_and_links_are_not_followed(stage: Stage) {
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let _provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    let dir = stage.dir_of(&volume);
    for number in 0..300 {
        stage.write(&format!("{dir}/{}", number % 7), &format!("file-{number}"));
    }
    stage.write(&format!("{dir}/a/b/c/d/e/f/g/h"), "deep");
    stage.write("neighbour", "canary");
    let links = [
        ("out", "../neighbour"),
        ("loop", "."),
        ("root", "/"),
        ("a/up", "../../neighbour/canary"),
    ];
    for (name, target) in links {
        std::os::unix::fs::symlink(target, stage.dir(&dir).join(name)).unwrap();
    }
    stage.delete_claim("data").await;
    stage.gone(&volume).await;
    assert_eq!(stage.entries(), ["neighbour"]);
    assert!(stage.dir("neighbour").join("canary").is_file());
}

/// The process died after it had moved the directory away, and somebody sets the volume to Retain.
async fn a_volume_taken_back_after_a_crash_gets_its_data_back(stage: Stage) {
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let provisioner = stage.start();
    let mut volumes = Vec::new();
    for name in ["free", "taken"] {
        let volume = stage.provision(name, &class).await;
        let dir = stage.dir_of(&volume);
        stage.write(&dir, "canary");
        volumes.push((volume, dir));
    }
    provisioner.kill();
    let hidden = ".nfs-subdir-external-provisioner";
    for ((volume, dir), claim) in volumes.iter().zip(["free", "taken"]) {
        let name = name_of(volume);
        stage.rename(dir, &format!("{hidden}/{name}")).await;
        stage.delete_claim(claim).await;
        stage.volume_is(&name, "Released").await;
        let retained = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}});
        stage.patch_volume(&name, retained).await;
    }
    let [(free, at), (taken, from)] = &volumes[..] else {
        panic!("two volumes")
    };
    stage.make_dir(from).await;
    stage.write(from, "new");
    let _provisioner = stage.start_with(&stage.settings().with("ENABLE_LEADER_ELECTION", "false"));
    let reason = "VolumeFailedDelete";
    let back = ["is back in", at];
    stage.event(&name_of(free), reason, &back).await;
    let archive = format!("archived-{from}");
    let elsewhere = [&archive, "is another directory now"];
    stage.event(&name_of(taken), reason, &elsewhere).await;
    for volume in [free, taken] {
        stage.delete_volume(&name_of(volume)).await;
        stage.gone(volume).await;
    }
    stage.passed_by().await;
    for dir in [at, &archive] {
        assert!(stage.dir(dir).join("canary").is_file(), "{dir}");
    }
    assert!(stage.dir(from).join("new").is_file());
    let left = std::fs::read_dir(stage.dir(hidden)).unwrap();
    assert_eq!(left.count(), 0);
}

/// Its object is deleted under Retain while the share is down, before the data could be brought back.
async fn a_volume_taken_back_in_mid_deletion_outlives_its_object(stage: Stage) {
    let world = stage.world();
    let faults = world.double().expect("the double").nfs_faults();
    let _provisioner = stage.start();
    let retained = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}});
    let freed = json!({"spec": {"claimRef": null}});
    for (name, patch) in [
        ("retained", &retained),
        ("freed", &freed),
        ("gone", &retained),
    ] {
        // Of a class of its own: a volume that is freed may be had by any other claim of its class.
        let class = stage.class(name, json!({"onDelete": "delete"})).await;
        let volume = stage.provision(name, &class).await;
        let dir = stage.dir_of(&volume);
        stage.write(&dir, "canary");
        let refused = faults.fail(Procedure::REMOVE, nfsstat3::NFS3ERR_ACCES);
        stage.delete_claim(name).await;
        let volume_name = name_of(&volume);
        stage.event(&volume_name, "VolumeFailedDelete", &[]).await;
        assert!(!stage.dir(&dir).exists(), "{name}: moved away");
        if name == "gone" {
            world.turn(Part::Nfs, Turn::Off).await;
        }
        stage.patch_volume(&volume_name, patch.clone()).await;
        if name == "gone" {
            stage.delete_volume(&volume_name).await;
            stage.gone(&volume).await;
            world.turn(Part::Nfs, Turn::On).await;
        }
        let back = ["is back in", &dir];
        stage.event(&volume_name, "VolumeFailedDelete", &back).await;
        faults.clear(refused);
        assert!(stage.dir(&dir).join("canary").is_file(), "{name}");
    }
}

/// One call of a long removal hangs, so that it cannot end by itself.
async fn a_volume_taken_back_while_its_removal_runs_stops_it(stage: Stage) {
    let faults = stage.world().double().expect("the double").nfs_faults();
    let _provisioner = stage.start_with(&stage.settings().with("NFS_CALL_TIMEOUT", "300s"));
    for (name, patch) in [
        (
            "retained",
            json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}}),
        ),
        ("freed", json!({"spec": {"claimRef": null}})),
    ] {
        let class = stage.class(name, json!({"onDelete": "delete"})).await;
        let volume = stage.provision(name, &class).await;
        let (volume, dir) = (name_of(&volume), stage.dir_of(&volume));
        stage.write(&dir, "canary");
        let hangs = Rule::on(Procedure::REMOVE, Effect::Ignore).named("canary");
        let hangs = faults.inject(hangs);
        stage.delete_claim(name).await;
        until("the removal runs", || faults.hits(hangs) > Some(0)).await;
        assert!(!stage.dir(&dir).exists(), "{name}: moved away");
        stage.patch_volume(&volume, patch).await;
        let back = ["is back in", &*dir];
        stage.event(&volume, "VolumeFailedDelete", &back).await;
        faults.clear(hangs);
        assert!(stage.dir(&dir).join("canary").is_file(), "{name}");
        stage.passed_by().await;
        let object = stage.volumes().get_opt(&volume).await.unwrap();
        assert!(object.is_some(), "{name}");
    }
}

async fn an_object_taken_back_while_the_watch_is_behind_outlives_a_long_removal(stage: Stage) {
    let double = stage.world().double().expect("the double");
    let (api, faults) = (double.api(), double.nfs_faults());
    let provisioner = stage.start();
    let class = stage.class("del", json!({"onDelete": "delete"})).await;
    let volume = name_of(&stage.provision("data", &class).await);
    stage.write(
        &stage.dir_of(&stage.volumes().get(&volume).await.unwrap()),
        "canary",
    );
    let slow = Effect::ExecuteLate(Duration::from_secs(4));
    let slow = faults.inject(Rule::on(Procedure::REMOVE, slow).named("canary"));
    stage.delete_claim("data").await;
    until("the removal runs", || faults.hits(slow) > Some(0)).await;
    api.faults().still_watches();
    let retained = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}});
    stage.patch_volume(&volume, retained).await;
    eventually("the end is looked at, or is the object's", async || {
        let looked = provisioner
            .log()
            .with_all(&["taken back", "watch has not told"]);
        let there = stage.volumes().get_opt(&volume).await.ok()?;
        (there.is_none() || !looked.is_empty()).then_some(())
    })
    .await;
    api.faults().stir_watches();
    let lost = ["is to be kept now", "nothing of it is left"];
    stage.event(&volume, "VolumeFailedDelete", &lost).await;
    stage.passed_by().await;
    let object = stage.volumes().get_opt(&volume).await.unwrap();
    assert!(object.is_some());
}

/// As where each namespace has a data set of its own: the server renames nothing out of it.
async fn a_directory_on_a_file_system_of_its_own_is_removed_where_it_is(stage: Stage) {
    let faults = stage.world().double().expect("the double").nfs_faults();
    let pattern = "${.PVC.namespace}/${.PVC.name}";
    let parameters = json!({"onDelete": "delete", "pathPattern": pattern});
    let class = stage.class("nested", parameters).await;
    let provisioner = stage.start_with(&stage.settings().with("NFS_CALL_TIMEOUT", "300s"));
    faults.fail(Procedure::RENAME, nfsstat3::NFS3ERR_XDEV);
    let volume = stage.provision("data", &class).await;
    let dir = stage.dir_of(&volume);
    stage.write(&format!("{dir}/a/b"), "deep");
    stage.delete_claim("data").await;
    stage.gone(&volume).await;
    assert_eq!(stage.entries(), [""; 0]);

    let volume = name_of(&stage.provision("data", &class).await);
    stage.write(&dir, "canary");
    let hangs = faults.inject(Rule::on(Procedure::REMOVE, Effect::Ignore).named("canary"));
    stage.delete_claim("data").await;
    until("the removal runs", || faults.hits(hangs) > Some(0)).await;
    stage.claim("data", &class).await;
    provisioner.log().says(&["DirectoryIsLeaving"]).await;
    let retained = json!({"spec": {"persistentVolumeReclaimPolicy": "Retain"}});
    stage.patch_volume(&volume, retained).await;
    stage.bound("data").await;
    faults.clear_all();
    stage.passed_by().await;
    assert!(stage.dir(&dir).join("canary").is_file());
    let object = stage.volumes().get_opt(&volume).await.unwrap();
    assert!(object.is_some());
}

/// A class whose volumes all have one directory, on a file system of its own.
async fn mounted(stage: &Stage) -> String {
    let faults = stage.world().double().expect("the double").nfs_faults();
    faults.fail(Procedure::RENAME, nfsstat3::NFS3ERR_XDEV);
    let parameters = json!({"onDelete": "delete", "pathPattern": "mounted"});
    stage.class("mounted", parameters).await
}

async fn a_directory_half_removed_where_it_is_is_given_to_no_claim(stage: Stage) {
    let faults = stage.world().double().expect("the double").nfs_faults();
    let class = mounted(&stage).await;
    let provisioner = stage.start();
    let old = stage.provision("old", &class).await;
    stage.write("mounted", "canary");
    let refused = Rule::on(Procedure::REMOVE, Effect::Status(nfsstat3::NFS3ERR_ACCES));
    let refused = faults.inject(refused.named("canary"));
    stage.delete_claim("old").await;
    let parts = ["could not remove", "canary"];
    stage
        .event(&name_of(&old), "VolumeFailedDelete", &parts)
        .await;
    stage.claim("new", &class).await;
    provisioner.log().says(&["DirectoryIsLeaving"]).await;
    stage.passed_by().await;
    let new = stage.claims().get("new").await.expect("the claim");
    assert_eq!(new.spec.and_then(|spec| spec.volume_name), None);
    faults.clear(refused);
    stage.gone(&old).await;
    stage.bound("new").await;
    assert!(!stage.dir("mounted").join("canary").exists());
}

async fn a_removal_where_the_directory_is_stops_for_a_volume_made_by_hand(stage: Stage) {
    let faults = stage.world().double().expect("the double").nfs_faults();
    let class = mounted(&stage).await;
    let _provisioner = stage.start_with(&stage.settings().with("NFS_CALL_TIMEOUT", "300s"));
    let old = stage.provision("old", &class).await;
    stage.write("mounted", "canary");
    let hangs = faults.inject(Rule::on(Procedure::REMOVE, Effect::Ignore).named("canary"));
    stage.delete_claim("old").await;
    until("the removal runs", || faults.hits(hangs) > Some(0)).await;
    let (name, share) = (format!("{}-by-hand", stage.namespace()), stage.share());
    let place = format!("{}/mounted", share.path);
    let by_hand = mk_volume(&name, &share.server, &place, json!({}));
    stage.create_volume(by_hand).await;
    let stays = ["stays", &name, "uses"];
    stage
        .event(&name_of(&old), "VolumeFailedDelete", &stays)
        .await;
    faults.clear(hangs);
    stage.gone(&old).await;
    assert!(stage.dir("mounted").join("canary").is_file());
}
