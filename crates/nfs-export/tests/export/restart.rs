use std::{collections::HashSet, time::Duration};

use nfs_export::{Cause, Created, Export, Options, Recovery, SubDir, Target};
use testkit::{
    nfs::{Effect, Procedure, Rule, nfsstat3},
    proxy::Proxy,
};

use crate::world::{CAP, Lab, down, mk_lab, sub, up};

/// As the caller of this crate does: again, after a while, until it works.
async fn persist(export: &Export, dir: SubDir) -> Created {
    let attempts = async {
        loop {
            match export.create_dir_all(&dir, 0o777).await {
                Ok(created) => return created,
                Err(error) => {
                    assert_ne!(error.recovery(), Recovery::TellUser, "{}", error.to_line());
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(CAP, attempts)
        .await
        .expect("the directory to be made")
}

fn names(lab: &Lab) -> HashSet<String> {
    std::fs::read_dir(lab.root.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[tokio::test]
async fn a_restart_in_mid_burst_loses_nothing_and_leaves_nothing_stray() {
    let mut lab = mk_lab().await;
    let export = lab.export(Options::default());
    let tasks: Vec<_> = (0..500)
        .map(|n| {
            let export = export.clone();
            tokio::spawn(async move { persist(&export, sub(&format!("d{n}"))).await })
        })
        .collect();
    lab.server
        .log()
        .wait_for(Procedure::MKDIR, 100, CAP)
        .await
        .unwrap();
    lab.server.restart().await.unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(names(&lab), (0..500).map(|n| format!("d{n}")).collect());
}

#[tokio::test]
async fn another_file_system_under_the_same_path_is_mounted_again() {
    let lab = mk_lab().await;
    let export = lab.export(Options::default());
    export.create_dir_all(&sub("ns/a"), 0o777).await.unwrap();
    lab.server.replace_file_system();
    assert_eq!(
        export.create_dir_all(&sub("ns/b"), 0o777).await.unwrap(),
        Created::New
    );
    assert_eq!(export.stats().remounts(), 1);
    lab.server.replace_file_system();
    assert_eq!(export.list(Some(&sub("ns")), 10).await.unwrap().len(), 2);
    lab.server.replace_file_system();
    assert_eq!(
        export.remove_dir_all(&sub("ns")).await.unwrap().directories,
        3
    );
    assert_eq!(
        export.stats().reconnects(),
        0,
        "the connection was good all the time"
    );
}

#[tokio::test]
async fn bad_handles_are_remounted_a_bounded_number_of_times() {
    let lab = mk_lab().await;
    let export = lab.export(Options::default());
    export.probe().await.unwrap();
    lab.server.faults().inject(Rule::on(
        Procedure::MKDIR,
        Effect::Status(nfsstat3::NFS3ERR_BADHANDLE),
    ));
    let error = export.create_dir_all(&sub("a"), 0o777).await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::Remount);
    assert_eq!(
        (
            lab.server.log().count(Procedure::MKDIR),
            export.stats().remounts()
        ),
        (3, 1)
    );
}

#[tokio::test]
async fn a_bad_handle_is_walked_to_again_and_a_second_one_is_mounted_again() {
    for (bad, remounts) in [(1, 0), (2, 1)] {
        let lab = mk_lab().await;
        let export = lab.export(Options::default());
        export.create_dir_all(&sub("ns"), 0o777).await.unwrap();
        lab.server.log().clear();
        let effect = Effect::Status(nfsstat3::NFS3ERR_BADHANDLE);
        let rule = Rule::on(Procedure::MKDIR, effect).named("a").times(bad);
        lab.server.faults().inject(rule);
        let made = export.create_dir_all(&sub("ns/a"), 0o777).await;
        assert_eq!(made.unwrap(), Created::New);
        let log = lab.server.log();
        assert_eq!(log.count(Procedure::LOOKUP) as u64, 1 + bad);
        assert_eq!(log.count(Procedure::MNT) as u64, remounts);
        let stats = export.stats();
        assert_eq!((stats.remounts(), stats.reconnects()), (remounts, 0));
        // And from then on nothing is left of it.
        log.clear();
        export.create_dir_all(&sub("ns/b"), 0o777).await.unwrap();
        assert_eq!(log.total(), 1, "{:?}", log.calls());
    }
}

#[tokio::test]
async fn a_server_that_comes_back_with_another_file_system_is_walked_anew() {
    let mut lab = mk_lab().await;
    let export = lab.export(Options::default());
    export.create_dir_all(&sub("ns/a"), 0o777).await.unwrap();
    export.create_dir_all(&sub("ns/b"), 0o777).await.unwrap();
    lab.server.stop().await;
    down(&export).await;
    lab.server.replace_file_system();
    lab.server.restart().await.unwrap();
    up(&export).await;
    let log = lab.server.log();
    log.clear();
    export.create_dir_all(&sub("ns/c"), 0o777).await.unwrap();
    let made: Vec<_> = log.calls().iter().map(|call| call.procedure).collect();
    assert_eq!(
        made,
        [Procedure::LOOKUP, Procedure::MKDIR],
        "nothing that was known of the old one is asked of the new one"
    );
    // Directories are known by the new file system's id: none of them counts as another's.
    let removed = export.remove_dir_all(&sub("ns")).await.unwrap();
    assert_eq!(removed.directories, 4);
    assert_eq!(export.stats().remounts(), 0);
}

#[tokio::test]
async fn a_call_that_is_sent_again_to_another_file_system_is_made_good() {
    let mut lab = mk_lab().await;
    let export = lab.export(Options::default());
    export.create_dir_all(&sub("ns/a"), 0o777).await.unwrap();
    let rule = Rule::on(Procedure::MKDIR, Effect::Ignore).named("b");
    lab.server.faults().inject(rule.times(1));
    let call = tokio::spawn({
        let export = export.clone();
        async move { persist(&export, sub("ns/b")).await }
    });
    let log = lab.server.log();
    log.wait_for(Procedure::MKDIR, 3, CAP).await.unwrap();
    lab.server.stop().await;
    lab.server.replace_file_system();
    lab.server.restart().await.unwrap();
    assert_eq!(call.await.unwrap(), Created::New);
    assert!(lab.real("ns/b").is_dir());
    assert_eq!(
        export.stats().remounts(),
        0,
        "the new connection came with a root of its own"
    );
}

#[tokio::test]
async fn a_connection_that_is_lost_for_good_is_no_connection_after_the_first() {
    let mut lab = mk_lab().await;
    let export = lab.export(Options::default());
    export.probe().await.unwrap();
    lab.server.stop().await;
    down(&export).await;
    assert_eq!(export.stats().reconnects(), 0);
    lab.server.restart().await.unwrap();
    up(&export).await;
    assert_eq!(export.stats().reconnects(), 1);
}

#[tokio::test]
async fn an_export_that_is_withdrawn_is_down_until_it_is_exported_again() {
    let lab = mk_lab().await;
    let export = lab.export(Options::default());
    export.probe().await.unwrap();
    lab.server.set_exported(false);
    let error = export.create_dir_all(&sub("a"), 0o777).await.unwrap_err();
    assert!(error.is_share_down(), "{error:?}");
    down(&export).await;
    lab.server.set_exported(true);
    up(&export).await;
    assert_eq!(
        export.create_dir_all(&sub("a"), 0o777).await.unwrap(),
        Created::New
    );
}

#[tokio::test]
async fn a_share_that_turns_read_only_recovers() {
    let lab = mk_lab().await;
    let export = lab.export(Options::default());
    export.probe().await.unwrap();
    lab.server.set_read_only(true);
    let error = export.create_dir_all(&sub("a"), 0o777).await.unwrap_err();
    assert!(
        matches!(error.cause(), Cause::Nfs(nfsstat3::NFS3ERR_ROFS)),
        "{error:?}"
    );
    lab.server.set_read_only(false);
    assert_eq!(
        export.create_dir_all(&sub("a"), 0o777).await.unwrap(),
        Created::New
    );
}

#[tokio::test]
async fn a_server_that_hangs_is_left_at_the_deadline_and_used_again_when_it_wakes() {
    let lab = mk_lab().await;
    let export = lab.export(Options {
        deadline: Duration::from_millis(300),
        ..Options::default()
    });
    export.probe().await.unwrap();
    lab.server.pause();
    let error = export.create_dir_all(&sub("a"), 0o777).await.unwrap_err();
    assert!(matches!(error.cause(), Cause::TimedOut(_)), "{error:?}");
    down(&export).await;
    lab.server.resume();
    up(&export).await;
    persist(&export, sub("a")).await;
}

#[tokio::test]
async fn connections_that_are_cut_and_reset_lose_no_call() {
    let lab = mk_lab().await;
    let proxy = Proxy::start(lab.server.addr(), 11).await.unwrap();
    proxy.to_client().split(7, Duration::ZERO);
    proxy.to_server().jitter(Duration::from_millis(2));
    let target = Target {
        nfs_port: Some(proxy.addr().port()),
        mount_port: Some(lab.server.addr().port()),
        ..lab.target()
    };
    let export = Export::new(
        target,
        Options {
            deadline: Duration::from_secs(2),
            ..Options::default()
        },
    );
    export.probe().await.unwrap();
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let export = export.clone();
            tokio::spawn(async move { persist(&export, sub(&format!("ns{}/d{n}", n % 5))).await })
        })
        .collect();
    proxy.to_client().cut_in_record(20);
    proxy
        .wait_until(CAP, |proxy| proxy.cuts() >= 1)
        .await
        .unwrap();
    proxy.reset();
    for task in tasks {
        task.await.unwrap();
    }
    let made: usize = (0..5)
        .map(|n| {
            std::fs::read_dir(lab.real(&format!("ns{n}")))
                .unwrap()
                .count()
        })
        .sum();
    assert_eq!(made, 200);
}

#[tokio::test]
async fn a_server_that_has_moved_is_found_by_its_port() {
    let (first, second) = (mk_lab().await, mk_lab().await);
    let proxy = Proxy::start(first.server.addr(), 3).await.unwrap();
    let port = Some(proxy.addr().port());
    let target = Target {
        nfs_port: port,
        mount_port: port,
        ..first.target()
    };
    let export = Export::new(target, Options::default());
    export.create_dir_all(&sub("a"), 0o777).await.unwrap();
    proxy.set_upstream(second.server.addr());
    proxy.reset();
    persist(&export, sub("b")).await;
    assert!(first.real("a").is_dir() && second.real("b").is_dir());
}

#[tokio::test]
async fn corrupted_replies_cost_time_and_nothing_else() {
    let lab = mk_lab().await;
    let proxy = Proxy::start(lab.server.addr(), 5).await.unwrap();
    let target = Target {
        nfs_port: Some(proxy.addr().port()),
        mount_port: Some(lab.server.addr().port()),
        ..lab.target()
    };
    let export = Export::new(
        target,
        Options {
            deadline: Duration::from_millis(500),
            ..Options::default()
        },
    );
    export.probe().await.unwrap();
    proxy.to_client().corrupt_every(300);
    for n in 0..20 {
        // What a wrong byte means cannot be known; that every call ends can.
        let dir = sub(&format!("d{n}"));
        let made = export.create_dir_all(&dir, 0o777);
        let _ = tokio::time::timeout(CAP, made)
            .await
            .expect("an answer or an error");
    }
    assert!(proxy.to_client().corrupted() > 0);
    proxy.to_client().clear();
    for n in 0..20 {
        persist(&export, sub(&format!("d{n}"))).await;
    }
    assert_eq!(names(&lab), (0..20).map(|n| format!("d{n}")).collect());
}
