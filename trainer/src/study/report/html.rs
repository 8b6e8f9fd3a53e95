//! Text and tags.

use std::fmt::Write as _;

pub(super) use crate::metrics::curve::escaped;

/// A table: a heading per column, then rows. Cells are HTML; those of numbers stand to the right.
pub(super) struct Table {
    columns: Vec<(String, bool)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// `columns`: heading, and whether its cells are numbers.
    pub(super) fn new(columns: &[(&str, bool)]) -> Self {
        let columns = columns.iter().map(|&(name, number)| (escaped(name), number)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// One row; cells that are missing at the end are empty.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn html(&self) -> String {
        let class = |number: bool| if number { " class=\"number\"" } else { "" };
        let mut out = String::from("<div class=\"scroll\"><table>\n<thead><tr>");
        for (name, number) in &self.columns {
            let _ = write!(out, "<th scope=\"col\"{}>{name}</th>", class(*number));
        }
        out.push_str("</tr></thead>\n<tbody>\n");
        for row in &self.rows {
            out.push_str("<tr>");
            for (index, (_, number)) in self.columns.iter().enumerate() {
                let cell = row.get(index).map_or("", String::as_str);
                let _ = write!(out, "<td{}>{cell}</td>", class(*number));
            }
            out.push_str("</tr>\n");
        }
        out.push_str("</tbody></table></div>\n");
        out
    }
}

/// A number for people: three or four digits that matter, a real minus.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let size = value.abs();
    let text = match size {
        _ if size == 0.0 => "0".into(),
        _ if size >= 1000.0 => format!("{value:.0}"),
        _ if size >= 100.0 => format!("{value:.1}"),
        _ if size >= 1.0 => format!("{value:.2}"),
        _ if size >= 0.01 => format!("{value:.3}"),
        _ => format!("{value:.1e}"),
    };
    text.replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 12_345.6, -123.44, 3.156, 0.05, -0.000_12, f64::NAN].map(number);
        assert_eq!(texts, ["0", "12346", "\u{2212}123.4", "3.16", "0.050", "\u{2212}1.2e\u{2212}4", "NaN"]);
    }

    #[test]
    fn nothing_ends_an_element_or_an_attribute() {
        assert_eq!(escaped("<b title=\"x\">&\u{7}"), "&lt;b title=&quot;x&quot;&gt;&amp; ");
    }

    #[test]
    fn rows_are_as_wide_as_the_heading() {
        let mut table = Table::new(&[("who", false), ("how much", true)]);
        table.row(vec!["a".into()]);
        table.row(vec!["b".into(), "2".into(), "lost".into()]);
        let html = table.html();
        assert_eq!(html.matches("<td").count(), 4);
        assert!(html.contains("<td class=\"number\">2</td>") && !html.contains("lost"));
    }
}
