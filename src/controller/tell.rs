//! What is said of a claim or a volume, as events on it.

use super::Context;
use super::events::{Event, Kind, Regarding};
use crate::plan::facts::{Claim, Standing, Volume};

/// Something that events can be about.
pub(super) trait Regarded {
    /// As `involvedObject` says it.
    fn regarding(&self) -> Regarding;
}

impl Context {
    /// Things go as they should.
    pub(super) fn tell(&self, of: &impl Regarded, reason: &'static str, message: String) {
        self.publish(of, Kind::Normal, reason, message);
    }

    /// Somebody may have to act.
    pub(super) fn warn(&self, of: &impl Regarded, reason: &'static str, message: String) {
        self.publish(of, Kind::Warning, reason, message);
    }

    fn publish(&self, of: &impl Regarded, kind: Kind, reason: &'static str, message: String) {
        self.events.publish(Event {
            regarding: of.regarding(),
            kind,
            reason,
            message,
        });
    }
}

impl Regarded for Claim {
    fn regarding(&self) -> Regarding {
        let version = match &self.standing {
            Standing::Wanting(request) => request.resource_version.to_string(),
            Standing::Bound | Standing::Foreign => String::new(),
        };
        Regarding {
            api_version: "v1",
            kind: "PersistentVolumeClaim",
            namespace: self.namespace.to_string(),
            name: self.name.to_string(),
            uid: self.uid.to_string(),
            resource_version: version,
        }
    }
}

impl Regarded for Volume {
    fn regarding(&self) -> Regarding {
        Regarding {
            api_version: "v1",
            kind: "PersistentVolume",
            namespace: String::new(),
            name: self.name.to_string(),
            uid: self.uid.to_string(),
            resource_version: String::new(),
        }
    }
}
