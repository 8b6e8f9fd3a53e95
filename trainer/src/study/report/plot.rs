//! A line chart for a page: inline SVG in the page's colours, and its numbers for what the script adds.

use std::fmt::Write as _;

use serde_json::json;

use super::html::escaped;
use crate::metrics::curve::{label, ticks};

/// One point, with the ends of its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Dot {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// One line.
#[derive(Clone, Debug, Default)]
pub(super) struct Curve {
    pub(super) label: String,
    /// Number of its colour.
    pub(super) colour: usize,
    /// Dashed, as the teacher of a pair is.
    pub(super) dashed: bool,
    pub(super) dots: Vec<Dot>,
    /// The lines of single seeds, `(x, y)`.
    pub(super) seeds: Vec<(u64, Vec<(f64, f64)>)>,
}

/// A chart.
#[derive(Clone, Debug, Default)]
pub(super) struct Plot {
    pub(super) title: String,
    pub(super) x_label: String,
    pub(super) y_label: String,
    pub(super) curves: Vec<Curve>,
    /// Horizontal lines: name and value.
    pub(super) levels: Vec<(String, f64)>,
    /// Half as wide, for many beside each other.
    pub(super) small: bool,
    /// Ends of the vertical axis, where they are known.
    pub(super) y_range: Option<(f64, f64)>,
}

/// Colours that a page has; further lines take them again.
const COLOURS: usize = 8;

impl Plot {
    /// As a `figure` with legend; `id` is its own on the page.
    pub(super) fn html(&self, id: &str) -> String {
        let (width, height) = if self.small { (420.0, 260.0) } else { (860.0, 400.0) };
        let (left, right, top, bottom) = (62.0, width - 14.0, 12.0, height - 44.0);
        let dots = || self.curves.iter().flat_map(|curve| &curve.dots);
        let (x_ticks, x_step) = ticks(dots().map(|dot| dot.x).chain([0.0]), if self.small { 4 } else { 6 });
        let levels = self.levels.iter().map(|(_, value)| *value);
        let ranged = self.y_range.map_or(vec![], |(low, high)| vec![low, high]);
        let seeds =
            self.curves.iter().flat_map(|curve| &curve.seeds).flat_map(|(_, seed)| seed).map(|dot| dot.1);
        let values =
            dots().flat_map(|dot| [dot.low, dot.high, dot.y]).chain(levels).chain(ranged).chain(seeds);
        let (y_ticks, y_step) = ticks(values, if self.small { 4 } else { 6 });
        let x_min = x_ticks[0];
        let last = dots().map(|dot| dot.x).fold(x_min, f64::max);
        let x_max = if last > x_min { last } else { x_ticks[x_ticks.len() - 1] };
        let (y_min, y_max) = (y_ticks[0], y_ticks[y_ticks.len() - 1]);
        let x = |value: f64| left + (right - left) * (value - x_min) / (x_max - x_min);
        let y = |value: f64| bottom - (bottom - top) * (value - y_min) / (y_max - y_min);
        let place = |at: (f64, f64)| format!("{:.1},{:.1}", x(at.0), y(at.1));

        let mut svg = format!(
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\" data-plot=\"{id}\">\n",
            escaped(&self.title)
        );
        for tick in x_ticks.iter().filter(|tick| **tick <= x_max) {
            let (at, text) = (x(*tick), escaped(&label(*tick, x_step)));
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{at:.1}\" y1=\"{top}\" x2=\"{at:.1}\" y2=\"{bottom}\"/>"
            );
            let anchor = if at > right - 20.0 { "end" } else { "middle" };
            let _ = writeln!(
                svg,
                "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{text}</text>",
                bottom + 17.0
            );
        }
        for tick in &y_ticks {
            let (at, text) = (y(*tick), escaped(&label(*tick, y_step)));
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{left}\" y1=\"{at:.1}\" x2=\"{right:.1}\" y2=\"{at:.1}\"/>"
            );
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
                left - 6.0,
                at + 4.0
            );
        }
        let (mid_x, mid_y) = (f64::midpoint(left, right), f64::midpoint(top, bottom));
        let _ = writeln!(
            svg,
            "<text class=\"axis\" x=\"{mid_x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            height - 8.0,
            escaped(&self.x_label)
        );
        let _ = writeln!(
            svg,
            "<text class=\"axis\" transform=\"rotate(-90 13 {mid_y:.1})\" x=\"13\" y=\"{mid_y:.1}\" text-anchor=\"middle\">{}</text>",
            escaped(&self.y_label)
        );
        for (name, value) in &self.levels {
            let at = y(*value);
            let _ = writeln!(
                svg,
                "<line class=\"level\" x1=\"{left}\" y1=\"{at:.1}\" x2=\"{right:.1}\" y2=\"{at:.1}\"/>"
            );
            // Above the line, or below it where the top is near.
            let text_at = if at - top < 16.0 { at + 14.0 } else { at - 4.0 };
            let _ = writeln!(
                svg,
                "<text class=\"level\" x=\"{:.1}\" y=\"{text_at:.1}\" text-anchor=\"end\">{}</text>",
                right - 2.0,
                escaped(name)
            );
        }
        for (index, curve) in self.curves.iter().enumerate() {
            let colour = curve.colour % COLOURS;
            let dash = if curve.dashed { " dashed" } else { "" };
            let _ = writeln!(svg, "<g class=\"curve c{colour}{dash}\" data-curve=\"{index}\">");
            if curve.dots.iter().any(|dot| dot.low < dot.high) {
                let upper = curve.dots.iter().map(|dot| place((dot.x, dot.high)));
                let lower = curve.dots.iter().rev().map(|dot| place((dot.x, dot.low)));
                let _ = writeln!(
                    svg,
                    "<polygon points=\"{}\"/>",
                    upper.chain(lower).collect::<Vec<_>>().join(" ")
                );
            }
            for (seed, points) in &curve.seeds {
                let points: Vec<_> = points.iter().map(|&at| place(at)).collect();
                let _ = writeln!(
                    svg,
                    "<polyline class=\"seed\" points=\"{}\"><title>seed {seed}</title></polyline>",
                    points.join(" ")
                );
            }
            let points: Vec<_> = curve.dots.iter().map(|dot| place((dot.x, dot.y))).collect();
            let _ = writeln!(svg, "<polyline class=\"mean\" points=\"{}\"/>", points.join(" "));
            if let [only] = curve.dots[..] {
                let _ = writeln!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>", x(only.x), y(only.y));
            }
            svg.push_str("</g>\n");
        }
        if dots().next().is_none() {
            let _ = writeln!(
                svg,
                "<text x=\"{mid_x:.1}\" y=\"{mid_y:.1}\" text-anchor=\"middle\">no measurements yet</text>"
            );
        }
        svg.push_str("</svg>\n");
        let data = json!({
            "x": [x_min, x_max], "y": [y_min, y_max], "box": [left, right, top, bottom],
            "curves": self.curves.iter().map(|curve| json!({
                "label": curve.label, "colour": curve.colour % COLOURS,
                "dots": curve.dots.iter().map(|dot| [dot.x, dot.y, dot.low, dot.high]).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        });
        let data = data.to_string().replace('<', "\\u003c");
        let class = if self.small { "plot small" } else { "plot" };
        format!(
            "<figure class=\"{class}\" id=\"{id}\"><figcaption>{}</figcaption>\n{svg}{}\
             <script type=\"application/json\">{data}</script></figure>\n",
            escaped(&self.title),
            self.legend()
        )
    }

    fn legend(&self) -> String {
        if self.small && self.curves.len() < 2 {
            return String::new();
        }
        let mut out = String::from("<ul class=\"legend\">");
        for (index, curve) in self.curves.iter().enumerate() {
            let dash = if curve.dashed { " dashed" } else { "" };
            let _ = write!(
                out,
                "<li data-curve=\"{index}\"><i class=\"c{}{dash}\"></i>{}</li>",
                curve.colour % COLOURS,
                escaped(&curve.label)
            );
        }
        out + "</ul>\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot {
        let dot = |x: f64, y: f64| Dot { x, y, low: y - 1.0, high: y + 1.0 };
        let curve = |label: &str, colour| Curve {
            label: label.into(),
            colour,
            dots: vec![dot(0.0, 1.0), dot(100.0, 3.0)],
            seeds: vec![(7, vec![(0.0, 0.5), (100.0, 3.5)])],
            ..Curve::default()
        };
        Plot {
            title: "A <b>".into(),
            x_label: "steps".into(),
            y_label: "return".into(),
            curves: vec![curve("one", 0), curve("two & more", 9)],
            levels: vec![("best".into(), 4.0)],
            ..Plot::default()
        }
    }

    #[test]
    fn all_lines_are_inside_the_box() {
        let html = plot().html("p");
        assert_eq!((html.matches("class=\"mean\"").count(), html.matches("class=\"seed\"").count()), (2, 2));
        for points in html.split("points=\"").skip(1) {
            for pair in points.split('"').next().unwrap().split(' ') {
                let (x, y) = pair.split_once(',').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!((62.0..=846.0).contains(&x) && (12.0..=356.0).contains(&y), "{pair}");
            }
        }
        assert!(
            html.contains("class=\"curve c1\"")
                && html.contains("two &amp; more")
                && html.contains("A &lt;b>")
                || html.contains("A &lt;b&gt;")
        );
    }

    #[test]
    fn the_numbers_are_in_the_page_for_the_script() {
        let html = plot().html("p");
        let json = html
            .split("<script type=\"application/json\">")
            .nth(1)
            .unwrap()
            .split("</script>")
            .next()
            .unwrap();
        let data: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(data["curves"][1]["dots"][1], json!([100.0, 3.0, 2.0, 4.0]));
        assert_eq!(data["box"][0].as_f64(), Some(62.0));
    }

    #[test]
    fn nothing_measured_is_said() {
        let empty = Plot { title: "t".into(), ..Plot::default() };
        assert!(empty.html("p").contains("no measurements yet"));
    }
}
