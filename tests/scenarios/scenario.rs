//! `Scenario`: one fact, and what it needs to be shown.

use std::any::type_name;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use crate::stage::Stage;
use crate::world::{Kind, Rights};

/// One fact about the provisioner.
#[derive(Clone)]
pub struct Scenario {
    /// `GROUP::FACT`, after the function.
    pub name: String,
    /// Under which rules the provisioner runs.
    pub rights: Rights,
    /// It breaks what others use.
    pub alone: bool,
    /// The API server may refuse what the provisioner asks for.
    pub forbidden: bool,
    /// The only world that can show it, and why.
    pub only: Option<(Kind, &'static str)>,
    /// What a world can be without.
    pub needs: Option<Needs>,
    /// What it does.
    pub play: Arc<dyn Fn(Stage) -> LocalBoxFuture<'static, ()> + Send + Sync>,
}

/// What a scenario needs beside the parts that every real world has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Linux's own NFS server.
    Knfsd,
    /// The Go provisioner, which is not to be had as a package.
    Go,
    /// kubectl, which real parts come with; beside the double it has to be on the `PATH`.
    Kubectl,
}

// === impl Scenario ===

impl Scenario {
    /// A scenario under the Go provisioner's rules, beside others.
    pub fn of<F, P>(play: P) -> Self
    where
        P: Fn(Stage) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + 'static,
    {
        let path = type_name::<P>();
        let name = path.split_once("::").map_or(path, |(_, name)| name);
        Self {
            name: name.to_owned(),
            rights: Rights::Go,
            alone: false,
            forbidden: false,
            only: None,
            needs: None,
            play: Arc::new(move |stage| play(stage).boxed_local()),
        }
    }

    /// Under our own rules, with all extras.
    pub fn with_own_rights(mut self) -> Self {
        self.rights = Rights::Own;
        self
    }

    /// Once under the Go provisioner's rules and once under ours.
    pub fn under_both_rights(self) -> [Self; 2] {
        let mut own = self.clone().with_own_rights();
        own.name.push_str("_with_own_rights");
        [self, own]
    }

    /// It breaks a part that others use.
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// It takes rules away from the provisioner, which others need.
    pub fn with_less_rights(mut self) -> Self {
        self.alone = true;
        self.forbidden = true;
        self
    }

    /// Only the double can be made to do what it takes.
    pub fn only_on_the_double(mut self, why: &'static str) -> Self {
        self.only = Some((Kind::Double, why));
        self
    }

    /// Only real parts can show it.
    pub fn only_on_real_parts(mut self, why: &'static str) -> Self {
        self.only = Some((Kind::Real, why));
        self
    }

    /// It needs Linux's own NFS server.
    pub fn with_knfsd(mut self) -> Self {
        self.needs = Some(Needs::Knfsd);
        self
    }

    /// It needs the Go provisioner's program.
    pub fn with_go(mut self) -> Self {
        self.needs = Some(Needs::Go);
        self
    }

    /// It needs kubectl.
    pub fn with_kubectl(mut self) -> Self {
        self.needs = Some(Needs::Kubectl);
        self
    }

    /// Why a world of this kind cannot show it.
    pub fn left_out(&self, kind: Kind) -> Option<&'static str> {
        self.only
            .filter(|(only, _)| *only != kind)
            .map(|(_, why)| why)
    }
}
