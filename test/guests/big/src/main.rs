//! Much code that is really reachable, so that compiling it costs as much as a large application.
//!
//! Every library is given one small piece of input; the guest prints how many of them could parse
//! theirs, on one line. `big READING...` gives them other input.

const READINGS: [fn(&str) -> bool; 6] = [expression, json, markdown, sql, template, toml];

fn main() {
    let given = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
    let input = if given.is_empty() { "1" } else { &given };
    let sense = READINGS.iter().filter(|reading| reading(input)).count();
    println!(
        "{sense} of {} libraries made sense of {input:?}",
        READINGS.len()
    );
}

fn expression(input: &str) -> bool {
    regex::Regex::new(input).is_ok_and(|expression| expression.is_match(input))
}

fn json(input: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(input).is_ok_and(|value| value.to_string() == input)
}

fn markdown(input: &str) -> bool {
    let mut page = String::new();
    pulldown_cmark::html::push_html(&mut page, pulldown_cmark::Parser::new(input));
    page.contains(input)
}

fn sql(input: &str) -> bool {
    let select = format!("SELECT {input}");
    sqlparser::parser::Parser::parse_sql(&sqlparser::dialect::GenericDialect {}, &select).is_ok_and(
        |statements| {
            statements
                .iter()
                .any(|statement| statement.to_string() == select)
        },
    )
}

fn template(input: &str) -> bool {
    let template = format!("{{{{ {input} }}}}");
    minijinja::Environment::new()
        .render_str(&template, ())
        .is_ok_and(|text| text == input)
}

fn toml(input: &str) -> bool {
    toml::from_str::<toml::Table>(&format!("input = {input}")).is_ok()
}
