//! Telling the guest's owner what was refused: each target once, and not without end.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// How many targets are told.
const MOST: usize = 256;

/// Where the sentences go.
pub type Tell = Box<dyn Fn(&str) + Send + Sync>;

/// What was told.
pub struct Refusals {
    told: Mutex<HashSet<String>>,
    tell: Tell,
}

impl Refusals {
    pub fn new(tell: Tell) -> Self {
        Self { told: Mutex::default(), tell }
    }

    /// Tells a sentence, unless it, or too much, was told before.
    pub fn tell(&self, sentence: &str) {
        let count = {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.len() > MOST || !told.insert(sentence.to_owned()) {
                return;
            }
            told.len()
        };
        if count <= MOST {
            (self.tell)(sentence);
        } else {
            (self.tell)("lighter: more is refused than is told here");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn each_is_told_once_and_not_without_end() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = lines.clone();
        let refusals = Refusals::new(Box::new(move |line| kept.lock().unwrap().push(line.to_owned())));
        (0..1000).for_each(|number| refusals.tell(&format!("no {}", number / 2)));
        let lines = lines.lock().unwrap();
        assert_eq!((lines.len(), lines[0].as_str(), lines[1].as_str()), (MOST + 1, "no 0", "no 1"));
        assert!(lines[MOST].contains("more is refused"));
    }
}
