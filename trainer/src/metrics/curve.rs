//! Learning curves as SVG: one line per series, a band where there are several seeds.
//!
//! ```text
//! metrics.jsonl, one per seed ─► Series ─► Chart ─► curve.svg
//! ```
//!
//! The same chart gives the same bytes, and the file stands alone: no script, font or style sheet.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::{Record, failed};
use crate::error::MetricsError;

/// One point of a [`Series`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Environment steps.
    pub t_env: f64,
    /// Mean over the runs.
    pub mean: f64,
    /// The lowest run.
    pub low: f64,
    /// The highest run.
    pub high: f64,
}

/// One line of a chart, and its band.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend.
    pub label: String,
    /// In order of `t_env`.
    pub points: Vec<Point>,
}

impl Series {
    /// The values called `key` of one or more runs: their mean, lowest and highest.
    ///
    /// Runs measure at slightly different steps; between two of its points a run counts with the
    /// straight line between them. Only steps that every run has reached are in the series.
    #[must_use]
    pub fn from_runs(label: &str, key: &str, runs: &[Vec<Record>]) -> Self {
        let runs: Vec<Vec<(f64, f64)>> = runs.iter().map(|records| values(records, key)).collect();
        let first = runs.iter().filter_map(|run| run.first()).map(|point| point.0).fold(0.0, f64::max);
        let last = runs.iter().map(|run| run.last().map_or(-1.0, |point| point.0));
        let last = last.fold(f64::INFINITY, f64::min);
        let mut grid: Vec<f64> = runs.iter().flatten().map(|point| point.0).collect();
        grid.retain(|t_env| (first..=last).contains(t_env));
        grid.sort_by(f64::total_cmp);
        grid.dedup();
        let point = |t_env: f64| {
            let at: Vec<f64> = runs.iter().map(|run| interpolate(run, t_env)).collect();
            Point {
                t_env,
                mean: at.iter().sum::<f64>() / at.len() as f64,
                low: at.iter().copied().fold(f64::INFINITY, f64::min),
                high: at.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            }
        };
        Self { label: label.to_owned(), points: grid.into_iter().map(point).collect() }
    }
}

/// The finite values of one key, in order; of two at the same step the later stands.
fn values(records: &[Record], key: &str) -> Vec<(f64, f64)> {
    let mut found: Vec<(f64, f64)> = Vec::new();
    for record in records {
        let (t_env, value) = (record.t_env as f64, record.values.get(key));
        let Some(value) = value.copied().filter(|value| value.is_finite()) else {
            continue;
        };
        found.retain(|point| point.0 < t_env);
        found.push((t_env, value));
    }
    found
}

/// The value of a run at `t_env`, which is between its first and its last point.
fn interpolate(run: &[(f64, f64)], t_env: f64) -> f64 {
    let after = run.partition_point(|point| point.0 < t_env);
    let (right, left) = (run[after.min(run.len() - 1)], run[after.saturating_sub(1)]);
    if right.0 <= t_env || right.0 <= left.0 {
        return right.1;
    }
    left.1 + (right.1 - left.1) * (t_env - left.0) / (right.0 - left.0)
}

/// A horizontal line to compare with: the best possible return, a random team.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// What it says at the right end.
    pub label: String,
    /// Where it is.
    pub value: f64,
}

/// All that is on one picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chart {
    /// Above the plot.
    pub title: String,
    /// Below the horizontal axis.
    pub x_label: String,
    /// Beside the vertical axis.
    pub y_label: String,
    /// The lines, in the order of the legend.
    pub series: Vec<Series>,
    /// Horizontal lines.
    pub references: Vec<Reference>,
}

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 690.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 380.0;

/// Height of a row of the legend, and where the first one stands.
const ROW: f64 = 18.0;
const LEGEND: f64 = 52.0;
/// No font is at hand to measure with; these are wide for the texts of 13 and of 16 pixels, which is bold.
const WIDE: [f64; 2] = [7.5, 9.2];

/// Okabe and Ito's colours, which most colour-blind people tell apart.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// Dashes that tell lines apart on a grey print.
const DASHES: [&str; 3] = ["none", "7 3", "2 3"];

impl Chart {
    /// The picture.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let (x_ticks, x_step) = ticks(points().map(|point| point.t_env).chain([0.0]), 6);
        let levels = self.references.iter().map(|reference| reference.value);
        let (y_ticks, y_step) = ticks(points().flat_map(|point| [point.low, point.high]).chain(levels), 6);
        let ends = |ticks: &[f64]| (ticks[0], ticks[ticks.len() - 1]);
        let ((x_min, x_max), (y_min, y_max)) = (ends(&x_ticks), ends(&y_ticks));
        // Time ends with the data: the last tick may lie far behind it.
        let last = points().map(|point| point.t_env).fold(x_min, f64::max);
        let x_max = if last > x_min { last } else { x_max };
        let x = |value: f64| LEFT + (RIGHT - LEFT) * (value - x_min) / (x_max - x_min);
        let y = |value: f64| BOTTOM - (BOTTOM - TOP) * (value - y_min) / (y_max - y_min);

        let places = self.legend();
        // Of a legend that takes more than one row, the plot stands lower.
        let lower = places.last().map_or(0.0, |(_, _, row)| ROW * *row as f64);
        let height = HEIGHT + lower;
        let mut svg = String::new();
        let mut put = |line: &str| {
            svg.push_str(line);
            svg.push('\n');
        };
        put(&format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
             viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"13\" \
             fill=\"#333333\" role=\"img\">"
        ));
        put(&format!("<title>{}</title>", escaped(&self.title)));
        put(&format!("<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>"));
        put(&text(LEFT, 26.0, "font-size=\"16\" font-weight=\"bold\"", &cut(&self.title, LEFT, WIDE[1])));
        if lower > 0.0 {
            put(&format!("<g transform=\"translate(0 {lower})\">"));
        }

        for tick in x_ticks.iter().filter(|tick| **tick <= x_max) {
            put(&line((x(*tick), TOP), (x(*tick), BOTTOM), "stroke=\"#eeeeee\""));
            put(&text(x(*tick), BOTTOM + 20.0, "text-anchor=\"middle\"", &label(*tick, x_step)));
        }
        for tick in &y_ticks {
            put(&line((LEFT, y(*tick)), (RIGHT, y(*tick)), "stroke=\"#e4e4e4\""));
            put(&text(LEFT - 8.0, y(*tick) + 4.5, "text-anchor=\"end\"", &label(*tick, y_step)));
        }
        put(&line((LEFT, BOTTOM), (RIGHT, BOTTOM), "stroke=\"#888888\""));
        put(&line((LEFT, TOP), (LEFT, BOTTOM), "stroke=\"#888888\""));
        let middle = f64::midpoint(LEFT, RIGHT);
        put(&text(middle, BOTTOM + 46.0, "text-anchor=\"middle\"", &self.x_label));
        let middle = f64::midpoint(TOP, BOTTOM);
        let turned = format!("text-anchor=\"middle\" transform=\"rotate(-90 20 {middle:.1})\"");
        put(&text(20.0, middle, &turned, &self.y_label));

        let mut references: Vec<_> = self.references.iter().collect();
        references.sort_by(|a, b| b.value.total_cmp(&a.value));
        let mut above = f64::NEG_INFINITY;
        for reference in references {
            let level = y(reference.value);
            put(&line((LEFT, level), (RIGHT, level), "stroke=\"#777777\" stroke-dasharray=\"2 4\""));
            above = (level + 4.5).max(above + 15.0);
            put(&text(RIGHT + 6.0, above, "fill=\"#666666\"", &reference.label));
        }

        for (index, (series, (label, legend, row))) in self.series.iter().zip(&places).enumerate() {
            let colour = COLOURS[index % COLOURS.len()];
            let dash = DASHES[index % DASHES.len()];
            let place = |value: fn(&Point) -> f64| {
                move |point: &Point| format!("{:.1},{:.1}", x(point.t_env), y(value(point)))
            };
            if series.points.iter().any(|point| point.low < point.high) {
                let upper = series.points.iter().map(place(|point| point.high));
                let lower = series.points.iter().rev().map(place(|point| point.low));
                let edge: Vec<_> = upper.chain(lower).collect();
                put(&format!(
                    "<polygon fill=\"{colour}\" fill-opacity=\"0.15\" points=\"{}\"/>",
                    edge.join(" ")
                ));
            }
            let means: Vec<_> = series.points.iter().map(place(|point| point.mean)).collect();
            let style = format!("stroke=\"{colour}\" stroke-width=\"2\" stroke-dasharray=\"{dash}\"");
            put(&format!("<polyline fill=\"none\" {style} points=\"{}\"/>", means.join(" ")));
            if let [only] = series.points[..] {
                let (x, y) = (x(only.t_env), y(only.mean));
                put(&format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"));
            }
            let level = LEGEND + ROW * *row as f64 - lower;
            put(&line((*legend, level), (legend + 24.0, level), &style));
            put(&text(legend + 30.0, level + 4.5, "", label));
        }
        if points().next().is_none() {
            let (x, y) = (f64::midpoint(LEFT, RIGHT), f64::midpoint(TOP, BOTTOM));
            put(&text(x, y, "text-anchor=\"middle\" fill=\"#888888\"", "no measurements yet"));
        }
        if lower > 0.0 {
            put("</g>");
        }
        put("</svg>");
        svg
    }

    /// What the legend says of each line, where that begins, and in which row.
    fn legend(&self) -> Vec<(String, f64, usize)> {
        let (mut at, mut row) = (LEFT, 0);
        let mut places = Vec::new();
        for series in &self.series {
            let label = cut(&series.label, LEFT + 30.0, WIDE[0]);
            let width = 30.0 + WIDE[0] * label.chars().count() as f64;
            if at > LEFT && at + width > WIDTH {
                (at, row) = (LEFT, row + 1);
            }
            places.push((label, at, row));
            at += width + 22.0;
        }
        places
    }

    /// Writes the picture to `path`.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), MetricsError> {
        fs::write(path, self.to_svg()).map_err(failed("write", path))
    }
}

/// As much of a text as there is room for from `left` on, where a character takes `wide`.
fn cut(content: &str, left: f64, wide: f64) -> String {
    let room = ((WIDTH - left) / wide) as usize;
    if content.chars().count() <= room {
        return content.to_owned();
    }
    content.chars().take(room - 1).chain(['…']).collect()
}

fn line(from: (f64, f64), to: (f64, f64), style: &str) -> String {
    let ((x1, y1), (x2, y2)) = (from, to);
    format!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" {style}/>")
}

fn text(x: f64, y: f64, style: &str, content: &str) -> String {
    let space = if style.is_empty() { "" } else { " " };
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\"{space}{style}>{}</text>", escaped(content))
}

/// `text` as it may stand between tags and in attributes.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let _ = match c {
            '&' => out.write_str("&amp;"),
            '<' => out.write_str("&lt;"),
            '>' => out.write_str("&gt;"),
            '"' => out.write_str("&quot;"),
            // Not allowed in XML, not even escaped.
            c if c.is_control() => out.write_char(' '),
            c => out.write_char(c),
        };
    }
    out
}

/// Round numbers that enclose `values`, about `count` of them, and their distance.
pub(crate) fn ticks(values: impl Iterator<Item = f64>, count: usize) -> (Vec<f64>, f64) {
    let finite = values.filter(|value| value.is_finite());
    let (low, high) =
        finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
    let (low, high) = match high - low {
        span if span > 0.0 => (low, high),
        _ if low.is_finite() => (low - 0.5 * low.abs().max(1.0), low + 0.5 * low.abs().max(1.0)),
        _ => (0.0, 1.0),
    };
    let rough = (high - low) / count as f64;
    let power = 10.0_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().find(|step| step * power >= rough).unwrap_or(10.0) * power;
    let (first, last) = ((low / step).floor() as i64, (high / step).ceil() as i64);
    ((first..=last).map(|index| index as f64 * step).collect(), step)
}

/// `value` with as many digits as a distance of `step` needs: `0.25`, `40`, `1.2 M`.
pub(crate) fn label(value: f64, step: f64) -> String {
    let largest = value.abs().max(step);
    let (unit, suffix) = match largest {
        size if size >= 1e9 => (1e9, " G"),
        size if size >= 1e6 => (1e6, " M"),
        size if size >= 1e4 => (1e3, " k"),
        _ => (1.0, ""),
    };
    let digits = (-(step / unit).log10()).ceil().clamp(0.0, 9.0) as usize;
    let text = format!("{:.digits$}{suffix}", value / unit);
    // Minus zero, and zero with a unit, are plain zero.
    if value.abs() < step / 2.0 { "0".to_owned() } else { text.replace('-', "\u{2212}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(points: &[(u64, f64)]) -> Vec<Record> {
        let record = |&(t_env, value): &(u64, f64)| Record {
            t_env,
            values: [("return".to_owned(), value)].into(),
            ..Record::default()
        };
        points.iter().map(record).collect()
    }

    fn small() -> Chart {
        let runs =
            [run(&[(0, 0.0), (1_000, 4.0), (2_000, 6.0)]), run(&[(0, 2.0), (1_000, 6.0), (2_000, 7.0)])];
        Chart {
            title: "Catch & <carry>".to_owned(),
            x_label: "environment steps".to_owned(),
            y_label: "return".to_owned(),
            series: vec![
                Series::from_runs("local policy", "return", &runs),
                Series::from_runs("teacher", "return", &runs[1..]),
            ],
            references: vec![Reference { label: "best".to_owned(), value: 8.0 }],
        }
    }

    #[test]
    fn what_is_long_stays_within_the_picture() {
        let names = ["a".repeat(60), "b".repeat(50), "c".repeat(200), "d".to_owned()];
        let series: Vec<_> = names.iter().map(|name| Series::from_runs(name, "return", &[])).collect();
        let svg = Chart { title: "t".repeat(120), series, ..small() }.to_svg();
        check_balance(&svg);
        assert!(svg.contains("height=\"494\" viewBox=\"0 0 800 494\""), "four rows: {svg}");
        assert!(svg.contains("<g transform=\"translate(0 54)\">"));
        let room = |left: f64, wide: f64| ((WIDTH - left) / wide) as usize;
        assert!(svg.contains(&format!(">{}…<", "t".repeat(room(LEFT, WIDE[1]) - 1))));
        assert!(svg.contains(&format!(">{}…<", "c".repeat(room(LEFT + 30.0, WIDE[0]) - 1))));
        // Rows at 52, 70, 88 and 106, in what stands 54 lower.
        for (name, level) in ["a", "b", "c", "d"].into_iter().zip(["2.5", "20.5", "38.5", "56.5"]) {
            assert!(svg.contains(&format!("<text x=\"102.0\" y=\"{level}\">{name}")), "{name}: {svg}");
        }
    }

    /// Whether every tag that opens also closes, in order, and every attribute is quoted.
    fn check_balance(svg: &str) {
        let mut open = Vec::new();
        let mut rest = svg;
        while let Some((before, after)) = rest.split_once('<') {
            let entities = before.split('&').skip(1);
            assert!(entities.into_iter().all(|text| text.contains(';')), "a bare & in {before}");
            let (tag, after) = after.split_once('>').expect("a tag ends");
            rest = after;
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name), "closed out of order");
                continue;
            }
            assert_eq!(tag.matches('"').count() % 2, 0, "an open quote in {tag}");
            let name = tag.split([' ', '/']).next().expect("a name");
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "left open: {open:?}");
    }

    #[test]
    fn several_seeds_give_mean_and_range() {
        let runs = [run(&[(0, 0.0), (10, 10.0), (30, 10.0)]), run(&[(0, 2.0), (20, 6.0)])];
        let series = Series::from_runs("x", "return", &runs);
        let expected = [(0.0, 1.0, 0.0, 2.0), (10.0, 7.0, 4.0, 10.0), (20.0, 8.0, 6.0, 10.0)];
        let point = |(t_env, mean, low, high)| Point { t_env, mean, low, high };
        assert_eq!(series.points, expected.map(point));
        assert!(Series::from_runs("x", "other", &runs).points.is_empty());
        assert!(Series::from_runs("x", "return", &[run(&[(1, 1.0)]), vec![]]).points.is_empty());
        assert!(Series::from_runs("x", "return", &[]).points.is_empty());
        let gaps = [run(&[(0, 1.0), (5, f64::NAN), (10, 3.0)])];
        assert_eq!(Series::from_runs("x", "return", &gaps).points.len(), 2);
    }

    #[test]
    fn ticks_are_round_and_enclose() {
        let labels = |values: &[f64]| {
            let (ticks, step) = ticks(values.iter().copied(), 5);
            ticks.into_iter().map(|tick| label(tick, step)).collect::<Vec<_>>()
        };
        assert_eq!(labels(&[0.0, 1_000_000.0]), ["0", "200 k", "400 k", "600 k", "800 k", "1.0 M"]);
        assert_eq!(labels(&[-0.3, 0.7]), ["\u{2212}0.4", "\u{2212}0.2", "0", "0.2", "0.4", "0.6", "0.8"]);
        assert_eq!(labels(&[0.0, 2_500_000.0]), ["0", "500 k", "1.0 M", "1.5 M", "2.0 M", "2.5 M"]);
        assert_eq!(labels(&[8.0, 8.0]), ["4", "6", "8", "10", "12"]);
        assert_eq!(labels(&[]), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
    }

    #[test]
    fn pictures_are_well_formed() {
        check_balance(&small().to_svg());
        check_balance(&Chart::default().to_svg());
        let mut one = small();
        one.series.truncate(1);
        one.series[0].points.truncate(1);
        check_balance(&one.to_svg());
        assert!(one.to_svg().contains("<circle"));
    }

    #[test]
    fn a_small_picture_is_as_it_was() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/metrics/curve_small.svg");
        let now = small().to_svg();
        if std::env::var_os("DDN_UPDATE_SNAPSHOTS").is_some() {
            fs::write(&path, &now).unwrap();
        }
        let then = fs::read_to_string(&path).unwrap();
        assert!(
            then == now,
            "the picture changed; set DDN_UPDATE_SNAPSHOTS=1, run again and look at {path:?}"
        );
    }
}
