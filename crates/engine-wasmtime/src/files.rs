//! File streams of WASI 0.2 without threads.
//!
//! Wasmtime's own do their non-blocking reads and writes, and their polls, on a thread of a pool.
//! Files are always ready, so here the blocking twin does the work in place.

use std::pin::pin;

use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::types::{ErrorCode, HostDescriptor};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, FsResult, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};
use wasmtime_wasi::runtime::poll_noop;
use wasmtime_wasi::WasiView;

/// The interface as wasmtime-wasi 48 names it.
const TYPES: &str = "wasi:filesystem/types@0.2.12";

/// A file stream that does its work at once.
struct InPlace<S>(S);

/// Puts the streams of this file in the place of Wasmtime's.
///
/// # Errors
/// When the linker does not take them.
pub fn link<T: WasiView>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let mut types = linker.instance(TYPES)?;
    types.func_wrap(
        "[method]descriptor.read-via-stream",
        |mut store: StoreContextMut<'_, T>, (file, offset): (Resource<Descriptor>, u64)| {
            let stream = store.data_mut().filesystem().read_via_stream(file, offset);
            answer(stream.and_then(|stream| in_place_input(store.data_mut(), stream)))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |mut store: StoreContextMut<'_, T>, (file, offset): (Resource<Descriptor>, u64)| {
            let stream = store.data_mut().filesystem().write_via_stream(file, offset);
            answer(stream.and_then(|stream| in_place_output(store.data_mut(), stream)))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.append-via-stream",
        |mut store: StoreContextMut<'_, T>, (file,): (Resource<Descriptor>,)| {
            let stream = store.data_mut().filesystem().append_via_stream(file);
            answer(stream.and_then(|stream| in_place_output(store.data_mut(), stream)))
        },
    )?;
    linker.allow_shadowing(false);
    Ok(())
}

fn in_place_input<T: WasiView>(
    host: &mut T,
    stream: Resource<DynInputStream>,
) -> FsResult<Resource<DynInputStream>> {
    let table = host.ctx().table;
    let inner = table.delete(stream)?;
    let stream: DynInputStream = Box::new(InPlace(inner));
    Ok(table.push(stream)?)
}

fn in_place_output<T: WasiView>(
    host: &mut T,
    stream: Resource<DynOutputStream>,
) -> FsResult<Resource<DynOutputStream>> {
    let table = host.ctx().table;
    let inner = table.delete(stream)?;
    let stream: DynOutputStream = Box::new(InPlace(inner));
    Ok(table.push(stream)?)
}

/// An error code is the guest's to see; anything else traps.
fn answer<R>(result: FsResult<R>) -> wasmtime::Result<(Result<R, ErrorCode>,)> {
    match result {
        Ok(stream) => Ok((Ok(stream),)),
        Err(error) => Ok((Err(error.downcast()?),)),
    }
}

#[wasmtime_wasi::async_trait]
impl<S: Send + 'static> Pollable for InPlace<S> {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl InputStream for InPlace<DynInputStream> {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if size == 0 {
            return Ok(Bytes::new());
        }
        at_once(self.0.blocking_read(size))
    }
}

#[wasmtime_wasi::async_trait]
impl OutputStream for InPlace<DynOutputStream> {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        at_once(self.0.blocking_write_and_flush(bytes))
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.0.flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.0.check_write()
    }
}

/// The blocking twins are futures that never wait, since this thread may block.
fn at_once<R>(twin: impl Future<Output = StreamResult<R>>) -> StreamResult<R> {
    poll_noop(pin!(twin)).unwrap_or_else(|| Err(StreamError::trap("a file stream waited for another thread")))
}
