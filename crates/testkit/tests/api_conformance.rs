//! What an API server does, as kube's client sees it. Runs against the double, and against a real kube-apiserver with its
//! controller manager too when `KUBECONFIG_REAL` names a kubeconfig of one.
//!
//! Each test works in a namespace of its own and gives its cluster objects names with that namespace in them.

mod conformance {
    pub mod access;
    pub mod binding;
    pub mod golden;
    pub mod lists;
    pub mod objects;
    pub mod patches;
    pub mod watches;
    pub mod world;
}
