//! What file operations do to the directory, and what they say of it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use nfs3_client::nfs3_types::nfs3::{
    CREATE3args, FSSTAT3args, GETATTR3args, Nfs3Option, Nfs3Result, READ3args, READDIR3args,
    READDIRPLUS3args, READLINK3args, REMOVE3args, RENAME3args, RMDIR3args, SETATTR3args,
    WRITE3args, cookieverf3, createhow3, ftype3, nfs_fh3, nfsstat3, stable_how,
};
use nfs3_client::nfs3_types::xdr_codec::Opaque;

use crate::client::{
    Client, EXPORT, lookup, mk_client, mk_mode, mk_name, mk_user, mk_world, mkdir, mount, status,
};

async fn list(client: &mut Client, dir: &nfs_fh3, maxcount: u32) -> Vec<(Vec<u8>, u64)> {
    let mut names = Vec::new();
    let mut args = READDIRPLUS3args {
        dir: dir.clone(),
        cookie: 0,
        cookieverf: cookieverf3::default(),
        dircount: maxcount,
        maxcount,
    };
    loop {
        let page = client.readdirplus(&args).await.unwrap().unwrap();
        for entry in page.reply.entries.into_inner() {
            args.cookie = entry.cookie;
            names.push((entry.name.0.to_vec(), entry.cookie));
        }
        args.cookieverf = page.cookieverf;
        if page.reply.eof {
            return names;
        }
    }
}

async fn rmdir(client: &mut Client, dir: &nfs_fh3, name: &[u8]) -> nfsstat3 {
    let object = mk_name(dir, name);
    status(&client.rmdir(&RMDIR3args { object }).await.unwrap())
}

async fn remove(client: &mut Client, dir: &nfs_fh3, name: &[u8]) -> nfsstat3 {
    let object = mk_name(dir, name);
    status(&client.remove(&REMOVE3args { object }).await.unwrap())
}

#[tokio::test]
async fn mkdir_applies_the_mode_it_carries_whatever_the_umask() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    for mode in [0o777, 0o700, 0o1777, 0o2775] {
        let name = format!("d{mode:o}");
        let (_, attributes) = mkdir(&mut client, &root, name.as_bytes(), mode)
            .await
            .unwrap();
        let on_disk = fs::metadata(world.dir.path().join(&name)).unwrap();
        assert_eq!(attributes.mode, mode);
        assert_eq!(on_disk.permissions().mode() & 0o7777, mode);
    }
}

#[tokio::test]
async fn mkdir_that_ignores_the_mode_says_so_in_its_attributes_and_setattr_mends_it() {
    let world = mk_world(|b| b.mkdir_ignores_mode(true)).await;
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    let (made, attributes) = mkdir(&mut client, &root, b"d", 0o777).await.unwrap();
    assert_eq!(attributes.mode, 0o755);
    let args = SETATTR3args {
        object: made,
        new_attributes: mk_mode(0o777),
        guard: Nfs3Option::None,
    };
    let after = client.setattr(&args).await.unwrap().unwrap().obj_wcc.after;
    assert_eq!(after.unwrap().mode, 0o777);
}

#[tokio::test]
async fn what_the_disk_refuses_reaches_the_client_as_such() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    fs::create_dir_all(world.dir.path().join("full/inner")).unwrap();
    fs::write(world.dir.path().join("file"), b"x").unwrap();
    let long = [b'n'; 256];
    let (file, _) = lookup(&mut client, &root, b"file").await.unwrap();
    let mkdir_status = async |client: &mut Client, dir: &nfs_fh3, name: &[u8]| {
        mkdir(client, dir, name, 0o777).await.map(drop).unwrap_err()
    };
    let exists = mkdir_status(&mut client, &root, b"full").await;
    assert_eq!(exists, nfsstat3::NFS3ERR_EXIST);
    let exists = mkdir_status(&mut client, &root, b"file").await;
    assert_eq!(exists, nfsstat3::NFS3ERR_EXIST);
    let too_long = mkdir_status(&mut client, &root, &long).await;
    assert_eq!(too_long, nfsstat3::NFS3ERR_NAMETOOLONG);
    let in_file = mkdir_status(&mut client, &file, b"d").await;
    assert_eq!(in_file, nfsstat3::NFS3ERR_NOTDIR);
    let slash = mkdir_status(&mut client, &root, b"a/b").await;
    assert_eq!(slash, nfsstat3::NFS3ERR_INVAL);
    let missing = lookup(&mut client, &root, b"none").await.map(drop);
    assert_eq!(missing, Err(nfsstat3::NFS3ERR_NOENT));
    assert_eq!(
        rmdir(&mut client, &root, b"full").await,
        nfsstat3::NFS3ERR_NOTEMPTY
    );
    assert_eq!(
        rmdir(&mut client, &root, b"file").await,
        nfsstat3::NFS3ERR_NOTDIR
    );
    assert_eq!(
        remove(&mut client, &root, b"full").await,
        nfsstat3::NFS3ERR_ISDIR
    );
    assert_eq!(
        remove(&mut client, &root, b"none").await,
        nfsstat3::NFS3ERR_NOENT
    );
    assert!(world.dir.path().join("full/inner").is_dir());
}

#[tokio::test]
async fn a_255_byte_name_and_a_name_that_is_not_utf8_are_made_listed_renamed_and_removed() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    let long = vec![b'n'; 255];
    for name in [long.as_slice(), b"\xff\xfe caf\xe9"] {
        mkdir(&mut client, &root, name, 0o777).await.unwrap();
        assert!(world.dir.path().join(OsStr::from_bytes(name)).is_dir());
        let listed = list(&mut client, &root, 8192).await;
        assert!(listed.iter().any(|(listed, _)| listed == name));
        let args = RENAME3args {
            from: mk_name(&root, name),
            to: mk_name(&root, b"plain"),
        };
        assert_eq!(
            status(&client.rename(&args).await.unwrap()),
            nfsstat3::NFS3_OK
        );
        assert_eq!(rmdir(&mut client, &root, b"plain").await, nfsstat3::NFS3_OK);
    }
    assert_eq!(fs::read_dir(world.dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_directory_read_in_small_pages_gives_each_name_once_while_names_are_removed() {
    let world = mk_world(|b| b).await;
    for number in 0..500 {
        fs::write(world.dir.path().join(format!("f{number:04}")), b"").unwrap();
    }
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    let all = list(&mut client, &root, 1024).await;
    let mut names: Vec<_> = all.iter().map(|(name, _)| name.clone()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 502, "500 files, and . and ..");
    assert_eq!(all.len(), 502);

    // A cookie taken before a removal still leads to what came after it.
    let (_, cookie) = all[250];
    for (name, _) in all
        .iter()
        .take(250)
        .filter(|(name, _)| name.starts_with(b"f"))
    {
        assert_eq!(remove(&mut client, &root, name).await, nfsstat3::NFS3_OK);
    }
    let args = READDIRPLUS3args {
        dir: root,
        cookie,
        cookieverf: cookieverf3::default(),
        dircount: 1 << 20,
        maxcount: 1 << 20,
    };
    let page = client.readdirplus(&args).await.unwrap().unwrap();
    let rest: Vec<_> = page
        .reply
        .entries
        .0
        .iter()
        .map(|e| e.name.0.to_vec())
        .collect();
    let expected: Vec<_> = all[251..].iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(rest, expected);
}

#[tokio::test]
async fn readdir_lists_what_readdirplus_lists() {
    let world = mk_world(|b| b).await;
    fs::create_dir(world.dir.path().join("d")).unwrap();
    fs::write(world.dir.path().join("f"), b"").unwrap();
    let mut client = mk_client(&world.server).await;
    let args = READDIR3args {
        dir: client.root_nfs_fh3(),
        cookie: 0,
        cookieverf: cookieverf3::default(),
        count: 8192,
    };
    let page = client.readdir(&args).await.unwrap().unwrap();
    let mut names: Vec<_> = page
        .reply
        .entries
        .0
        .iter()
        .map(|e| e.name.0.to_vec())
        .collect();
    names.sort();
    assert_eq!(names, [&b"."[..], b"..", b"d", b"f"]);
}

#[tokio::test]
async fn listed_handles_and_attributes_are_those_of_lookup() {
    let world = mk_world(|b| b).await;
    fs::create_dir(world.dir.path().join("d")).unwrap();
    fs::write(world.dir.path().join("f"), b"12345").unwrap();
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    let args = READDIRPLUS3args {
        dir: root.clone(),
        cookie: 0,
        cookieverf: cookieverf3::default(),
        dircount: 8192,
        maxcount: 8192,
    };
    let page = client.readdirplus(&args).await.unwrap().unwrap();
    for entry in page.reply.entries.0.iter().filter(|e| e.name.0.len() == 1) {
        if entry.name.0[..] == *b"." {
            continue;
        }
        let (handle, attributes) = lookup(&mut client, &root, &entry.name.0).await.unwrap();
        let Nfs3Option::Some(listed) = &entry.name_attributes else {
            panic!("no attributes");
        };
        assert_eq!(entry.name_handle, Nfs3Option::Some(handle));
        assert_eq!(listed.size, attributes.size);
        assert_eq!(listed.type_, attributes.type_);
        assert_eq!(entry.fileid, attributes.fileid);
    }
}

#[tokio::test]
async fn a_symbolic_link_is_itself_and_never_what_it_points_to() {
    let world = mk_world(|b| b).await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), b"s").unwrap();
    symlink(outside.path(), world.dir.path().join("link")).unwrap();
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    let (link, attributes) = lookup(&mut client, &root, b"link").await.unwrap();
    assert_eq!(attributes.type_, ftype3::NF3LNK);
    let target = client
        .readlink(&READLINK3args {
            symlink: link.clone(),
        })
        .await
        .unwrap()
        .unwrap();
    assert_eq!(target.data.as_ref(), outside.path().as_os_str().as_bytes());
    let through = lookup(&mut client, &link, b"secret").await.map(drop);
    assert_eq!(through, Err(nfsstat3::NFS3ERR_NOTDIR));
    let chmod = SETATTR3args {
        object: link,
        new_attributes: mk_mode(0o777),
        guard: Nfs3Option::None,
    };
    assert_eq!(
        status(&client.setattr(&chmod).await.unwrap()),
        nfsstat3::NFS3ERR_NOTSUPP
    );
    assert_eq!(remove(&mut client, &root, b"link").await, nfsstat3::NFS3_OK);
    assert!(outside.path().join("secret").is_file());
}

#[tokio::test]
async fn bytes_written_are_read_back_and_on_the_disk() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    let args = CREATE3args {
        where_: mk_name(&root, b"f"),
        how: createhow3::GUARDED(mk_mode(0o640)),
    };
    let made = client.create(&args).await.unwrap().unwrap();
    let file = made.obj.unwrap();
    assert_eq!(made.obj_attributes.unwrap().mode, 0o640);
    assert_eq!(
        status(&client.create(&args).await.unwrap()),
        nfsstat3::NFS3ERR_EXIST
    );
    let data = vec![7; 100_000];
    let args = WRITE3args {
        file: file.clone(),
        offset: 10,
        count: 100_000,
        stable: stable_how::FILE_SYNC,
        data: Opaque::borrowed(&data),
    };
    let written = client.write(&args).await.unwrap().unwrap();
    assert_eq!(
        (written.count, written.committed),
        (100_000, stable_how::FILE_SYNC)
    );
    let args = READ3args {
        file,
        offset: 0,
        count: 200_000,
    };
    let read = client.read(&args).await.unwrap().unwrap();
    assert!(read.eof);
    assert_eq!(read.data.as_ref(), [vec![0; 10], data].concat());
    assert_eq!(
        fs::metadata(world.dir.path().join("f")).unwrap().size(),
        100_010
    );
}

#[tokio::test]
async fn rename_moves_a_directory_whose_handle_stays_good() {
    let world = mk_world(|b| b).await;
    fs::create_dir_all(world.dir.path().join("a/deep")).unwrap();
    fs::create_dir(world.dir.path().join("b")).unwrap();
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    let (a, _) = lookup(&mut client, &root, b"a").await.unwrap();
    let (b, _) = lookup(&mut client, &root, b"b").await.unwrap();
    let (deep, _) = lookup(&mut client, &a, b"deep").await.unwrap();
    let args = RENAME3args {
        from: mk_name(&root, b"a"),
        to: mk_name(&b, b"moved"),
    };
    assert_eq!(
        status(&client.rename(&args).await.unwrap()),
        nfsstat3::NFS3_OK
    );
    mkdir(&mut client, &deep, b"made-later", 0o777)
        .await
        .unwrap();
    assert!(world.dir.path().join("b/moved/deep/made-later").is_dir());
    assert_eq!(
        status(&client.rename(&args).await.unwrap()),
        nfsstat3::NFS3ERR_NOENT
    );
    let (up, _) = lookup(&mut client, &a, b"..").await.unwrap();
    assert_eq!(up, b);
}

#[tokio::test]
async fn rename_onto_a_directory_with_something_in_it_is_refused() {
    let world = mk_world(|b| b).await;
    fs::create_dir(world.dir.path().join("a")).unwrap();
    fs::create_dir_all(world.dir.path().join("b/full")).unwrap();
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    let args = RENAME3args {
        from: mk_name(&root, b"a"),
        to: mk_name(&root, b"b"),
    };
    assert_eq!(
        status(&client.rename(&args).await.unwrap()),
        nfsstat3::NFS3ERR_NOTEMPTY
    );
}

#[tokio::test]
async fn a_file_system_s_space_is_that_of_the_disk() {
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let fsroot = client.root_nfs_fh3();
    let space = client
        .fsstat(&FSSTAT3args { fsroot })
        .await
        .unwrap()
        .unwrap();
    let disk = rustix::fs::statvfs(world.dir.path()).unwrap();
    assert_eq!(space.tbytes, disk.f_blocks * disk.f_frsize);
    assert_eq!(space.tfiles, disk.f_files);
    assert!(space.abytes <= space.fbytes && space.fbytes <= space.tbytes);
}

#[tokio::test]
async fn a_tree_deeper_than_a_path_may_be_long_is_made_and_removed() {
    const DEPTH: usize = 1500;
    let world = mk_world(|b| b).await;
    let mut client = mk_client(&world.server).await;
    let mut dirs = vec![client.root_nfs_fh3()];
    for _ in 0..DEPTH {
        let (made, _) = mkdir(&mut client, dirs.last().unwrap(), b"deeper", 0o777)
            .await
            .unwrap();
        dirs.push(made);
    }
    for dir in dirs.iter().take(DEPTH).rev() {
        assert_eq!(rmdir(&mut client, dir, b"deeper").await, nfsstat3::NFS3_OK);
    }
    assert_eq!(fs::read_dir(world.dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn sockets_fifos_and_devices_are_called_what_they_are() {
    let world = mk_world(|b| b).await;
    let _socket = std::os::unix::net::UnixListener::bind(world.dir.path().join("sock")).unwrap();
    let dir = fs::File::open(world.dir.path()).unwrap();
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(&dir, "fifo", rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    for (name, kind) in [(&b"sock"[..], ftype3::NF3SOCK), (b"fifo", ftype3::NF3FIFO)] {
        let (handle, attributes) = lookup(&mut client, &root, name).await.unwrap();
        assert_eq!(attributes.type_, kind);
        let args = READ3args {
            file: handle,
            offset: 0,
            count: 1,
        };
        assert_eq!(
            status(&client.read(&args).await.unwrap()),
            nfsstat3::NFS3ERR_INVAL
        );
        assert_eq!(remove(&mut client, &root, name).await, nfsstat3::NFS3_OK);
    }
}

#[tokio::test]
async fn a_user_without_rights_is_refused_and_what_another_makes_is_its_own() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("needs root: only root can make files that belong to others");
        return;
    }
    let world = mk_world(|b| b).await;
    fs::set_permissions(world.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut user = mount(&world.server, EXPORT, mk_user(1234, 5678))
        .await
        .unwrap();
    let root = user.root_nfs_fh3();
    let refused = mkdir(&mut user, &root, b"d", 0o777).await.map(drop);
    assert_eq!(refused, Err(nfsstat3::NFS3ERR_ACCES));
    fs::set_permissions(world.dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let (made, attributes) = mkdir(&mut user, &root, b"d", 0o700).await.unwrap();
    assert_eq!((attributes.uid, attributes.gid), (1234, 5678));
    let mut other = mount(&world.server, EXPORT, mk_user(4321, 1))
        .await
        .unwrap();
    let peek = lookup(&mut other, &made, b"x").await.map(drop);
    assert_eq!(peek, Err(nfsstat3::NFS3ERR_ACCES));
    let list = READDIRPLUS3args {
        dir: made,
        cookie: 0,
        cookieverf: cookieverf3::default(),
        dircount: 4096,
        maxcount: 4096,
    };
    let listed = status(&other.readdirplus(&list).await.unwrap());
    assert_eq!(listed, nfsstat3::NFS3ERR_ACCES);
}

#[tokio::test]
async fn a_file_removed_behind_the_server_s_back_is_stale_even_when_its_inode_is_used_again() {
    let world = mk_world(|b| b).await;
    let path = world.dir.path().join("d");
    fs::create_dir(&path).unwrap();
    let mut client = mk_client(&world.server).await;
    let root = client.root_nfs_fh3();
    let (object, _) = lookup(&mut client, &root, b"d").await.unwrap();
    fs::remove_dir(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let args = GETATTR3args { object };
    let stale = client.getattr(&args).await.unwrap();
    assert!(matches!(
        stale,
        Nfs3Result::Err((nfsstat3::NFS3ERR_STALE, _))
    ));
}
