//! Gets the code of a Wasm file: from the cache, or by compiling it and storing it there.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use cache::{Cache, CacheEntry, Digest, Draft, Failure, FileIdentity, Key, Lock, Sealed};
use container::entrypoint::Search;
use container::layers::Layers;
use container::source::{ContentId, Source};
use container::{channel, lease};
use rustix::fs::{StatVfsMountFlags, statvfs};
use workload::{Format, Guest, Options, Workload, World};

use super::compiling::{Bounds, Unfit, compile};
use crate::blocking::blocking;
use crate::environment::CACHE;
use crate::nursery::Nursery;
use crate::payload::{CodeFd, OutputFd, Prepared, SpillFd};

/// The default directory of the cache, and the value that disables it.
const DEFAULT_DIR: &str = "/var/lib/lighter/cache";
const OFF: &str = "off";
/// The cache's default size, in MiB.
const MIB: u64 = 2048;
/// The version of [`Prepared`]'s format in the cache; changes with its fields.
const NOTE: &str = "5";
/// The maximum size of a file that is cached, in bytes; larger ones are compiled each time.
const MAX_LENGTH: u64 = 256 << 20;
/// The interval of polling while another container compiles the same module.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Code that this shim's own compiler made and that only root can change.
pub struct GuestCode {
    /// The guest that runs it.
    pub guest: Guest,
    /// The engine that compiled it.
    pub engine: String,
    pub file: CodeFd<File>,
}

impl GuestCode {
    /// The code for the guest of `workload`.
    fn of(prepared: Prepared, file: File, workload: &Workload) -> anyhow::Result<Self> {
        let world = World::of(&prepared.outline, workload.entrypoint.function.as_deref())?;
        Ok(Self { guest: Guest::of(workload, world)?, engine: prepared.engine, file: CodeFd(file) })
    }
}

/// Code that was just compiled, to be stored in the cache once its container is launched.
pub struct Fresh {
    value: Sealed,
    /// Held until it is stored, or dropped.
    lock: Lock,
}

/// Finds the container's entrypoint, unless `given_up` resolves before. Does not block the daemon.
///
/// # Errors
/// A sentence that names the file and what is wrong with it.
pub async fn entrypoint(
    workload: &Workload,
    layers: &Layers,
    given_up: impl Future<Output = ()>,
) -> anyhow::Result<Source> {
    let search = Search::of(workload, layers);
    tokio::select! {
        found = blocking(move || search.find()) => found,
        () = given_up => bail!("it was given up while {:?} was looked for", workload.entrypoint.path),
    }
}

/// Gets the code from the cache, or runs an errand that compiles it, unless `given_up` resolves before.
///
/// # Errors
/// A sentence that names the file and what is wrong with it. Errors of the cache are only logged.
pub async fn of(
    nursery: &Nursery,
    workload: &Workload,
    source: Source,
    given_up: impl Future<Output = ()>,
) -> anyhow::Result<(GuestCode, Option<Fresh>)> {
    let asked = Instant::now();
    let code = find_or_compile(nursery, workload, source, pin!(given_up)).await;
    log::debug!("container {}: code {:?} after it was asked for", workload.id, asked.elapsed());
    code.with_context(|| format!("cannot run {:?}", workload.entrypoint.path))
}

async fn find_or_compile(
    nursery: &Nursery,
    workload: &Workload,
    source: Source,
    mut given_up: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<(GuestCode, Option<Fresh>)> {
    let stays = source.content_id == ContentId::FileMetadata;
    let DigestedSource { mut source, digested } = digest(&workload.options, source).await?;
    let Some((cache, mut digest)) = digested else {
        return Ok((into_memory(nursery, workload, &source, given_up).await?, None));
    };
    let mut key = key(nursery, workload, source.format, &digest).await?;
    if !stays {
        if let Some(code) = get(&cache, &key, workload).await? {
            return Ok((code, None));
        }
        // The file may have changed: compile a copy, and use the copy's digest.
        (source, digest) = copied(source).await?;
        key = self::key(nursery, workload, source.format, &digest).await?;
    }
    loop {
        if let Some(code) = get(&cache, &key, workload).await? {
            return Ok((code, None));
        }
        // The holder of the lock compiles; the next holder finds the code in the cache.
        match cache.try_lock(&key) {
            Ok(None) => tokio::select! {
                () = tokio::time::sleep(POLL_INTERVAL) => {}
                () = given_up.as_mut() => bail!("its container was given up while it was compiled for another"),
            },
            Ok(Some(lock)) => {
                if let Some(code) = get(&cache, &key, workload).await? {
                    return Ok((code, None));
                }
                let tried = tried(&key, workload);
                failed_before(&cache, &tried).await?;
                let compiled = into_cache(nursery, workload, &source, (&cache, key, lock), given_up).await;
                return remembering(&cache, &tried, compiled).await;
            }
            Err(error) => {
                log::warn!("compiled code is not kept: {error:#}");
                return Ok((into_memory(nursery, workload, &source, given_up).await?, None));
            }
        }
    }
}

/// The key in the cache: the file, the engines, the requested engine and the allowed ones. A module has the same code
/// for every function at which a guest starts; a component that answers requests has another code if one of its
/// functions is run once.
async fn key(nursery: &Nursery, workload: &Workload, format: Format, digest: &Digest) -> anyhow::Result<Key> {
    let fingerprint = nursery.fingerprint().await?;
    let begins = match format {
        Format::Module => "",
        _ => workload.entrypoint.function.as_ref().map_or("", |_| "#"),
    };
    let mut engine = workload.engine().map(|choice| choice.engine).unwrap_or_default();
    if let Some(allowed) = &workload.options.engines {
        engine.extend([" of ", &allowed.join(",")]);
    }
    Ok(Key::of(&[digest.as_str(), &fingerprint, begins, &engine, NOTE]))
}

/// The key of a failure: it also includes the function and the limits, which may change the outcome, and the source of
/// the engine's choice, which the error names.
fn tried(key: &Key, workload: &Workload) -> Key {
    let Bounds { mib, seconds, .. } = Bounds::of(&workload.options);
    let said_by = workload.engine().map(|choice| choice.said_by).unwrap_or_default();
    let function = workload.entrypoint.function.as_deref().unwrap_or_default();
    Key::of(&[key.as_str(), function, &mib.to_string(), &seconds.to_string(), &said_by])
}

/// Returns the error of a previous attempt, instead of repeating it.
async fn failed_before(cache: &Cache, tried: &Key) -> anyhow::Result<()> {
    let (cache, tried) = (cache.clone(), tried.clone());
    let Some(Failure { reason, ago, left }) = blocking(move || Ok(cache.failure(&tried))).await? else {
        return Ok(());
    };
    bail!("{reason} (so it was {} s ago; it is tried again in {} s)", ago.as_secs(), left.as_secs().max(1))
}

/// Returns `compiled`, and stores its error if it is the module's fault and not a problem of the node.
async fn remembering<T>(cache: &Cache, tried: &Key, compiled: anyhow::Result<T>) -> anyhow::Result<T> {
    if let Some(Unfit(reason)) = compiled.as_ref().err().and_then(|error| error.downcast_ref()) {
        let (cache, tried, reason) = (cache.clone(), tried.clone(), reason.clone());
        let noted = blocking(move || Ok(cache.remember_failure(&tried, &reason)?));
        if let Err(error) = noted.await {
            log::warn!("why a module cannot be compiled is not kept: {error:#}");
        }
    }
    compiled
}

/// A Wasm file with its digest.
struct DigestedSource {
    source: Source,
    /// The cache and the file's digest; `None` if the file is not cached.
    digested: Option<(Cache, Digest)>,
}

async fn digest(options: &Options, source: Source) -> anyhow::Result<DigestedSource> {
    let undigested = |source| DigestedSource { source, digested: None };
    let Some((dir, max)) = cache_place(options) else { return Ok(undigested(source)) };
    let length = source.file.metadata().context("cannot look at it")?.len();
    blocking(move || {
        let cache = match Cache::open(&dir, max).and_then(|cache| check_executable(&dir).map(|()| cache)) {
            Ok(_) if length > MAX_LENGTH => return Ok(undigested(source)),
            Ok(cache) => cache,
            Err(error) => {
                log::warn!("compiled code is not kept: {error:#}");
                return Ok(undigested(source));
            }
        };
        let stays = source.content_id == ContentId::FileMetadata;
        let identity = stays.then(|| source.file.metadata()).transpose().context("cannot look at it")?;
        let identity = identity.as_ref().map(FileIdentity::of);
        if let Some(digest) = identity.as_ref().and_then(|file| cache.known(file)) {
            return Ok(DigestedSource { source, digested: Some((cache, digest)) });
        }
        let digest = Digest::of(&source.file).context("cannot read it")?;
        if let Some(Err(error)) = identity.map(|file| cache.note(&file, &digest)) {
            log::warn!("the digest of a file is not kept: {error}");
        }
        Ok(DigestedSource { source, digested: Some((cache, digest)) })
    })
    .await
}

/// Checks that the cache's directory is not mounted noexec: code is mapped from its files.
fn check_executable(dir: &Path) -> anyhow::Result<()> {
    let mount = statvfs(dir).with_context(|| format!("cannot look at {}", dir.display()))?;
    ensure!(
        !mount.f_flag.contains(StatVfsMountFlags::NOEXEC),
        "{} is mounted noexec; the option CacheDir names another directory",
        dir.display()
    );
    Ok(())
}

/// A sealed copy of the file, and the copy's digest.
async fn copied(source: Source) -> anyhow::Result<(Source, Digest)> {
    blocking(move || {
        let file = copy(&source.file, MAX_LENGTH).context("cannot read it")?;
        let digest = Digest::of(&file).context("cannot read it")?;
        Ok((Source { file, ..source }, digest))
    })
    .await
}

/// The cache's directory and its size in bytes; `None` if it is disabled.
fn cache_place(options: &Options) -> Option<(PathBuf, u64)> {
    let from_environment = || std::env::var(CACHE).unwrap_or_default();
    let named = Some(options.cache_dir.clone()).filter(|named| !named.is_empty());
    let dir = match named.unwrap_or_else(from_environment) {
        named if named == OFF => return None,
        named if named.is_empty() => DEFAULT_DIR.into(),
        named => named.into(),
    };
    let mib = if options.cache_mib == 0 { MIB } else { options.cache_mib };
    Some((dir, mib << 20))
}

/// A sealed copy of a file of at most `max` bytes.
fn copy(file: &File, max: u64) -> anyhow::Result<File> {
    // Reads one byte more, to detect a longer file.
    let copied = copy_of("wasm", file.take(max + 1))?;
    if copied.metadata()?.len() > max {
        bail!("it grew beyond {max} bytes while it was read; run it when it is written whole");
    }
    Ok(copied)
}

/// A sealed file in memory with `bytes`, positioned at its start.
fn copy_of(name: &str, mut bytes: impl Read) -> anyhow::Result<File> {
    let mut copied = channel::memory_file(name)?;
    std::io::copy(&mut bytes, &mut copied)?;
    copied.rewind()?;
    channel::seal(&copied)?;
    Ok(copied)
}

/// Code from the cache; `None` if there is none or it cannot be used.
async fn get(cache: &Cache, key: &Key, workload: &Workload) -> anyhow::Result<Option<GuestCode>> {
    let (cache, key) = (cache.clone(), key.clone());
    let kept = blocking(move || {
        let entry = cache.get(&key).unwrap_or_else(|error| {
            log::warn!("compiled code that was kept cannot be used: {error:#}");
            None
        });
        // A note of another version of this shim cannot be parsed.
        Ok(entry.and_then(|CacheEntry { file, note }| Some((serde_json::from_slice(&note).ok()?, file))))
    });
    kept.await?.map(|(prepared, file)| GuestCode::of(prepared, file, workload)).transpose()
}

/// Compiles directly into a file of the cache. If the cache cannot store the code, only this container uses it.
async fn into_cache(
    nursery: &Nursery,
    workload: &Workload,
    source: &Source,
    (cache, key, lock): (&Cache, Key, Lock),
    given_up: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<(GuestCode, Option<Fresh>)> {
    let cache = cache.clone();
    let draft = match blocking(move || cache.begin()).await {
        Ok(draft) => draft,
        Err(error) => {
            log::warn!("compiled code is not kept: {error:#}");
            return Ok((into_memory(nursery, workload, source, given_up).await?, None));
        }
    };
    let memory = channel::memory_file("code")?;
    let (output, spill) = (OutputFd(draft.file.as_fd()), Some(SpillFd(memory.as_fd())));
    let (prepared, spilled) = compile(nursery, workload, source, (output, spill), given_up).await?;
    if let Some(why) = spilled {
        log::warn!("compiled code is not kept: {why}");
        return Ok((GuestCode::of(prepared, sealed(memory).await?, workload)?, None));
    }
    let note = serde_json::to_vec(&prepared)?;
    let (file, value) = blocking(move || kept_or_copied(draft, &key, &note)).await?;
    Ok((GuestCode::of(prepared, file, workload)?, value.map(|value| Fresh { value, lock })))
}

/// The code in a file that can never change: the cache's file if it can be sealed, otherwise a copy.
fn kept_or_copied(draft: Draft, key: &Key, note: &[u8]) -> anyhow::Result<(File, Option<Sealed>)> {
    let code =
        File::open(format!("/proc/self/fd/{}", draft.file.as_raw_fd())).context("cannot read the code")?;
    let length = code.metadata()?.len();
    let kept = draft.seal(key, note).and_then(|value| {
        lease::wait_for_writers(&value.file).context("somebody may still write to it")?;
        Ok(value)
    });
    match kept {
        Ok(value) => Ok((value.file.try_clone()?, Some(value))),
        Err(error) => {
            log::warn!("compiled code is not kept: {error:#}");
            Ok((copy_of("code", code.take(length))?, None))
        }
    }
}

/// Compiles into a file in memory, which only this container uses.
async fn into_memory(
    nursery: &Nursery,
    workload: &Workload,
    source: &Source,
    given_up: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<GuestCode> {
    let file = channel::memory_file("code")?;
    let output = OutputFd(file.as_fd());
    let (prepared, _) = compile(nursery, workload, source, (output, None), given_up).await?;
    GuestCode::of(prepared, sealed(file).await?, workload)
}

/// Seals the file.
async fn sealed(file: File) -> anyhow::Result<File> {
    blocking(move || channel::seal(&file).map(|()| file).context("cannot seal the compiled code")).await
}

impl Fresh {
    /// Stores it in the cache, in the background.
    pub fn keep(self) {
        let kept = blocking(move || {
            let Self { value, lock } = self;
            let kept = value.keep();
            drop(lock);
            kept
        });
        tokio::spawn(async move {
            if let Err(error) = kept.await {
                log::warn!("compiled code is not kept: {error:#}");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_of_a_file_is_copied_than_it_may_have() {
        // It is endless, like a file that is written faster than it is read.
        let endless = copy(&File::open("/dev/zero").unwrap(), 4096).unwrap_err().to_string();
        assert!(endless.contains("grew beyond 4096 bytes"), "{endless}");
        let whole = channel::memory_file("whole").unwrap();
        whole.set_len(4096).unwrap();
        assert_eq!(copy(&whole, 4096).unwrap().metadata().unwrap().len(), 4096);
    }
}
