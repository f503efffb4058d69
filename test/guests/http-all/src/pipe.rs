//! A pipe between two streams that never blocks, so that one guest can drive several.

use wasip2::io::poll::Pollable;
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

use crate::answer::Failed;

const CHUNK: u64 = 64 << 10;

/// Copies from `from` to `to`, holding one chunk at most.
pub struct Pipe {
    from: InputStream,
    to: OutputStream,
    held: Vec<u8>,
}

/// The state of a pipe after a turn.
pub enum Turn {
    /// It can go on once this is ready.
    Waits(Pollable),
    /// `from` has ended and `to` has taken all of it.
    Done,
}

impl Pipe {
    pub fn new(from: InputStream, to: OutputStream) -> Self {
        Self { from, to, held: Vec::new() }
    }

    /// Copies as long as neither stream would block. Each chunk is flushed, and the next one
    /// is read only after that.
    pub fn turn(&mut self) -> Result<Turn, Failed> {
        loop {
            let room = self.to.check_write()?;
            if room == 0 {
                return Ok(Turn::Waits(self.to.subscribe()));
            }
            if self.held.is_empty() {
                match self.from.read(CHUNK) {
                    Ok(chunk) if chunk.is_empty() => return Ok(Turn::Waits(self.from.subscribe())),
                    Ok(chunk) => self.held = chunk,
                    Err(StreamError::Closed) => return Ok(Turn::Done),
                    Err(error) => return Err(error.into()),
                }
            }
            let length = self.held.len().min(usize::try_from(room).unwrap_or(usize::MAX));
            self.to.write(&self.held[..length])?;
            self.to.flush()?;
            self.held.drain(..length);
        }
    }

    /// Copies all of it.
    pub fn run(&mut self) -> Result<(), Failed> {
        while let Turn::Waits(pollable) = self.turn()? {
            pollable.block();
        }
        Ok(())
    }
}

/// Writes all of `bytes` and flushes them.
pub fn write(to: &OutputStream, mut bytes: &[u8]) -> Result<(), Failed> {
    while !bytes.is_empty() {
        match to.check_write()? {
            0 => to.subscribe().block(),
            room => {
                let length = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
                to.write(&bytes[..length])?;
                bytes = &bytes[length..];
            }
        }
    }
    Ok(to.blocking_flush()?)
}

/// Reads to the end and drops the bytes.
pub fn drain(from: &InputStream) -> Result<(), Failed> {
    loop {
        match from.blocking_read(CHUNK) {
            Ok(_) => {}
            Err(StreamError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
