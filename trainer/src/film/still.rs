//! One moment of a film as an SVG, with nothing in it that a simple renderer does not know.

use std::fmt::Write as _;

use super::{Film, Moment, Stage, View};
use crate::env::scene::{Figure, Unit};

/// Of the sides, in their order; told apart by all kinds of colour vision.
const SIDES: [&str; 4] = ["#0072b2", "#d55e00", "#8a6d00", "#a8447e"];
/// Of bars beyond the first, and of acts that help.
const BARS: [&str; 3] = ["#7a3fb0", "#00795a", "#6b5900"];
const HELPS: &str = "#00795a";
/// Height of the line of text below the picture, in pixels.
const CAPTION: f32 = 28.0;
/// Ground around the units that is shown, in units of the field.
const MARGIN: f32 = 1.0;

impl Film {
    /// How many moments there are: one more than steps.
    #[must_use]
    pub fn moments(&self) -> usize {
        self.moments.len()
    }

    /// Moment `index` as an SVG whose longer side is about `side` pixels; `None` where there is none. Of an
    /// environment that draws no scenes, the text that it renders.
    #[must_use]
    pub fn still(&self, index: usize, side: f32) -> Option<String> {
        let moment = self.moments.get(index)?;
        let (wide, high, inner) = match (&moment.view, &self.stage) {
            (View::Units(units), Some(stage)) => self.scene(stage, units, side),
            (View::Text(text), _) => self.text(text, side),
            (View::Units(_), None) => return None,
        };
        Some(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{}\" font-family=\"sans-serif\">\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{inner}<text x=\"6\" y=\"{}\" font-size=\"15\" \
             fill=\"#1b1f24\">step {index} · return {:.2}</text>\n</svg>\n",
            high + CAPTION,
            high + CAPTION - 9.0,
            moment.total
        ))
    }

    /// Width and height in whole pixels, and what is drawn there.
    fn scene(&self, stage: &Stage, units: &[Unit], side: f32) -> (f32, f32, String) {
        let [left, bottom, right, top] = self.close_up(stage);
        // Pixels per unit of the field.
        let scale = side / (right - left).max(top - bottom);
        let (wide, high) = (((right - left) * scale).ceil(), ((top - bottom) * scale).ceil());
        let (up, across, along) = (-top, right - left, top - bottom);
        let view = format!("viewBox=\"{left} {up} {across} {along}\"");
        let mut svg = format!("<svg width=\"{wide}\" height=\"{high}\" {view}>\n");
        draw(&mut svg, stage, units);
        svg.push_str("</svg>\n");
        (wide, high, svg)
    }

    /// The same of a text, at a size that all moments fit in.
    fn text(&self, text: &str, side: f32) -> (f32, f32, String) {
        let texts = self.moments.iter().filter_map(|moment| match &moment.view {
            View::Text(text) => Some(readable(text)),
            View::Units(_) => None,
        });
        let size = |text: String| {
            (text.lines().map(|line| line.chars().count()).max().unwrap_or(0), text.lines().count())
        };
        let (columns, rows) =
            texts.map(size).fold((1, 1), |most, size| (most.0.max(size.0), most.1.max(size.1)));
        // A character of a font of fixed width is 0.6 as wide as the font is large, a line 1.25 as high.
        let font = (side / (0.6 * columns as f32)).min(side / (1.25 * rows as f32)).min(28.0);
        let (wide, high) =
            ((0.6 * font * columns as f32).ceil().max(200.0), (1.25 * font * rows as f32).ceil() + 8.0);
        let mut svg = format!("<g font-family=\"monospace\" font-size=\"{font}\" fill=\"#1b1f24\">\n");
        for (row, line) in readable(text).lines().enumerate() {
            let y = 1.25 * font * (row as f32 + 0.8) + 4.0;
            let _ = writeln!(svg, "<text x=\"0\" y=\"{y}\" xml:space=\"preserve\">{}</text>", escaped(line));
        }
        svg.push_str("</g>\n");
        (wide, high, svg)
    }

    /// Where the units are during the episode, and a margin of the field: left, bottom, right, top.
    fn close_up(&self, stage: &Stage) -> [f32; 4] {
        let [width, height] = stage.field.size;
        let mut seen = [f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY];
        for Moment { view, .. } in &self.moments {
            let View::Units(units) = view else { continue };
            for (unit, figure) in units.iter().zip(&stage.figures) {
                let (away, [x, y]) = (figure.radius + MARGIN, unit.place);
                seen = [
                    seen[0].min(x - away),
                    seen[1].min(y - away),
                    seen[2].max(x + away),
                    seen[3].max(y + away),
                ];
            }
        }
        let [left, bottom, right, top] =
            [seen[0].max(0.0), seen[1].max(0.0), seen[2].min(width), seen[3].min(height)];
        // Nobody, or all in one place.
        if left < right && bottom < top { [left, bottom, right, top] } else { [0.0, 0.0, width, height] }
    }
}

fn draw(svg: &mut String, stage: &Stage, units: &[Unit]) {
    let [width, height] = stage.field.size;
    let _ = writeln!(svg, "<rect y=\"{}\" width=\"{width}\" height=\"{height}\" fill=\"#f3f4f6\"/>", -height);
    for [x, y, wide, high] in &stage.field.blocked {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{}\" width=\"{wide}\" height=\"{high}\" fill=\"#8d949e\"/>",
            -y - high
        );
    }
    let border = if stage.field.closed { "#1b1f24" } else { "#c9ced6" };
    let _ = writeln!(
        svg,
        "<rect y=\"{}\" width=\"{width}\" height=\"{height}\" fill=\"none\" stroke=\"{border}\" stroke-width=\"0.12\"/>",
        -height
    );
    let all = || units.iter().zip(&stage.figures);
    for (unit, figure) in all() {
        act(svg, (unit, figure), units);
    }
    all().filter(|(unit, _)| !unit.in_play).for_each(|(unit, figure)| fallen(svg, unit, figure));
    all().filter(|(unit, _)| unit.in_play).for_each(|(unit, figure)| standing(svg, unit, figure));
}

/// Text that is never read as markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Without colours and other commands for a terminal, which no drawing can hold.
fn readable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                // Up to the letter that ends the command.
                chars.by_ref().find(|char| ('@'..='~').contains(char));
            }
            '\n' => out.push('\n'),
            '\t' => out.push(' '),
            '\u{fffe}' | '\u{ffff}' => {}
            char if !char.is_control() => out.push(char),
            _ => {}
        }
    }
    out
}

fn colour(figure: &Figure) -> &'static str {
    SIDES[figure.side % SIDES.len()]
}

/// A line to whom a unit acts on; dashed where that helps.
fn act(svg: &mut String, (unit, figure): (&Unit, &Figure), units: &[Unit]) {
    let Some(target) = unit.target else { return };
    let ([x, y], [to_x, to_y]) = (unit.place, units[target.unit].place);
    let (stroke, dashes) =
        if target.helps { (HELPS, " stroke-dasharray=\"0.2 0.2\"") } else { (colour(figure), "") };
    let _ = writeln!(
        svg,
        "<path d=\"M{x} {}L{to_x} {}\" stroke=\"{stroke}\" stroke-width=\"0.08\"{dashes}/>",
        -y, -to_y
    );
}

fn fallen(svg: &mut String, unit: &Unit, figure: &Figure) {
    let ([x, y], r) = (unit.place, figure.radius);
    let (y, c, line) = (-y, r * 0.7, (r / 5.0).min(0.07));
    let _ = writeln!(
        svg,
        "<g opacity=\"0.4\" fill=\"none\" stroke=\"{}\" stroke-width=\"{line}\"><circle cx=\"{x}\" cy=\"{y}\" \
         r=\"{r}\"/><path d=\"M{} {}L{} {}M{} {}L{} {}\"/></g>",
        colour(figure),
        x - c,
        y - c,
        x + c,
        y + c,
        x - c,
        y + c,
        x + c,
        y - c
    );
}

/// A circle, filled from below by the first bar, the others as arcs along its rim.
fn standing(svg: &mut String, unit: &Unit, figure: &Figure) {
    let ([x, y], r, side) = (unit.place, figure.radius, colour(figure));
    let (line, wide) = ((r / 5.0).min(0.07), (r / 4.0).min(0.13));
    let _ = write!(svg, "<g transform=\"translate({x} {})\"><circle r=\"{r}\" fill=\"#ffffff\"/>", -y);
    for (k, bar) in figure.bars.iter().enumerate() {
        let level = (unit.bars[k] / bar.most).clamp(0.0, 1.0);
        // Of nothing, and of what is no number, there is nothing to see.
        if level > 0.0 {
            let stroke = BARS[k.saturating_sub(1) % BARS.len()];
            let inner = r - line - wide * (k as f32 - 0.5);
            let _ = match (k, level >= 1.0) {
                (0, true) => write!(svg, "<circle r=\"{r}\" fill=\"{side}\" opacity=\"0.5\"/>"),
                (0, false) => {
                    let angle = (1.0 - 2.0 * level).acos();
                    let (dx, dy, large) = (r * angle.sin(), r * angle.cos(), u8::from(level > 0.5));
                    let d = format!("M{} {dy}A{r} {r} 0 {large} 0 {dx} {dy}Z", -dx);
                    write!(svg, "<path d=\"{d}\" fill=\"{side}\" opacity=\"0.5\"/>")
                }
                (_, true) => write!(
                    svg,
                    "<circle r=\"{inner}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"{wide}\"/>"
                ),
                (_, false) => {
                    let angle = std::f32::consts::TAU * level;
                    let (dx, dy, large) = (inner * angle.sin(), -inner * angle.cos(), u8::from(level > 0.5));
                    let d = format!("M0 {}A{inner} {inner} 0 {large} 1 {dx} {dy}", -inner);
                    write!(svg, "<path d=\"{d}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"{wide}\"/>")
                }
            };
        }
    }
    let size = (r * 1.1).min(r * 2.3 / figure.label.chars().count().max(1) as f32);
    let label = escaped(&readable(&figure.label));
    let _ = writeln!(
        svg,
        "<circle r=\"{}\" fill=\"none\" stroke=\"{side}\" stroke-width=\"{line}\"/><text y=\"{}\" \
         font-size=\"{size}\" font-weight=\"bold\" text-anchor=\"middle\" fill=\"#1b1f24\">{label}</text></g>",
        r - line / 2.0,
        size * 0.36
    );
}

#[cfg(test)]
mod tests {
    use super::readable;

    #[test]
    fn commands_for_a_terminal_are_left_out() {
        assert_eq!(readable("a\u{1b}[41;1mred\u{1b}[0m\tb\r\n\u{7}c\u{1b}"), "ared b\nc");
        assert_eq!(readable("cut \u{1b}[4"), "cut ");
    }
}
