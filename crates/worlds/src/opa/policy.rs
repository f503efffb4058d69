//! An instance of a policy, run through OPA's ABI: <https://www.openpolicyagent.org/docs/wasm>.

use std::collections::BTreeMap;

use engine::{Instance, Module, Stopped};
use thiserror::Error;

use super::builtins;
use super::host::PolicyState;
use super::term::Term;
use crate::{Memory, MemoryError};

/// An instance with its data.
pub struct Policy {
    instance: Box<dyn Instance<PolicyState>>,
    /// The address of its data, a value of OPA's.
    data: u32,
    /// The end of its heap between queries.
    heap: u32,
    /// The numbers of its entrypoints, by path.
    pub entrypoints: BTreeMap<String, u32>,
}

/// Why a policy has no result.
#[derive(Debug, Error)]
pub enum Failed {
    /// It trapped, or there is no room for it.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// It aborted, with this message.
    #[error("{0}")]
    Aborted(String),
    /// It needs built-in functions that are not implemented.
    #[error("it calls built-in functions that are not here: {0}")]
    NoBuiltins(String),
    /// It does not follow the ABI.
    #[error("it is no policy as OPA compiles them: {0}")]
    Malformed(&'static str),
    /// It passed an address outside of its memory.
    #[error("it is no policy as OPA compiles them: {0}")]
    Memory(#[from] MemoryError),
}

impl Policy {
    /// Creates an instance and loads its data, a JSON document.
    pub async fn load(
        module: &dyn Module<PolicyState>,
        data: &[u8],
        host: PolicyState,
    ) -> Result<Self, Failed> {
        let instance = module.instantiate(host).await?;
        let mut policy = Self { instance, data: 0, heap: 0, entrypoints: BTreeMap::new() };
        policy.entrypoints = policy.table("entrypoints").await?;
        let builtins: BTreeMap<String, u32> = policy.table("builtins").await?;
        policy.instance.parts().1.builtins = builtins::named(builtins).map_err(Failed::NoBuiltins)?;
        policy.data = policy.parse(data).await?;
        policy.heap = policy.call("opa_heap_ptr_get", &[]).await?;
        Ok(policy)
    }

    /// The result of an entrypoint; `None` if it is undefined.
    pub async fn evaluate(&mut self, entrypoint: u32, input: Option<&[u8]>) -> Result<Option<Term>, Failed> {
        /// Rego as the result's format: JSON does not distinguish sets from arrays.
        const REGO: u32 = 1;
        // Frees what the last query allocated.
        self.run("opa_heap_ptr_set", &[self.heap]).await?;
        self.instance.parts().1.begin();
        let (at, length) = match input {
            Some(input) => (self.write(input).await?, input.len() as u32),
            None => (0, 0),
        };
        let heap = self.call("opa_heap_ptr_get", &[]).await?;
        let result = self.call("opa_eval", &[0, entrypoint, self.data, at, length, heap, REGO]).await?;
        let text = Memory::new(self.instance.parts().0).terminated(result)?.to_vec();
        match std::str::from_utf8(&text).ok().and_then(Term::read) {
            Some(Term::Set(results)) => Ok(results.first().and_then(|result| result.step("result")).cloned()),
            _ => Err(Failed::Malformed("its answer is not a set of results")),
        }
    }

    /// The table that the export `name` returns: a JSON object of names and numbers.
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

    /// Calls an export that returns a value.
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

/// Why a value could not be passed.
#[derive(Debug, Error)]
pub enum PassError {
    /// The instance ended.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// It does not export the function for it.
    #[error("it lacks a function of the ABI")]
    NoFunction,
    /// It passed an address outside of its memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

impl From<PassError> for Failed {
    fn from(error: PassError) -> Self {
        match error {
            PassError::Stopped(stopped) => Self::Stopped(stopped),
            PassError::NoFunction => Self::Malformed("it lacks a function of the ABI"),
            PassError::Memory(error) => Self::Memory(error),
        }
    }
}

async fn export(
    instance: &mut (dyn Instance<PolicyState> + '_),
    name: &str,
    arguments: &[u32],
) -> Result<u32, PassError> {
    instance.call(name, arguments).await?.ok_or(PassError::NoFunction)
}

/// The text of a value in the policy: JSON, or Rego by `opa_value_dump`.
pub async fn dumped(
    instance: &mut (dyn Instance<PolicyState> + '_),
    dump: &str,
    value: u32,
) -> Result<Vec<u8>, PassError> {
    let at = export(instance, dump, &[value]).await?;
    let text = Memory::new(instance.parts().0).terminated(at)?.to_vec();
    instance.call("opa_free", &[at]).await?;
    Ok(text)
}

/// Creates a value in the policy from a text: JSON, or Rego by `opa_value_parse`.
pub async fn parsed(
    instance: &mut (dyn Instance<PolicyState> + '_),
    parse: &str,
    text: &[u8],
) -> Result<u32, PassError> {
    let at = written(instance, text).await?;
    let value = export(instance, parse, &[at, text.len() as u32]).await?;
    instance.call("opa_free", &[at]).await?;
    Ok(value)
}

async fn written(instance: &mut (dyn Instance<PolicyState> + '_), bytes: &[u8]) -> Result<u32, PassError> {
    let length = u32::try_from(bytes.len()).map_err(|_| MemoryError::Outside)?;
    let at = export(instance, "opa_malloc", &[length]).await?;
    Memory::new(instance.parts().0).bytes_mut(at, length)?.copy_from_slice(bytes);
    Ok(at)
}
