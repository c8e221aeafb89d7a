//! Replies as `nfs3_types` packs them, with everything optional there or not: each has the shape, and no beginning of it has.

use nfs3_types::{
    mount::{self, mountres3, mountstat3},
    nfs3::{
        self, Nfs3Option, Nfs3Result, dirlist3, dirlistplus3, entry3, entryplus3, fattr3, ftype3,
        nfs_fh3, nfsstat3, nfstime3, specdata3, wcc_attr, wcc_data,
    },
    xdr_codec::{List, Opaque, Pack, Void},
};

use super::*;

/// Values at random.
struct Dice(fastrand::Rng);

impl Dice {
    fn option<T: Pack + Unpack>(&mut self, some: impl FnOnce(&mut Self) -> T) -> Nfs3Option<T> {
        if self.0.bool() {
            Nfs3Option::Some(some(self))
        } else {
            Nfs3Option::None
        }
    }

    fn bytes(&mut self, sizes: std::ops::RangeInclusive<usize>) -> Opaque<'static> {
        let size = self.0.usize(sizes);
        Opaque::owned(
            std::iter::repeat_with(|| self.0.u8(..))
                .take(size)
                .collect(),
        )
    }

    fn handle(&mut self) -> nfs_fh3 {
        nfs_fh3 {
            data: self.bytes(0..=HANDLE_MAX),
        }
    }

    fn time(&mut self) -> nfstime3 {
        nfstime3 {
            seconds: self.0.u32(..),
            nseconds: self.0.u32(..),
        }
    }

    fn attributes(&mut self) -> fattr3 {
        let kinds = [
            ftype3::NF3REG,
            ftype3::NF3DIR,
            ftype3::NF3BLK,
            ftype3::NF3CHR,
            ftype3::NF3LNK,
            ftype3::NF3SOCK,
            ftype3::NF3FIFO,
        ];
        fattr3 {
            type_: kinds[self.0.usize(..kinds.len())],
            mode: self.0.u32(..),
            nlink: self.0.u32(..),
            uid: self.0.u32(..),
            gid: self.0.u32(..),
            size: self.0.u64(..),
            used: self.0.u64(..),
            rdev: specdata3::default(),
            fsid: self.0.u64(..),
            fileid: self.0.u64(..),
            atime: self.time(),
            mtime: self.time(),
            ctime: self.time(),
        }
    }

    fn wcc(&mut self) -> wcc_data {
        wcc_data {
            before: self.option(|dice| wcc_attr {
                size: dice.0.u64(..),
                mtime: dice.time(),
                ctime: dice.time(),
            }),
            after: self.option(Self::attributes),
        }
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> T) -> List<T> {
        let count = self.0.usize(..5);
        List((0..count).map(|_| item(self)).collect())
    }

    /// A status that is none of success.
    fn status(&mut self) -> nfsstat3 {
        let statuses = [
            nfsstat3::NFS3ERR_PERM,
            nfsstat3::NFS3ERR_EXIST,
            nfsstat3::NFS3ERR_DQUOT,
            nfsstat3::NFS3ERR_BADHANDLE,
            nfsstat3::NFS3ERR_JUKEBOX,
        ];
        statuses[self.0.usize(..statuses.len())]
    }

    /// A reply of `proc`: `ok` or `fail` behind an accepted head.
    fn reply<T: Pack, E: Pack>(&mut self, proc: Proc, ok: T, fail: E) -> (Proc, Vec<u8>) {
        let result = if self.0.bool() {
            Nfs3Result::Ok(ok)
        } else {
            Nfs3Result::Err((self.status(), fail))
        };
        (proc, self.accepted(&result))
    }

    fn accepted(&mut self, body: &impl Pack) -> Vec<u8> {
        let mut record = words(&[self.0.u32(..), 1, 0, 0]);
        self.bytes(0..=AUTH_MAX).pack(&mut record).unwrap();
        record.extend(words(&[0]));
        body.pack(&mut record).unwrap();
        record
    }

    fn changes(&mut self) -> Vec<(Proc, Vec<u8>)> {
        let wcc = |dice: &mut Self| nfs3::SETATTR3resok {
            obj_wcc: dice.wcc(),
        };
        let mut all = Vec::new();
        // REMOVE and RMDIR answer as SETATTR does.
        for proc in [Proc::SetAttr, Proc::Remove, Proc::RmDir] {
            let (ok, fail) = (wcc(self), wcc(self));
            all.push(self.reply(proc, ok, fail));
        }
        let made = nfs3::MKDIR3resok {
            obj: self.option(Self::handle),
            obj_attributes: self.option(Self::attributes),
            dir_wcc: self.wcc(),
        };
        let fail = wcc(self);
        all.push(self.reply(Proc::MkDir, made, fail));
        let renamed = nfs3::RENAME3resok {
            fromdir_wcc: self.wcc(),
            todir_wcc: self.wcc(),
        };
        let fail = nfs3::RENAME3resfail {
            fromdir_wcc: self.wcc(),
            todir_wcc: self.wcc(),
        };
        all.push(self.reply(Proc::Rename, renamed, fail));
        all
    }

    fn looks(&mut self) -> Vec<(Proc, Vec<u8>)> {
        let fail = |dice: &mut Self| nfs3::LOOKUP3resfail {
            dir_attributes: dice.option(Self::attributes),
        };
        let attributes = nfs3::GETATTR3resok {
            obj_attributes: self.attributes(),
        };
        let mut all = vec![self.reply(Proc::GetAttr, attributes, Void)];
        let found = nfs3::LOOKUP3resok {
            object: self.handle(),
            obj_attributes: self.option(Self::attributes),
            dir_attributes: self.option(Self::attributes),
        };
        let failed = fail(self);
        all.push(self.reply(Proc::Lookup, found, failed));
        let room = nfs3::FSSTAT3resok {
            obj_attributes: self.option(Self::attributes),
            tbytes: self.0.u64(..),
            fbytes: 0,
            abytes: 0,
            tfiles: 0,
            ffiles: 0,
            afiles: 0,
            invarsec: self.0.u32(..),
        };
        let failed = fail(self);
        all.push(self.reply(Proc::FsStat, room, failed));
        let info = nfs3::FSINFO3resok {
            obj_attributes: self.option(Self::attributes),
            rtmax: self.0.u32(..),
            rtpref: 0,
            rtmult: 0,
            wtmax: 0,
            wtpref: 0,
            wtmult: 0,
            dtpref: self.0.u32(..),
            maxfilesize: self.0.u64(..),
            time_delta: self.time(),
            properties: self.0.u32(..),
        };
        let failed = fail(self);
        all.push(self.reply(Proc::FsInfo, info, failed));
        all
    }

    fn pages(&mut self) -> Vec<(Proc, Vec<u8>)> {
        let names = nfs3::READDIR3resok {
            dir_attributes: self.option(Self::attributes),
            cookieverf: nfs3::cookieverf3::default(),
            reply: dirlist3 {
                entries: self.list(|dice| entry3 {
                    fileid: dice.0.u64(..),
                    name: nfs3::filename3(dice.bytes(0..=300)),
                    cookie: dice.0.u64(..),
                }),
                eof: self.0.bool(),
            },
        };
        let kinds = nfs3::READDIRPLUS3resok {
            dir_attributes: self.option(Self::attributes),
            cookieverf: nfs3::cookieverf3::default(),
            reply: dirlistplus3 {
                entries: self.list(|dice| entryplus3 {
                    fileid: dice.0.u64(..),
                    name: nfs3::filename3(dice.bytes(0..=300)),
                    cookie: dice.0.u64(..),
                    name_attributes: dice.option(Self::attributes),
                    name_handle: dice.option(Self::handle),
                }),
                eof: self.0.bool(),
            },
        };
        let fail = |dice: &mut Self| nfs3::LOOKUP3resfail {
            dir_attributes: dice.option(Self::attributes),
        };
        let (first, second) = (fail(self), fail(self));
        vec![
            self.reply(Proc::ReadDir, names, first),
            self.reply(Proc::ReadDirPlus, kinds, second),
        ]
    }

    fn others(&mut self) -> Vec<(Proc, Vec<u8>)> {
        let mounted = if self.0.bool() {
            mountres3::Ok(mount::mountres3_ok {
                fhandle: mount::fhandle3(self.bytes(0..=HANDLE_MAX)),
                auth_flavors: vec![1; self.0.usize(..8)],
            })
        } else {
            mountres3::Err(mountstat3::MNT3ERR_ACCES)
        };
        let exports = List(
            (0..self.0.usize(..4))
                .map(|_| mount::export_node {
                    ex_dir: mount::dirpath(self.bytes(0..=1024)),
                    ex_groups: self.list(|dice| mount::name(dice.bytes(0..=255))),
                })
                .collect::<Vec<_>>(),
        );
        let (port, address) = (self.0.u32(..), self.bytes(0..=40));
        vec![
            (Proc::Null, self.accepted(&Void)),
            (Proc::Mnt, self.accepted(&mounted)),
            (Proc::Exports, self.accepted(&exports)),
            (Proc::GetPort, self.accepted(&port)),
            (Proc::GetAddr4, self.accepted(&address)),
        ]
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

#[test]
fn every_valid_reply_has_the_shape_and_no_beginning_of_it_has() {
    for seed in 0..300 {
        let mut dice = Dice(fastrand::Rng::with_seed(seed));
        let mut replies = dice.changes();
        replies.extend(dice.looks());
        replies.extend(dice.pages());
        replies.extend(dice.others());
        assert_eq!(replies.len(), 16);
        for (proc, record) in replies {
            let head = check(proc, &record);
            assert!(
                matches!(head, Ok(Head::Success { .. })),
                "seed {seed}, {proc:?}: {head:?}"
            );
            for end in 0..record.len() {
                let head = check(proc, &record[..end]);
                assert_eq!(head, Err(Malformed::Short), "seed {seed}, {proc:?}, {end}");
            }
            let head = check(proc, &[&record[..], &[0; 4]].concat());
            assert_eq!(head, Err(Malformed::Trailing), "seed {seed}, {proc:?}");
        }
    }
}
