//! A hostile guest of any engine: the sockets themselves, over a memory of 512 bytes.
//!
//! The input is calls, each with up to eight arguments, and then the memory. It covers both engines, since both call
//! these functions.

use std::sync::Arc;

use arbitrary::Unstructured;
use network::{Egress, Sources};
use tokio::runtime::Runtime;
use workload::Outbound;
use worlds::Memory;
use worlds::socket::{Errno, Others, Policy, Readiness, Sockets, getaddrinfo};

use crate::Run;

/// The size of the memory: small, so that addresses hit it.
const SIZE: usize = 512;
/// The bytes around it, which must not change.
const AROUND: [u8; 64] = [0x5a; 64];
/// The first number of new sockets, and how many of them are looked at.
const FIRST: u32 = 1 << 20;
const COUNT: u32 = 64;

/// Allows everything, or nothing.
struct All(bool);

impl Policy for All {
    fn may_reach(&self, _address: std::net::SocketAddr) -> bool {
        self.0
    }
}

/// No descriptors but sockets are open.
struct None;

impl Others for None {
    fn kind(&mut self, _fd: u32, _write: bool) -> Result<Readiness, Errno> {
        Err(Errno::BadF)
    }

    fn monotonic(&mut self) -> u64 {
        1_000
    }
}

/// See [`crate::Target`].
pub fn make() -> anyhow::Result<Run> {
    let runtime = super::hasty()?;
    Ok(Box::new(move |bytes| {
        // An input may be too short for another call.
        let _ = run(&runtime, &mut Unstructured::new(bytes));
        super::tidy_up();
    }))
}

fn run(runtime: &Runtime, input: &mut Unstructured<'_>) -> arbitrary::Result<()> {
    let mut sockets = Sockets::new(Box::new(All(input.arbitrary()?)));
    let egress = Arc::new(Egress::new([Outbound::everything()], Sources::default(), Box::new(|_| {})));
    let count = input.int_in_range(1..=24)?;
    let mut calls: Vec<(u8, [u32; 8])> = Vec::new();
    for _ in 0..count {
        let mut arguments = [0; 8];
        let number = input.int_in_range(0..=29)?;
        for argument in &mut arguments {
            *argument = self::argument(input)?;
        }
        calls.push((number, arguments));
    }
    let mut memory = [0; SIZE];
    let rest = input.bytes(input.len().min(SIZE))?;
    memory[..rest.len()].copy_from_slice(rest);
    let mut all = [&AROUND[..], &memory, &AROUND].concat();
    for (number, arguments) in calls {
        let mut memory = Memory::new(&mut all[AROUND.len()..][..SIZE]);
        let result = if number == 29 {
            runtime.block_on(getaddrinfo(&egress, &mut memory, arguments))
        } else {
            call(number, &mut sockets, &mut memory, arguments)
        };
        assert_ne!(result, Err(Errno::Success), "{number}");
        // Makes every socket non-blocking.
        for fd in (FIRST..FIRST + COUNT).filter(|fd| sockets.contains(*fd)).collect::<Vec<_>>() {
            let _ = sockets.fd_fdstat_set_flags(fd, 4);
        }
    }
    let around = all[..AROUND.len()].iter().chain(&all[AROUND.len() + SIZE..]);
    assert!(around.copied().all(|byte| byte == AROUND[0]), "written to outside of the memory");
    Ok(())
}

/// A small number, a socket, an address inside or at the edge, or any number.
fn argument(input: &mut Unstructured<'_>) -> arbitrary::Result<u32> {
    Ok(match input.arbitrary::<u8>()? {
        kind @ 0..8 => kind.into(),
        kind @ 8..64 => u32::from(kind - 8) * 8,
        kind @ 64..128 => FIRST + u32::from(kind - 64),
        128..192 => input.int_in_range(0..=SIZE as u32 + 8)?,
        _ => input.arbitrary()?,
    })
}

/// Makes one call.
fn call(number: u8, sockets: &mut Sockets, memory: &mut Memory<'_>, a: [u32; 8]) -> Result<(), Errno> {
    match number {
        0..=3 => sockets.open(memory, a[0], a[1], a[2]),
        4 => sockets.bind(memory, a[0], a[1], a[2]),
        5 => sockets.listen(memory, a[0], a[1]),
        6 => sockets.accept_v1(memory, a[0], a[1]),
        7 => sockets.accept_v2(memory, a[0], a[1], a[2]),
        8 => sockets.connect(memory, a[0], a[1], a[2]),
        9 => sockets.recv(memory, a[0], a[1], a[2], a[3], a[4], a[5]),
        10 => sockets.recv_from_v1(memory, a[0], a[1], a[2], a[3], a[4], a[5], a[6]),
        11 => sockets.recv_from_v2(memory, a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]),
        12 => sockets.send(memory, a[0], a[1], a[2], a[3], a[4]),
        13 => sockets.send_to(memory, a[0], a[1], a[2], a[3], a[4], a[5], a[6]),
        14 => sockets.shutdown(memory, a[0], a[1]),
        15 => sockets.getsockopt(memory, a[0], a[1], a[2], a[3], a[4]),
        16 => sockets.setsockopt(memory, a[0], a[1], a[2], a[3], a[4]),
        17 => sockets.getlocaladdr_v1(memory, a[0], a[1], a[2], a[3]),
        18 => sockets.getlocaladdr_v2(memory, a[0], a[1], a[2]),
        19 => sockets.getpeeraddr_v1(memory, a[0], a[1], a[2], a[3]),
        20 => sockets.getpeeraddr_v2(memory, a[0], a[1], a[2]),
        21 => sockets.fd_fdstat_get(memory, a[0], a[1]),
        22 => sockets.fd_read(memory, a[0], a[1], a[2], a[3]),
        23 => sockets.fd_write(memory, a[0], a[1], a[2], a[3]),
        24 => sockets.fd_filestat_get(memory, a[0], a[1]),
        25 => sockets.fd_renumber(a[0], a[1], a[2] & 1 != 0),
        26 => sockets.fd_close(a[0]),
        _ => {
            // The first subscription is a clock that is due.
            memory.bytes_mut(a[0], 48)?.fill(0);
            sockets.poll_oneoff(memory, a[0], a[1], a[2], a[3], number == 28, &mut None)
        }
    }
}
