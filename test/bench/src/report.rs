//! The results of measurements: tables for people, rows for the history in README.md, JSON for programs. All ratios are
//! medians over the median of a table's first line.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::figures::Figures;

/// One comparison.
pub struct Table {
    /// Its name for `ONLY`, the history and the picture.
    pub key: String,
    /// What is compared.
    pub title: String,
    /// The unit of its samples.
    pub unit: &'static str,
    /// The ratios of the others are to the first.
    pub lines: Vec<Line>,
}

/// The results of one subject.
pub struct Line {
    /// Its name.
    pub name: String,
    /// Each run, in the table's unit.
    pub samples: Vec<f64>,
    /// Why it was given up, if it was.
    pub failure: Option<String>,
}

/// The machine and the versions of a measurement.
pub struct Machine {
    /// The day, as `date` writes it.
    pub date: String,
    /// The commit, with `+` when files differ from it.
    pub commit: String,
    /// containerd's version.
    pub containerd: String,
    /// Cores.
    pub cores: usize,
    /// The kernel's load averages before the runs: more than a few tenths is noise.
    pub load: String,
}

impl Line {
    /// A line without samples.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), samples: Vec::new(), failure: None }
    }

    /// Adds the sample of one more run, or the reason why it failed.
    pub fn note(&mut self, run: Result<f64>) {
        match run {
            Ok(sample) => self.samples.push(sample),
            Err(error) => self.failure = Some(format!("{error:#}")),
        }
    }

    /// Its summary; `None` if it failed.
    pub fn figures(&self) -> Option<Figures> {
        Figures::of(&self.samples).filter(|_| self.failure.is_none())
    }
}

impl Table {
    /// Each line's median over the first's.
    pub fn ratios(&self) -> impl Iterator<Item = Option<f64>> {
        let first = self.lines.first().and_then(Line::figures);
        self.lines.iter().map(move |line| Some(line.figures()?.median / first?.median))
    }
}

impl Machine {
    /// This machine, now.
    pub fn here(containerd: &str) -> Self {
        let changed = !said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            date: said("date", &["+%F"]),
            commit: said("git", &["rev-parse", "--short", "HEAD"]) + if changed { "+" } else { "" },
            containerd: containerd.into(),
            cores: available_parallelism().map_or(0, Into::into),
            load: load.split(' ').take(2).collect::<Vec<_>>().join(" "),
        }
    }
}

/// The table for people.
pub fn text(table: &Table) -> String {
    let mut text = format!("{}, {}\n", table.title, table.unit);
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "{:<24} {:>9} {:>9} {:>9} {:>7}", "", "median", "min", "p90", "×");
    for (line, ratio) in table.lines.iter().zip(table.ratios()) {
        let name = &line.name;
        let _ = match (line.figures(), &line.failure) {
            (Some(Figures { median, min, p90 }), _) => {
                writeln!(text, "{name:<24} {median:>9.1} {min:>9.1} {p90:>9.1} {:>7}", two(ratio))
            }
            (None, why) => writeln!(text, "{name:<24} failed: {}", why.as_deref().unwrap_or("it never ran")),
        };
    }
    text
}

/// A row for the history in README.md.
pub fn row(machine: &Machine, table: &Table) -> String {
    let first = table.lines.first();
    let first = first.and_then(Line::figures).map_or("–".into(), |line| format!("{:.0}", line.median));
    let ratios: Vec<String> = table.ratios().skip(1).map(two).collect();
    format!(
        "| {} | {} | {} | {first} {} | {} |",
        machine.date,
        machine.commit,
        table.key,
        table.unit,
        ratios.join(" | ")
    )
}

/// Writes everything, each single run included, to `path`.
///
/// # Errors
/// Names the file.
pub fn store(machine: &Machine, tables: &[Table], path: &Path) -> Result<()> {
    let Machine { date, commit, containerd, cores, load } = machine;
    let all = json!({
        "date": date, "commit": commit, "containerd": containerd, "cores": cores, "load": load,
        "tables": tables.iter().map(entry).collect::<Vec<_>>(),
    });
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, format!("{all:#}\n")).with_context(|| format!("cannot write {}", path.display()))
}

fn entry(table: &Table) -> Value {
    let line = |(line, ratio): (&Line, Option<f64>)| {
        let figures = line.figures().map(|f| json!({ "median": f.median, "min": f.min, "p90": f.p90 }));
        json!({
            "name": line.name, "figures": figures, "times_first": ratio,
            "samples": line.samples, "failure": line.failure,
        })
    };
    let lines: Vec<Value> = table.lines.iter().zip(table.ratios()).map(line).collect();
    json!({ "key": table.key, "title": table.title, "unit": table.unit, "lines": lines })
}

fn two(ratio: Option<f64>) -> String {
    ratio.map_or("–".into(), |ratio| format!("{ratio:.2}"))
}

/// The output of a program; empty if it cannot run: a tarball has no commit.
fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_to_the_first_and_failures_have_none() {
        let line = |name: &str, samples: &[f64], failure: Option<&str>| Line {
            name: name.into(),
            samples: samples.to_vec(),
            failure: failure.map(Into::into),
        };
        let table = Table {
            key: "start".into(),
            title: "a start".into(),
            unit: "ms",
            lines: vec![
                line("floor", &[40.0], None),
                line("lighter", &[46.0, 46.0], None),
                line("other", &[41.0], Some("exit status: 1")),
            ],
        };
        let machine = Machine {
            date: "2026-11-20".into(),
            commit: "abc".into(),
            containerd: "1.6".into(),
            cores: 2,
            load: "0.1 0.2".into(),
        };
        let expected = "\
a start, ms
                            median       min       p90       ×
floor                         40.0      40.0      40.0    1.00
lighter                       46.0      46.0      46.0    1.15
other                    failed: exit status: 1
";
        assert_eq!(text(&table), expected);
        assert_eq!(row(&machine, &table), "| 2026-11-20 | abc | start | 40 ms | 1.15 | – |");
    }
}
