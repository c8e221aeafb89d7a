//! What servers may say, and what they should not: replies without all that is optional, numbers that RFC 1813 does not have, pages that
//! lead nowhere.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use nfs_export::{Cause, Created, Kind, Malformed, Options, Recovery, Refusal, Removed, nfsstat3};
use testkit::nfs::{AcceptError, Edit, Effect, Procedure, Rule};

use crate::world::{CAP, Lab, mk_lab, mk_lab_with, sub};

/// In place of the answer, these words behind the xid.
fn words(words: &'static [u32]) -> Effect {
    Effect::Edit(Edit::new(move |reply| {
        *reply = words.iter().flat_map(|word| word.to_be_bytes()).collect();
    }))
}

/// A page of a directory in place of the answer of READDIR or READDIRPLUS: `.` and `..`, the names, and where the next begins; never the last.
fn page(
    plus: bool,
    cookie: impl Fn() -> u64 + Send + Sync + 'static,
    names: &'static [&str],
) -> Effect {
    Effect::Edit(Edit::new(move |reply| {
        // Accepted, NFS3_OK, no attributes, verifier.
        let mut page = vec![1, 0, 0, 0, 0, 0, 0, 0, 0];
        let next = cookie();
        for name in [".", ".."].iter().chain(names) {
            let mut padded = name.as_bytes().to_vec();
            padded.resize(name.len().next_multiple_of(4), 0);
            page.extend([1, 0, 1, u32::try_from(name.len()).unwrap()]);
            page.extend(
                padded
                    .chunks(4)
                    .map(|c| u32::from_be_bytes(c.try_into().unwrap())),
            );
            page.extend([0, u32::try_from(next).unwrap()]);
            page.extend(if plus { &[0, 0][..] } else { &[] });
        }
        page.extend([0, 0]);
        *reply = page.iter().flat_map(|word| word.to_be_bytes()).collect();
    }))
}

/// A directory `v` with so many files in it and one directory with a file.
fn fill(lab: &Lab, files: usize) {
    std::fs::create_dir_all(lab.real("v/inner")).unwrap();
    std::fs::write(lab.real("v/inner/file"), "x").unwrap();
    for n in 0..files {
        std::fs::write(lab.real(&format!("v/{n:0200}")), "x").unwrap();
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_optional_is_served_all_the_same() {
    for (edit, looks) in [(Edit::terse(), 3), (Edit::terse_but_handles(), 0)] {
        let lab = mk_lab_with(|b| b.mkdir_ignores_mode(true)).await;
        let export = lab.export(Options::default());
        let rule = Rule::on_file_operations(Effect::Edit(edit));
        lab.server.faults().inject(rule);
        let made = export.create_dir_all(&sub("v/a/b"), 0o777).await.unwrap();
        assert_eq!(made, Created::New);
        // Two of them are the look for the parents.
        assert_eq!(lab.server.log().count(Procedure::LOOKUP), 1 + looks);
        let again = export.create_dir_all(&sub("v/a/b"), 0o777).await.unwrap();
        assert_eq!(again, Created::Existed);
        for dir in ["v", "v/a", "v/a/b"] {
            let found = export.stat(&sub(dir)).await.unwrap().unwrap();
            assert_eq!((found.kind, found.mode), (Kind::Directory, 0o777), "{dir}");
        }
        fill(&lab, 3);
        let listed = export.list(Some(&sub("v")), 100).await.unwrap();
        assert_eq!(listed.len(), 5);
        let removed = export.remove_dir_all(&sub("v")).await.unwrap();
        let (directories, files) = (4, 4);
        assert_eq!(removed, Removed { directories, files });
    }
}

#[tokio::test]
async fn a_repeated_mkdir_knows_its_work_though_nothing_is_said_of_the_parent() {
    let lab = mk_lab().await;
    let export = lab.export(Options::default());
    export.probe().await.unwrap();
    let faults = lab.server.faults();
    faults.inject(Rule::on(Procedure::MKDIR, Effect::DisconnectAfter).times(1));
    faults.inject(Rule::on_file_operations(Effect::Edit(Edit::terse())));
    let made = export.create_dir_all(&sub("a"), 0o777).await.unwrap();
    assert_eq!(made, Created::New);
}

#[tokio::test]
async fn numbers_that_the_protocol_does_not_have_are_told() {
    let lab = mk_lab().await;
    let export = lab.export(Options::default());
    export.probe().await.unwrap();
    let faults = lab.server.faults();
    // RPCSEC_GSS_CREDPROBLEM.
    faults.inject(Rule::on(Procedure::MKDIR, words(&[1, 1, 1, 13])).times(1));
    let error = export.create_dir_all(&sub("a"), 0o777).await.unwrap_err();
    assert!(
        matches!(error.cause(), Cause::Refused(Refusal::OtherAuth(13))),
        "{error:?}"
    );
    assert_eq!(error.recovery(), Recovery::TellUser);
    assert!(error.to_line().contains("sec=sys"), "{}", error.to_line());
    assert!(!error.is_in_doubt());

    faults.inject(Rule::on(Procedure::MKDIR, words(&[1, 0, 0, 0, 0, 10_071, 0, 0])).times(1));
    let error = export.create_dir_all(&sub("a"), 0o777).await.unwrap_err();
    assert!(
        matches!(error.cause(), Cause::Malformed(Malformed::Status(10_071))),
        "{error:?}"
    );
    assert!(error.to_line().contains("10071"), "{}", error.to_line());
}

/// The type of the object `odd` in an answer to LOOKUP or READDIRPLUS.
fn odd_type(at: impl Fn(&[u8]) -> Option<usize> + Send + Sync + 'static) -> Effect {
    Effect::Edit(Edit::new(move |reply| {
        if let Some(at) = at(reply) {
            reply[at..at + 4].copy_from_slice(&77_u32.to_be_bytes());
        }
    }))
}

/// Handle's length and bytes behind head and status, then "attributes follow", then the type.
fn in_lookup(reply: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(reply.get(24..28)?.try_into().ok()?);
    Some(28 + (length as usize).next_multiple_of(4) + 4)
}

/// Behind the name: cookie, "attributes follow", then the type.
fn in_page(reply: &[u8]) -> Option<usize> {
    let name = reply.windows(4).position(|four| four == b"odd\0")?;
    Some(name + 4 + 8 + 4)
}

#[tokio::test]
async fn an_object_of_a_type_that_nobody_knows_does_not_hide_the_others_and_goes_with_them() {
    let lab = mk_lab().await;
    fill(&lab, 3);
    std::fs::write(lab.real("v/odd"), "x").unwrap();
    let export = lab.export(Options::default());
    let faults = lab.server.faults();
    faults.inject(Rule::on(Procedure::READDIRPLUS, odd_type(in_page)));
    faults.inject(Rule::on(Procedure::LOOKUP, odd_type(in_lookup)).named("odd"));
    let error = export.stat(&sub("v/odd")).await.unwrap_err();
    assert!(
        matches!(error.cause(), Cause::Malformed(Malformed::Kind(77))),
        "{error:?}"
    );
    let listed = export.list(Some(&sub("v")), 100).await.unwrap();
    assert_eq!(listed.len(), 5);
    let removed = export.remove_dir_all(&sub("v")).await.unwrap();
    let (directories, files) = (2, 5);
    assert_eq!(removed, Removed { directories, files });
}

#[tokio::test]
async fn an_entry_of_which_nothing_can_be_read_is_left_and_named() {
    let lab = mk_lab().await;
    fill(&lab, 3);
    std::fs::write(lab.real("v/odd"), "x").unwrap();
    let export = lab.export(Options::default());
    let faults = lab.server.faults();
    faults.inject(Rule::on(Procedure::READDIRPLUS, odd_type(in_page)));
    faults.inject(Rule::on(Procedure::LOOKUP, Effect::Truncated(30)).named("odd"));
    let error = export.remove_dir_all(&sub("v")).await.unwrap_err();
    let Cause::Leftovers(left) = error.cause() else {
        panic!("{error:?}")
    };
    assert_eq!((left.count, &*left.first[0].path), (1, "v/odd"));
    assert!(!lab.real("v/inner").exists());
}

#[tokio::test]
async fn a_server_without_readdirplus_is_read_by_readdir() {
    for effect in [
        Effect::Accept(AcceptError::ProcUnavail),
        Effect::Status(nfsstat3::NFS3ERR_NOTSUPP),
    ] {
        let lab = mk_lab().await;
        fill(&lab, 300);
        let export = lab.export(Options::default());
        let faults = lab.server.faults();
        faults.inject(Rule::on(Procedure::READDIRPLUS, effect));
        let listed = export.list(Some(&sub("v")), 1000).await.unwrap();
        assert_eq!(listed.len(), 301);
        assert!(listed.iter().all(|entry| entry.kind.is_none()));
        export.remove_dir_all(&sub("v")).await.unwrap();
        assert!(!lab.real("v").exists());
    }
}

#[tokio::test]
async fn a_listing_whose_cookies_went_bad_begins_anew_so_often() {
    let lab = mk_lab().await;
    fill(&lab, 600);
    let export = lab.export(Options::default());
    let faults = lab.server.faults();
    let bad = || Effect::Status(nfsstat3::NFS3ERR_BAD_COOKIE);
    for procedure in [Procedure::READDIR, Procedure::READDIRPLUS] {
        faults.inject(Rule::on(procedure, bad()).after(1).times(1));
    }
    let listed = export.list(Some(&sub("v")), 1000).await.unwrap();
    assert_eq!(listed.len(), 601);
    let counted = export.count(Some(&sub("v")), 1000, |_| true).await.unwrap();
    assert_eq!(counted, 601);

    faults.clear_all();
    for procedure in [Procedure::READDIR, Procedure::READDIRPLUS] {
        faults.inject(Rule::on(procedure, bad()));
    }
    lab.server.log().clear();
    let error = export.list(Some(&sub("v")), 1000).await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::RetryNow);
    let error = export
        .count(Some(&sub("v")), 1000, |_| true)
        .await
        .unwrap_err();
    assert_eq!(error.recovery(), Recovery::RetryNow);
    let log = lab.server.log();
    let asked = [Procedure::READDIR, Procedure::READDIRPLUS].map(|what| log.count(what));
    assert_eq!(asked, [9, 9]);
}

/// A server may mean no harm: cookies of large ext4 directories collide.
#[tokio::test]
async fn pages_that_lead_nowhere_are_an_error_and_not_a_way_without_end() {
    type Cookie = fn(u64) -> u64;
    let ways: [(Cookie, &'static [&'static str]); 4] = [
        // Ever new cookies, and nothing there.
        (|n| n + 1, &[]),
        // The cookie stands still.
        (|_| 7, &["a"]),
        // Back to the start.
        (|n| n % 3, &["a"]),
        // A circle behind some pages.
        (|n| if n < 10 { n + 1 } else { 20 + n % 5 }, &["a", "b"]),
    ];
    for (at, (cookie, names)) in ways.into_iter().enumerate() {
        let lab = mk_lab().await;
        fill(&lab, 0);
        let export = lab.export(Options::default());
        for (procedure, plus) in [(Procedure::READDIR, false), (Procedure::READDIRPLUS, true)] {
            let calls = AtomicU64::new(0);
            let next = move || cookie(calls.fetch_add(1, Relaxed));
            lab.server
                .faults()
                .inject(Rule::on(procedure, page(plus, next, names)));
        }
        let dir = sub("v");
        let all = async {
            let listed = export.list(Some(&dir), usize::MAX).await.unwrap_err();
            let counted = export.count(Some(&dir), u64::MAX, |_| true).await;
            let removed = export.remove_dir_all(&dir).await.unwrap_err();
            (listed, counted.unwrap_err(), removed)
        };
        let (listed, counted, removed) = tokio::time::timeout(CAP, all).await.unwrap();
        for error in [listed, counted] {
            assert!(
                matches!(error.cause(), Cause::Endless(path) if &**path == "v"),
                "way {at}: {error:?}"
            );
            assert_eq!(error.recovery(), Recovery::BackOff);
        }
        let Cause::Leftovers(left) = removed.cause() else {
            panic!("way {at}: {removed:?}")
        };
        assert_eq!((left.count, &*left.first[0].path), (1, "v"), "way {at}");
        assert!(lab.real("v/inner/file").exists());
    }
}
