//! Parses the table of the engines' differences by design in `README.md`.
//!
//! A row replaces all that a case expects, on one engine. This module knows no engines and accepts any name.

use std::collections::BTreeMap;

use crate::directive::split;
use crate::expected::Expectation;
use crate::{Case, Expected, ParseError};

/// The heading above the table.
const TITLE: &str = "## Differences by design";
const COLUMNS: [&str; 4] = ["engine", "case", "instead", "why"];

/// The replaced expectations, by engine and case.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Differences(BTreeMap<(String, String), Expected>);

impl Differences {
    /// Parses the table below its heading in `text`, the content of `file`. Its rows refer to `cases`.
    ///
    /// # Errors
    /// [`ParseError`] for the first line that is no row, names an unknown case or a case twice for an engine, has an
    /// invalid expectation, or gives no reason.
    pub fn parse(file: &str, text: &str, cases: &[Case]) -> Result<Self, ParseError> {
        let at = |line: usize| move |what: String| ParseError { file: file.into(), line, what };
        let mut lines = text.lines().zip(1..).skip_while(|(line, _)| *line != TITLE);
        let Some((_, title)) = lines.next() else { return Err(at(1)(format!("there is no {TITLE:?}"))) };
        let mut table = lines.skip_while(|(line, _)| !is_row(line)).take_while(|(line, _)| is_row(line));
        let (names, _) = table.next().ok_or_else(|| at(title)("no table stands below it".into()))?;
        if cells(names) != COLUMNS {
            return Err(at(title)(format!("the table below it has not the columns {}", COLUMNS.join(", "))));
        }
        let mut differences = Self::default();
        // Skips the delimiter row.
        for (row, line) in table.skip(1) {
            differences.row(&cells(row), cases).map_err(at(line))?;
        }
        Ok(differences)
    }

    fn row(&mut self, cells: &[&str], cases: &[Case]) -> Result<(), String> {
        let &[engine, names, instead, why] = cells else {
            return Err(format!("{} cells, and the table has {} columns", cells.len(), COLUMNS.len()));
        };
        if engine.is_empty() {
            return Err("no engine is named".into());
        }
        if why.is_empty() {
            return Err("no reason is given: why?".into());
        }
        let expected = expectation(instead)?;
        for name in names.split(',').map(str::trim) {
            if !cases.iter().any(|case| case.name == name) {
                return Err(format!("there is no case {name:?}"));
            }
            if self.0.insert((engine.into(), name.into()), expected.clone()).is_some() {
                return Err(format!("{name} stands twice for {engine}"));
            }
        }
        Ok(())
    }

    /// `case` with the difference of `engine` applied.
    pub fn on(&self, engine: &str, case: Case) -> Case {
        match self.0.get(&(engine.into(), case.name.clone())) {
            // A guest that never runs gets no signal.
            Some(Expected::Refused(words)) => {
                Case { expected: Expected::Refused(words.clone()), signal: None, ..case }
            }
            Some(expected) => Case { expected: expected.clone(), ..case },
            None => case,
        }
    }
}

fn is_row(line: &str) -> bool {
    line.starts_with('|')
}

fn cells(row: &str) -> Vec<&str> {
    let row = row.trim_end();
    row.strip_prefix('|').unwrap_or(row).trim_end_matches('|').split('|').map(str::trim).collect()
}

/// Parses `WORD: value; WORD: value`.
fn expectation(instead: &str) -> Result<Expected, String> {
    let mut expectation = Expectation::default();
    for directive in instead.split("; ") {
        let (word, value) = split(directive).ok_or_else(|| format!("{directive:?} is not WORD: value"))?;
        expectation.directive(word, value).map_err(|what| format!("{word}: {what}"))?;
    }
    expectation.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directive::parse;

    fn case(name: &str) -> Case {
        parse(&format!("{name}.wat"), ";; S.\n;; SIGNAL: SIGTERM\n;; EXIT: 143\n;; STDOUT: ready\n").unwrap()
    }

    fn table(rows: &str) -> Result<Differences, String> {
        let text = format!(
            "# Cases\n\n{TITLE}\n\nWords.\n\n| engine | case | instead | why |\n|---|---|---|---|\n{rows}"
        );
        Differences::parse("README.md", &text, &[case("a"), case("b")]).map_err(|error| error.to_string())
    }

    #[test]
    fn a_row_takes_the_place_of_all_that_was_expected() {
        let table =
            table("| first | a | EXIT: 139; STDERR: stack | It has no guard. |\n\nThe end.\n").unwrap();
        let expected = Expected::Exit { code: 139, stdout: None, stderr: vec!["stack".into()] };
        assert_eq!(table.on("first", case("a")), Case { expected, ..case("a") });
        assert_eq!(table.on("first", case("b")), case("b"));
        assert_eq!(table.on("second", case("a")), case("a"));
    }

    #[test]
    fn cases_share_a_row_and_what_never_runs_gets_no_signal() {
        let table = table("| first | a, b | CREATE: core; CREATE: only | It does. |\n").unwrap();
        let expected = Expected::Refused(vec!["core".into(), "only".into()]);
        for name in ["a", "b"] {
            let refused = Case { expected: expected.clone(), signal: None, ..case(name) };
            assert_eq!(table.on("first", case(name)), refused);
        }
    }

    #[test]
    fn a_table_without_rows_changes_nothing() {
        assert_eq!(table(""), Ok(Differences::default()));
    }

    #[test]
    fn a_row_that_makes_no_sense_is_refused_with_its_line() {
        let check = |rows: &str, expected: &str| assert_eq!(table(rows).unwrap_err(), expected);
        let good = "| e | a | EXIT: 1 | So. |\n";
        check("| e | a | EXITS: 1 | So. |\n", "README.md:9: EXITS: unknown directive");
        check("| e | a | RUN: 1 | So. |\n", "README.md:9: RUN: unknown directive");
        check("| e | a | EXIT: 1; EXIT: 2 | So. |\n", "README.md:9: EXIT: stands twice");
        check(
            "| e | a | EXIT: 1; STDERR: | So. |\n",
            "README.md:9: STDERR: is empty, which everything contains",
        );
        check("| e | a |  | So. |\n", "README.md:9: \"\" is not WORD: value");
        check("| e | a | it fails | So. |\n", "README.md:9: \"it fails\" is not WORD: value");
        check(
            "| e | a | EXIT: 1; CREATE: e | So. |\n",
            "README.md:9: CREATE says the task never runs: no EXIT, STDOUT or STDERR beside it",
        );
        check("| e | a, c | EXIT: 1 | So. |\n", "README.md:9: there is no case \"c\"");
        check("| e | | EXIT: 1 | So. |\n", "README.md:9: there is no case \"\"");
        check(&format!("{good}| e | b, a | EXIT: 1 | So. |\n"), "README.md:10: a stands twice for e");
        check("| e | a | EXIT: 1 |  |\n", "README.md:9: no reason is given: why?");
        check("| | a | EXIT: 1 | So. |\n", "README.md:9: no engine is named");
        check("| e | a | EXIT: 1 |\n", "README.md:9: 3 cells, and the table has 4 columns");
    }

    #[test]
    fn there_is_one_table_below_its_title() {
        let check = |text: &str, expected: &str| {
            let error = Differences::parse("README.md", text, &[]).unwrap_err();
            assert_eq!(error.to_string(), expected);
        };
        check("# Cases\n", "README.md:1: there is no \"## Differences by design\"");
        check("\n## Differences by design\n\nNone.\n", "README.md:2: no table stands below it");
        check(
            "\n## Differences by design\n| engine | why |\n|---|---|\n",
            "README.md:2: the table below it has not the columns engine, case, instead, why",
        );
    }
}
