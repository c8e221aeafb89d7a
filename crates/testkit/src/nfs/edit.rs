//! Answers that are changed on their way out: what RFC 1813 permits a server to leave out, and whatever else a test thinks of.

use std::fmt;
use std::sync::Arc;

use super::call::Procedure;

/// Words before the results of an accepted call: type, state, verifier (two), status of the acceptance.
const HEAD: usize = 20;
const ATTRIBUTES: usize = 84;
const WCC_ATTRIBUTES: usize = 24;

/// A change of an answer: of its bytes from behind the xid on.
#[derive(Clone)]
pub struct Edit(Arc<Change>);

type Change = dyn Fn(Procedure, &mut Vec<u8>) + Send + Sync;

/// An answer that is copied without what is optional in it.
struct Strip<'a> {
    rest: &'a [u8],
    out: Vec<u8>,
    keeps_handles: bool,
}

// === impl Edit ===

impl Edit {
    /// A change of one's own.
    pub fn new(change: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(move |_, reply| change(reply)))
    }

    /// Leaves out all that RFC 1813 calls optional: attributes, handles, what was before and after.
    pub fn terse() -> Self {
        Self(Arc::new(|procedure, reply| strip(procedure, reply, false)))
    }

    /// As [`Edit::terse`], but keeps handles.
    pub fn terse_but_handles() -> Self {
        Self(Arc::new(|procedure, reply| strip(procedure, reply, true)))
    }

    /// Applies it to a whole record.
    pub(super) fn apply(&self, procedure: Procedure, record: &mut Vec<u8>) {
        let mut body = record.split_off(record.len().min(4));
        (self.0)(procedure, &mut body);
        record.append(&mut body);
    }
}

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Edit")
    }
}

/// Leaves an answer that does not read as one of `procedure` as it is.
fn strip(procedure: Procedure, reply: &mut Vec<u8>, keeps_handles: bool) {
    if !procedure.is_file_operation() {
        return;
    }
    let mut strip = Strip {
        rest: reply,
        out: Vec::with_capacity(reply.len()),
        keeps_handles,
    };
    if strip.results(procedure).is_some() {
        let stripped = [&strip.out[..], strip.rest].concat();
        *reply = stripped;
    }
}

// === impl Strip ===

impl Strip<'_> {
    fn results(&mut self, procedure: Procedure) -> Option<()> {
        let head = self.keep(HEAD)?;
        let is_success = head.get(4..8)? == [0; 4] && head.get(16..)? == [0; 4];
        if !is_success {
            return None;
        }
        let is_ok = self.keep(4)? == [0; 4];
        match (procedure, is_ok) {
            (Procedure::SETATTR | Procedure::REMOVE | Procedure::RMDIR, _)
            | (Procedure::MKDIR, false) => self.wcc(),
            (Procedure::RENAME, _) => self.wcc().and_then(|()| self.wcc()),
            (Procedure::LOOKUP, true) => {
                self.opaque()?;
                self.attributes()?;
                self.attributes()
            }
            (Procedure::MKDIR, true) => {
                self.handle()?;
                self.attributes()?;
                self.wcc()
            }
            (Procedure::READDIRPLUS, true) => self.page(),
            (
                Procedure::LOOKUP
                | Procedure::ACCESS
                | Procedure::READDIR
                | Procedure::READDIRPLUS
                | Procedure::FSSTAT
                | Procedure::FSINFO,
                _,
            ) => self.attributes(),
            _ => Some(()),
        }
    }

    fn page(&mut self) -> Option<()> {
        self.attributes()?;
        self.keep(8)?;
        while self.keep(4)? != [0; 4] {
            self.keep(8)?;
            self.opaque()?;
            self.keep(8)?;
            self.attributes()?;
            self.handle()?;
        }
        Some(())
    }

    fn wcc(&mut self) -> Option<()> {
        self.leave_out(WCC_ATTRIBUTES)?;
        self.attributes()
    }

    fn attributes(&mut self) -> Option<()> {
        self.leave_out(ATTRIBUTES)
    }

    fn handle(&mut self) -> Option<()> {
        if self.keeps_handles {
            return match self.keep(4)? {
                [0, 0, 0, 0] => Some(()),
                _ => self.opaque(),
            };
        }
        let length = match self.peek(4)? {
            0 => 0,
            _ => self.peek(8)?.next_multiple_of(4) + 4,
        };
        self.leave_out(length)
    }

    /// An optional item of so many bytes.
    fn leave_out(&mut self, bytes: usize) -> Option<()> {
        let (flag, rest) = self.rest.split_at_checked(4)?;
        let is_there = flag != [0; 4];
        self.rest = if is_there { rest.get(bytes..)? } else { rest };
        self.out.extend([0; 4]);
        Some(())
    }

    fn opaque(&mut self) -> Option<()> {
        let length = self.peek(4)?;
        self.keep(4 + length.next_multiple_of(4)).map(drop)
    }

    /// The word that ends so many bytes from here.
    fn peek(&self, end: usize) -> Option<usize> {
        let (_, word) = self.rest.get(..end)?.split_last_chunk::<4>()?;
        usize::try_from(u32::from_be_bytes(*word)).ok()
    }

    fn keep(&mut self, bytes: usize) -> Option<&[u8]> {
        let (kept, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        let at = self.out.len();
        self.out.extend_from_slice(kept);
        self.out.get(at..)
    }
}
