//! Fixtures: a server over a fresh directory, and clients for it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use nfs3_client::io::{AsyncRead, AsyncWrite};
use nfs3_client::net::Connector;
use nfs3_client::nfs3_types::mount::mountstat3;
use nfs3_client::nfs3_types::nfs3::{
    LOOKUP3args, MKDIR3args, Nfs3Option, Nfs3Result, diropargs3, fattr3, filename3, nfs_fh3,
    nfsstat3, sattr3,
};
use nfs3_client::nfs3_types::rpc::{auth_unix, opaque_auth};
use nfs3_client::nfs3_types::xdr_codec::Opaque;
use nfs3_client::tokio::{TokioConnector, TokioIo};
use nfs3_client::{ConnectError, MountError, Nfs3Connection, Nfs3ConnectionBuilder};
use tempfile::TempDir;
use testkit::nfs::{Builder, Server};
use tokio::net::TcpStream;

pub const CAP: Duration = Duration::from_secs(10);
pub const EXPORT: &str = "/data/nfs";

pub type Client = Nfs3Connection<Stream>;

/// Connects, and makes the end of a stream an error: `nfs3_client` by itself reads on for ever.
pub struct Dialler;

pub struct Stream(TokioIo<TcpStream>);

pub struct World {
    pub dir: TempDir,
    pub server: Server,
}

pub async fn mk_world(shape: impl FnOnce(Builder) -> Builder) -> World {
    let dir = tempfile::tempdir().unwrap();
    let builder = Server::builder(dir.path()).export(EXPORT);
    let server = shape(builder).start().await.unwrap();
    World { dir, server }
}

/// A client as root with AUTH_SYS, from an ordinary port, at the export.
pub async fn mk_client(server: &Server) -> Client {
    mount(server, EXPORT, mk_root()).await.unwrap()
}

pub fn mk_root() -> opaque_auth<'static> {
    mk_user(0, 0)
}

pub fn mk_user(uid: u32, gid: u32) -> opaque_auth<'static> {
    opaque_auth::auth_unix(&auth_unix {
        stamp: 7,
        machinename: Opaque::borrowed(b"here"),
        uid,
        gid,
        gids: vec![],
    })
}

pub async fn mount(
    server: &Server,
    path: &str,
    credential: opaque_auth<'static>,
) -> Result<Client, ConnectError> {
    Nfs3ConnectionBuilder::new(Dialler, server.addr().ip().to_string(), path)
        .portmapper_port(server.ports().portmap)
        .connect_from_privileged_port(false)
        .credential(credential)
        .mount()
        .await
}

pub fn mount_status(result: Result<Client, ConnectError>) -> mountstat3 {
    match result {
        Err(ConnectError::Mount(MountError::Denied(status))) => status,
        Err(other) => panic!("mount failed otherwise: {other}"),
        Ok(_) => mountstat3::MNT3_OK,
    }
}

pub fn mk_name<'a>(dir: &nfs_fh3, name: &'a [u8]) -> diropargs3<'a> {
    diropargs3 {
        dir: dir.clone(),
        name: filename3::from(name),
    }
}

pub fn mk_mode(mode: u32) -> sattr3 {
    sattr3 {
        mode: Nfs3Option::Some(mode),
        ..sattr3::default()
    }
}

pub async fn mkdir(
    client: &mut Client,
    dir: &nfs_fh3,
    name: &[u8],
    mode: u32,
) -> Result<(nfs_fh3, fattr3), nfsstat3> {
    let args = MKDIR3args {
        where_: mk_name(dir, name),
        attributes: mk_mode(mode),
    };
    match client.mkdir(&args).await.unwrap() {
        Nfs3Result::Ok(new) => Ok((new.obj.unwrap(), new.obj_attributes.unwrap())),
        Nfs3Result::Err((status, _)) => Err(status),
    }
}

pub async fn lookup(
    client: &mut Client,
    dir: &nfs_fh3,
    name: &[u8],
) -> Result<(nfs_fh3, fattr3), nfsstat3> {
    let what = mk_name(dir, name);
    match client.lookup(&LOOKUP3args { what }).await.unwrap() {
        Nfs3Result::Ok(found) => Ok((found.object, found.obj_attributes.unwrap())),
        Nfs3Result::Err((status, _)) => Err(status),
    }
}

pub fn status<T, E>(result: &Nfs3Result<T, E>) -> nfsstat3 {
    match result {
        Nfs3Result::Ok(_) => nfsstat3::NFS3_OK,
        Nfs3Result::Err((status, _)) => *status,
    }
}

impl Connector for Dialler {
    type Connection = Stream;

    async fn connect(&self, addr: SocketAddr) -> io::Result<Stream> {
        TokioConnector.connect(addr).await.map(Stream)
    }

    async fn connect_with_port(&self, addr: SocketAddr, port: u16) -> io::Result<Stream> {
        let stream = TokioConnector.connect_with_port(addr, port).await;
        stream.map(Stream)
    }
}

impl AsyncRead for Stream {
    async fn async_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.0.async_read(buf).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

impl AsyncWrite for Stream {
    async fn async_write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.async_write(buf).await
    }
}
