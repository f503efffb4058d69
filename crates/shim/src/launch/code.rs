//! From a Wasm file that was found to code: out of the cache, or compiled and kept there for the next.

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
use crate::apart::apart;
use crate::environment::CACHE;
use crate::nursery::Nursery;
use crate::payload::{CodeFd, OutputFd, Prepared, SpillFd};

/// Where the cache is unless options or environment say otherwise, and the word for none.
const FOLDER: &str = "/var/lib/lighter/cache";
const OFF: &str = "off";
/// How much it holds, in MiB.
const MIB: u64 = 2048;
/// How [`Prepared`] is noted beside the code: another number for other fields.
const NOTE: &str = "5";
/// Larger files are compiled each time, in bytes.
const LARGEST: u64 = 256 << 20;
/// How often to look whether somebody else has compiled it.
const LOOK: Duration = Duration::from_millis(10);

/// Code that this shim's own compiler made and that nobody but root can change any more.
pub struct Code {
    /// The guest that begins in it.
    pub guest: Guest,
    /// The engine that it is of.
    pub engine: String,
    pub file: CodeFd<File>,
}

impl Code {
    /// For a guest that begins where `workload` says.
    fn of(prepared: Prepared, file: File, workload: &Workload) -> anyhow::Result<Self> {
        let world = World::of(&prepared.outline, workload.entrypoint.function.as_deref())?;
        Ok(Self { guest: Guest::of(workload, world)?, engine: prepared.engine, file: CodeFd(file) })
    }
}

/// What was compiled just now, and is to be kept when nobody waits for it any more.
pub struct Fresh {
    value: Sealed,
    /// Held until it is kept, or given up.
    lock: Lock,
}

/// Finds the container's entrypoint, unless it is `given_up` before. Meanwhile the daemon is there for others.
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
        found = apart(move || search.find()) => found,
        () = given_up => bail!("it was given up while {:?} was looked for", workload.entrypoint.path),
    }
}

/// Has the Wasm read, judged and compiled by a process of its own, unless that was done before, or it is `given_up`.
///
/// # Errors
/// A sentence that names the file and what is wrong with it. Trouble with the cache is none: it is logged.
pub async fn of(
    nursery: &Nursery,
    workload: &Workload,
    source: Source,
    given_up: impl Future<Output = ()>,
) -> anyhow::Result<(Code, Option<Fresh>)> {
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
) -> anyhow::Result<(Code, Option<Fresh>)> {
    let stays = source.content_id == ContentId::FileMetadata;
    let Looked { mut source, digested } = look(&workload.options, source).await?;
    let Some((cache, mut digest)) = digested else {
        return Ok((into_memory(nursery, workload, &source, given_up).await?, None));
    };
    let mut key = key(nursery, workload, source.format, &digest).await?;
    if !stays {
        if let Some(code) = get(&cache, &key, workload).await? {
            return Ok((code, None));
        }
        // It may be another by now: what is compiled is what this digest is of.
        (source, digest) = copied(source).await?;
        key = self::key(nursery, workload, source.format, &digest).await?;
    }
    loop {
        if let Some(code) = get(&cache, &key, workload).await? {
            return Ok((code, None));
        }
        // Whoever has the lock compiles; whoever has it next finds what was compiled.
        match cache.try_lock(&key) {
            Ok(None) => tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
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

/// What code in the cache must be of: this file, these engines, what the container asks of them, and which of them it
/// may have. A module is the same code wherever its guest begins; a component that answers requests is another where a
/// function of it runs once.
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

/// What a failure is remembered by: another function or other bounds are another try, and the sentence tells who chose
/// the engine.
fn tried(key: &Key, workload: &Workload) -> Key {
    let Bounds { mib, seconds, .. } = Bounds::of(&workload.options);
    let said_by = workload.engine().map(|choice| choice.said_by).unwrap_or_default();
    let function = workload.entrypoint.function.as_deref().unwrap_or_default();
    Key::of(&[key.as_str(), function, &mib.to_string(), &seconds.to_string(), &said_by])
}

/// Answers at once what would cost as much as before, and end the same.
async fn failed_before(cache: &Cache, tried: &Key) -> anyhow::Result<()> {
    let (cache, tried) = (cache.clone(), tried.clone());
    let Some(Failure { reason, ago, left }) = apart(move || Ok(cache.failure(&tried))).await? else {
        return Ok(());
    };
    bail!("{reason} (so it was {} s ago; it is tried again in {} s)", ago.as_secs(), left.as_secs().max(1))
}

/// Passes on what became of it. Of a module that cannot be compiled the reason is kept, of a node's trouble it is not.
async fn remembering<T>(cache: &Cache, tried: &Key, compiled: anyhow::Result<T>) -> anyhow::Result<T> {
    if let Some(Unfit(reason)) = compiled.as_ref().err().and_then(|error| error.downcast_ref()) {
        let (cache, tried, reason) = (cache.clone(), tried.clone(), reason.clone());
        let noted = apart(move || Ok(cache.remember_failure(&tried, &reason)?));
        if let Err(error) = noted.await {
            log::warn!("why a module cannot be compiled is not kept: {error:#}");
        }
    }
    compiled
}

/// A file that was looked at for the cache.
struct Looked {
    source: Source,
    /// The cache and the file's digest there, unless there is to be none.
    digested: Option<(Cache, Digest)>,
}

async fn look(options: &Options, source: Source) -> anyhow::Result<Looked> {
    let undigested = |source| Looked { source, digested: None };
    let Some((folder, most)) = place(options) else { return Ok(undigested(source)) };
    let length = source.file.metadata().context("cannot look at it")?.len();
    apart(move || {
        let cache = match Cache::open(&folder, most).and_then(|cache| executable(&folder).map(|()| cache)) {
            Ok(_) if length > LARGEST => return Ok(undigested(source)),
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
            return Ok(Looked { source, digested: Some((cache, digest)) });
        }
        let digest = Digest::of(&source.file).context("cannot read it")?;
        if let Some(Err(error)) = identity.map(|file| cache.note(&file, &digest)) {
            log::warn!("the digest of a file is not kept: {error}");
        }
        Ok(Looked { source, digested: Some((cache, digest)) })
    })
    .await
}

/// Code is executed from the cache's own files.
fn executable(folder: &Path) -> anyhow::Result<()> {
    let mount = statvfs(folder).with_context(|| format!("cannot look at {}", folder.display()))?;
    ensure!(
        !mount.f_flag.contains(StatVfsMountFlags::NOEXEC),
        "{} is mounted noexec; the option CacheDir names another folder",
        folder.display()
    );
    Ok(())
}

/// A copy of what was found, which nobody can change any more, and the digest of that.
async fn copied(source: Source) -> anyhow::Result<(Source, Digest)> {
    apart(move || {
        let file = copy(&source.file, LARGEST).context("cannot read it")?;
        let digest = Digest::of(&file).context("cannot read it")?;
        Ok((Source { file, ..source }, digest))
    })
    .await
}

/// Where the cache is and how many bytes it holds; `None` where there is to be none.
fn place(options: &Options) -> Option<(PathBuf, u64)> {
    let from_environment = || std::env::var(CACHE).unwrap_or_default();
    let named = Some(options.cache_dir.clone()).filter(|named| !named.is_empty());
    let folder = match named.unwrap_or_else(from_environment) {
        named if named == OFF => return None,
        named if named.is_empty() => FOLDER.into(),
        named => named.into(),
    };
    let mib = if options.cache_mib == 0 { MIB } else { options.cache_mib };
    Some((folder, mib << 20))
}

/// A copy of at most so many bytes that nobody can change.
fn copy(file: &File, most: u64) -> anyhow::Result<File> {
    // One byte more than it may have tells that it has more.
    let copied = copy_of("wasm", file.take(most + 1))?;
    if copied.metadata()?.len() > most {
        bail!("it grew beyond {most} bytes while it was read; run it when it is written whole");
    }
    Ok(copied)
}

/// What was read, in a file in memory that nobody can change, at its beginning.
fn copy_of(name: &str, mut bytes: impl Read) -> anyhow::Result<File> {
    let mut copied = channel::memory_file(name)?;
    std::io::copy(&mut bytes, &mut copied)?;
    copied.rewind()?;
    channel::seal(&copied)?;
    Ok(copied)
}

/// What was compiled before. What cannot be used is compiled again.
async fn get(cache: &Cache, key: &Key, workload: &Workload) -> anyhow::Result<Option<Code>> {
    let (cache, key) = (cache.clone(), key.clone());
    let kept = apart(move || {
        let entry = cache.get(&key).unwrap_or_else(|error| {
            log::warn!("compiled code that was kept cannot be used: {error:#}");
            None
        });
        // A note that another version of this shim made says nothing here.
        Ok(entry.and_then(|CacheEntry { file, note }| Some((serde_json::from_slice(&note).ok()?, file))))
    });
    kept.await?.map(|(prepared, file)| Code::of(prepared, file, workload)).transpose()
}

/// Compiles into a file of the cache, which is a value of it from the start. What the cache cannot take is its
/// container's alone.
async fn into_cache(
    nursery: &Nursery,
    workload: &Workload,
    source: &Source,
    (cache, key, lock): (&Cache, Key, Lock),
    given_up: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<(Code, Option<Fresh>)> {
    let cache = cache.clone();
    let draft = match apart(move || cache.begin()).await {
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
        return Ok((Code::of(prepared, sealed(memory).await?, workload)?, None));
    }
    let note = serde_json::to_vec(&prepared)?;
    let (file, value) = apart(move || kept_or_copied(draft, &key, &note)).await?;
    Ok((Code::of(prepared, file, workload)?, value.map(|value| Fresh { value, lock })))
}

/// The code in a file that nobody can change any more: the cache's, if it is to become one, else a copy of it.
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

/// Compiles into a file in memory, which is its container's alone.
async fn into_memory(
    nursery: &Nursery,
    workload: &Workload,
    source: &Source,
    given_up: Pin<&mut impl Future<Output = ()>>,
) -> anyhow::Result<Code> {
    let file = channel::memory_file("code")?;
    let output = OutputFd(file.as_fd());
    let (prepared, _) = compile(nursery, workload, source, (output, None), given_up).await?;
    Code::of(prepared, sealed(file).await?, workload)
}

/// The file, which nobody can change any more.
async fn sealed(file: File) -> anyhow::Result<File> {
    apart(move || channel::seal(&file).map(|()| file).context("cannot seal the compiled code")).await
}

impl Fresh {
    /// Keeps it, while its guest runs.
    pub fn keep(self) {
        let kept = apart(move || {
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
        // It never ends, as one that is written to faster than it is read.
        let endless = copy(&File::open("/dev/zero").unwrap(), 4096).unwrap_err().to_string();
        assert!(endless.contains("grew beyond 4096 bytes"), "{endless}");
        let whole = channel::memory_file("whole").unwrap();
        whole.set_len(4096).unwrap();
        assert_eq!(copy(&whole, 4096).unwrap().metadata().unwrap().len(), 4096);
    }
}
