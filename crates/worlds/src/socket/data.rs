//! Sending and receiving. The kernel reads and writes the guest's buffers directly, without a copy.

use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, RecvMsg, ReturnFlags, SendAncillaryBuffer, recvmsg, sendmsg, sendmsg_addr,
};

use super::address::{Address, Buffer};
use super::errno::kernel;
use super::{Errno, Sockets};
use crate::Memory;

/// A guest's iovecs: their address and number.
pub(super) struct Iovs(pub(super) u32, pub(super) u32);

impl Sockets {
    /// `sock_recv`, preview1's own: `riflags` 1 peeks, 2 waits until the buffers are full. Writes the number of bytes to
    /// `ro_datalen`, and 1 to `ro_flags` (16 bits) if a datagram was truncated.
    ///
    /// # Errors
    /// `Again` when the socket does not block and there is no data; `Inval` for other flags, more than 1024 buffers or
    /// overlapping ones; those of recvmsg(2).
    #[expect(clippy::too_many_arguments, reason = "the import has them")]
    pub fn recv(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        iovs: u32,
        iovs_len: u32,
        riflags: u32,
        ro_datalen: u32,
        ro_flags: u32,
    ) -> Result<(), Errno> {
        self.receive(memory, fd, &Iovs(iovs, iovs_len), riflags, [ro_datalen, ro_flags]).map(|_| ())
    }

    /// `sock_recv_from` of seven parameters: as [`recv`](Self::recv), and writes the sender, without its port, to the
    /// buffer that `address` names. A stream has no sender: family 0 in a storage.
    ///
    /// # Errors
    /// Those of [`recv`](Self::recv); `Inval` for a buffer of another size than 4, 16 or 128 bytes.
    #[expect(clippy::too_many_arguments, reason = "the import has them")]
    pub fn recv_from_v1(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        iovs: u32,
        iovs_len: u32,
        address: u32,
        riflags: u32,
        ro_datalen: u32,
        ro_flags: u32,
    ) -> Result<(), Errno> {
        self.at(fd)?;
        let buffer = Buffer::at(memory, address)?;
        let received = self.receive(memory, fd, &Iovs(iovs, iovs_len), riflags, [ro_datalen, ro_flags])?;
        ignore_no_mem(buffer.fill(memory, Address::known(received.address).as_ref()))
    }

    /// `sock_recv_from` of eight parameters: as [`recv_from_v1`](Self::recv_from_v1), with the sender's port in host
    /// order (32 bits); WasmEdge writes it in network order.
    ///
    /// # Errors
    /// Those of [`recv_from_v1`](Self::recv_from_v1).
    #[expect(clippy::too_many_arguments, reason = "the import has them")]
    pub fn recv_from_v2(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        iovs: u32,
        iovs_len: u32,
        address: u32,
        riflags: u32,
        port: u32,
        ro_datalen: u32,
        ro_flags: u32,
    ) -> Result<(), Errno> {
        self.at(fd)?;
        let buffer = Buffer::at(memory, address)?;
        memory.place::<4>(port)?;
        let received = self.receive(memory, fd, &Iovs(iovs, iovs_len), riflags, [ro_datalen, ro_flags])?;
        let sender = Address::known(received.address);
        memory.put(port, sender.as_ref().map_or(0, Address::port).to_le_bytes())?;
        ignore_no_mem(buffer.fill(memory, sender.as_ref()))
    }

    /// `sock_send`, preview1's own: writes the number of bytes sent to `so_datalen`. It has no flags.
    ///
    /// # Errors
    /// `Pipe`, without a signal, when the peer has closed; `Again` when the socket does not block and its buffer is full;
    /// `Inval` for more than 1024 buffers; those of sendmsg(2).
    pub fn send(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        iovs: u32,
        iovs_len: u32,
        _siflags: u32,
        so_datalen: u32,
    ) -> Result<(), Errno> {
        self.transmit(memory, fd, &Iovs(iovs, iovs_len), None, so_datalen)
    }

    /// `sock_send_to`, V1 and V2: as [`send`](Self::send), to an address.
    ///
    /// # Errors
    /// `Acces` if the policy refuses; those of an address and of [`send`](Self::send).
    #[expect(clippy::too_many_arguments, reason = "the import has them")]
    pub fn send_to(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        iovs: u32,
        iovs_len: u32,
        address: u32,
        port: u32,
        _siflags: u32,
        so_datalen: u32,
    ) -> Result<(), Errno> {
        self.at(fd)?;
        let address = Address::read(memory, address, port)?;
        if let Address::Inet(address) = &address {
            self.may_reach(*address)?;
        }
        self.transmit(memory, fd, &Iovs(iovs, iovs_len), Some(&address), so_datalen)
    }

    /// Receives, and writes the number of bytes and whether it was truncated to the two addresses of `out`.
    fn receive(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        iovs: &Iovs,
        riflags: u32,
        out: [u32; 2],
    ) -> Result<RecvMsg, Errno> {
        self.at(fd)?;
        memory.place::<2>(out[1])?;
        let flags = match riflags {
            0..4 => {
                let set = |bit, flag| if riflags & bit != 0 { flag } else { RecvFlags::empty() };
                set(1, RecvFlags::PEEK) | set(2, RecvFlags::WAITALL)
            }
            _ => return Err(Errno::Inval),
        };
        let received = self.take_in(memory, fd, iovs, flags, out[0])?;
        let cut = received.flags.contains(ReturnFlags::TRUNC);
        memory.put(out[1], u16::from(cut).to_le_bytes())?;
        Ok(received)
    }

    /// Receives, and writes the number of bytes to `out`.
    pub(super) fn take_in(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        iovs: &Iovs,
        flags: RecvFlags,
        out: u32,
    ) -> Result<RecvMsg, Errno> {
        self.settle();
        let socket = &self.at(fd)?.fd;
        memory.place::<4>(out)?;
        let parts = memory.parts(iovs.0, iovs.1)?;
        let mut slices = memory.scatter(&parts)?;
        // Without an ancillary buffer, the kernel closes descriptors that are sent along.
        let receive = || recvmsg(socket, &mut slices, &mut RecvAncillaryBuffer::default(), flags);
        let received = kernel(receive)?;
        memory.put(out, (received.bytes as u32).to_le_bytes())?;
        Ok(received)
    }

    /// Sends, and writes the number of bytes to `out`.
    pub(super) fn transmit(
        &mut self,
        memory: &mut Memory<'_>,
        fd: u32,
        iovs: &Iovs,
        to: Option<&Address>,
        out: u32,
    ) -> Result<(), Errno> {
        self.at(fd)?;
        memory.place::<4>(out)?;
        let parts = memory.parts(iovs.0, iovs.1)?;
        let slices = memory.gather(&parts);
        let (mut none, flags) = (SendAncillaryBuffer::default(), self.sending(fd)?);
        let socket = &self.at(fd)?.fd;
        let sent = kernel(|| match to {
            None => sendmsg(socket, &slices, &mut none, flags),
            Some(Address::Inet(to)) => sendmsg_addr(socket, to, &slices, &mut none, flags),
            Some(Address::Unix(to)) => sendmsg_addr(socket, to, &slices, &mut none, flags),
        })?;
        // The kernel moves less than 2 GiB at a time.
        Ok(memory.put(out, (sent as u32).to_le_bytes())?)
    }
}

/// A sender's address that does not fit is no error: the data was received.
fn ignore_no_mem(filled: Result<(), Errno>) -> Result<(), Errno> {
    match filled {
        Err(Errno::NoMem) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
