//! An instance of a policy, driven by OPA's ABI: <https://www.openpolicyagent.org/docs/wasm>.

use std::collections::BTreeMap;

use engine::{Instance, Module, Stopped};
use thiserror::Error;

use super::builtins;
use super::host::Host;
use super::term::Term;
use crate::{Memory, MemoryError};

/// An instance with its data.
pub struct Policy {
    instance: Box<dyn Instance<Host>>,
    /// Where its data is, as a value of OPA's.
    data: u32,
    /// Where its heap ends when no query is being answered.
    heap: u32,
    /// The numbers of its entrypoints, by their paths.
    pub entrypoints: BTreeMap<String, u32>,
}

/// Why a policy gives no answer.
#[derive(Debug, Error)]
pub enum Failed {
    /// It trapped, or there is no room for it.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// It gave up, in its own words.
    #[error("{0}")]
    Aborted(String),
    /// It needs functions that are not here.
    #[error("it calls built-in functions that are not here: {0}")]
    NoBuiltins(String),
    /// It says what no policy does.
    #[error("it is no policy as OPA compiles them: {0}")]
    Malformed(&'static str),
    /// It names an address outside of its memory.
    #[error("it is no policy as OPA compiles them: {0}")]
    Memory(#[from] MemoryError),
}

impl Policy {
    /// Makes an instance and gives it its data, a JSON document.
    pub async fn load(module: &dyn Module<Host>, data: &[u8], host: Host) -> Result<Self, Failed> {
        let instance = module.instantiate(host).await?;
        let mut policy = Self { instance, data: 0, heap: 0, entrypoints: BTreeMap::new() };
        policy.entrypoints = policy.table("entrypoints").await?;
        let builtins: BTreeMap<String, u32> = policy.table("builtins").await?;
        policy.instance.parts().1.builtins = builtins::named(builtins).map_err(Failed::NoBuiltins)?;
        policy.data = policy.parse(data).await?;
        policy.heap = policy.call("opa_heap_ptr_get", &[]).await?;
        Ok(policy)
    }

    /// The result of an entrypoint; `None` where it is undefined.
    pub async fn evaluate(&mut self, entrypoint: u32, input: Option<&[u8]>) -> Result<Option<Term>, Failed> {
        /// As Rego's text: in JSON sets are not told from arrays.
        const TEXT: u32 = 1;
        // Whatever the last query left behind is forgotten.
        self.run("opa_heap_ptr_set", &[self.heap]).await?;
        self.instance.parts().1.begin();
        let (at, length) = match input {
            Some(input) => (self.write(input).await?, input.len() as u32),
            None => (0, 0),
        };
        let heap = self.call("opa_heap_ptr_get", &[]).await?;
        let answer = self.call("opa_eval", &[0, entrypoint, self.data, at, length, heap, TEXT]).await?;
        let text = Memory::new(self.instance.parts().0).terminated(answer)?.to_vec();
        match std::str::from_utf8(&text).ok().and_then(Term::read) {
            Some(Term::Set(answers)) => Ok(answers.first().and_then(|answer| answer.step("result")).cloned()),
            _ => Err(Failed::Malformed("its answer is not a set of results")),
        }
    }

    /// What the export `name` says, a JSON object of names and numbers.
    async fn table(&mut self, name: &str) -> Result<BTreeMap<String, u32>, Failed> {
        let value = self.call(name, &[]).await?;
        let text = dumped(self.instance.as_mut(), "opa_json_dump", value).await?;
        serde_json::from_slice(&text).map_err(|_| Failed::Malformed("its tables are not JSON"))
    }

    async fn parse(&mut self, json: &[u8]) -> Result<u32, Failed> {
        Ok(parsed(self.instance.as_mut(), "opa_json_parse", json).await?)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<u32, Failed> {
        Ok(written(self.instance.as_mut(), bytes).await?)
    }

    /// Calls an export that returns something.
    async fn call(&mut self, export: &str, arguments: &[u32]) -> Result<u32, Failed> {
        self.run(export, arguments).await?.ok_or(Failed::Malformed("it lacks a function of the ABI"))
    }

    async fn run(&mut self, export: &str, arguments: &[u32]) -> Result<Option<u32>, Failed> {
        let called = self.instance.call(export, arguments).await;
        called.map_err(|stopped| match self.instance.parts().1.aborted.take() {
            Some(words) => Failed::Aborted(words),
            None => stopped.into(),
        })
    }
}

/// Why a value does not cross.
#[derive(Debug, Error)]
pub enum Lost {
    /// The policy came to an end.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// It has not the function for it.
    #[error("it lacks a function of the ABI")]
    NoFunction,
    /// It names an address outside of its memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

impl From<Lost> for Failed {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Stopped(stopped) => Self::Stopped(stopped),
            Lost::NoFunction => Self::Malformed("it lacks a function of the ABI"),
            Lost::Memory(error) => Self::Memory(error),
        }
    }
}

async fn export(
    instance: &mut (dyn Instance<Host> + '_),
    name: &str,
    arguments: &[u32],
) -> Result<u32, Lost> {
    instance.call(name, arguments).await?.ok_or(Lost::NoFunction)
}

/// The text of a value of the policy's: JSON, or Rego's by `opa_value_dump`.
pub async fn dumped(
    instance: &mut (dyn Instance<Host> + '_),
    dump: &str,
    value: u32,
) -> Result<Vec<u8>, Lost> {
    let at = export(instance, dump, &[value]).await?;
    let text = Memory::new(instance.parts().0).terminated(at)?.to_vec();
    instance.call("opa_free", &[at]).await?;
    Ok(text)
}

/// The policy's own value of a text: of JSON, or Rego's by `opa_value_parse`.
pub async fn parsed(instance: &mut (dyn Instance<Host> + '_), parse: &str, text: &[u8]) -> Result<u32, Lost> {
    let at = written(instance, text).await?;
    let value = export(instance, parse, &[at, text.len() as u32]).await?;
    instance.call("opa_free", &[at]).await?;
    Ok(value)
}

async fn written(instance: &mut (dyn Instance<Host> + '_), bytes: &[u8]) -> Result<u32, Lost> {
    let length = u32::try_from(bytes.len()).map_err(|_| MemoryError::Outside)?;
    let at = export(instance, "opa_malloc", &[length]).await?;
    Memory::new(instance.parts().0).bytes_mut(at, length)?.copy_from_slice(bytes);
    Ok(at)
}
