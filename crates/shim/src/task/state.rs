//! The life of a task as a pure machine: what each request and each event leads to.

use thiserror::Error;

/// Where a task is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The process waits at its gate.
    Created,
    /// The guest runs.
    Running,
    /// The process has ended.
    Stopped,
    /// Delete has taken the task away.
    Deleted,
}

/// What happens to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Start is asked for.
    Start,
    /// Kill is asked for.
    Kill,
    /// The process ended.
    Exit,
    /// Delete is asked for.
    Delete,
}

/// Why an event has no place in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The request comes too early or too late.
    #[error("the task is {0:?}; it cannot {1}")]
    Precondition(State, &'static str),
    /// There is no process to act on any more: what containerd's clients know as "not found".
    #[error("process already finished")]
    Finished,
    /// There is no such task any more.
    #[error("the task was deleted")]
    Gone,
}

impl State {
    /// The state after `event`.
    ///
    /// # Errors
    /// [`Refusal`] when the event has no place here; the state stays what it was.
    pub fn after(self, event: Event) -> Result<Self, Refusal> {
        use {Event as E, State as S};
        match (self, event) {
            (S::Created, E::Start) => Ok(S::Running),
            (S::Created | S::Running, E::Kill) => Ok(self),
            // At the gate too: it was killed, or its daemon gave it up.
            (S::Created | S::Running, E::Exit) => Ok(S::Stopped),
            (S::Stopped, E::Delete) => Ok(S::Deleted),
            (S::Deleted, _) => Err(Refusal::Gone),
            (S::Stopped, E::Kill) => Err(Refusal::Finished),
            (_, E::Start) => Err(Refusal::Precondition(self, "be started")),
            (_, E::Exit) => Err(Refusal::Precondition(self, "exit")),
            (_, E::Delete) => Err(Refusal::Precondition(self, "be deleted before it is stopped")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every pair, so that a new state or event cannot be forgotten.
    #[test]
    fn every_event_in_every_state() {
        use {Event as E, State as S};
        const NO: Option<S> = None;
        let table = [
            //           Start             Kill              Exit              Delete
            (S::Created, [Some(S::Running), Some(S::Created), Some(S::Stopped), NO]),
            (S::Running, [NO, Some(S::Running), Some(S::Stopped), NO]),
            (S::Stopped, [NO, NO, NO, Some(S::Deleted)]),
            (S::Deleted, [NO, NO, NO, NO]),
        ];
        for (state, row) in table {
            for (event, expected) in [E::Start, E::Kill, E::Exit, E::Delete].into_iter().zip(row) {
                assert_eq!(state.after(event).ok(), expected, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn refusals_say_what_containerd_needs_to_hear() {
        assert_eq!(State::Stopped.after(Event::Kill), Err(Refusal::Finished));
        assert_eq!(State::Deleted.after(Event::Start), Err(Refusal::Gone));
        assert!(matches!(State::Running.after(Event::Delete), Err(Refusal::Precondition(..))));
        assert!(matches!(State::Running.after(Event::Start), Err(Refusal::Precondition(..))));
    }
}
