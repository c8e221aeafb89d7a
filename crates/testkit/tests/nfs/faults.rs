//! Each fault, as a client meets it.

use std::time::Duration;

use nfs3_client::RpcError;
use nfs3_client::nfs3_types::mount::mountstat3;
use nfs3_client::nfs3_types::nfs3::{
    FSSTAT3args, GETATTR3args, LOOKUP3args, MKDIR3args, Nfs3Option, READDIRPLUS3args, REMOVE3args,
    RENAME3args, RMDIR3args, SETATTR3args, cookieverf3, nfsstat3,
};
use nfs3_client::nfs3_types::rpc::auth_stat;
use testkit::nfs::{AcceptError, Edit, Effect, Procedure, Rule};

use crate::client::{
    CAP, EXPORT, mk_client, mk_mode, mk_name, mk_root, mk_world, mkdir, mount, mount_status, status,
};

#[tokio::test]
async fn a_status_is_answered_so_often_and_then_the_call_is_served() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    for refusal in [
        nfsstat3::NFS3ERR_JUKEBOX,
        nfsstat3::NFS3ERR_STALE,
        nfsstat3::NFS3ERR_ROFS,
        nfsstat3::NFS3ERR_NOSPC,
        nfsstat3::NFS3ERR_DQUOT,
        nfsstat3::NFS3ERR_ACCES,
        nfsstat3::NFS3ERR_IO,
        nfsstat3::NFS3ERR_SERVERFAULT,
    ] {
        let rule = Rule::on(Procedure::MKDIR, Effect::Status(refusal)).times(2);
        let id = world.server.faults().inject(rule);
        for _ in 0..2 {
            let met = mkdir(&mut client, &root, b"d", 0o777).await.map(drop);
            assert_eq!(met, Err(refusal));
        }
        let name = format!("{refusal}");
        mkdir(&mut client, &root, name.as_bytes(), 0o777)
            .await
            .unwrap();
        assert_eq!(world.server.faults().hits(id), Some(2));
        world.server.faults().clear(id);
    }
    assert!(!world.dir.path().join("d").exists());
}

#[tokio::test]
async fn a_failure_decodes_whatever_the_procedure() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    let io = nfsstat3::NFS3ERR_IO;
    let rule = Rule::on_file_operations(Effect::Status(io));
    world.server.faults().inject(rule);
    let object = root.clone();
    assert_eq!(
        status(&client.getattr(&GETATTR3args { object }).await.unwrap()),
        io
    );
    let args = SETATTR3args {
        object: root.clone(),
        new_attributes: mk_mode(0o777),
        guard: Nfs3Option::None,
    };
    assert_eq!(status(&client.setattr(&args).await.unwrap()), io);
    let what = mk_name(&root, b"x");
    assert_eq!(
        status(&client.lookup(&LOOKUP3args { what }).await.unwrap()),
        io
    );
    let object = mk_name(&root, b"x");
    assert_eq!(
        status(&client.remove(&REMOVE3args { object }).await.unwrap()),
        io
    );
    let object = mk_name(&root, b"x");
    assert_eq!(
        status(&client.rmdir(&RMDIR3args { object }).await.unwrap()),
        io
    );
    let args = RENAME3args {
        from: mk_name(&root, b"x"),
        to: mk_name(&root, b"y"),
    };
    assert_eq!(status(&client.rename(&args).await.unwrap()), io);
    let fsroot = root.clone();
    assert_eq!(
        status(&client.fsstat(&FSSTAT3args { fsroot }).await.unwrap()),
        io
    );
    let args = READDIRPLUS3args {
        dir: root.clone(),
        cookie: 0,
        cookieverf: cookieverf3::default(),
        dircount: 4096,
        maxcount: 4096,
    };
    assert_eq!(status(&client.readdirplus(&args).await.unwrap()), io);
    assert_eq!(
        mkdir(&mut client, &root, b"d", 0o777).await.map(drop),
        Err(io)
    );
    // NULL is not a file operation, and has no status to fail with.
    client.null().await.unwrap();
}

#[tokio::test]
async fn a_rule_can_wait_for_a_later_call_and_for_a_name() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    let effect = Effect::Status(nfsstat3::NFS3ERR_IO);
    let rule = Rule::on(Procedure::MKDIR, effect)
        .named("x")
        .after(1)
        .times(1);
    world.server.faults().inject(rule);
    mkdir(&mut client, &root, b"a", 0o777).await.unwrap();
    mkdir(&mut client, &root, b"x", 0o777).await.unwrap();
    mkdir(&mut client, &root, b"b", 0o777).await.unwrap();
    let met = mkdir(&mut client, &root, b"x", 0o777).await.map(drop);
    assert_eq!(met, Err(nfsstat3::NFS3ERR_IO));
    let met = mkdir(&mut client, &root, b"x", 0o777).await.map(drop);
    assert_eq!(met, Err(nfsstat3::NFS3ERR_EXIST));
}

#[tokio::test]
async fn mount_can_be_refused_with_any_status() {
    let world = mk_world(|b| b).await;
    for refusal in [
        mountstat3::MNT3ERR_ACCES,
        mountstat3::MNT3ERR_SERVERFAULT,
        mountstat3::MNT3ERR_NOTSUPP,
    ] {
        let rule = Rule::on(Procedure::MNT, Effect::MountStatus(refusal)).times(1);
        world.server.faults().inject(rule);
        let met = mount_status(mount(&world.server, EXPORT, mk_root()).await);
        assert_eq!(met as u32, refusal as u32);
    }
    mk_client(&world.server).await;
}

#[tokio::test]
async fn rpc_level_refusals_are_what_they_are_called() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let mut error_of = async |effect| {
        let rule = Rule::on(Procedure::NULL, effect).times(1);
        world.server.faults().inject(rule);
        client.null().await.unwrap_err()
    };
    let (low, high) = (4, 5);
    let met = error_of(Effect::Accept(AcceptError::ProgUnavail)).await;
    assert!(matches!(met, RpcError::ProgUnavail));
    let met = error_of(Effect::Accept(AcceptError::ProgMismatch { low, high })).await;
    assert!(matches!(met, RpcError::ProgMismatch { low: 4, high: 5 }));
    let met = error_of(Effect::Accept(AcceptError::ProcUnavail)).await;
    assert!(matches!(met, RpcError::ProcUnavail));
    let met = error_of(Effect::Accept(AcceptError::GarbageArgs)).await;
    assert!(matches!(met, RpcError::GarbageArgs));
    let met = error_of(Effect::Accept(AcceptError::SystemErr)).await;
    assert!(matches!(met, RpcError::SystemErr));
    let met = error_of(Effect::RpcMismatch { low, high }).await;
    assert!(matches!(met, RpcError::RpcMismatch { low: 4, high: 5 }));
    let met = error_of(Effect::Auth(auth_stat::AUTH_REJECTEDCRED)).await;
    assert!(matches!(met, RpcError::Auth(auth_stat::AUTH_REJECTEDCRED)));
    let met = error_of(Effect::WrongXid).await;
    assert!(matches!(met, RpcError::UnexpectedXid));
}

#[tokio::test]
async fn an_ignored_call_is_not_executed_and_a_lost_reply_s_is() {
    let world = mk_world(|b| b).await;
    let root = mk_client(&world.server).await.root_nfs_fh3();
    for (effect, name) in [(Effect::Ignore, "ignored"), (Effect::LoseReply, "lost")] {
        let rule = Rule::on(Procedure::MKDIR, effect).times(1);
        world.server.faults().inject(rule);
        let mut client = mk_client(&world.server).await;
        let root = root.clone();
        let call = async { mkdir(&mut client, &root, name.as_bytes(), 0o777).await };
        let unanswered = tokio::time::timeout(Duration::from_millis(100), call).await;
        assert!(unanswered.is_err());
    }
    assert!(!world.dir.path().join("ignored").exists());
    assert!(world.dir.path().join("lost").exists());
}

#[tokio::test]
async fn a_connection_is_closed_before_or_after_the_call_is_executed() {
    let world = mk_world(|b| b).await;
    for (effect, name) in [
        (Effect::Disconnect, "before"),
        (Effect::DisconnectAfter, "after"),
    ] {
        let rule = Rule::on(Procedure::MKDIR, effect).times(1);
        world.server.faults().inject(rule);
        let mut client = mk_client(&world.server).await;
        let args = MKDIR3args {
            where_: mk_name(&client.root_nfs_fh3(), name.as_bytes()),
            attributes: mk_mode(0o777),
        };
        let cut = client.mkdir(&args).await;
        assert!(matches!(cut, Err(RpcError::Io(_))), "{name}: {cut:?}");
    }
    assert!(!world.dir.path().join("before").exists());
    assert!(world.dir.path().join("after").exists());
}

#[tokio::test(start_paused = true)]
async fn late_answers_and_late_executions_take_their_time() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    let delay = Duration::from_secs(20);
    for (effect, name) in [
        (Effect::AnswerLate(delay), "answered-late"),
        (Effect::ExecuteLate(delay), "executed-late"),
    ] {
        let rule = Rule::on(Procedure::MKDIR, effect).times(1);
        world.server.faults().inject(rule);
        let before = tokio::time::Instant::now();
        mkdir(&mut client, &root, name.as_bytes(), 0o777)
            .await
            .unwrap();
        assert!(before.elapsed() >= delay);
    }
}

#[tokio::test]
async fn a_reply_in_fragments_is_refused_by_a_client_that_knows_none() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let rule = Rule::on(Procedure::NULL, Effect::Fragments(8)).times(1);
    world.server.faults().inject(rule);
    let met = client.null().await;
    assert!(matches!(met, Err(RpcError::FragmentedReply)));
}

#[tokio::test]
async fn an_answer_sent_twice_leaves_a_stray_one_behind() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let rule = Rule::on(Procedure::NULL, Effect::Twice).times(1);
    world.server.faults().inject(rule);
    client.null().await.unwrap();
    assert!(matches!(client.null().await, Err(RpcError::UnexpectedXid)));
}

#[tokio::test]
async fn what_is_no_answer_is_sent_as_it_is() {
    let world = mk_world(|b| b).await;
    for effect in [Effect::Truncated(12), Effect::Garbage(vec![0xff; 40])] {
        let mut client = mk_client(&world.server).await;
        let rule = Rule::on(Procedure::NULL, effect).times(1);
        world.server.faults().inject(rule);
        assert!(client.null().await.is_err());
    }
    let faults = world.server.faults();
    faults.fail(Procedure::NULL, nfsstat3::NFS3ERR_IO);
    faults.clear_all();
    let mut client = mk_client(&world.server).await;
    client.null().await.unwrap();
    world
        .server
        .log()
        .wait_until(CAP, |log| log.in_flight() == 0)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_terse_answer_has_nothing_optional_and_still_decodes() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    world
        .server
        .faults()
        .inject(Rule::on_file_operations(Effect::Edit(Edit::terse())));
    let args = MKDIR3args {
        where_: mk_name(&root, b"d"),
        attributes: mk_mode(0o777),
    };
    let made = client.mkdir(&args).await.unwrap().unwrap();
    assert!(made.obj.is_none() && made.obj_attributes.is_none());
    assert!(made.dir_wcc.before.is_none() && made.dir_wcc.after.is_none());
    let what = mk_name(&root, b"d");
    let found = client.lookup(&LOOKUP3args { what }).await.unwrap().unwrap();
    assert!(found.obj_attributes.is_none() && found.dir_attributes.is_none());
    let page = READDIRPLUS3args {
        dir: root.clone(),
        cookie: 0,
        cookieverf: cookieverf3::default(),
        dircount: 4096,
        maxcount: 32768,
    };
    let page = client.readdirplus(&page).await.unwrap().unwrap();
    let entries = page.reply.entries.into_inner();
    assert!(page.reply.eof && entries.iter().any(|entry| entry.name.0.as_ref() == b"d"));
    for entry in entries {
        assert!(entry.name_attributes.is_none() && entry.name_handle.is_none());
    }
    let object = found.object;
    client
        .getattr(&GETATTR3args { object })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        mkdir(&mut client, &root, b"d", 0o777).await.map(drop),
        Err(nfsstat3::NFS3ERR_EXIST)
    );
}

#[tokio::test]
async fn an_answer_may_keep_its_handles_or_be_changed_at_will() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    let faults = world.server.faults();
    let terse = Effect::Edit(Edit::terse_but_handles());
    faults.inject(Rule::on(Procedure::MKDIR, terse));
    let args = MKDIR3args {
        where_: mk_name(&root, b"d"),
        attributes: mk_mode(0o777),
    };
    let made = client.mkdir(&args).await.unwrap().unwrap();
    assert!(made.obj.is_some() && made.obj_attributes.is_none());
    let denied = Edit::new(|reply| {
        *reply = [1_u32, 1, 1, 5].map(u32::to_be_bytes).concat();
    });
    faults.inject(Rule::on(Procedure::GETATTR, Effect::Edit(denied)));
    let object = root;
    let refused = client.getattr(&GETATTR3args { object }).await;
    assert!(matches!(
        refused,
        Err(RpcError::Auth(auth_stat::AUTH_TOOWEAK))
    ));
}
