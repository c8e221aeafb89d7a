//! Archives: named after the directory, at the root of the share, and never one over another.

use serde_json::json;

use crate::fixtures::mk_volume;
use crate::scenario::Scenario;
use crate::stage::{Stage, name_of};

/// The facts.
pub fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::of(an_archive_is_named_after_the_last_component_at_the_root_of_the_share),
        Scenario::of(archive_never_overwrites_an_archive),
        Scenario::of(nested_directories_of_one_name_are_archived_side_by_side),
        Scenario::of(an_archive_that_is_a_volume_is_not_disturbed),
    ]
}

async fn an_archive_is_named_after_the_last_component_at_the_root_of_the_share(stage: Stage) {
    let class = stage
        .class("nested", json!({"pathPattern": "team/${.PVC.name}"}))
        .await;
    let _provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    stage.write("team/data", "canary");
    stage.delete_claim("data").await;
    stage.gone(&volume).await;
    assert!(stage.dir("archived-data").join("canary").is_file());
}

async fn archive_never_overwrites_an_archive(stage: Stage) {
    let class = stage.class("fixed", json!({"pathPattern": "fixed"})).await;
    let _provisioner = stage.start();
    let mut archives = Vec::new();
    for round in 0..3 {
        let name = format!("data-{round}");
        let volume = stage.provision(&name, &class).await;
        stage.write("fixed", &name);
        stage.delete_claim(&name).await;
        stage.gone(&volume).await;
        archives.push(if round == 0 {
            "archived-fixed".to_owned()
        } else {
            format!("archived-fixed-{}", name_of(&volume))
        });
    }
    for (round, archive) in archives.iter().enumerate() {
        let held: Vec<_> = crate::stage::entries(&stage.dir(archive));
        assert_eq!(held, [format!("data-{round}")], "{archive}");
    }
}

async fn nested_directories_of_one_name_are_archived_side_by_side(stage: Stage) {
    let class = stage
        .class("nested", json!({"pathPattern": "${.PVC.name}/data"}))
        .await;
    let _provisioner = stage.start();
    let mut volumes = Vec::new();
    for team in ["red", "blue", "green"] {
        volumes.push(stage.provision(team, &class).await);
        stage.write(&format!("{team}/data"), team);
    }
    for team in ["red", "blue", "green"] {
        stage.delete_claim(team).await;
    }
    for volume in &volumes {
        stage.gone(volume).await;
    }
    let archives = stage.entries();
    assert_eq!(archives.len(), 3, "{archives:?}");
    let mut found: Vec<_> = archives
        .iter()
        .flat_map(|archive| crate::stage::entries(&stage.dir(archive)))
        .collect();
    found.sort();
    assert_eq!(found, ["blue", "green", "red"]);
}

/// Somebody took an archive into use: as a volume it is not a place to move another one to, even while its directory is away.
async fn an_archive_that_is_a_volume_is_not_disturbed(stage: Stage) {
    let class = stage.class("fixed", json!({"pathPattern": "fixed"})).await;
    let path = format!("{}/archived-fixed", stage.share().path);
    let adopted = format!("{}-adopted", stage.namespace());
    stage
        .create_volume(mk_volume(&adopted, &stage.share().server, &path, json!({})))
        .await;
    let _provisioner = stage.start();
    let volume = stage.provision("data", &class).await;
    stage.write("fixed", "canary");
    stage.delete_claim("data").await;
    stage.gone(&volume).await;
    let archive = format!("archived-fixed-{}", name_of(&volume));
    assert_eq!(stage.entries(), [archive.as_str()]);
    assert!(stage.dir(&archive).join("canary").is_file());
    stage.delete_volume(&adopted).await;
}
