//! Who asks: bearer tokens, and what a request without one is taken for.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::status::Failure;

/// A user and its groups, as authentication finds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// `admin`, `system:serviceaccount:NS:NAME`.
    pub name: String,
    /// `system:masters` may do everything; the others are subject to RBAC.
    pub groups: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Tokens {
    known: Mutex<HashMap<String, User>>,
    anonymous: User,
}

// === impl User ===

impl User {
    /// May do everything.
    pub fn admin() -> Self {
        Self {
            name: "admin".to_owned(),
            groups: vec![
                "system:masters".to_owned(),
                "system:authenticated".to_owned(),
            ],
        }
    }

    /// A service account, with the groups that it has on a real server.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        Self {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ],
        }
    }

    /// Nobody known.
    pub fn anonymous() -> Self {
        Self {
            name: "system:anonymous".to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
        }
    }

    pub(crate) fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }
}

// === impl Tokens ===

impl Tokens {
    pub(crate) fn new(anonymous: User) -> Self {
        Self {
            known: Mutex::default(),
            anonymous,
        }
    }

    /// A new token of this user.
    pub(crate) fn issue(&self, user: User) -> String {
        let token = format!("token-{}", uuid::Uuid::new_v4());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(token.clone(), user);
        token
    }

    /// Whose token it is; an empty one is the anonymous user's.
    pub(crate) fn user(&self, token: &str) -> Result<User, Failure> {
        if token.is_empty() {
            return Ok(self.anonymous.clone());
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(token).cloned().ok_or_else(Failure::unauthorized)
    }
}
