//! Images on a file system that takes its metadata from the image: containerd's `erofs` snapshotter.

use anyhow::{Context as _, Result};
use e2e::containerd::Containerd;
use e2e::examples::Example;
use e2e::image;
use e2e::process::{LIMIT, poll, run};
use e2e::rootfs::{directory, file};
use e2e::runner::Scenario;
use serde_json::json;

use crate::cache::text;

pub fn scenarios() -> Vec<Scenario> {
    vec![Scenario::measured("wasm-erofs-images", images)]
}

/// One image after the other: the second has the inode numbers, lengths and times of the first, on a device that
/// the kernel gives the same number, and must run its own code.
fn images(daemon: &Containerd) -> Result<String> {
    let plugins = run(&mut daemon.ctr(["plugins", "ls"]))?.ok()?.stdout;
    let state = plugins.lines().find(|line| line.contains("snapshotter") && line.contains(" erofs "));
    let state = state.and_then(|line| line.split_whitespace().last()).unwrap_or("absent");
    if state != "ok" {
        return Ok(format!("not tried: this containerd's erofs snapshotter is {state}"));
    }
    for says in ["one", "two"] {
        let name = format!("localhost/erofs:{says}");
        let nodes = vec![file("app.wat", 0o644, text(says)), directory("tmp", 0o1777)];
        let archive = daemon.scope.dir.join("erofs.tar");
        image::write_examples(&[Example { name: name.clone(), config: json!({}), nodes }], &archive)?;
        daemon.import(&archive)?;
        let container = daemon.run(&format!("erofs-{says}")).image(&name).flag("--snapshotter", "erofs");
        container.args(&["/app.wat"]).finish()?.ok()?.prints(says)?;
        run(&mut daemon.ctr(["images", "rm", "--sync", &name]))?.ok()?;
        poll("the image to be unmounted", LIMIT, || {
            let mounts = daemon.scope.mounts()?;
            Ok((!mounts.iter().any(|point| point.to_string_lossy().contains("snapshotter.v1.erofs")))
                .then_some(()))
        })
        .context("after its image was removed")?;
    }
    Ok(String::new())
}
