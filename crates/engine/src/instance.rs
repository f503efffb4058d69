//! Core modules independently of the engine, for the worlds that are written once for every engine, in `worlds`: the
//! table of functions that the host offers, and instances, whose exports can be called and whose memory can be read and
//! written.
//!
//! All numbers have 32 bits, as in every ABI that is hosted this way.

use std::fmt::{self, Debug, Formatter};
use std::pin::Pin;
use std::sync::Arc;

use thiserror::Error;

/// The future of an operation that may have to wait.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A compiled module, to be linked to the functions of its world.
pub trait Core: Send + 'static {
    /// Links it. Each instance gets a memory of its own for an imported one: of the size that the import declares, and
    /// of at least `min_pages`.
    ///
    /// # Errors
    /// Names the import that is not in `imports`, or has another type.
    fn link<S: Send + 'static>(
        self,
        imports: &'static [Import<S>],
        min_pages: u32,
    ) -> anyhow::Result<Arc<dyn Module<S>>>;
}

/// A linked module. Each instance has its own host state `S`.
pub trait Module<S>: Send + Sync {
    /// Makes an instance.
    fn instantiate(&self, state: S) -> Pending<'_, Result<Box<dyn Instance<S>>, Stopped>>;
}

/// An instance of a module, as the host uses it: between calls of its exports, or within a host call.
pub trait Instance<S>: Send {
    /// Calls an exported function. `None` if it returns nothing, or if there is no such function.
    fn call<'a>(
        &'a mut self,
        export: &'a str,
        arguments: &'a [u32],
    ) -> Pending<'a, Result<Option<u32>, Stopped>>;

    /// Whether it exports a function of this name.
    fn exports(&mut self, function: &str) -> bool;

    /// Its memory and its host state.
    fn parts(&mut self) -> (&mut [u8], &mut S);
}

/// A function that the host offers.
pub struct Import<S> {
    /// The name of the module that it is imported from.
    pub module: &'static str,
    /// Its own name.
    pub name: &'static str,
    /// How many numbers it takes.
    pub parameters: usize,
    /// Whether it returns a number.
    pub returns: bool,
    /// What it does.
    pub call: HostCall<S>,
}

/// The implementation of a host function; an error stops the guest as a trap does.
pub enum HostCall<S> {
    /// It returns at once, using the guest's memory and the host state.
    Plain(fn(&mut [u8], &mut S, &[u32]) -> anyhow::Result<u32>),
    /// It may wait, and may call the guest back.
    Within(Within<S>),
}

/// A host function with access to the instance that calls it.
pub type Within<S> =
    for<'a> fn(&'a mut (dyn Instance<S> + 'a), &'a [u32]) -> Pending<'a, anyhow::Result<u32>>;

impl<S> Debug for Import<S> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, "{}::{} of {} parameters", self.module, self.name, self.parameters)
    }
}

/// Why an instance stopped, or could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Stopped {
    /// It trapped: the reason and the Wasm backtrace, for people.
    #[error("{0}")]
    Trap(String),
    /// It trapped because its bound refused it memory: the sizes that it had and requested, then as for a trap.
    #[error("{0}")]
    OutOfMemory(String),
    /// There is no room for another instance at the moment.
    #[error("{0}")]
    NoRoom(String),
}
