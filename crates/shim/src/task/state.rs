//! The life of a process as a pure machine: what each request and each event leads to. A container is
//! where its first process is; an exec is a process that is never paused by itself.

use thiserror::Error;

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits to be started.
    Created,
    /// It runs.
    Running,
    /// Its container is frozen.
    Paused,
    /// It has ended.
    Stopped,
    /// Delete has taken it away.
    Deleted,
}

/// What happens to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Start is asked for.
    Start,
    /// Pause is asked for.
    Pause,
    /// Resume is asked for.
    Resume,
    /// Another process in its container is asked for.
    Exec,
    /// Other limits are asked for.
    Update,
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
    #[error("cannot {1} in a {0} state")]
    Precondition(&'static str, &'static str),
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
            (S::Created, E::Start) | (S::Paused, E::Resume) => Ok(S::Running),
            (S::Running, E::Pause) => Ok(S::Paused),
            (S::Created | S::Running, E::Exec) => Ok(self),
            (S::Created | S::Running | S::Paused, E::Kill | E::Update) => Ok(self),
            // At the gate too: it was killed, or its daemon gave it up.
            (S::Created | S::Running | S::Paused, E::Exit) => Ok(S::Stopped),
            (S::Stopped, E::Delete) => Ok(S::Deleted),
            (S::Deleted, _) => Err(Refusal::Gone),
            (S::Stopped, E::Kill) => Err(Refusal::Finished),
            _ => Err(Refusal::Precondition(self.word(), event.word())),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Deleted => "deleted",
        }
    }
}

impl Event {
    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Exec => "exec",
            Self::Update => "update",
            Self::Kill => "kill",
            Self::Exit => "exit",
            Self::Delete => "delete",
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
        const EVENTS: [E; 8] =
            [E::Start, E::Pause, E::Resume, E::Exec, E::Update, E::Kill, E::Exit, E::Delete];
        const NO: Option<S> = None;
        const CREATED: Option<S> = Some(S::Created);
        const RUNNING: Option<S> = Some(S::Running);
        const PAUSED: Option<S> = Some(S::Paused);
        const STOPPED: Option<S> = Some(S::Stopped);
        let table = [
            //           Start    Pause   Resume   Exec     Update   Kill     Exit     Delete
            (S::Created, [RUNNING, NO, NO, CREATED, CREATED, CREATED, STOPPED, NO]),
            (S::Running, [NO, PAUSED, NO, RUNNING, RUNNING, RUNNING, STOPPED, NO]),
            (S::Paused, [NO, NO, RUNNING, NO, PAUSED, PAUSED, STOPPED, NO]),
            (S::Stopped, [NO, NO, NO, NO, NO, NO, NO, Some(S::Deleted)]),
            (S::Deleted, [NO; 8]),
        ];
        for (state, row) in table {
            for (event, expected) in EVENTS.into_iter().zip(row) {
                assert_eq!(state.after(event).ok(), expected, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn refusals_say_what_containerd_needs_to_hear() {
        assert_eq!(State::Stopped.after(Event::Kill), Err(Refusal::Finished));
        assert_eq!(State::Deleted.after(Event::Start), Err(Refusal::Gone));
        let refused = |state: State, event| state.after(event).unwrap_err().to_string();
        assert_eq!(refused(State::Running, Event::Delete), "cannot delete in a running state");
        assert_eq!(refused(State::Paused, Event::Exec), "cannot exec in a paused state");
    }
}
