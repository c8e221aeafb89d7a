use std::{
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use nfs_export::{
    Broken, Cause, Created, Malformed, Options, Recovery, Refusal, Renamed, auth_stat, mountstat3,
    nfsstat3,
};
use testkit::nfs::{AcceptError, Effect, Procedure, Rule};

use crate::{
    logs::Logs,
    world::{CAP, Lab, down, may_bind_reserved_ports, mk_lab, mk_lab_with, sub, up},
};

fn mode(lab: &Lab, path: &str) -> u32 {
    std::fs::metadata(lab.real(path))
        .unwrap()
        .permissions()
        .mode()
        & 0o7777
}

#[tokio::test]
async fn one_directory_is_one_round_trip() {
    let lab = mk_lab().await;
    let export = lab.export(Options::default());
    export.probe().await.unwrap();
    lab.server.log().clear();
    export.create_dir_all(&sub("a"), 0o777).await.unwrap();
    assert_eq!(
        lab.server.log().total(),
        1,
        "{:?}",
        lab.server.log().calls()
    );
    export.create_dir_all(&sub("ns/b"), 0o777).await.unwrap();
    lab.server.log().clear();
    export.create_dir_all(&sub("ns/c"), 0o777).await.unwrap();
    assert_eq!(
        lab.server.log().total(),
        1,
        "a known parent is not looked up: {:?}",
        lab.server.log().calls()
    );
}

#[tokio::test]
async fn a_server_that_ignores_the_mode_is_told_again() {
    let lab = mk_lab_with(|b| b.mkdir_ignores_mode(true)).await;
    let export = lab.export(Options::default());
    export.create_dir_all(&sub("a/b"), 0o777).await.unwrap();
    assert_eq!((mode(&lab, "a"), mode(&lab, "a/b")), (0o777, 0o777));
    assert_eq!(lab.server.log().count(Procedure::SETATTR), 2);
}

#[tokio::test]
async fn a_mkdir_whose_answer_was_lost_is_sent_again_with_its_xid_and_counts_as_done() {
    let lab = mk_lab_with(|b| b.mkdir_ignores_mode(true)).await;
    let export = lab.export(Options::default());
    export.probe().await.unwrap();
    lab.server
        .faults()
        .inject(Rule::on(Procedure::MKDIR, Effect::DisconnectAfter).times(1));
    assert_eq!(
        export.create_dir_all(&sub("a"), 0o777).await.unwrap(),
        Created::New
    );
    assert_eq!(mode(&lab, "a"), 0o777);
    let calls = lab.server.log().calls_of(Procedure::MKDIR);
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].xid, calls[1].xid);
    // A duplicate-request cache knows a client by its port.
    if may_bind_reserved_ports() {
        assert_eq!(calls[0].peer, calls[1].peer);
    }
    assert_eq!(export.stats().retransmits(), 1);
    assert_eq!(export.stats().reconnects(), 1);
}

#[tokio::test]
async fn a_retransmitted_mkdir_does_not_claim_what_was_there_before() {
    let lab = mk_lab().await;
    std::fs::create_dir_all(lab.real("old/inside")).unwrap();
    std::fs::set_permissions(lab.real("old"), std::fs::Permissions::from_mode(0o700)).unwrap();
    let export = lab.export(Options::default());
    lab.server
        .faults()
        .inject(Rule::on(Procedure::MKDIR, Effect::DisconnectAfter).times(1));
    assert_eq!(
        export.create_dir_all(&sub("old"), 0o777).await.unwrap(),
        Created::Existed
    );
    assert_eq!(mode(&lab, "old"), 0o777);
}

/// What a MKDIR of `ours` comes to whose first copy is carried out without an answer, and the second 400 ms later, when something has been made
/// beside it, `later` after it by the server's clock.
async fn repeated_beside_a_sibling(lab: &Lab, later: Duration) -> Created {
    let export = lab.export(Options::default());
    export.probe().await.unwrap();
    let faults = lab.server.faults();
    let on_mkdir = |effect| Rule::on(Procedure::MKDIR, effect).named("ours");
    faults.inject(on_mkdir(Effect::DisconnectAfter).times(1));
    faults.inject(on_mkdir(Effect::ExecuteLate(Duration::from_millis(400))));
    let sibling = async {
        let log = lab.server.log();
        log.wait_for(Procedure::MKDIR, 2, CAP).await.unwrap();
        std::fs::create_dir(lab.real("sibling")).unwrap();
        let made = std::fs::metadata(lab.real("ours")).unwrap().modified();
        let parent = std::fs::File::open(lab.root.path()).unwrap();
        parent.set_modified(made.unwrap() + later).unwrap();
    };
    let ours = sub("ours");
    let (made, ()) = tokio::join!(export.create_dir_all(&ours, 0o777), sibling);
    made.unwrap()
}

/// In a burst the parent changes all the time.
#[tokio::test]
async fn a_retransmitted_mkdir_knows_its_own_work_among_siblings_made_since() {
    let lab = mk_lab().await;
    let since = Duration::from_millis(300);
    assert_eq!(repeated_beside_a_sibling(&lab, since).await, Created::New);
}

#[tokio::test]
async fn a_retransmitted_mkdir_does_not_claim_an_empty_directory_that_is_older_than_it() {
    let lab = mk_lab().await;
    std::fs::create_dir(lab.real("ours")).unwrap();
    let since = Duration::from_secs(60);
    assert_eq!(
        repeated_beside_a_sibling(&lab, since).await,
        Created::Existed
    );
}

#[tokio::test]
async fn an_attempt_that_died_before_the_mode_was_set_is_made_good_by_the_next() {
    let lab = mk_lab_with(|b| b.mkdir_ignores_mode(true)).await;
    let export = lab.export(Options::default());
    lab.server
        .faults()
        .inject(Rule::on(Procedure::SETATTR, Effect::Status(nfsstat3::NFS3ERR_IO)).times(1));
    export.create_dir_all(&sub("a"), 0o777).await.unwrap_err();
    assert_eq!(mode(&lab, "a"), 0o755);
    assert_eq!(
        export.create_dir_all(&sub("a"), 0o777).await.unwrap(),
        Created::Existed
    );
    assert_eq!(mode(&lab, "a"), 0o777);
}

#[tokio::test]
async fn a_mode_that_may_not_be_set_is_let_be_and_other_trouble_is_not() {
    use nfsstat3::{NFS3ERR_ACCES, NFS3ERR_PERM, NFS3ERR_ROFS};
    for (status, is_let_be) in [
        (NFS3ERR_PERM, true),
        (NFS3ERR_ACCES, true),
        (NFS3ERR_ROFS, false),
    ] {
        let lab = mk_lab().await;
        std::fs::create_dir(lab.real("theirs")).unwrap();
        let private = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(lab.real("theirs"), private).unwrap();
        let export = lab.export(Options::default());
        lab.server.faults().fail(Procedure::SETATTR, status);
        let (logs, _recording) = Logs::record();
        let made = export.create_dir_all(&sub("theirs"), 0o777).await;
        assert_eq!(made.is_ok(), is_let_be, "{status}: {made:?}");
        assert_eq!(mode(&lab, "theirs"), 0o700);
        let mut said = logs.with("WARN");
        said.retain(|line| !line.contains("no port below 1024"));
        assert_eq!(said.len(), usize::from(is_let_be), "{said:?}");
        let names_all = |line: &String| {
            ["dir=theirs", "mode=0700", "uid=", "gid="]
                .iter()
                .all(|part| line.contains(part))
        };
        assert!(said.iter().all(names_all), "{said:?}");
    }
}

#[tokio::test]
async fn a_rename_whose_answer_was_lost_counts_as_done() {
    let lab = mk_lab().await;
    std::fs::create_dir(lab.real("a")).unwrap();
    let export = lab.export(Options::default());
    lab.server
        .faults()
        .inject(Rule::on(Procedure::RENAME, Effect::DisconnectAfter).times(1));
    assert_eq!(
        export.rename(&sub("a"), &sub("b")).await.unwrap(),
        Renamed::Done
    );
    assert!(lab.real("b").is_dir() && !lab.real("a").exists());
}

/// What came of a RENAME under `rules`, with a server that mounts nothing once its first connection is gone: recovery, and whether in doubt.
async fn renamed_under(rules: Vec<Rule>) -> (Recovery, bool) {
    let lab = mk_lab().await;
    std::fs::create_dir(lab.real("a")).unwrap();
    let export = lab.export(Options {
        deadline: Duration::from_millis(300),
        ..Options::default()
    });
    export.probe().await.unwrap();
    let refusal = Effect::MountStatus(mountstat3::MNT3ERR_ACCES);
    lab.server
        .faults()
        .inject(Rule::on(Procedure::MNT, refusal));
    for rule in rules {
        lab.server.faults().inject(rule);
    }
    let error = export.rename(&sub("a"), &sub("b")).await.unwrap_err();
    (error.recovery(), error.is_in_doubt())
}

#[tokio::test]
async fn a_change_that_was_sent_and_not_answered_is_in_doubt_whatever_is_met_after_it() {
    let rename = |effect| vec![Rule::on(Procedure::RENAME, effect)];
    let acces = || Effect::Status(nfsstat3::NFS3ERR_ACCES);
    let rows = [
        (rename(Effect::DisconnectAfter), Recovery::TellUser, true),
        (rename(Effect::Disconnect), Recovery::TellUser, true),
        (rename(Effect::LoseReply), Recovery::BackOff, true),
        (rename(Effect::Truncated(26)), Recovery::BackOff, true),
        (rename(acces()), Recovery::TellUser, false),
        (
            rename(Effect::Auth(auth_stat::AUTH_TOOWEAK)),
            Recovery::TellUser,
            false,
        ),
        // Lost before the change was sent.
        (
            vec![Rule::on(Procedure::LOOKUP, Effect::Disconnect)],
            Recovery::TellUser,
            false,
        ),
    ];
    for (at, (rules, recovery, is_in_doubt)) in rows.into_iter().enumerate() {
        assert_eq!(
            renamed_under(rules).await,
            (recovery, is_in_doubt),
            "row {at}"
        );
    }
}

#[tokio::test]
async fn a_refusal_of_the_second_copy_does_not_settle_what_became_of_the_first() {
    let lab = mk_lab().await;
    let export = lab.export(Options::default());
    export.probe().await.unwrap();
    let faults = lab.server.faults();
    faults.inject(Rule::on(Procedure::MKDIR, Effect::Disconnect).times(1));
    faults.fail(Procedure::MKDIR, nfsstat3::NFS3ERR_NOSPC);
    let error = export.create_dir_all(&sub("a"), 0o777).await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::TellUser);
    assert!(error.is_in_doubt());
}

#[tokio::test]
async fn a_source_is_not_called_gone_where_the_target_has_nowhere_to_go() {
    let lab = mk_lab().await;
    std::fs::create_dir(lab.real("a")).unwrap();
    let export = lab.export(Options::default());
    export.create_dir_all(&sub("t/known"), 0o777).await.unwrap();
    // What a server says whose directory for the target was removed a moment ago.
    std::fs::rename(lab.real("t"), lab.real("elsewhere")).unwrap();
    lab.server
        .faults()
        .inject(Rule::on(Procedure::RENAME, Effect::Status(nfsstat3::NFS3ERR_NOENT)).times(1));
    let error = export.rename(&sub("a"), &sub("t/b")).await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::RetryNow);
}

/// nfs-ganesha keeps names for a minute, and shows one that was removed behind its back.
#[tokio::test]
async fn a_source_that_only_the_servers_cache_shows_is_gone() {
    let lab = mk_lab().await;
    for dir in ["a", "t"] {
        std::fs::create_dir(lab.real(dir)).unwrap();
    }
    let export = lab.export(Options::default());
    for target in ["t/b", "b"] {
        lab.server
            .faults()
            .inject(Rule::on(Procedure::RENAME, Effect::Status(nfsstat3::NFS3ERR_NOENT)).times(1));
        assert_eq!(
            export.rename(&sub("a"), &sub(target)).await.unwrap(),
            Renamed::NoSource
        );
    }
}

#[tokio::test]
async fn what_is_made_after_a_rename_without_an_answer_is_not_made_in_what_it_moved() {
    let lab = mk_lab().await;
    let export = lab.export(Options {
        deadline: Duration::from_millis(300),
        ..Options::default()
    });
    export.create_dir_all(&sub("a/b"), 0o777).await.unwrap();
    lab.server
        .faults()
        .inject(Rule::on(Procedure::RENAME, Effect::LoseReply).times(1));
    // So that the connection is kept, and with it what is known.
    let (from, to) = (sub("a"), sub("trash"));
    let (renamed, ()) = tokio::join!(export.rename(&from, &to), async {
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            export.probe().await.unwrap();
        }
    });
    assert!(
        matches!(renamed.as_ref().unwrap_err().cause(), Cause::TimedOut(_)),
        "{renamed:?}"
    );
    export.create_dir_all(&sub("a/c"), 0o777).await.unwrap();
    assert!(lab.real("a/c").is_dir());
    assert!(!lab.real("trash/c").exists());
}

#[tokio::test]
async fn a_look_that_is_answered_after_a_rename_does_not_lead_to_what_it_moved() {
    let lab = mk_lab().await;
    for dir in ["a", "trash"] {
        std::fs::create_dir(lab.real(dir)).unwrap();
    }
    let export = lab.export(Options::default());
    export.probe().await.unwrap();
    let late = Effect::AnswerLate(Duration::from_millis(300));
    let rule = Rule::on(Procedure::LOOKUP, late).named("a").times(1);
    lab.server.faults().inject(rule);
    let (early, from, to) = (sub("a/early"), sub("a"), sub("trash/a"));
    let (made, renamed) = tokio::join!(export.create_dir_all(&early, 0o777), async {
        let log = lab.server.log();
        log.wait_for(Procedure::LOOKUP, 1, CAP).await.unwrap();
        export.rename(&from, &to).await
    });
    assert_eq!(renamed.unwrap(), Renamed::Done);
    made.unwrap();
    export.create_dir_all(&sub("a/later"), 0o777).await.unwrap();
    assert!(lab.real("a/later").is_dir());
}

#[tokio::test]
async fn a_removal_whose_answers_were_lost_goes_on_and_counts_right() {
    let lab = mk_lab().await;
    std::fs::create_dir(lab.real("v")).unwrap();
    for n in 0..50 {
        std::fs::write(lab.real(&format!("v/{n}")), "").unwrap();
    }
    let export = lab.export(Options::default());
    lab.server.faults().inject(
        Rule::on(Procedure::REMOVE, Effect::DisconnectAfter)
            .times(1)
            .after(10),
    );
    lab.server
        .faults()
        .inject(Rule::on(Procedure::RMDIR, Effect::DisconnectAfter).times(1));
    let removed = export.remove_dir_all(&sub("v")).await.unwrap();
    assert_eq!((removed.directories, removed.files), (1, 50));
    assert!(!lab.real("v").exists());
}

#[tokio::test]
async fn jukebox_is_waited_for() {
    let lab = mk_lab().await;
    let export = lab.export(Options::default());
    lab.server
        .faults()
        .inject(Rule::on(Procedure::MKDIR, Effect::Status(nfsstat3::NFS3ERR_JUKEBOX)).times(3));
    assert_eq!(
        export.create_dir_all(&sub("a"), 0o777).await.unwrap(),
        Created::New
    );
    let xids: std::collections::HashSet<_> = lab
        .server
        .log()
        .calls_of(Procedure::MKDIR)
        .iter()
        .map(|call| call.xid)
        .collect();
    assert_eq!(xids.len(), 4, "each is a call of its own");
}

#[tokio::test]
async fn statuses_reach_the_caller_with_their_recovery() {
    let rows = [
        (nfsstat3::NFS3ERR_ROFS, Recovery::TellUser),
        (nfsstat3::NFS3ERR_NOSPC, Recovery::TellUser),
        (nfsstat3::NFS3ERR_DQUOT, Recovery::TellUser),
        (nfsstat3::NFS3ERR_ACCES, Recovery::TellUser),
        (nfsstat3::NFS3ERR_IO, Recovery::BackOff),
        (nfsstat3::NFS3ERR_SERVERFAULT, Recovery::BackOff),
    ];
    let lab = mk_lab().await;
    let export = lab.export(Options::default());
    for (status, recovery) in rows {
        lab.server
            .faults()
            .inject(Rule::on(Procedure::MKDIR, Effect::Status(status)).times(1));
        let error = export.create_dir_all(&sub("a"), 0o777).await.unwrap_err();
        assert!(
            matches!(error.cause(), Cause::Nfs(found) if *found == status),
            "{error:?}"
        );
        assert_eq!(error.recovery(), recovery, "{status}");
        assert!(!error.is_share_down());
    }
    assert_eq!(
        export.create_dir_all(&sub("a"), 0o777).await.unwrap(),
        Created::New
    );
}

#[tokio::test]
async fn refused_and_garbled_replies_reach_the_caller() {
    type Check = fn(&Cause) -> bool;
    let rows: [(Effect, Check); 5] = [
        (Effect::Auth(auth_stat::AUTH_TOOWEAK), |c| {
            matches!(c, Cause::Refused(Refusal::Auth(auth_stat::AUTH_TOOWEAK)))
        }),
        (Effect::Accept(AcceptError::GarbageArgs), |c| {
            matches!(c, Cause::Refused(Refusal::GarbageArguments))
        }),
        (
            Effect::Accept(AcceptError::ProgMismatch { low: 4, high: 4 }),
            |c| {
                matches!(
                    c,
                    Cause::Refused(Refusal::ProgramMismatch { low: 4, high: 4 })
                )
            },
        ),
        (Effect::RpcMismatch { low: 3, high: 3 }, |c| {
            matches!(c, Cause::Refused(Refusal::RpcMismatch { low: 3, high: 3 }))
        }),
        (Effect::Truncated(40), |c| {
            matches!(c, Cause::Malformed(Malformed::Short))
        }),
    ];
    let lab = mk_lab().await;
    let export = lab.export(Options::default());
    export.probe().await.unwrap();
    for (n, (effect, check)) in rows.into_iter().enumerate() {
        lab.server
            .faults()
            .inject(Rule::on(Procedure::MKDIR, effect).times(1));
        let error = export
            .create_dir_all(&sub(&format!("d{n}")), 0o777)
            .await
            .unwrap_err();
        assert!(check(error.cause()), "{error:?}");
    }
    assert_eq!(
        lab.server.log().count(Procedure::MNT),
        1,
        "none of these costs the connection"
    );
}

#[tokio::test]
async fn a_refused_credential_is_told_with_what_to_change_and_asked_again() {
    let rows = [
        (
            auth_stat::AUTH_TOOWEAK,
            "the export takes calls from ports below 1024 only (set securityContext.sysctls net.ipv4.ip_unprivileged_port_start=0, \
             or export with `insecure`), or only Kerberos (export with `sec=sys`)",
        ),
        (
            auth_stat::AUTH_BADCRED,
            "export the directory to the address that this process has on the server's side (often that of its node), and with \
             `sec=sys`",
        ),
        (
            auth_stat::AUTH_BADVERF,
            "only AUTH_SYS is spoken here: export with `sec=sys`",
        ),
    ];
    for (refusal, advice) in rows {
        let lab = mk_lab().await;
        let export = lab.export(Options::default());
        export.probe().await.unwrap();
        let faults = lab.server.faults();
        let rule = || faults.inject(Rule::on_file_operations(Effect::Auth(refusal)));
        let told = |error: nfs_export::Error| {
            assert_eq!(error.advice().as_deref(), Some(advice));
            assert_eq!(error.recovery(), Recovery::TellUser);
            assert!(error.is_share_down());
        };
        // On a connection that is good: the caller asks again, and that is all there is to it.
        let refused = rule();
        told(export.create_dir_all(&sub("a"), 0o777).await.unwrap_err());
        faults.clear(refused);
        export.create_dir_all(&sub("a"), 0o777).await.unwrap();
        assert_eq!(lab.server.log().count(Procedure::MNT), 1);
        // While it dials: it does so until it is let in.
        let refused = rule();
        lab.server.drop_connections();
        down(&export).await;
        told(export.create_dir_all(&sub("b"), 0o777).await.unwrap_err());
        faults.clear(refused);
        up(&export).await;
        export.create_dir_all(&sub("b"), 0o777).await.unwrap();
    }
}

#[tokio::test]
async fn odd_but_whole_replies_are_taken() {
    let lab = mk_lab().await;
    let export = lab.export(Options::default());
    for (n, effect) in [
        Effect::Fragments(7),
        Effect::Twice,
        Effect::AnswerLate(Duration::from_millis(50)),
    ]
    .into_iter()
    .enumerate()
    {
        lab.server
            .faults()
            .inject(Rule::on(Procedure::MKDIR, effect).times(1));
        assert_eq!(
            export
                .create_dir_all(&sub(&format!("d{n}")), 0o777)
                .await
                .unwrap(),
            Created::New
        );
    }
    export.probe().await.unwrap();
    assert_eq!(export.stats().late_replies(), 1);
}

#[tokio::test]
async fn garbage_costs_the_connection_and_not_the_call() {
    let lab = mk_lab().await;
    let export = lab.export(Options::default());
    export.probe().await.unwrap();
    lab.server.faults().inject(
        Rule::on(
            Procedure::MKDIR,
            Effect::Garbage(b"not a reply at all".to_vec()),
        )
        .times(1),
    );
    assert_eq!(
        export.create_dir_all(&sub("a"), 0o777).await.unwrap(),
        Created::New
    );
    assert_eq!(export.stats().reconnects(), 1);
}

#[tokio::test]
async fn a_connection_that_breaks_each_time_is_given_up() {
    let lab = mk_lab().await;
    let export = lab.export(Options::default());
    export.probe().await.unwrap();
    let rule = lab
        .server
        .faults()
        .inject(Rule::on(Procedure::MKDIR, Effect::Disconnect));
    let start = Instant::now();
    let error = export.create_dir_all(&sub("a"), 0o777).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(error.recovery(), Recovery::Reconnect);
    assert!(error.is_share_down());
    let why = match error.cause() {
        Cause::Lost(why) => Some(why),
        Cause::Unreachable(_) => None,
        other => panic!("{other:?}"),
    };
    assert!(
        why.is_none_or(|why| matches!(**why, Broken::Closed | Broken::Io(_))),
        "{why:?}"
    );
    // Sent once, and again after each of three losses; the fourth is told.
    assert_eq!(lab.server.log().count(Procedure::MKDIR), 4);
    assert_eq!(export.stats().retransmits(), 3);
    lab.server.faults().clear(rule);
    up(&export).await;
    assert_eq!(
        export.create_dir_all(&sub("a"), 0o777).await.unwrap(),
        Created::New
    );
}

#[tokio::test]
async fn a_call_without_answer_times_out_and_the_next_one_works() {
    let lab = mk_lab().await;
    let export = lab.export(Options {
        deadline: Duration::from_millis(300),
        ..Options::default()
    });
    export.probe().await.unwrap();
    lab.server
        .faults()
        .inject(Rule::on(Procedure::MKDIR, Effect::LoseReply).times(1));
    let error = export.create_dir_all(&sub("a"), 0o777).await.unwrap_err();
    assert!(matches!(error.cause(), Cause::TimedOut(_)), "{error:?}");
    assert_eq!(error.recovery(), Recovery::BackOff);
    assert_eq!(
        export.create_dir_all(&sub("a"), 0o777).await.unwrap(),
        Created::Existed
    );
}

#[tokio::test]
async fn root_squash_is_explained() {
    let lab = mk_lab_with(|b| b.root_squash(true)).await;
    std::fs::set_permissions(lab.root.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let export = lab.export(Options::default());
    let error = export.create_dir_all(&sub("a"), 0o777).await.unwrap_err();
    assert!(
        matches!(
            error.cause(),
            Cause::Nfs(nfsstat3::NFS3ERR_ACCES | nfsstat3::NFS3ERR_PERM)
        ),
        "{error:?}"
    );
    assert!(
        error
            .advice()
            .unwrap()
            .starts_with("root is squashed on this export: "),
        "{error:?}"
    );
}

#[tokio::test]
async fn dropping_a_call_in_flight_leaves_the_connection_in_step() {
    let lab = mk_lab().await;
    let export = lab.export(Options {
        in_flight: 2,
        ..Options::default()
    });
    export.probe().await.unwrap();
    for n in 0..40 {
        let dir = sub(&format!("d{n}"));
        let patience = Duration::from_micros(100 * (n % 7));
        let _ = tokio::time::timeout(patience, export.create_dir_all(&dir, 0o777)).await;
    }
    let made = futures::future::join_all((0..40).map(|n| {
        let (export, dir) = (export.clone(), sub(&format!("d{n}")));
        async move { export.create_dir_all(&dir, 0o777).await.map(|_| ()) }
    }));
    assert!(made.await.into_iter().all(|made| made.is_ok()));
    assert_eq!(lab.server.log().count(Procedure::MNT), 1);
    assert_eq!(export.stats().in_flight(), 0);
}
