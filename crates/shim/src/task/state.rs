//! The state machine of a process, without I/O. A container's state is that of its first process; an exec is never
//! paused by itself.

use thiserror::Error;

/// The state of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// It waits for Start.
    Created,
    /// It runs.
    Running,
    /// Its container is frozen.
    Paused,
    /// It has ended.
    Stopped,
    /// It was deleted.
    Deleted,
}

/// A request or an event that may change the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A Start request.
    Start,
    /// A Pause request.
    Pause,
    /// A Resume request.
    Resume,
    /// An Exec request for its container.
    Exec,
    /// An Update request.
    Update,
    /// A Kill request.
    Kill,
    /// The process ended.
    Exit,
    /// A Delete request.
    Delete,
}

/// Why an event is not allowed in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The request comes too early or too late.
    #[error("cannot {1} in a {0} state")]
    Precondition(&'static str, &'static str),
    /// The process has ended: containerd's clients see "not found".
    #[error("process already finished")]
    Finished,
    /// The task was deleted.
    #[error("the task was deleted")]
    Gone,
}

impl ProcessState {
    /// The state after `event`.
    ///
    /// # Errors
    /// [`Refusal`] when the event is not allowed in this state.
    pub fn after(self, event: Event) -> Result<Self, Refusal> {
        use {Event as E, ProcessState as S};
        match (self, event) {
            (S::Created, E::Start) | (S::Paused, E::Resume) => Ok(S::Running),
            (S::Running, E::Pause) => Ok(S::Paused),
            (S::Created | S::Running, E::Exec) => Ok(self),
            (S::Created | S::Running | S::Paused, E::Kill | E::Update) => Ok(self),
            // Also at the gate: it was killed, or its daemon gave it up.
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

    /// Every pair, so that no new state or event is forgotten.
    #[test]
    fn every_event_in_every_state() {
        use {Event as E, ProcessState as S};
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
        assert_eq!(ProcessState::Stopped.after(Event::Kill), Err(Refusal::Finished));
        assert_eq!(ProcessState::Deleted.after(Event::Start), Err(Refusal::Gone));
        let refused = |state: ProcessState, event| state.after(event).unwrap_err().to_string();
        assert_eq!(refused(ProcessState::Running, Event::Delete), "cannot delete in a running state");
        assert_eq!(refused(ProcessState::Paused, Event::Exec), "cannot exec in a paused state");
    }
}
