//! A table as a picture with bars.

use std::fmt::Write as _;

use crate::report::Table;

const WIDTH: f64 = 640.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 110.0;
const ROW: f64 = 26.0;
const TOP: f64 = 40.0;

/// The picture as SVG. Lines that failed have no bar.
pub fn svg(table: &Table) -> String {
    let medians: Vec<(&str, f64)> =
        table.lines.iter().filter_map(|line| Some((line.name.as_str(), line.figures()?.median))).collect();
    let max = medians.iter().map(|(_, median)| *median).fold(f64::MIN_POSITIVE, f64::max);
    let height = TOP + ROW * medians.len() as f64 + 10.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\" fill=\"#222\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"10\" y=\"22\" font-weight=\"bold\">{}, {}</text>\n",
        escaped(&table.title),
        table.unit
    );
    for (row, (name, median)) in medians.iter().enumerate() {
        let top = TOP + ROW * row as f64;
        let long = (WIDTH - LEFT - RIGHT) * median / max;
        let colour = if name.starts_with("lighter") { "#0a7d5c" } else { "#9aa5b1" };
        let middle = top + 14.0;
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{middle:.0}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LEFT}\" y=\"{top:.0}\" width=\"{long:.1}\" height=\"18\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{middle:.0}\">{median:.1} ({:.2} ×)</text>",
            LEFT - 8.0,
            escaped(name),
            LEFT + long + 6.0,
            median / medians[0].1,
        );
    }
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Line;

    #[test]
    fn the_longest_bar_fills_the_picture() {
        let line = |name: &str, sample: f64| Line { name: name.into(), samples: vec![sample], failure: None };
        let lines = vec![line("a < b", 2.0), line("lighter", 1.0)];
        let svg = svg(&Table { key: "k".into(), title: "t".into(), unit: "ms", lines });
        assert!(svg.contains("width=\"340.0\"") && svg.contains("width=\"170.0\""), "{svg}");
        assert!(svg.contains("a &lt; b") && svg.contains("(0.50 ×)"), "{svg}");
    }
}
