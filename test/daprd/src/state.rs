//! The state store: values in memory, each with an etag that changes whenever it is saved.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};

/// All saved values.
#[derive(Default)]
pub struct State(Mutex<Saved>);

#[derive(Default)]
struct Saved {
    values: BTreeMap<String, Kept>,
    saves: u64,
}

/// A value and its etag.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The value as it was saved.
    pub value: Value,
    /// The number of its save.
    pub etag: String,
}

/// A value to save, or to delete.
#[derive(Debug, Deserialize)]
pub struct Entry {
    key: String,
    #[serde(default)]
    value: Value,
    #[serde(default)]
    etag: Option<String>,
}

/// One step of a transaction.
#[derive(Debug, Deserialize)]
#[serde(tag = "operation", content = "request", rename_all = "lowercase")]
pub enum Step {
    /// Saves.
    Upsert(Entry),
    /// Deletes.
    Delete(Entry),
}

impl State {
    /// Saves all entries, or none of them.
    ///
    /// # Errors
    /// An etag that differs from the value's.
    pub fn save(&self, entries: Vec<Entry>) -> Result<()> {
        self.transact(entries.into_iter().map(Step::Upsert).collect())
    }

    /// Applies all steps, or none of them.
    ///
    /// # Errors
    /// An etag that differs from the value's.
    pub fn transact(&self, steps: Vec<Step>) -> Result<()> {
        let mut saved = self.lock();
        for step in &steps {
            let (Step::Upsert(entry) | Step::Delete(entry)) = step;
            let kept = saved.values.get(&entry.key).map(|kept| &kept.etag);
            let fits = entry.etag.as_ref().is_none_or(|etag| kept == Some(etag));
            ensure!(fits, "possible etag mismatch of the key {}", entry.key);
        }
        for step in steps {
            match step {
                Step::Upsert(entry) => {
                    saved.saves += 1;
                    let kept = Kept { value: entry.value, etag: saved.saves.to_string() };
                    saved.values.insert(entry.key, kept);
                }
                Step::Delete(entry) => drop(saved.values.remove(&entry.key)),
            }
        }
        Ok(())
    }

    /// Deletes a value, unless its etag differs; it need not exist.
    ///
    /// # Errors
    /// An etag that differs from the value's.
    pub fn delete(&self, key: &str, etag: Option<String>) -> Result<()> {
        self.transact(vec![Step::Delete(Entry { key: key.into(), value: Value::Null, etag })])
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<Kept> {
        self.lock().values.get(key).cloned()
    }

    /// The values of several keys, in the form of Dapr's answer.
    pub fn bulk(&self, keys: &[String]) -> Value {
        let one = |key: &String| match self.get(key) {
            Some(kept) => json!({ "key": key, "data": kept.value, "etag": kept.etag }),
            None => json!({ "key": key }),
        };
        keys.iter().map(one).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Saved> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_happens_as_a_whole() {
        let state = State::default();
        state.save(serde_json::from_str(r#"[{"key":"a","value":1}]"#).unwrap()).unwrap();
        let steps = r#"[{"operation":"upsert","request":{"key":"b","value":2}},
            {"operation":"delete","request":{"key":"a","etag":"7"}}]"#;
        assert!(state.transact(serde_json::from_str(steps).unwrap()).is_err());
        assert!(state.get("b").is_none());
        let steps = steps.replace("\"7\"", "\"1\"");
        state.transact(serde_json::from_str(&steps).unwrap()).unwrap();
        assert!(state.get("a").is_none());
        assert_eq!(
            state.bulk(&["b".into(), "c".into()]),
            json!([{"key":"b","data":2,"etag":"2"},{"key":"c"}])
        );
    }
}
