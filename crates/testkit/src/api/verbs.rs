//! The verbs on stored kinds: read, check, write, each write in one transaction.

mod body;
mod finish;

use serde_json::{Value, json};

use self::finish::{check_namespace_may_go, check_preconditions, success};
pub(crate) use self::{
    body::Body,
    finish::{remove, store_or_finish},
};

use super::{
    admission::{self, Intake},
    list, object,
    patch::Patch,
    request::{Query, Target},
    resources::Resource,
    select::Selector,
    status::Failure,
    store::{Key, Object, Store, Transaction},
};

/// What a verb answers with.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// One object, and the status to send it with.
    One(u16, Value),
    /// Objects of one kind and the list's metadata.
    Many(Vec<Object>, Value),
}

/// One request on one kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) store: &'a Store,
    pub(crate) resource: &'static Resource,
    pub(crate) target: &'a Target,
    pub(crate) query: &'a Query,
    pub(crate) body: Body<'a>,
    /// See [`Intake::protect`].
    pub(crate) protect: bool,
}

// === impl Call ===

impl Call<'_> {
    /// Does what the verb says (all but watch).
    ///
    /// # Errors
    /// The refusal, as the real server words it.
    pub(crate) fn run(&self) -> Result<Outcome, Failure> {
        let sub = self.target.subresource.as_str();
        if !(sub.is_empty() || sub == "status" && self.resource.status) {
            return Err(Failure::no_such_resource());
        }
        match self.target.verb {
            "get" => self.get(),
            "list" => self.list(),
            "create" if sub.is_empty() && self.target.name.is_empty() => self.create(),
            "update" if !self.target.name.is_empty() => self.update(),
            "patch" if !self.target.name.is_empty() => self.patch(),
            "delete" if sub.is_empty() => self.delete(),
            "deletecollection" => self.delete_collection(),
            _ => Err(Failure::method_not_allowed()),
        }
    }

    fn list(&self) -> Result<Outcome, Failure> {
        let namespace = &self.target.namespace;
        let (items, metadata) = list::run(self.store, self.resource, namespace, self.query)?;
        Ok(Outcome::Many(items, metadata))
    }

    fn get(&self) -> Result<Outcome, Failure> {
        let object = self.store.get(self.resource, &self.key());
        let object = object.ok_or_else(|| self.not_found())?;
        Ok(Outcome::One(200, (*object).clone()))
    }

    fn create(&self) -> Result<Outcome, Failure> {
        if self.resource.namespaced && self.target.namespace.is_empty() {
            return Err(Failure::method_not_allowed());
        }
        let body = admission::decode(
            self.resource,
            self.body.parse(self.resource.kind)?,
            self.strict(),
        )?;
        self.transact(|tx| self.insert(tx, body))
    }

    fn insert(&self, tx: &mut Transaction<'_>, body: Value) -> Result<Outcome, Failure> {
        let intake = Intake {
            protect: self.protect,
        };
        let namespace = &self.target.namespace;
        let value = admission::create(tx, self.resource, namespace, body, intake)?;
        if let Some(held) = tx.get(self.resource, &Key::of(&value)) {
            let deleting = object::deleting(&held);
            let name = object::name(&value);
            return Err(Failure::already_exists(self.resource, name, deleting));
        }
        let stored = tx.put(self.resource, value);
        Ok(Outcome::One(201, (*stored).clone()))
    }

    fn update(&self) -> Result<Outcome, Failure> {
        let body = admission::decode(
            self.resource,
            self.body.parse(self.resource.kind)?,
            self.strict(),
        )?;
        self.check_name(&body)?;
        self.transact(|tx| match tx.get(self.resource, &self.key()) {
            Some(old) => self.replace(tx, &old, body),
            None if self.resource.upsert => self.insert(tx, unversioned(body)),
            None => Err(self.not_found()),
        })
    }

    fn patch(&self) -> Result<Outcome, Failure> {
        let patch = Patch::parse(self.body.content_type, self.body.bytes)?;
        let to_create = patch.to_create(self.query.get("fieldManager"))?;
        self.transact(|tx| {
            let Some(old) = tx.get(self.resource, &self.key()) else {
                let body = to_create.cloned().ok_or_else(|| self.not_found())?;
                let body = admission::decode(self.resource, body, self.strict())?;
                self.check_name(&body)?;
                return self.insert(tx, body);
            };
            let mut value = (*old).clone();
            patch.apply(&mut value)?;
            let value = admission::decode(self.resource, value, self.strict())
                .map_err(|why| Failure::unfit_patch(&why.message))?;
            self.check_name(&value)?;
            self.replace(tx, &old, value)
        })
    }

    fn replace(
        &self,
        tx: &mut Transaction<'_>,
        old: &Value,
        mut body: Value,
    ) -> Result<Outcome, Failure> {
        if self.resource.namespaced {
            let namespace = self.target.namespace.as_str();
            object::set(&mut body, &["metadata", "namespace"], namespace.into());
        } else {
            object::unset(&mut body, &["metadata", "namespace"]);
        }
        let new = admission::update(self.resource, &self.target.subresource, old, body)?;
        let stored = store_or_finish(tx, self.resource, new);
        Ok(Outcome::One(200, (*stored).clone()))
    }

    fn delete(&self) -> Result<Outcome, Failure> {
        let options = self.body.parse_options()?;
        self.transact(|tx| {
            let held = tx
                .get(self.resource, &self.key())
                .ok_or_else(|| self.not_found())?;
            check_preconditions(self.resource, &held, &options["preconditions"])?;
            check_namespace_may_go(self.resource, &self.target.name)?;
            let (last, gone) = remove(tx, self.resource, &held);
            if gone && !self.resource.returns_deleted {
                return Ok(Outcome::One(200, success(self.resource, &last)));
            }
            Ok(Outcome::One(200, (*last).clone()))
        })
    }

    fn delete_collection(&self) -> Result<Outcome, Failure> {
        let selector = Selector::parse(self.resource, &self.target.namespace, self.query)?;
        self.transact(|tx| {
            let mut matching = tx.all(self.resource);
            matching.retain(|object| selector.matches(object));
            for object in &matching {
                remove(tx, self.resource, object);
            }
            let version = self.query.get("resourceVersion");
            Ok(Outcome::Many(matching, json!({"resourceVersion": version})))
        })
    }

    fn transact<T>(&self, work: impl FnOnce(&mut Transaction<'_>) -> T) -> T {
        if self.query.get("dryRun") == "All" {
            self.store.rehearse(work)
        } else {
            self.store.transact(work)
        }
    }

    fn strict(&self) -> bool {
        self.query.get("fieldValidation") == "Strict"
    }

    fn key(&self) -> Key {
        let namespace = if self.resource.namespaced {
            &self.target.namespace
        } else {
            ""
        };
        Key::new(namespace, &self.target.name)
    }

    fn not_found(&self) -> Failure {
        Failure::not_found(self.resource, &self.target.name)
    }

    fn check_name(&self, body: &Value) -> Result<(), Failure> {
        let (said, asked) = (object::name(body), &self.target.name);
        if said != asked {
            let message = format!(
                "the name of the object ({said}) does not match the name on the URL ({asked})"
            );
            return Err(Failure::bad_request(message));
        }
        let (said, asked) = (object::namespace(body), &self.target.namespace);
        if self.resource.namespaced && !said.is_empty() && said != asked {
            let message = "the namespace of the provided object does not match the namespace sent on the request";
            return Err(Failure::bad_request(message));
        }
        Ok(())
    }
}

fn unversioned(mut body: Value) -> Value {
    object::unset(&mut body, &["metadata", "resourceVersion"]);
    body
}
