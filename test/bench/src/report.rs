//! How a measurement is told: a table for people, a line for the history in README.md, JSON for
//! programs. All ratios are medians over the floor's median.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::figures::Figures;
use crate::subject::Subject;

/// What came of one subject.
pub struct Line {
    /// What ran.
    pub subject: Subject,
    /// Each run in milliseconds.
    pub samples: Vec<f64>,
    /// Why it was given up.
    pub failure: Option<String>,
}

/// Where and on what it was measured.
pub struct Place {
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
    fn figures(&self) -> Option<Figures> {
        Figures::of(&self.samples).filter(|_| self.failure.is_none())
    }
}

impl Place {
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

/// The table.
pub fn table(place: &Place, lines: &[Line]) -> String {
    let Place { containerd, cores, load, .. } = place;
    let mut text = format!("`ctr run --rm` on containerd {containerd}, {cores} cores, load {load}\n");
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(text, "{:<22} {:>9} {:>8} {:>8} {:>8}", "", "median ms", "min", "p90", "× floor");
    for (line, ratio) in lines.iter().zip(ratios(lines)) {
        let name = line.subject.name;
        let _ = match (line.figures(), &line.failure) {
            (Some(Figures { median, min, p90 }), _) => {
                writeln!(text, "{name:<22} {median:>9.1} {min:>8.1} {p90:>8.1} {:>8}", two(ratio))
            }
            (None, why) => writeln!(text, "{name:<22} failed: {}", why.as_deref().unwrap_or("it never ran")),
        };
    }
    text
}

/// A row for the history in README.md.
pub fn row(place: &Place, lines: &[Line]) -> String {
    let floor =
        lines.first().and_then(Line::figures).map_or("–".into(), |floor| format!("{:.0} ms", floor.median));
    let ratios: Vec<String> = ratios(lines).skip(1).map(two).collect();
    format!("| {} | {} | {floor} | {} |", place.date, place.commit, ratios.join(" | "))
}

/// Writes everything, each single run included, to `path`.
///
/// # Errors
/// Names the file.
pub fn store(place: &Place, lines: &[Line], path: &Path) -> Result<()> {
    let Place { date, commit, containerd, cores, load } = place;
    let subjects: Vec<Value> =
        lines.iter().zip(ratios(lines)).map(|(line, ratio)| entry(line, ratio)).collect();
    let all = json!({
        "date": date, "commit": commit, "containerd": containerd, "cores": cores, "load": load,
        "subjects": subjects,
    });
    path.parent().map_or(Ok(()), fs::create_dir_all)?;
    fs::write(path, format!("{all:#}\n")).with_context(|| format!("cannot write {}", path.display()))
}

fn entry(line: &Line, ratio: Option<f64>) -> Value {
    let Subject { name, runtime, args, .. } = &line.subject;
    let figures = line.figures().map(|f| json!({ "median": f.median, "min": f.min, "p90": f.p90 }));
    json!({
        "name": name, "runtime": runtime, "args": args, "ms": figures, "times_floor": ratio,
        "samples_ms": line.samples, "failure": line.failure,
    })
}

fn ratios(lines: &[Line]) -> impl Iterator<Item = Option<f64>> {
    let floor = lines.first().and_then(Line::figures);
    lines.iter().map(move |line| Some(line.figures()?.median / floor?.median))
}

fn two(ratio: Option<f64>) -> String {
    ratio.map_or("–".into(), |ratio| format!("{ratio:.2}"))
}

/// What a program printed; nothing when it is not there: a tarball has no commit.
fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject;

    fn line(index: usize, samples: &[f64], failure: Option<&str>) -> Line {
        let subject = subject::all(false).remove(index);
        Line { subject, samples: samples.to_vec(), failure: failure.map(Into::into) }
    }

    #[test]
    fn ratios_are_to_the_floor_and_failures_have_none() {
        let lines =
            [line(0, &[40.0], None), line(1, &[46.0, 46.0], None), line(2, &[41.0], Some("exit status: 1"))];
        let place = Place {
            date: "2026-11-20".into(),
            commit: "abc".into(),
            containerd: "1.6".into(),
            cores: 2,
            load: "0.1 0.2".into(),
        };
        let expected = "\
`ctr run --rm` on containerd 1.6, 2 cores, load 0.1 0.2
                       median ms      min      p90  × floor
floor                       40.0     40.0     40.0     1.00
lighter, Wasm hello         46.0     46.0     46.0     1.15
lighter, native echo   failed: exit status: 1
";
        assert_eq!(table(&place, &lines), expected);
        assert_eq!(row(&place, &lines), "| 2026-11-20 | abc | 40 ms | 1.15 | – |");
    }
}
