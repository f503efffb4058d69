//! A core module as a world sees it that is written once for every engine, in `worlds`: the functions that the host
//! offers it, as a table; its instances, whose exports can be called and whose memory can be read and written.
//!
//! All numbers are of 32 bits: of the ABIs that are hosted so, none has others.

use std::fmt::{self, Debug, Formatter};
use std::pin::Pin;
use std::sync::Arc;

use thiserror::Error;

/// What comes of something that may have to wait.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A compiled module, to be linked to the functions of its world.
pub trait Core: Send + 'static {
    /// Links it. A memory that it imports is made for each instance, as large as it says, and of `min_pages` at least.
    ///
    /// # Errors
    /// Names the import that is not among `imports`, or is of another type.
    fn link<S: Send + 'static>(
        self,
        imports: &'static [Import<S>],
        min_pages: u32,
    ) -> anyhow::Result<Arc<dyn Module<S>>>;
}

/// A linked module. Of each instance the host has a state of its own, an `S`.
pub trait Module<S>: Send + Sync {
    /// Makes an instance.
    fn instantiate(&self, state: S) -> Pending<'_, Result<Box<dyn Instance<S>>, Stopped>>;
}

/// An instance of a module, seen from the host: between calls of its exports, or within one that has called the host.
pub trait Instance<S>: Send {
    /// Calls a function that it exports. `None` where that returns nothing, and for any function that is not there.
    fn call<'a>(
        &'a mut self,
        export: &'a str,
        arguments: &'a [u32],
    ) -> Pending<'a, Result<Option<u32>, Stopped>>;

    /// Whether it exports such a function.
    fn exports(&mut self, function: &str) -> bool;

    /// Its memory, and the host's state.
    fn parts(&mut self) -> (&mut [u8], &mut S);
}

/// A function that the host offers.
pub struct Import<S> {
    /// The module's name that it is imported from.
    pub module: &'static str,
    /// Its own name.
    pub name: &'static str,
    /// How many numbers it takes.
    pub parameters: usize,
    /// Whether it returns one.
    pub returns: bool,
    /// What it does.
    pub call: HostCall<S>,
}

/// What a function of the host's does; an error ends the guest as a trap does.
pub enum HostCall<S> {
    /// It answers at once, from the guest's memory and the host's state.
    Plain(fn(&mut [u8], &mut S, &[u32]) -> anyhow::Result<u32>),
    /// It may wait, and call the guest in its turn.
    Within(Within<S>),
}

/// A function that is called from within an instance.
pub type Within<S> =
    for<'a> fn(&'a mut (dyn Instance<S> + 'a), &'a [u32]) -> Pending<'a, anyhow::Result<u32>>;

impl<S> Debug for Import<S> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}::{} of {} parameters", self.module, self.name, self.parameters)
    }
}

/// Why an instance is no more, or never was.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Stopped {
    /// It trapped: the reason and the Wasm backtrace, for people.
    #[error("{0}")]
    Trap(String),
    /// It trapped because its bound refused it memory: what it held and asked for, and the rest as for a trap.
    #[error("{0}")]
    OutOfMemory(String),
    /// There is no room for one more instance just now.
    #[error("{0}")]
    NoRoom(String),
}
