//! Runs scenarios on each containerd: one line each, a census before and after each, a verdict at the end.

use std::any::Any;
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use anyhow::{Error, Result, anyhow};

use crate::census::Census;
use crate::containerd::Containerd;
use crate::unfit;
use crate::versions::{self, Install, Shim};

/// A check that runs on each containerd.
pub struct Scenario {
    /// Its name on the line.
    pub name: String,
    /// Whether it only makes sense on our shim: it runs Wasm, or checks what only ours answers.
    pub ours: bool,
    /// Whether it runs on the newest containerd alone: it takes long, and what it shows is the daemon's doing, whichever
    /// containerd asks.
    pub newest: bool,
    /// The client it uses.
    pub by: By,
    /// The check; returns its measurement, which may be empty.
    pub check: Check,
}

/// The client that creates containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// `ctr`, or the shim's own protocol.
    Ctr,
    /// The CRI, as the kubelet uses it.
    Cri,
    /// `docker`, through a dockerd.
    Docker,
}

/// What a scenario does on one containerd.
pub type Check = Box<dyn Fn(&Containerd) -> Result<String>>;

/// Which versions and scenarios to run; empty means all.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Filter {
    versions: Vec<String>,
    newest: bool,
    names: Vec<String>,
    without: Vec<String>,
}

/// How many scenarios had which result, and the messages of the failures.
#[derive(Debug, Default)]
pub struct Verdict {
    passed: usize,
    failed: usize,
    skipped: usize,
    failures: Vec<String>,
}

impl Scenario {
    /// A scenario for any runtime.
    pub fn any(name: impl Into<String>, check: impl Fn(&Containerd) -> Result<()> + 'static) -> Self {
        let check = move |daemon: &Containerd| check(daemon).map(|()| String::new());
        Self { name: name.into(), ours: false, newest: false, by: By::Ctr, check: Box::new(check) }
    }

    /// A scenario for our shim only.
    pub fn ours(name: impl Into<String>, check: impl Fn(&Containerd) -> Result<()> + 'static) -> Self {
        Self { ours: true, ..Self::any(name, check) }
    }

    /// A scenario for our shim only, whose line has its measurement.
    pub fn measured(
        name: impl Into<String>,
        check: impl Fn(&Containerd) -> Result<String> + 'static,
    ) -> Self {
        Self { name: name.into(), ours: true, newest: false, by: By::Ctr, check: Box::new(check) }
    }

    /// The same on the newest containerd of those that are asked for.
    pub fn on_newest(self) -> Self {
        Self { newest: true, ..self }
    }
}

impl Filter {
    /// Parses the words after `--`: versions such as `1.7` or `newest`, parts of names such as `hello`, parts of names
    /// to leave out such as `!hello`.
    ///
    /// # Errors
    /// An option: there are none.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Self> {
        let mut filter = Self::default();
        for word in words {
            if word.starts_with('-') {
                return Err(anyhow!("{word}: there are no options; give versions and parts of names"));
            }
            if let Some(part) = word.strip_prefix('!') {
                filter.without.push(part.into());
                continue;
            }
            if word == "newest" {
                filter.newest = true;
                continue;
            }
            let version = word.contains('.') && word.split('.').all(|part| part.parse::<u32>().is_ok());
            if version { filter.versions.push(word) } else { filter.names.push(word) }
        }
        Ok(filter)
    }

    /// Those of `installs`, sorted by version, that it selects.
    pub fn installs<'a>(&self, installs: &'a [Install]) -> impl Iterator<Item = &'a Install> {
        let all = self.versions.is_empty() && !self.newest;
        installs.iter().enumerate().filter_map(move |(at, install)| {
            let newest = self.newest && at + 1 == installs.len();
            (all || newest || self.versions.contains(&install.version)).then_some(install)
        })
    }

    /// Whether it selects `name`.
    pub fn name(&self, name: &str) -> bool {
        let has = |part: &String| name.contains(part.as_str());
        (self.names.is_empty() || self.names.iter().any(has)) && !self.without.iter().any(has)
    }
}

impl Verdict {
    /// Runs every selected scenario on one version of containerd, the `newest` or another: first those that run on a
    /// plain one, then those of the CRI, then Docker's. `prepare` starts a containerd for the client that it is passed.
    pub fn run(
        &mut self,
        (install, newest): (&Install, bool),
        shim: &Shim,
        scenarios: &[&Scenario],
        prepare: impl Fn(&Install, By) -> Result<Containerd>,
    ) {
        for by in [By::Ctr, By::Cri, By::Docker] {
            let of_kind: Vec<_> = scenarios.iter().copied().filter(|scenario| scenario.by == by).collect();
            if by == By::Docker
                && !of_kind.is_empty()
                && let Err(why) = versions::docker(install)
            {
                self.skip(&format!("{} with Docker … skipped: {why:#}", install.version), of_kind.len());
                continue;
            }
            self.run_on((install, newest), shim, &of_kind, |install| prepare(install, by));
        }
    }

    fn run_on(
        &mut self,
        (install, newest): (&Install, bool),
        shim: &Shim,
        scenarios: &[&Scenario],
        prepare: impl Fn(&Install) -> Result<Containerd>,
    ) {
        let mut fit = Vec::new();
        for scenario in scenarios.iter().copied() {
            let why = match scenario.newest && !newest {
                true => Some("it runs on the newest containerd alone"),
                false => unfit::why(shim.engine(), &scenario.name),
            };
            match why {
                _ if scenario.ours && !shim.is_ours() => self.skipped += 1,
                Some(why) => self.skip(&format!("{} {} … skipped: {why}", install.version, scenario.name), 1),
                None => fit.push(scenario),
            }
        }
        if fit.is_empty() {
            return;
        }
        let daemon = match prepare(install) {
            Ok(daemon) => daemon,
            Err(error) => {
                self.failed += fit.len();
                self.failures.push(format!("{} cannot be tested: {error:#}", install.version));
                say(&self.failures[self.failures.len() - 1]);
                return;
            }
        };
        for scenario in fit {
            let (start, mark) = (Instant::now(), daemon.log_mark());
            let result = guarded(scenario, &daemon);
            let took = start.elapsed().as_secs_f64();
            let head = format!("{} {} …", install.version, scenario.name);
            match result {
                Ok(measured) => {
                    self.passed += 1;
                    let measured = if measured.is_empty() { measured } else { format!(": {measured}") };
                    say(&format!("{head} ok ({took:.2} s){measured}"));
                }
                Err(error) => {
                    self.failed += 1;
                    let failure = format!("{head} FAILED ({took:.2} s)\n{}", indent(&format!("{error:#}")));
                    say(&format!("{failure}\n{}", indent(&daemon.log_tail(mark))));
                    self.failures.push(failure);
                }
            }
        }
    }

    /// Counts scenarios whose containerd is missing.
    pub fn skip(&mut self, version: &str, count: usize) {
        self.skipped += count;
        say(version);
    }

    /// Prints the failures once more, without the logs, so that they are at the end of a long log, and the last line;
    /// returns whether all passed.
    pub fn end(self) -> bool {
        self.failures.iter().for_each(|failure| say(failure));
        say(&format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped));
        // A filter that fits nothing must not look like success.
        self.failed == 0 && self.passed > 0
    }
}

/// Prints one line at once, however stdout is buffered.
pub fn say(line: &str) {
    let mut out = io::stdout().lock();
    // A closed stdout must not end the tests before they have cleaned up.
    drop(writeln!(out, "{line}").and_then(|()| out.flush()));
}

/// Runs the scenario between two censuses; whatever it did, the next one starts clean.
fn guarded(scenario: &Scenario, daemon: &Containerd) -> Result<String> {
    let before = Census::take(daemon)?;
    let checked = catch_unwind(AssertUnwindSafe(|| (scenario.check)(daemon)))
        .unwrap_or_else(|panic| Err(words(panic.as_ref())));
    let held = checked.and_then(|measured| before.settled(daemon).map(|()| measured));
    match scenario.by {
        By::Ctr => daemon.clear()?,
        By::Docker => daemon.clear_docker()?,
        By::Cri => {}
    }
    held
}

fn words(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    anyhow!("panicked: {}", text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without words"))
}

fn indent(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_names_are_distinguished() {
        let install =
            |version: &str| Install { version: version.into(), release: version.into(), bin: "/".into() };
        let installs = ["1.6", "1.7", "2.1"].map(install);
        let through = |filter: &Filter| {
            filter.installs(&installs).map(|install| install.version.clone()).collect::<Vec<_>>()
        };
        let filter = Filter::parse(["1.7", "hello"].map(String::from).into_iter()).unwrap();
        assert_eq!(through(&filter), ["1.7"]);
        assert!(filter.name("wasm-hello") && !filter.name("exit"));
        let all = Filter::default();
        assert!(through(&all) == ["1.6", "1.7", "2.1"] && all.name("anything"));
        let newest = Filter::parse(["newest", "1.6"].map(String::from).into_iter()).unwrap();
        assert!(through(&newest) == ["1.6", "2.1"] && newest.name("anything"));
        let some = Filter::parse(["wasm", "!row"].map(String::from).into_iter()).unwrap();
        assert!(some.name("wasm-hello") && !some.name("wasm-in-a-row") && !some.name("exit"));
        assert!(Filter::parse(["--list"].map(String::from).into_iter()).is_err());
    }
}
