//! The API server by itself, to look at with kubectl: prints a kubeconfig's path and serves until its input ends.
//!
//! ```sh
//! cargo run -p testkit --example api -- /tmp/kubeconfig
//! kubectl --kubeconfig /tmp/kubeconfig get pvc,pv,sc,events
//! ```

use std::io::Read;

use testkit::api::{Options, Server, User};

fn main() -> std::io::Result<()> {
    let server = Server::start(Options::default())?;
    let path = std::env::args().nth(1).unwrap_or("kubeconfig".to_owned());
    std::fs::write(&path, server.kubeconfig(User::admin()))?;
    println!("export KUBECONFIG={path}");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
