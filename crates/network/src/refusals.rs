//! Reports refusals to the guest's owner: each target once, and a limited number of them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Max number of reported messages.
const MAX_REPORTED: usize = 256;

/// Receives the messages.
pub type Sink = Box<dyn Fn(&str) + Send + Sync>;

/// The refusals that were reported.
pub struct Refusals {
    reported: Mutex<HashSet<String>>,
    sink: Sink,
}

impl Refusals {
    pub fn new(sink: Sink) -> Self {
        Self { reported: Mutex::default(), sink }
    }

    /// Reports a message, unless it, or too many others, were reported before.
    pub fn report(&self, sentence: &str) {
        let count = {
            let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
            if reported.len() > MAX_REPORTED || !reported.insert(sentence.to_owned()) {
                return;
            }
            reported.len()
        };
        if count <= MAX_REPORTED {
            (self.sink)(sentence);
        } else {
            (self.sink)("lighter: further refusals are not reported");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn each_is_reported_once_and_not_without_end() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        let refusals = Refusals::new(Box::new(move |line| kept.lock().unwrap().push(line.to_owned())));
        (0..1000).for_each(|number| refusals.report(&format!("no {}", number / 2)));
        let lines = lines.lock().unwrap();
        assert_eq!((lines.len(), lines[0].as_str(), lines[1].as_str()), (MAX_REPORTED + 1, "no 0", "no 1"));
        assert!(lines[MAX_REPORTED].contains("further refusals"));
    }
}
