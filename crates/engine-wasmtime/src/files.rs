//! File streams of WASI 0.2 without threads.
//!
//! Wasmtime's own run non-blocking reads, writes and polls on a thread pool. Files are always ready, so here the
//! blocking variant does the work on the calling thread.

use std::pin::pin;

use bytes::Bytes;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::WasiView;
use wasmtime_wasi::filesystem::{Descriptor, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::filesystem::types::{ErrorCode, HostDescriptor};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, FsResult, InputStream, OutputStream, Pollable, StreamError, StreamResult,
};
use wasmtime_wasi::runtime::poll_noop;

/// The interface as wasmtime-wasi 48 names it.
const TYPES: &str = "wasi:filesystem/types@0.2.12";

/// A file stream that works on the calling thread.
struct InPlace<S>(S);

/// Replaces Wasmtime's file streams by this file's.
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
            results(stream.and_then(|stream| in_place_input(store.data_mut(), stream)))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |mut store: StoreContextMut<'_, T>, (file, offset): (Resource<Descriptor>, u64)| {
            let stream = store.data_mut().filesystem().write_via_stream(file, offset);
            results(stream.and_then(|stream| in_place_output(store.data_mut(), stream)))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.append-via-stream",
        |mut store: StoreContextMut<'_, T>, (file,): (Resource<Descriptor>,)| {
            let stream = store.data_mut().filesystem().append_via_stream(file);
            results(stream.and_then(|stream| in_place_output(store.data_mut(), stream)))
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

/// Passes error codes to the guest; any other error traps.
fn results<R>(result: FsResult<R>) -> wasmtime::Result<(Result<R, ErrorCode>,)> {
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

/// Completes the future of a blocking variant, which is never pending, since this thread may block.
fn at_once<R>(call: impl Future<Output = StreamResult<R>>) -> StreamResult<R> {
    poll_noop(pin!(call)).unwrap_or_else(|| Err(StreamError::trap("a file stream waited for another thread")))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use wasmtime::component::ResourceTable;
    use wasmtime_wasi::p2::bindings::filesystem::preopens::Host as _;
    use wasmtime_wasi::p2::bindings::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};
    use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView};

    use super::*;

    struct TestView(WasiCtx, ResourceTable);

    impl WasiView for TestView {
        fn ctx(&mut self) -> WasiCtxView<'_> {
            WasiCtxView { ctx: &mut self.0, table: &mut self.1 }
        }
    }

    #[test]
    fn they_replace_functions_that_exist() {
        let engine = wasmtime::Engine::default();
        for name in ["read-via-stream", "write-via-stream", "append-via-stream"] {
            let mut linker = Linker::<TestView>::new(&engine);
            wasmtime_wasi::p2::add_to_linker_async(&mut linker).unwrap();
            let mut types = linker.instance(TYPES).unwrap();
            let twice = types.func_wrap(&format!("[method]descriptor.{name}"), |_, (): ()| Ok(()));
            assert!(twice.is_err(), "{TYPES} has no {name}");
        }
    }

    #[test]
    fn reading_writing_and_polling_start_no_thread() {
        let dir = tempfile::tempdir().unwrap();
        let started = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&started);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .on_thread_start(move || {
                count.fetch_add(1, Ordering::Relaxed);
            })
            .build()
            .unwrap();
        runtime.block_on(write_then_read(dir.path()));
        assert_eq!(started.load(Ordering::Relaxed), 0);
    }

    async fn write_then_read(dir: &std::path::Path) {
        let mut wasi = WasiCtx::builder();
        wasi.allow_blocking_current_thread(true).preopened_dir(dir, "/", FsPerms::ReadWrite).unwrap();
        let mut host = TestView(wasi.build(), ResourceTable::new());
        let (root, _) = host.filesystem().get_directories().unwrap().remove(0);
        let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
        let open = (PathFlags::empty(), "a".to_owned(), OpenFlags::CREATE, flags);
        let file = host.filesystem().open_at(root, open.0, open.1, open.2, open.3).await.unwrap();

        let output = host.filesystem().write_via_stream(Resource::new_borrow(file.rep()), 0).unwrap();
        let output = in_place_output(&mut host, output).unwrap();
        let output = host.1.get_mut(&output).unwrap();
        output.ready().await;
        output.write(Bytes::from_static(b"hello")).unwrap();
        assert!(output.check_write().unwrap() > 0);

        let input = host.filesystem().read_via_stream(file, 1).unwrap();
        let input = in_place_input(&mut host, input).unwrap();
        let input = host.1.get_mut(&input).unwrap();
        input.ready().await;
        assert_eq!(input.read(3).unwrap(), "ell");
        assert_eq!(input.read(3).unwrap(), "o");
        assert!(matches!(input.read(3), Err(StreamError::Closed)));
    }
}
