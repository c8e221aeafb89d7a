//! MOUNT version 3 (RFC 1813 section 5): the root's file handle, or a refusal that says what the server exports instead.

use std::sync::Arc;

use nfs3_types::{
    mount::{dirpath, mountres3},
    nfs3::nfs_fh3,
    xdr_codec::Opaque,
};

use super::Shared;
use crate::{
    Cause, MountRefusal,
    rpc::{message::Credential, mux::Mux, proc::ExportsArgs},
};

/// Flavors (RFC 2623 section 2.1) that a caller with AUTH_SYS passes: AUTH_NONE and AUTH_SYS.
const FLAVORS: [u32; 2] = [0, 1];
/// Exports named in a refusal.
const EXPORTS_MAX: usize = 20;

/// MNT for the target's path, over a connection to the MOUNT program.
pub(super) async fn mount(
    shared: &Shared,
    mux: &Mux,
    credential: &Credential,
    reserved_port: bool,
) -> Result<nfs_fh3, Cause> {
    let path = &shared.target.path;
    let args = dirpath(Opaque::borrowed(path.as_bytes()));
    match mux.call(shared.xid(), credential, &args).await? {
        mountres3::Ok(ok) => {
            let flavors = ok.auth_flavors;
            if !flavors.is_empty() && !flavors.iter().any(|flavor| FLAVORS.contains(flavor)) {
                return Err(Cause::Flavors(flavors));
            }
            Ok(nfs_fh3 { data: ok.fhandle.0 })
        }
        mountres3::Err(status) => {
            let exports = exports(shared, mux, credential).await;
            Err(Cause::Mount(Arc::new(MountRefusal {
                status,
                path: path.as_str().into(),
                exports,
                reserved_port,
            })))
        }
    }
}

/// The directories that the server exports, where it says so: for the message only.
async fn exports(shared: &Shared, mux: &Mux, credential: &Credential) -> Option<Vec<String>> {
    let list = mux
        .call(shared.xid(), credential, &ExportsArgs)
        .await
        .ok()?;
    let names = list.into_inner().into_iter().take(EXPORTS_MAX);
    Some(
        names
            .map(|node| String::from_utf8_lossy(&node.ex_dir.0).into_owned())
            .collect(),
    )
}
