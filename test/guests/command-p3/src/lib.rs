//! A command of WASI 0.3: its first argument selects the host functions it uses, the others are their arguments.
//!
//! | | |
//! |---|---|
//! | `hello FILE` | prints arguments, environment, working directory and the text of FILE |
//! | `cat` | copies its input to its output |
//! | `write FILE TEXT` | writes TEXT into FILE, which it makes |
//! | `files CALL...` | performs each, `VERB=PATH` or `VERB=PATH=OTHER`, and prints what it read, `ok` or the error |
//! | `wait MILLISECONDS` | waits that long |
//! | `random` | prints as many random bytes as a line holds |
//! | `ping ADDRESS` | connects to an IPv4 address and port, and prints the received line |
//! | `get URL` | prints the status of a server's answer |
//! | `exit CODE`, `fail` | ends with that code, or as a command that failed |

use wasip3::cli::{environment, exit, stdin, stdout};
use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::filesystem::preopens::get_directories;
use wasip3::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, OpenFlags, PathFlags};
use wasip3::http::client::send;
use wasip3::http::types::{Fields, Request, Scheme};
use wasip3::sockets::types::{IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket};
use wasip3::{wit_future, wit_stream};

struct Command;

wasip3::cli::command::export!(Command);

impl wasip3::exports::cli::run::Guest for Command {
    async fn run() -> Result<(), ()> {
        let args = environment::get_arguments();
        let words: Vec<&str> = args.iter().skip(1).map(String::as_str).collect();
        match words[..] {
            ["hello", file] => {
                say(&format!("args: {}\n", args.join(" "))).await?;
                for (name, value) in environment::get_environment() {
                    say(&format!("env: {name}={value}\n")).await?;
                }
                let cwd = environment::get_initial_cwd().unwrap_or_default();
                say(&format!("cwd: {cwd}\nfile: {}\n", read(file).await?)).await
            }
            ["cat"] => {
                let (bytes, read) = stdin::read_via_stream();
                stdout::write_via_stream(bytes).await.map_err(report)?;
                read.await.map_err(report)
            }
            ["write", file, text] => write(file, text).await,
            ["files", ref calls @ ..] => {
                for call in calls {
                    let words: Vec<&str> = call.split('=').collect();
                    let done = perform(&words).await.unwrap_or_else(|error| format!("error {error:?}"));
                    say(&format!("{call}: {done}\n")).await?;
                }
                Ok(())
            }
            ["wait", milliseconds] => {
                wait_for(milliseconds.parse::<u64>().map_err(report)? * 1_000_000).await;
                say("waited\n").await
            }
            ["random"] => say(&format!("{:?}\n", wasip3::random::random::get_random_bytes(32))).await,
            ["ping", address] => say(&ping(address).await?).await,
            ["get", url] => say(&format!("{}\n", get(url).await?)).await,
            ["exit", code] => {
                exit::exit_with_code(code.parse().map_err(report)?);
                Ok(())
            }
            _ => Err(()),
        }
    }
}

async fn perform(words: &[&str]) -> Result<String, ErrorCode> {
    let (root, _) = get_directories().into_iter().next().ok_or(ErrorCode::NoEntry)?;
    let below = |path: &str| path.trim_start_matches('/').to_owned();
    let follow = PathFlags::SYMLINK_FOLLOW;
    let ok = |()| "ok".to_owned();
    match *words {
        ["read", path] => {
            let file = root.open_at(follow, below(path), OpenFlags::empty(), DescriptorFlags::READ).await?;
            let (bytes, read) = file.read_via_stream(0);
            let contents = bytes.collect().await;
            read.await?;
            Ok(String::from_utf8_lossy(&contents).trim_end().to_owned())
        }
        ["write", path] => {
            let file = root.open_at(follow, below(path), OpenFlags::CREATE, DescriptorFlags::WRITE).await?;
            let (mut writer, bytes) = wit_stream::new();
            let written = file.write_via_stream(bytes, 0);
            writer.write_all(b"text".to_vec()).await;
            drop(writer);
            written.await.map(ok)
        }
        ["length", path] => root.stat_at(follow, below(path)).await.map(|found| found.size.to_string()),
        ["target", path] => root.readlink_at(below(path)).await,
        ["mkdir", path] => root.create_directory_at(below(path)).await.map(ok),
        ["rmdir", path] => root.remove_directory_at(below(path)).await.map(ok),
        ["rm", path] => root.unlink_file_at(below(path)).await.map(ok),
        ["mv", path, other] => root.rename_at(below(path), &root, below(other)).await.map(ok),
        ["ln", path, other] => root.link_at(PathFlags::empty(), below(path), &root, below(other)).await.map(ok),
        _ => Err(ErrorCode::Unsupported),
    }
}

/// Prints an error to stderr, so that a failed command can be explained.
fn report(error: impl std::fmt::Debug) {
    eprintln!("command-p3: {error:?}");
}

async fn say(text: &str) -> Result<(), ()> {
    let (mut writer, bytes) = wit_stream::new();
    let written = stdout::write_via_stream(bytes);
    writer.write_all(text.as_bytes().to_vec()).await;
    drop(writer);
    written.await.map_err(report)
}

async fn open(path: &str, open: OpenFlags, flags: DescriptorFlags) -> Result<Descriptor, ()> {
    let (root, _) = get_directories().into_iter().next().ok_or(())?;
    let path = path.trim_start_matches('/').to_owned();
    root.open_at(PathFlags::empty(), path, open, flags).await.map_err(report)
}

async fn read(path: &str) -> Result<String, ()> {
    let file = open(path, OpenFlags::empty(), DescriptorFlags::READ).await?;
    let (bytes, read) = file.read_via_stream(0);
    let contents = bytes.collect().await;
    read.await.map_err(report)?;
    Ok(String::from_utf8_lossy(&contents).into_owned())
}

async fn write(path: &str, text: &str) -> Result<(), ()> {
    let file = open(path, OpenFlags::CREATE, DescriptorFlags::WRITE).await?;
    let (mut writer, bytes) = wit_stream::new();
    let written = file.write_via_stream(bytes, 0);
    writer.write_all(text.as_bytes().to_vec()).await;
    drop(writer);
    written.await.map_err(report)
}

async fn ping(address: &str) -> Result<String, ()> {
    let to: std::net::SocketAddrV4 = address.parse().map_err(report)?;
    let [a, b, c, d] = to.ip().octets();
    let to = IpSocketAddress::Ipv4(Ipv4SocketAddress { port: to.port(), address: (a, b, c, d) });
    let socket = TcpSocket::create(IpAddressFamily::Ipv4).map_err(report)?;
    socket.connect(to).await.map_err(report)?;
    let (bytes, received) = socket.receive();
    let line = bytes.collect().await;
    received.await.map_err(report)?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

async fn get(url: &str) -> Result<u16, ()> {
    let rest = url.strip_prefix("http://").ok_or(())?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (_, no_trailers) = wit_future::new(|| Ok(None));
    let (request, _) = Request::new(Fields::new(), None, no_trailers, None);
    request.set_scheme(Some(&Scheme::Http))?;
    request.set_authority(Some(authority))?;
    request.set_path_with_query(Some(path))?;
    Ok(send(request).await.map_err(report)?.get_status_code())
}
