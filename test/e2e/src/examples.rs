//! The images of the pods and the apps in `test/examples`: each has one program and what it needs, as its users would
//! build it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::process::run;
use crate::rootfs::{Kind, Node, busybox, directory, file};
use crate::versions::{apps, built};

/// An image.
pub struct Example {
    /// Its name.
    pub name: String,
    /// The process part of its configuration.
    pub config: Value,
    /// Its only layer.
    pub nodes: Vec<Node>,
}

/// The image of an app, made from the build by the Dockerfile beside the apps.
///
/// # Errors
/// When it was not built, or the Dockerfile has an instruction that the tests do not know.
pub fn app(name: &str) -> Result<Example> {
    let text = include_str!("../../examples/Dockerfile");
    let (mut nodes, mut config) = (Vec::new(), json!({}));
    for line in text.lines() {
        match line.splitn(2, ' ').collect::<Vec<_>>().as_slice() {
            ["FROM", "scratch"] => {}
            ["COPY", files] => {
                let source =
                    files.strip_suffix(" /").context("the Dockerfile copies to somewhere else than /")?;
                let path = apps()?.join(name).join(source);
                let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
                nodes.push(file(source, 0o644, bytes));
            }
            ["ENTRYPOINT", words] => config["Entrypoint"] = serde_json::from_str(words)?,
            _ => bail!("test/examples/Dockerfile: {line:?}"),
        }
    }
    Ok(example(name, config, nodes))
}

/// Every image of the pods.
///
/// # Errors
/// When a program was not built, or is not on this machine.
pub fn images(guests: &Path) -> Result<Vec<Example>> {
    let wasm = |name: &str, guest: &str| {
        let path = guests.join(guest).join(format!("{guest}.wasm"));
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        let config = json!({ "Entrypoint": ["/app.wasm"] });
        anyhow::Ok(example(name, config, vec![file("app.wasm", 0o644, bytes)]))
    };
    let native = |name: &str, config: Value| {
        let bytes = fs::read(built(name)?)?;
        anyhow::Ok(example(name, config, vec![file(name, 0o755, bytes)]))
    };
    let mut shell =
        vec![directory("bin", 0o755), directory("tmp", 0o1777), file("bin/busybox", 0o755, busybox()?)];
    shell.extend(["cat", "httpd", "sh", "wget"].map(|name| link(&format!("bin/{name}"), "busybox")));
    Ok(vec![
        wasm("orders", "socket-hyper")?,
        wasm("http-all", "http-all")?,
        wasm("fetch", "socket-client")?,
        // As in Dapr's own image: a numeric user, and the program's path left to the injector.
        native("daprd", json!({ "User": "65532" }))?,
        native("redirected-proxy", json!({ "Entrypoint": ["/redirected-proxy"] }))?,
        example("busybox", json!({ "Env": ["PATH=/bin"] }), shell),
        example("iptables", json!({ "Entrypoint": ["/bin/iptables"] }), iptables()?),
    ])
}

fn example(name: &str, config: Value, nodes: Vec<Node>) -> Example {
    Example { name: format!("localhost/examples/{name}:1"), config, nodes }
}

fn link(path: &str, target: &str) -> Node {
    Node { path: path.into(), mode: 0o777, kind: Kind::Link(target.into()) }
}

/// The machine's iptables, the libraries that it is linked to, and the extensions that it loads.
fn iptables() -> Result<Vec<Node>> {
    let program =
        ["/usr/sbin/iptables", "/sbin/iptables"].into_iter().find_map(|path| fs::canonicalize(path).ok());
    let program = program.context("no iptables on this machine: apt-get install iptables")?;
    let linked = run(Command::new("ldd").arg(&program))?.ok()?.stdout;
    let libraries = linked.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
    let mut files: BTreeSet<PathBuf> = libraries.collect();
    let plugins = files.iter().find_map(|path| {
        let dir = Path::new("/usr/lib").join(path.parent()?.file_name()?).join("xtables");
        dir.is_dir().then_some(dir)
    });
    let plugins = plugins.context("iptables has no directory of extensions")?;
    for name in ["libxt_owner.so", "libxt_tcp.so", "libxt_REDIRECT.so", "libipt_REDIRECT.so"] {
        // The prefix of an extension's name differs between versions.
        files.extend(Some(plugins.join(name)).filter(|path| path.is_file()));
    }
    let mut dirs = BTreeSet::from(["bin".into(), "run".into()]);
    let mut nodes = Vec::new();
    for path in files {
        let inside = path.strip_prefix("/")?.to_string_lossy().into_owned();
        dirs.extend(Path::new(&inside).ancestors().skip(1).map(Path::to_path_buf));
        nodes.push(file(&inside, 0o755, fs::read(&path).with_context(|| path.display().to_string())?));
    }
    // Its name selects one of its commands.
    let name = program.file_name().context("a program without a name")?.to_string_lossy();
    nodes.push(file(&format!("bin/{name}"), 0o755, fs::read(&program)?));
    nodes.push(link("bin/iptables", &name));
    dirs.remove(Path::new(""));
    Ok(dirs.iter().map(|path: &PathBuf| directory(&path.to_string_lossy(), 0o755)).chain(nodes).collect())
}
